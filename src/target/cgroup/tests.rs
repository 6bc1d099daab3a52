//! Cgroup trees in a temporary directory.

use std::time::Duration;

use super::quota::CpuQuota;
use super::*;

/// Files in a temporary directory that stands for the root of the file system.
struct Root(tempfile::TempDir);

impl Root {
    fn new(files: &[(&str, &str)]) -> Root {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Root(root)
    }

    fn read(&self, path: &Path) -> Option<String> {
        fs::read_to_string(self.0.path().join(path.strip_prefix("/").unwrap())).ok()
    }
}

const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

#[test]
fn the_smallest_limit_on_the_way_up_counts_in_v2() {
    let root = Root::new(&[
        ("sys/fs/cgroup/a/memory.max", "1000\n"),
        ("sys/fs/cgroup/a/memory.high", "max\n"),
        ("sys/fs/cgroup/a/memory.current", "900\n"),
        ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 100\n"),
        ("sys/fs/cgroup/a/b/memory.max", "5000\n"),
        ("sys/fs/cgroup/a/b/memory.high", "4000\n"),
        ("sys/fs/cgroup/a/b/memory.current", "600\n"),
        ("sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file 50\n"),
        ("sys/fs/cgroup/a/b/memory.swap.max", "max\n"),
        ("sys/fs/cgroup/a/b/memory.swap.current", "7\n"),
        ("sys/fs/cgroup/a/b/memory.events", "low 0\noom 2\noom_kill 3\n"),
    ]);
    let facts = CgroupFacts::find("0::/a/b\n", V2_MOUNT, &|path| root.read(path)).unwrap();
    assert_eq!(
        facts,
        CgroupFacts {
            version: CgroupVersion::V2,
            path: "/a/b".to_owned(),
            limit_bytes: Some(1000),
            high_bytes: Some(4000),
            current_bytes: Some(600),
            working_set_bytes: Some(550),
            headroom_bytes: Some(200),
            swap_limit_bytes: None,
            swap_current_bytes: Some(7),
            oom_kills: Some(3),
        }
    );
}

#[test]
fn a_hybrid_host_keeps_memory_in_v1() {
    let mounts = format!("31 23 0:27 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n{V2_MOUNT}");
    let root = Root::new(&[
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/y/memory.limit_in_bytes", "4096000\n"),
        ("sys/fs/cgroup/memory/y/memory.usage_in_bytes", "96000\n"),
        (
            "sys/fs/cgroup/memory/y/memory.stat",
            "inactive_file 1\ntotal_inactive_file 6000\n",
        ),
        ("sys/fs/cgroup/memory/y/memory.memsw.limit_in_bytes", "5096000\n"),
        ("sys/fs/cgroup/memory/y/memory.memsw.usage_in_bytes", "97000\n"),
        (
            "sys/fs/cgroup/memory/y/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        ),
    ]);
    let cgroup = "4:memory:/docker/x/y\n1:cpu,cpuacct:/z\n0::/\n";
    let facts = CgroupFacts::find(cgroup, &mounts, &|path| root.read(path)).unwrap();
    assert_eq!(facts.version, CgroupVersion::V1);
    assert_eq!(
        (facts.limit_bytes, facts.headroom_bytes),
        (Some(4096000), Some(4006000))
    );
    assert_eq!(
        (facts.swap_limit_bytes, facts.swap_current_bytes),
        (Some(1000000), Some(1000))
    );
    assert_eq!(facts.oom_kills, Some(1));
}

#[test]
fn a_group_outside_of_the_namespace_is_not_guessed() {
    assert_eq!(
        CgroupFacts::find("0::/../../other\n", V2_MOUNT, &|_| Some("1\n".to_owned())),
        None
    );
    let mounts = "30 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    assert_eq!(
        CgroupFacts::find("0::/docker/xy\n", mounts, &|_| Some("1\n".to_owned())),
        None
    );
}

