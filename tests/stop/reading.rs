//! What is captured is what the target holds.

use std::time::Duration;

use gomemscan::memory::{Addr, Memory, Missing, Range};
use gomemscan::target::{CaptureOptions, Incomplete, Residency, Stop, StopKind};

use crate::roles::pattern_byte;
use crate::support::{Does, Gathers, Target, Waves, expect_free, pause, pause_of, request};

const PAGE: u64 = 4096;

#[test]
fn a_pattern_comes_out_unchanged() {
    let target = Target::start("pattern", &[256]);
    let (at, len) = (target.ready[0], 256 * PAGE);
    let process = target.open();
    let wishes = [(5000, 9000), (0, 5001), (13999, len - 13999), (3000, 12000)];
    let waves = wishes.map(|(from, len)| vec![request(at + from, len)]);
    let waves = Waves(waves.to_vec());
    let expected: Vec<u8> = (0..len).map(pattern_byte).collect();
    for stop in [pause().stop, Stop::NoPause] {
        let capture = process
            .capture(&mut || Box::new(waves.clone()), &CaptureOptions { stop, ..pause() })
            .unwrap();
        assert_eq!(capture.complete, Ok(()));
        assert_eq!(capture.missing, []);
        // A page on which two wishes meet may be read for each.
        assert!(
            (len..=len + 6 * PAGE).contains(&capture.bytes_read),
            "{}",
            capture.bytes_read
        );
        for (from, len) in wishes.map(|(from, len)| (from as usize, len as usize)) {
            let bytes = capture.memory.bytes(Addr(at + from as u64), len).unwrap();
            assert!(bytes == &expected[from..from + len]);
        }
        match stop {
            Stop::Pause { .. } => assert!(capture.stop == StopKind::Paused && !capture.pause.is_zero()),
            Stop::NoPause => {
                assert!(capture.stop == StopKind::None && capture.pause.is_zero());
                let changes = capture.changes.unwrap();
                assert!((256..=262).contains(&changes.compared_pages));
                assert_eq!(changes.changed_bytes, 0);
            }
        }
    }
    let part = process.read_running(&[Range::new(Addr(at + 100), 50)]).unwrap();
    assert_eq!(part.bytes(Addr(at + 100), 50).unwrap(), &expected[100..150]);
}

#[test]
fn gathered_fields_are_those_of_the_structures() {
    // Enough for a second thread, and too little for one.
    for count in [1, 100, 200_000] {
        let target = Target::start("pointing", &[count]);
        let pointers = target.ready[0];
        let process = target.open();
        for stop in [pause().stop, Stop::NoPause] {
            let planner = Gathers { pointers, count };
            let capture = process
                .capture(&mut || Box::new(planner), &CaptureOptions { stop, ..pause() })
                .unwrap();
            assert_eq!((capture.complete, capture.missing_count), (Ok(()), 0));
            assert!(capture.bytes_read >= count * (48 + 8), "{}", capture.bytes_read);
            let gathered = capture.memory.gathered(&planner.wish()).unwrap();
            assert_eq!(gathered.count(), count as usize);
            for (index, record) in (0u64..).zip(gathered.iter()) {
                let words = [index * 6 + 1, index * 6 + 5].map(u64::to_le_bytes).concat();
                assert_eq!(record.unwrap()[8..], words, "{index}");
            }
            if stop == Stop::NoPause {
                let changes = capture.changes.unwrap();
                assert!(changes.compared_pages >= count * 48 / PAGE && changes.changed_bytes == 0);
            }
        }
    }
}

#[test]
fn what_a_pause_too_short_does_not_gather_is_missing() {
    let count = 2_000_000;
    let target = Target::start("pointing", &[count]);
    let planner = Gathers {
        pointers: target.ready[0],
        count,
    };
    let process = target.open();
    let capture = process
        .capture(&mut || Box::new(planner), &pause_of(Duration::from_millis(12)))
        .unwrap();
    assert_eq!(capture.complete, Err(Incomplete::PauseSpent));
    let gathered = capture.memory.gathered(&planner.wish()).unwrap();
    let lost = gathered.iter().filter(Result::is_err).count();
    assert!(lost > 0, "{lost} of {}", gathered.count());
    for (index, record) in (0u64..).zip(gathered.iter()) {
        match record {
            Ok(record) => assert_eq!(record[8..16], (index * 6 + 1).to_le_bytes()),
            Err(why) => assert_eq!(why, Missing::BudgetSpent),
        }
    }
    expect_free(target.pid());
}

