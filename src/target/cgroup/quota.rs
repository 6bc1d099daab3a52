//! How much CPU the tool's own cgroup allows it. A tool that has used that up stands still until the next period
//! begins, and a target that it holds stands still with it; not even a signal that kills the tool takes effect before.
//! So a stop is begun with a period, and is over before what a period gives is used up.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::{CgroupVersion, Place, ReadFile, field, read_host};
use crate::spare;
use crate::target::own::OwnMeans;

/// How often the number of a period is looked up; a look costs some ten microseconds.
const LOOK: Duration = Duration::from_micros(500);
/// As the scheduler's calls name the thread that makes them.
const THIS_THREAD: Pid = Pid::from_raw(0);
/// After so many periods without a new number there is none.
const PERIODS: u32 = 3;

/// Limits of CPU time that hold for the tool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CpuQuota {
    levels: Vec<Level>,
}

/// A cgroup with a limit.
#[derive(Clone, Debug, PartialEq)]
struct Level {
    dir: PathBuf,
    /// CPU time in each period.
    runtime: Duration,
    period: Duration,
}

impl CpuQuota {
    /// Of the tool's own cgroup and its visible ancestors; `None` when none of them sets a limit.
    pub(crate) fn own() -> Option<CpuQuota> {
        let cgroup = fs::read_to_string("/proc/self/cgroup").ok()?;
        CpuQuota::find(&cgroup, &fs::read_to_string("/proc/self/mountinfo").ok()?, &read_host)
    }

    pub(super) fn find(cgroup: &str, mountinfo: &str, read: &ReadFile) -> Option<CpuQuota> {
        let place = Place::find(cgroup, mountinfo, "cpu")?;
        let level = |dir: PathBuf| {
            let (runtime, period) = match place.version {
                CgroupVersion::V2 => {
                    let text = read(&dir.join("cpu.max"))?;
                    let (runtime, period) = text.trim().split_once(' ')?;
                    (runtime.parse().ok()?, period.parse().ok()?)
                }
                CgroupVersion::V1 => (
                    // No limit is -1, which is no number here.
                    number(&dir.join("cpu.cfs_quota_us"), read)?,
                    number(&dir.join("cpu.cfs_period_us"), read)?,
                ),
            };
            (runtime > 0 && period > 0).then(|| Level {
                dir,
                runtime: Duration::from_micros(runtime),
                period: Duration::from_micros(period),
            })
        };
        let levels: Vec<Level> = place.levels().filter_map(level).collect();
        (!levels.is_empty()).then_some(CpuQuota { levels })
    }

    /// CPUs that may be in use all the time.
    pub(crate) fn cpus(&self) -> f64 {
        let shares = self
            .levels
            .iter()
            .map(|level| level.runtime.as_secs_f64() / level.period.as_secs_f64());
        shares.fold(f64::INFINITY, f64::min)
    }

    /// CPU time that is certain to be had at the beginning of a period.
    pub(crate) fn per_period(&self) -> Duration {
        self.tightest().map_or(Duration::MAX, |level| level.runtime)
    }

    /// CPU time that a stop may use that begins with a period: what a period gives, without a quarter of it that the work
    /// before the stop, or another process of the group, may have used.
    pub(crate) fn longest_stop(&self) -> Duration {
        self.per_period() / 4 * 3
    }

    /// Sleeps until a period begins, where the group that allows least counts them; whether one was seen to.
    pub(crate) fn await_period(&self) -> bool {
        let Some(level) = self.tightest() else { return false };
        let Ok(stat) = File::open(level.dir.join("cpu.stat")) else {
            return false;
        };
        let Some(first) = counted(&stat, "nr_periods") else {
            return false;
        };
        let begun = Instant::now();
        // Only CPU time in use has periods counted, and looking uses some.
        while begun.elapsed() < level.period * PERIODS {
            std::thread::sleep(LOOK);
            if counted(&stat, "nr_periods").is_none_or(|now| now != first) {
                return true;
            }
        }
        false
    }

    /// How often the groups have used up what they are allowed.
    pub(crate) fn throttled(&self) -> Option<u64> {
        self.levels.iter().try_fold(0u64, |times, level| {
            let stat = File::open(level.dir.join("cpu.stat")).ok()?;
            Some(times.saturating_add(counted(&stat, "nr_throttled")?))
        })
    }

    fn tightest(&self) -> Option<&Level> {
        self.levels.iter().min_by_key(|level| level.runtime)
    }
}

/// As [`OwnMeans::realtime_share`].
pub(in crate::target) fn own_realtime_share() -> Option<Duration> {
    let cgroup = fs::read_to_string("/proc/self/cgroup").ok()?;
    let place = Place::v1(&cgroup, &fs::read_to_string("/proc/self/mountinfo").ok()?, "cpu")?;
    number(&place.dir.join("cpu.rt_runtime_us"), &read_host).map(Duration::from_micros)
}

/// What a group is given where nobody set anything is less than the longest pauses.
const USUAL_REALTIME_SHARE: Duration = Duration::from_millis(900);

/// Puts this thread ahead of all ordinary ones for a pause of at most `max`, where that is permitted and no share of
/// real-time CPU could be used up by it; whether it is. No quota holds for it then.
pub(crate) fn run_first(max: Duration) -> bool {
    let ahead = enough_realtime(max) && spare::run_first();
    if !ahead {
        spare::run_often();
    }
    ahead
}

/// Gives this thread back the CPUs it had, whatever a child changed.
#[derive(Debug)]
pub(crate) struct KeptCpus(Option<CpuSet>);

impl KeptCpus {
    /// Those it has now.
    pub(crate) fn now() -> KeptCpus {
        KeptCpus(sched_getaffinity(THIS_THREAD).ok())
    }
}

impl Drop for KeptCpus {
    fn drop(&mut self) {
        if let Some(cpus) = &self.0
            && sched_getaffinity(THIS_THREAD).as_ref() != Ok(cpus)
        {
            let _ = sched_setaffinity(THIS_THREAD, cpus);
        }
    }
}

/// What a stop may last by the quota that would hold for it; `None`: no quota would.
pub(crate) fn longest_stop(max: Duration) -> Option<Duration> {
    let quota = CpuQuota::own()?;
    let ahead = enough_realtime(max) && spare::may_run_first();
    (!ahead).then(|| quota.longest_stop())
}

fn enough_realtime(max: Duration) -> bool {
    let share = OwnMeans::get().realtime_share;
    share.is_none_or(|share| share >= max.min(USUAL_REALTIME_SHARE))
}

fn number(path: &Path, read: &ReadFile) -> Option<u64> {
    read(path)?.trim().parse().ok()
}

fn counted(stat: &File, what: &str) -> Option<u64> {
    let mut text = [0; 1024];
    let len = stat.read_at(&mut text, 0).ok()?;
    field(std::str::from_utf8(text.get(..len)?).ok()?, what)
}
