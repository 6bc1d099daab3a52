//! Random damage anywhere in the target's memory: decode and analysis come to an end, and never panic.

use gomemscan::memory::{Addr, Range};
use proptest::prelude::*;

use crate::analyse;
use crate::lively::lively;
use crate::synth::{Placed, Release, State, SynthTarget};

/// What a damaged word becomes.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Byte(u8),
    Word(u64),
    /// The address of some mapping, so that pointers lead to structures of another kind.
    Pointer(prop::sample::Index, u64),
    Lost,
}

fn damage() -> impl Strategy<Value = Damage> {
    let words = [
        0,
        1,
        8,
        u64::MAX,
        u64::MAX - 7,
        i64::MAX as u64,
        1 << 63,
        1 << 47,
        1 << 32,
        0xffff,
    ];
    prop_oneof![
        3 => any::<u8>().prop_map(Damage::Byte),
        3 => any::<u64>().prop_map(Damage::Word),
        4 => prop::sample::select(words.to_vec()).prop_map(Damage::Word),
        3 => (any::<prop::sample::Index>(), 0..64u64).prop_map(|(index, offset)| Damage::Pointer(index, offset)),
        1 => Just(Damage::Lost),
    ]
}

/// Where: a mapping, then an offset in it, so that a small structure is hit as often as a large table.
fn place() -> impl Strategy<Value = (prop::sample::Index, prop::sample::Index)> {
    (any::<prop::sample::Index>(), any::<prop::sample::Index>())
}

fn hit(target: &mut SynthTarget, mapping: Range, offset: prop::sample::Index, damage: Damage, all: &[Range]) {
    let at = mapping.start.0 + offset.index(mapping.len as usize) as u64;
    let word = (at & !7).max(mapping.start.0);
    let fits = word + 8 <= mapping.end().0;
    match damage {
        Damage::Byte(byte) => target.w.space.write(at, &[byte]),
        Damage::Word(value) if fits => target.w.space.write(word, &value.to_le_bytes()),
        Damage::Pointer(index, offset) if fits => {
            let value = index.get(all).start.0 + offset * 8;
            target.w.space.write(word, &value.to_le_bytes());
        }
        _ => target.w.space.write(at, &[0xff]),
    }
}

fn survive(release: Release, hits: &[((prop::sample::Index, prop::sample::Index), Damage)]) {
    let mut target = lively(release).build();
    let all: Vec<Range> = target.w.space.mappings().collect();
    let mut lost = Vec::new();
    for ((mapping, offset), damage) in hits {
        let mapping = *mapping.get(&all);
        match damage {
            Damage::Lost => lost.push(mapping),
            damage => hit(&mut target, mapping, *offset, *damage, &all),
        }
    }
    lost.sort_unstable();
    lost.dedup();
    for mapping in lost {
        target.w.space.unmap(mapping.start.0, mapping.len);
    }
    let scan = target.scan();
    analyse::everything(&target, &scan);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_anywhere_is_survived(
        release in prop::sample::select(Release::ALL.to_vec()),
        hits in prop::collection::vec((place(), damage()), 1..40),
    ) {
        survive(release, &hits);
    }

    #[test]
    fn damage_in_the_heap_and_the_scheduler_is_survived(
        release in prop::sample::select(Release::ALL.to_vec()),
        hits in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..10),
    ) {
        let variables: Vec<Range> = {
            let target = lively(release).build();
            let named = ["mheap_", "sched", "memstats", "allgs", "allp", "work", "stackLarge"];
            named.map(|name| Range::new(Addr(target.w.global(name)), target.w.types.global_size(name))).to_vec()
        };
        let mut target = lively(release).build();
        let all: Vec<Range> = target.w.space.mappings().collect();
        for (index, damage) in hits {
            hit(&mut target, *index.get(&variables), index, damage, &all);
        }
        let scan = target.scan();
        analyse::everything(&target, &scan);
    }
}

#[test]
fn every_field_of_every_structure_may_be_absurd() {
    for release in Release::ALL {
        let sane = lively(release).build();
        let places = structures(&sane);
        for value in [u64::MAX, i64::MAX as u64, 1 << 46] {
            let mut target = lively(release).build();
            for (root, at) in &places {
                for (path, size) in sane.w.types.scalars(root) {
                    let kept = sane.w.get(root, *at, &path);
                    let value = if size >= 8 {
                        value
                    } else {
                        value & ((1 << (size * 8)) - 1)
                    };
                    target.put(root, *at, &path, value);
                    let scan = target.scan();
                    analyse::everything(&target, &scan);
                    target.put(root, *at, &path, kept);
                }
            }
        }
    }
}

/// One of each kind of structure.
fn structures(target: &SynthTarget) -> Vec<(&'static str, u64)> {
    let w = &target.w;
    let central = w.at("runtime.mheap", w.global("mheap_"), "central") + 20 * 192;
    let chosen = |manual: bool| {
        let is = |span: &&Placed| matches!(span.spec.state, State::Manual(_)) == manual;
        target.spans.iter().find(is).unwrap().addr
    };
    vec![
        ("runtime.mheap", w.global("mheap_")),
        ("runtime.mstats", w.global("memstats")),
        ("runtime.gcControllerState", w.global("gcController")),
        ("work", w.global("work")),
        ("sweep", w.global("sweep")),
        ("scavenge", w.global("scavenge")),
        ("scavenger", w.global("scavenger")),
        ("debug", w.global("debug")),
        ("sched", w.global("sched")),
        ("runtime.moduledata", w.global("firstmoduledata")),
        ("runtime.mspan", chosen(false)),
        ("runtime.mspan", chosen(true)),
        ("runtime.p", target.processors.ps[0]),
        ("runtime.mcache", target.processors.mcaches[0]),
        ("runtime.g", target.gs[0]),
        ("runtime.g", *target.gs.last().unwrap()),
        (
            "runtime.heapStatsDelta",
            w.at("runtime.mstats", w.global("memstats"), "heapStats.stats"),
        ),
        ("runtime.spanSet", w.at("runtime.mcentral", central, "partial") + 40),
        ("runtime.spanSet", w.at("runtime.mcentral", central, "partial")),
    ]
}