#[test]
fn the_root_group_has_no_limit_and_no_usage() {
    let root = Root::new(&[("sys/fs/cgroup/cgroup.procs", "1\n")]);
    let facts = CgroupFacts::find("0::/\n", V2_MOUNT, &|path| root.read(path)).unwrap();
    assert_eq!(
        (facts.limit_bytes, facts.current_bytes, facts.headroom_bytes),
        (None, None, None)
    );
}

#[test]
fn frozen_is_seen_in_both_kinds() {
    let v2 = Root::new(&[("sys/fs/cgroup/a/cgroup.events", "populated 1\nfrozen 1\n")]);
    assert!(is_frozen("0::/a\n", V2_MOUNT, &|path| v2.read(path)));
    let mounts = "31 23 0:27 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n";
    let v1 = Root::new(&[("sys/fs/cgroup/freezer/a/freezer.state", "FROZEN\n")]);
    assert!(is_frozen("6:freezer:/a\n0::/\n", mounts, &|path| v1.read(path)));
    assert!(!is_frozen("6:freezer:/b\n0::/\n", mounts, &|path| v1.read(path)));
}

#[test]
fn the_cpu_quota_is_the_smallest_on_the_way_up() {
    let root = Root::new(&[
        ("sys/fs/cgroup/a/cpu.max", "50000 100000\n"),
        ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
    ]);
    let quota = CpuQuota::find("0::/a/b\n", V2_MOUNT, &|path| root.read(path)).unwrap();
    assert_eq!(quota.cpus(), 0.5);
    assert_eq!(quota.per_period(), Duration::from_millis(50));
    assert_eq!(quota.longest_stop(), Duration::from_micros(37_500));
    assert_eq!(CpuQuota::find("0::/\n", V2_MOUNT, &|path| root.read(path)), None);
    let mounts = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
    let v1 = Root::new(&[
        ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "5000\n"),
        ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
    ]);
    let quota = CpuQuota::find("1:cpu,cpuacct:/a\n", mounts, &|path| v1.read(path)).unwrap();
    assert_eq!(quota.per_period(), Duration::from_millis(5));
    assert!((quota.cpus() - 0.05).abs() < 1e-9);
}

#[test]
fn tasks_are_left_where_the_tightest_group_has_room() {
    let root = Root::new(&[
        ("sys/fs/cgroup/a/b/pids.max", "max\n"),
        ("sys/fs/cgroup/a/b/pids.current", "3\n"),
        ("sys/fs/cgroup/a/pids.max", "10\n"),
        ("sys/fs/cgroup/a/pids.current", "9\n"),
        ("sys/fs/cgroup/over/pids.max", "2\n"),
        ("sys/fs/cgroup/over/pids.current", "5\n"),
    ]);
    let left = |cgroup: &str| tasks_left(cgroup, V2_MOUNT, &|path| root.read(path));
    assert_eq!(left("0::/a/b\n"), Some(1));
    assert_eq!(left("0::/over\n"), Some(0));
    assert_eq!(left("0::/\n"), None);
    let v1 = "33 23 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
    let root = Root::new(&[
        ("sys/fs/cgroup/pids/a/pids.max", "7\n"),
        ("sys/fs/cgroup/pids/a/pids.current", "5\n"),
    ]);
    assert_eq!(tasks_left("4:pids:/a\n", v1, &|path| root.read(path)), Some(2));
}

#[test]
fn mount_points_with_spaces_are_found() {
    let mounts = "30 23 0:26 / /cg\\040roup rw - cgroup2 cgroup2 rw\n";
    let place = Place::unified("0::/a\n", mounts).unwrap();
    assert_eq!(place.dir, PathBuf::from("/cg roup/a"));
}

#[test]
fn cpus_that_a_child_took_away_come_back() {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    let own = nix::unistd::gettid();
    let before = sched_getaffinity(own).unwrap();
    let first = (0..CpuSet::count()).find(|cpu| before.is_set(*cpu).unwrap()).unwrap();
    let kept = super::quota::KeptCpus::now();
    let mut one = CpuSet::new();
    one.set(first).unwrap();
    sched_setaffinity(own, &one).unwrap();
    assert_eq!(sched_getaffinity(own), Ok(one));
    drop(kept);
    assert_eq!(sched_getaffinity(own), Ok(before));
}
