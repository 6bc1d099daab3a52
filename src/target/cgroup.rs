//! The memory cgroup of a process: what it may use, what it uses, how much is left before the OOM killer comes; for
//! cgroup v1, v2 and hosts with both, from inside a container or outside. Also whether the process is frozen, and how
//! much CPU the tool may use. All files are read through a function, so tests need no cgroups.

pub(crate) mod quota;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::process::LiveProcess;

/// Which kind of hierarchy holds the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// A hierarchy per controller.
    V1,
    /// The unified hierarchy.
    V2,
}

/// The memory cgroup of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupFacts {
    /// Which kind.
    pub version: CgroupVersion,
    /// Its path as the tool sees it; begins with `/..` when it lies outside of the tool's cgroup namespace.
    pub path: String,
    /// The smallest limit of it and its visible ancestors; `None`: no limit.
    pub limit_bytes: Option<u64>,
    /// The smallest `memory.high`, above which the kernel slows the processes down.
    pub high_bytes: Option<u64>,
    /// Used by the group, page cache included.
    pub current_bytes: Option<u64>,
    /// Used, without page cache that can go at once: what kubelet compares with the limit.
    pub working_set_bytes: Option<u64>,
    /// What is left: the smallest limit minus working set on the way up.
    pub headroom_bytes: Option<u64>,
    /// Swap allowed; `None`: no limit, or no swap accounting.
    pub swap_limit_bytes: Option<u64>,
    /// Swap used.
    pub swap_current_bytes: Option<u64>,
    /// Processes of the group killed by its OOM killer.
    pub oom_kills: Option<u64>,
}

/// Reads one file; `None` when there is none.
pub type ReadFile<'a> = dyn Fn(&Path) -> Option<String> + 'a;

/// No limit, as cgroup v1 writes it: the largest multiple of the page size.
const V1_UNLIMITED: u64 = i64::MAX as u64 / (64 << 10) * (64 << 10);

impl CgroupFacts {
    /// Of a process; `None` when it is in no memory cgroup that can be seen from here.
    pub fn of(process: &LiveProcess) -> Option<CgroupFacts> {
        let cgroup = process.proc().text("cgroup").ok()?;
        let own_mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        CgroupFacts::find(&cgroup, &own_mounts, &read_host).or_else(|| {
            // The tool may sit in a container that does not see it; the target's own mounts may show it.
            let mounts = process.proc().text("mountinfo").ok()?;
            CgroupFacts::find(&cgroup, &mounts, &|path| read_bounded(process.open_in_root(path).ok()?))
        })
    }

    /// Of the process with this `/proc/PID/cgroup`, among these mounts; `read` reads the files of the hierarchy.
    pub fn find(cgroup: &str, mountinfo: &str, read: &ReadFile) -> Option<CgroupFacts> {
        let place = Place::find(cgroup, mountinfo, "memory")?;
        let facts = match place.version {
            CgroupVersion::V1 => v1(&place, read),
            CgroupVersion::V2 => v2(&place, read),
        };
        (facts.current_bytes.is_some() || place.is_there(read)).then_some(facts)
    }
}

/// Where the memory of the tool's own group is limited.
#[derive(Debug)]
pub(super) struct OwnMemory(Place);

impl OwnMemory {
    /// `None` when the tool is in no memory cgroup that can be seen from here.
    pub(super) fn find() -> Option<OwnMemory> {
        let cgroup = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let place = Place::find(&cgroup, &mounts, "memory")?;
        place.is_there(&read_host).then_some(OwnMemory(place))
    }

    /// As [`CgroupFacts::headroom_bytes`], at this moment.
    pub(super) fn headroom_bytes(&self) -> Option<u64> {
        self.0.headroom(&read_host)
    }
}

/// How many more threads and processes the tool's own cgroup may have; `None`: no limit shows.
pub(super) fn own_tasks_left() -> Option<u64> {
    let cgroup = fs::read_to_string("/proc/self/cgroup").ok()?;
    tasks_left(&cgroup, &fs::read_to_string("/proc/self/mountinfo").ok()?, &read_host)
}