#[test]
fn untouched_pages_read_as_zeros_and_stay_untouched() {
    let target = Target::start("pattern", &[64]);
    let (at, len) = (target.ready[0], 64 * PAGE);
    let process = target.open();
    let whole = [Range::new(Addr(at), 2 * len)];
    let waves = Waves(vec![vec![request(at, 2 * len), request(1 << 46, 8)]]);
    for stop in [pause().stop, Stop::NoPause] {
        let capture = process
            .capture(&mut || Box::new(waves.clone()), &CaptureOptions { stop, ..pause() })
            .unwrap();
        let why = |addr| capture.memory.bytes(Addr(addr), 1).unwrap_err().why;
        assert_eq!(
            capture.memory.bytes(Addr(at + len), len as usize).unwrap(),
            vec![0; len as usize]
        );
        assert_eq!(why(1 << 46), Missing::NotMapped);
        assert_eq!(capture.missing, [(request(1 << 46, 8), Missing::NotMapped)]);
        assert_eq!(capture.bytes_read, len);
        assert_eq!(Residency::of(&process, &whole).unwrap().resident_bytes(whole[0]), len);
    }
}

#[test]
fn the_page_level_sum_is_what_the_kernel_counts() {
    let target = Target::start("pattern", &[1000]);
    let process = target.open();
    let residency = Residency::of_process(&process, &process.maps().unwrap()).unwrap();
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", target.pid())).unwrap();
    let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    let rss: u64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
    assert_eq!(residency.total_resident_bytes(), rss * 1024);
    assert!(residency.total_resident_bytes() >= 1000 * PAGE && process.statm_bytes().is_some());
}

#[test]
fn a_planner_that_never_answers_costs_a_scan_and_not_the_target() {
    let mut target = Target::start("beating", &[4, 2]);
    let (process, address) = (target.open(), target.ready[0]);
    let mut passes = 0;
    let mut make = || -> Box<dyn gomemscan::memory::Planner> {
        passes += 1;
        let stuck = passes == 2;
        Box::new(Does(move |wave| match wave {
            0 => vec![request(address, 8)],
            1 if stuck => loop {
                std::hint::spin_loop();
            },
            _ => Vec::new(),
        }))
    };
    let capture = process
        .capture(&mut make, &pause_of(Duration::from_millis(300)))
        .unwrap();
    assert_eq!(capture.complete, Err(Incomplete::PauseSpent));
    assert!(
        capture.memory.bytes(Addr(address), 8).is_ok(),
        "what was read before is kept"
    );
    expect_free(target.pid());
    target.ask("beat");
}

#[test]
fn a_planner_that_panics_in_the_pause_is_an_internal_error() {
    let mut target = Target::start("beating", &[4, 2]);
    let process = target.open();
    let mut passes = 0;
    let mut make = || -> Box<dyn gomemscan::memory::Planner> {
        passes += 1;
        let broken = passes == 2;
        Box::new(Does(move |_| if broken { panic!("a bug of ours") } else { Vec::new() }))
    };
    let error = process.capture(&mut make, &pause()).unwrap_err();
    assert_eq!(error.to_string(), "internal error: capture: a bug of ours");
    expect_free(target.pid());
    target.ask("beat");
}

#[test]
fn a_budget_below_the_floor_is_refused_before_anything_stops() {
    let mut target = Target::start("beating", &[50, 0]);
    let error = target
        .open()
        .capture(&mut || Box::new(Waves(vec![])), &pause_of(Duration::from_micros(500)))
        .unwrap_err();
    assert!(error.to_string().contains("threads"), "{error}");
    assert!(error.remedy().unwrap().contains("--no-pause"));
    expect_free(target.pid());
    target.ask("beat");
}

#[test]
fn the_byte_budget_bounds_the_copy() {
    let target = Target::start("pattern", &[256]);
    let at = target.ready[0];
    let waves = Waves(vec![vec![request(at, 256 * PAGE)]]);
    let options = CaptureOptions {
        byte_budget: 16 * PAGE,
        ..pause()
    };
    let capture = target
        .open()
        .capture(&mut || Box::new(waves.clone()), &options)
        .unwrap();
    assert_eq!(capture.complete, Err(Incomplete::BytesSpent));
    assert_eq!(capture.bytes_read, 16 * PAGE);
    assert_eq!(capture.missing[0].1, Missing::BudgetSpent);
}

#[test]
fn a_pause_too_short_for_all_brings_what_was_asked_for_first() {
    let mut target = Target::start("pattern", &[20_000]);
    let at = target.ready[0];
    let last = at + 19_000 * PAGE;
    let waves = Waves(vec![vec![request(last, 8)], vec![request(at, 20_000 * PAGE)]]);
    let process = target.open();
    // On a busy machine the stop alone may take that long.
    for _ in 0..200 {
        let Ok(capture) = process.capture(&mut || Box::new(waves.clone()), &pause_of(Duration::from_millis(4))) else {
            continue;
        };
        if capture.complete != Err(Incomplete::PauseSpent) || capture.bytes_read == 0 {
            continue;
        }
        assert!(capture.memory.bytes(Addr(last), 8).is_ok(), "the first wave came first");
        assert!(capture.bytes_read < 20_000 * PAGE);
        assert!(capture.memory.bytes(Addr(at), 20_000 * PAGE as usize).is_err());
        expect_free(target.pid());
        return;
    }
    target.kill();
    panic!("80 MB were always copied in 4 ms, or never begun");
}
