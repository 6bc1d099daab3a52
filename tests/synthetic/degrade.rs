//! What cannot be read takes nothing else with it that does not need it, and each broken identity names itself.

use gomemscan::goruntime::snapshot::Snapshot;

use crate::lively::lively;
use crate::synth::{Release, SynthTarget};

/// Names of the sections that could not be decoded.
fn lost(snapshot: &Snapshot) -> Vec<&'static str> {
    [
        ("spans", snapshot.spans.is_err()),
        ("pages", snapshot.pages.is_err()),
        ("arenas", snapshot.arenas.is_err()),
        ("processors", snapshot.processors.is_err()),
        ("places", snapshot.places.is_err()),
        ("manual", snapshot.manual.is_err()),
        ("memstats", snapshot.memstats.is_err()),
        ("goroutines", snapshot.goroutines.is_err()),
        ("gc", snapshot.gc.is_err()),
    ]
    .into_iter()
    .filter_map(|(name, lost)| lost.then_some(name))
    .collect()
}

fn after(release: Release, harm: impl Fn(&mut SynthTarget)) -> Vec<&'static str> {
    let mut target = lively(release).build();
    harm(&mut target);
    let scan = target.scan();
    crate::analyse::everything(&target, &scan);
    lost(&scan.snapshot)
}

#[test]
fn sections_degrade_by_themselves() {
    for release in Release::ALL {
        let lose = |name: &'static str| after(release, move |target| target.lose(target.w.global(name)));
        assert_eq!(lose("allgs"), ["goroutines"]);
        assert_eq!(lose("allp"), ["processors", "places", "memstats"]);
        assert_eq!(lose("gcphase"), ["gc"]);
        assert_eq!(lose("scavenge"), ["gc"]);
        let large = after(release, |target| {
            target.lose(target.w.at("stackLarge", target.w.global("stackLarge"), "free"))
        });
        assert_eq!(large, ["manual"]);
        assert_eq!(lose("memstats"), ["memstats"]);
        let spans = after(release, |target| {
            let array = target.w.get("runtime.mheap", target.w.global("mheap_"), "allspans");
            target.lose(array);
        });
        assert_eq!(spans, ["spans", "places", "manual", "memstats"]);
        let allgs = after(release, |target| {
            let header = target.w.global("allgs");
            target.w.put_slice_at(header, (0x1234_5678_0000, 30, 30));
        });
        assert_eq!(allgs, ["goroutines"]);
    }
}

#[test]
fn without_anything_there_is_nothing_but_reasons() {
    let lost = after(Release::Go126, |target| {
        let mappings: Vec<_> = target.w.space.mappings().collect();
        for mapping in mappings {
            target.w.space.unmap(mapping.start.0, mapping.len);
        }
    });
    assert_eq!(lost.len(), 9);
}

#[test]
fn a_counter_that_disagrees_fails_its_own_check() {
    let controller = "runtime.gcControllerState";
    for (root, variable, field, name) in [
        (
            controller,
            "gcController",
            "heapInUse",
            "in-use spans = gcController.heapInUse",
        ),
        (
            controller,
            "gcController",
            "heapFree",
            "free pages = gcController.heapFree",
        ),
        (
            controller,
            "gcController",
            "heapReleased",
            "scavenged pages = gcController.heapReleased",
        ),
        (
            controller,
            "gcController",
            "mappedReady",
            "Sys - HeapReleased = gcController.mappedReady",
        ),
        (
            controller,
            "gcController",
            "heapMarked",
            "mark bits = gcController.heapMarked",
        ),
        (
            "runtime.mheap",
            "mheap_",
            "pagesInUse",
            "in-use spans = mheap_.pagesInUse",
        ),
        (
            "runtime.mheap",
            "mheap_",
            "spanalloc.inuse",
            "mspan structures = MSpanInuse",
        ),
        (
            "runtime.mheap",
            "mheap_",
            "cachealloc.inuse",
            "mcaches of Ps = MCacheInuse",
        ),
        (
            "runtime.mheap",
            "mheap_",
            "pages.inUse.totalBytes",
            "heap address ranges = pages.inUse.totalBytes",
        ),
        ("sched", "sched", "ngsys", "user goroutines = runtime.NumGoroutine"),
    ] {
        let mut target = lively(Release::Go126).build();
        let at = target.w.global(variable);
        let value = target.w.get(root, at, field);
        target.put(root, at, field, value + 1);
        let checks = target.checks(&target.scan());
        let off: Vec<&str> = checks
            .iter()
            .filter(|check| check.difference != 0)
            .map(|check| check.name.as_str())
            .collect();
        assert!(off.contains(&name), "{field}: {off:?}");
        assert!(off.len() <= 4, "{field}: {off:?}");
        let (_, size) = target.w.types.at(root, field);
        target.put(root, at, field, if size == 8 { u64::MAX / 3 } else { 0x5555_5555 });
        let checks = target.checks(&target.scan());
        assert!(checks.iter().any(|check| check.name == name && !check.ok), "{field}");
    }
}