fn tasks_left(cgroup: &str, mountinfo: &str, read: &ReadFile) -> Option<u64> {
    let place = Place::find(cgroup, mountinfo, "pids")?;
    let left = |dir: PathBuf| {
        let most = number(&dir, "pids.max", read)?;
        Some(most.saturating_sub(number(&dir, "pids.current", read)?))
    };
    place.levels().filter_map(left).min()
}

impl LiveProcess {
    /// Whether its cgroup is frozen, so that none of its threads runs.
    pub fn is_frozen(&self) -> bool {
        let Ok(cgroup) = self.proc().text("cgroup") else {
            return false;
        };
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        is_frozen(&cgroup, &mounts, &read_host)
    }
}

fn is_frozen(cgroup: &str, mountinfo: &str, read: &ReadFile) -> bool {
    let v2 = Place::unified(cgroup, mountinfo)
        .and_then(|place| field(&read(&place.dir.join("cgroup.events"))?, "frozen"))
        .is_some_and(|frozen| frozen == 1);
    let v1 = Place::v1(cgroup, mountinfo, "freezer")
        .and_then(|place| read(&place.dir.join("freezer.state")))
        .is_some_and(|state| state.trim() == "FROZEN");
    v1 || v2
}

/// Where the directory of a process in one hierarchy is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    version: CgroupVersion,
    path: String,
    mount: PathBuf,
    dir: PathBuf,
}

impl Place {
    /// Where a controller keeps its files: in a v1 hierarchy of its own, else in the unified one.
    fn find(cgroup: &str, mountinfo: &str, controller: &str) -> Option<Place> {
        Place::v1(cgroup, mountinfo, controller).or_else(|| Place::unified(cgroup, mountinfo))
    }

    fn unified(cgroup: &str, mountinfo: &str) -> Option<Place> {
        let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
        Place::new(CgroupVersion::V2, path, mountinfo, |kind, _| kind == "cgroup2")
    }

    fn v1(cgroup: &str, mountinfo: &str, controller: &str) -> Option<Place> {
        let path = cgroup.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers = fields.next()?;
            controllers
                .split(',')
                .any(|name| name == controller)
                .then_some(fields.next()?)
        })?;
        let has = |kind: &str, options: &str| kind == "cgroup" && options.split(',').any(|name| name == controller);
        Place::new(CgroupVersion::V1, path, mountinfo, has)
    }

    fn new(version: CgroupVersion, path: &str, mountinfo: &str, is: impl Fn(&str, &str) -> bool) -> Option<Place> {
        mountinfo.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(3);
            let (root, mount) = (unescape(left.next()?), unescape(left.next()?));
            let mut right = right.split(' ');
            let (kind, options) = (right.next()?, right.nth(1).unwrap_or(""));
            if !is(kind, options) {
                return None;
            }
            // Both paths are relative to the reader's cgroup namespace; a mount shows what lies below its root.
            let below = match root.as_str() {
                "/" => path,
                root => path
                    .strip_prefix(root)
                    .filter(|rest| rest.is_empty() || rest.starts_with('/'))?,
            };
            let below = below.trim_start_matches('/');
            if below.split('/').any(|name| name == "..") {
                return None;
            }
            let mount = PathBuf::from(mount);
            if !mount.is_absolute() {
                return None; // no kernel writes that; it would lead into the current directory
            }
            Some(Place {
                version,
                path: path.to_owned(),
                dir: mount.join(below),
                mount,
            })
        })
    }

    /// The directory and its visible ancestors, from the inside out.
    fn levels(&self) -> impl Iterator<Item = PathBuf> {
        self.dir
            .ancestors()
            .take_while(|dir| dir.starts_with(&self.mount))
            .map(Path::to_path_buf)
    }
}

