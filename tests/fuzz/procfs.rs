//! What the kernel shows of a process: its files in `/proc` hold names, paths and variables that the process chose.

use std::fs;
use std::path::{Path, PathBuf};

use gomemscan::memory::{Addr, Range};
use gomemscan::target::permissions::{Facts, Refusal, Roots, examine};
use gomemscan::target::procdir::Stat;
use gomemscan::target::{CgroupFacts, Maps, Residency};

use super::harness::Target;

/// The files, and what they hold unless the input says otherwise.
const FILES: [(&str, &str); 16] = [
    (
        "proc/7/status",
        "Name:\tserver\nState:\tS (sleeping)\nTgid:\t7\nTracerPid:\t9\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nCapPrm:\t0000000000000000\n",
    ),
    ("proc/7/comm", "server\n"),
    (
        "proc/7/cgroup",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f3c1b2a_1111_2222_3333_444455556666.slice/cri-containerd-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope\n",
    ),
    (
        "proc/7/environ",
        "HOSTNAME=web-0\0KUBERNETES_SERVICE_HOST=10.0.0.1\0POD_NAMESPACE=prod\0",
    ),
    (
        "proc/7/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n540 530 8:1 /var/lib/kubelet/pods/0f3c1b2a-1111-2222-3333-444455556666/containers/app/1234 /dev/termination-log rw - ext4 /dev/sda1 rw\n",
    ),
    ("proc/7/uid_map", "         0          0 4294967295\n"),
    ("proc/7/attr/current", "docker-default (enforce)\n"),
    (
        "proc/7/task/7/status",
        "Name:\tserver\nState:\tS (sleeping)\nTracerPid:\t0\n",
    ),
    (
        "proc/7/task/8/status",
        "Name:\tserver\nState:\tt (tracing stop)\nTracerPid:\t9\n",
    ),
    ("proc/7/root/etc/hostname", "web-0\n"),
    ("proc/9/status", "Name:\tgdb\nTgid:\t9\n"),
    ("proc/9/comm", "gdb\n"),
    (
        "proc/7/stat",
        "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12 0 123456 1 2 3\n",
    ),
    (
        "proc/7/maps",
        "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/a\\012b (deleted)\n7f0000000000-7f0000021000 rw-p 00000000 00:00 0 [heap]\n",
    ),
    (
        "proc/7/smaps",
        "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/dbus-daemon\nRss:                 328 kB\nSwap:                  8 kB\n",
    ),
    ("sys/memory.max", "max\n"),
];

/// The tool's own, which no target chooses.
const OWN: [(&str, &str); 4] = [
    (
        "proc/self/status",
        "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n",
    ),
    ("proc/self/cgroup", "0::/\n"),
    ("proc/self/uid_map", "         0          0 4294967295\n"),
    (
        "proc/self/mountinfo",
        "25 1 0:22 / /proc rw - proc proc rw,hidepid=invisible\n",
    ),
];

#[test]
fn procfs() {
    let memory = Path::new("/dev/shm");
    let tree = match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    for (name, text) in FILES.iter().chain(&OWN) {
        let path = tree.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let roots = Roots {
        proc: tree.path().join("proc"),
        sys: tree.path().join("sys"),
    };
    let target = Target {
        name: "procfs",
        runs: 5000,
        longest: 4096,
    };
    target.run(|mut input| {
        let mut written = Vec::new();
        // Files, each with a number, a length and its content.
        while let Some((&[number, low, high], rest)) = input.split_first_chunk() {
            let (name, usual) = FILES[usize::from(number) % FILES.len()];
            let len = usize::from(u16::from_le_bytes([low, high & 0x0f])).min(rest.len());
            // By default what it had, with the content put in somewhere.
            let at = usize::from(number >> 4) * usual.len() / 15;
            let content = match high >> 4 {
                0 => rest[..len].to_vec(),
                1 => rest[..len].repeat(200),
                _ => [&usual.as_bytes()[..at], &rest[..len], &usual.as_bytes()[at..]].concat(),
            };
            fs::write(tree.path().join(name), content).unwrap();
            written.push((name, usual));
            input = &rest[len..];
        }
        look(tree.path(), &roots);
        for (name, usual) in written {
            fs::write(tree.path().join(name), usual).unwrap();
        }
    });
}

fn look(tree: &Path, roots: &Roots) {
    let facts = Facts::read(roots, 7);
    for check in examine(&facts) {
        assert!(!check.id.is_empty());
    }
    let refusal = Refusal::of(&facts);
    assert!(!refusal.cause.is_empty());
    for remedy in &refusal.remedies {
        // A command is meant to be pasted: nothing of the target's may break out of it.
        assert!(!remedy.to_string().contains(['\n', '\u{1b}']), "{remedy}");
    }
    let bytes = |name: &str| fs::read(tree.join("proc/7").join(name)).unwrap();
    let text = |name: &str| String::from_utf8_lossy(&bytes(name)).into_owned();
    let limit = fs::read(tree.join("sys/memory.max")).unwrap();
    let read = |path: &Path| -> Option<String> {
        assert!(path.starts_with("/"), "{}", path.display());
        let _: PathBuf = path.into();
        Some(String::from_utf8_lossy(&limit).into_owned())
    };
    CgroupFacts::find(&text("cgroup"), &text("mountinfo"), &read);
    Stat::parse(&bytes("stat"));
    let (maps, _) = Maps::parse(&bytes("maps"));
    let ranges: Vec<Range> = maps.iter().map(gomemscan::target::Mapping::range).collect();
    assert!(ranges.is_sorted_by_key(|range| range.start));
    let residency = Residency::by_mapping(&text("smaps"));
    for range in ranges
        .into_iter()
        .chain([Range::new(Addr(0), u64::MAX), Range::new(Addr(u64::MAX), 1)])
    {
        maps.overlapping(range);
        residency.resident_bytes(range);
        residency.swapped_bytes(range);
    }
    residency.total_resident_bytes();
    residency.total_swapped_bytes();
}