/// The number in a file of a group.
fn number(dir: &Path, name: &str, read: &ReadFile) -> Option<u64> {
    read(&dir.join(name))?.trim().parse().ok()
}

impl Place {
    /// Whether the directory is there: one that is not (stale path, masked mount) says nothing; the root group says little,
    /// but exists.
    fn is_there(&self, read: &ReadFile) -> bool {
        read(&self.dir.join("cgroup.procs")).is_some()
    }

    /// Memory in use that is not page cache that can go at once.
    fn working_set(&self, dir: &Path, read: &ReadFile) -> Option<u64> {
        let (used, cache) = match self.version {
            CgroupVersion::V1 => ("memory.usage_in_bytes", "total_inactive_file"),
            CgroupVersion::V2 => ("memory.current", "inactive_file"),
        };
        let stat = read(&dir.join("memory.stat"))?;
        Some(number(dir, used, read)?.saturating_sub(field(&stat, cache)?))
    }

    /// What is left: the smallest limit minus working set on the way up.
    fn headroom(&self, read: &ReadFile) -> Option<u64> {
        let room = |dir: PathBuf| {
            let limit = match self.version {
                CgroupVersion::V1 => {
                    number(&dir, "memory.limit_in_bytes", read).filter(|&limit| limit < V1_UNLIMITED)?
                }
                CgroupVersion::V2 => number(&dir, "memory.max", read)?,
            };
            Some(limit.saturating_sub(self.working_set(&dir, read)?))
        };
        self.levels().filter_map(room).min()
    }
}

fn v2(place: &Place, read: &ReadFile) -> CgroupFacts {
    let number = |dir: &Path, name: &str| number(dir, name, read);
    let smallest = |name: &str| place.levels().filter_map(|dir| number(&dir, name)).min();
    let events = read(&place.dir.join("memory.events")).unwrap_or_default();
    CgroupFacts {
        version: CgroupVersion::V2,
        path: place.path.clone(),
        limit_bytes: smallest("memory.max"),
        high_bytes: smallest("memory.high"),
        current_bytes: number(&place.dir, "memory.current"),
        working_set_bytes: place.working_set(&place.dir, read),
        headroom_bytes: place.headroom(read),
        swap_limit_bytes: smallest("memory.swap.max"),
        swap_current_bytes: number(&place.dir, "memory.swap.current"),
        oom_kills: field(&events, "oom_kill"),
    }
}

fn v1(place: &Place, read: &ReadFile) -> CgroupFacts {
    let number = |dir: &Path, name: &str| number(dir, name, read);
    let limit = |dir: &Path, name: &str| number(dir, name).filter(|&limit| limit < V1_UNLIMITED);
    let smallest = |name: &str| place.levels().filter_map(|dir| limit(&dir, name)).min();
    let memory = smallest("memory.limit_in_bytes");
    let both = smallest("memory.memsw.limit_in_bytes");
    let used = number(&place.dir, "memory.usage_in_bytes");
    let used_both = number(&place.dir, "memory.memsw.usage_in_bytes");
    let oom = read(&place.dir.join("memory.oom_control")).unwrap_or_default();
    CgroupFacts {
        version: CgroupVersion::V1,
        path: place.path.clone(),
        limit_bytes: memory,
        high_bytes: None,
        current_bytes: used,
        working_set_bytes: place.working_set(&place.dir, read),
        headroom_bytes: place.headroom(read),
        swap_limit_bytes: memory.zip(both).map(|(memory, both)| both.saturating_sub(memory)),
        swap_current_bytes: used.zip(used_both).map(|(used, both)| both.saturating_sub(used)),
        oom_kills: field(&oom, "oom_kill"),
    }
}

/// The number behind `key` in lines of `key number`.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// mountinfo writes a space as `\040`.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn read_host(path: &Path) -> Option<String> {
    read_bounded(fs::File::open(path).ok()?)
}

fn read_bounded(file: fs::File) -> Option<String> {
    let mut text = String::new();
    file.take(1 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests;
