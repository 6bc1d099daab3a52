//! A report's figures against the program's own account of itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::process::Stats;
use super::scan::Scan;

/// Fields of MemStats that the report has.
const FIELDS: [&str; 25] = [
    "Alloc",
    "TotalAlloc",
    "Sys",
    "Mallocs",
    "Frees",
    "HeapAlloc",
    "HeapSys",
    "HeapIdle",
    "HeapInuse",
    "HeapReleased",
    "HeapObjects",
    "StackInuse",
    "StackSys",
    "MSpanInuse",
    "MSpanSys",
    "MCacheInuse",
    "MCacheSys",
    "BuckHashSys",
    "GCSys",
    "OtherSys",
    "NextGC",
    "LastGC",
    "PauseTotalNs",
    "NumGC",
    "NumForcedGC",
];

/// Every field of MemStats is the same.
pub fn memstats_equal(scanned: &Scan, own: &Stats, context: &str) {
    fields_equal(scanned, own, &FIELDS, context);
}

/// ReadMemStats first flushes the mcaches, and what it then reports is not in every field what was there before it was
/// asked: free stacks given up can return whole spans of stacks to the heap, and spans given up can need a further block
/// or a first spine of an mcentral set, which are accounted as GC memory and taken from memory accounted as other. All
/// else is as it was.
pub fn memstats_equal_but_for_the_flush(scanned: &Scan, own: &Stats, context: &str) {
    const MOVED: [&str; 7] = [
        "HeapSys",
        "HeapIdle",
        "StackInuse",
        "StackSys",
        "GCSys",
        "OtherSys",
        "Sys",
    ];
    let others: Vec<&str> = FIELDS.into_iter().filter(|field| !MOVED.contains(field)).collect();
    fields_equal(scanned, own, &others, context);
    let seen = |field: &str| scanned.int(&format!("/memstats/{field}")) as i64;
    let told = |field: &str| own.mem(field) as i64;
    let given_back = seen("StackInuse") - told("StackInuse");
    assert!(
        given_back >= 0 && given_back % (32 << 10) == 0,
        "{context}: a span of stacks has 32 KiB, not {given_back} B"
    );
    let set_memory = told("GCSys") - seen("GCSys");
    assert!(
        is_span_set_memory(set_memory),
        "{context}: {set_memory} B are no blocks and spines of span sets"
    );
    // mstats.go and malloc.go: other_sys grows by persistentChunkSize when the last chunk is used up.
    let chunks = told("Sys") - seen("Sys");
    assert!(
        chunks == 0 || (chunks == 256 << 10 && set_memory > 0),
        "{context}: Sys grew by {chunks} B"
    );
    for (field, change) in [
        ("StackSys", -given_back),
        ("HeapSys", given_back),
        ("HeapIdle", given_back),
        ("OtherSys", chunks - set_memory),
    ] {
        assert_eq!(seen(field) + change, told(field), "{context}: {field}");
    }
}

/// Whether so many bytes are some blocks and first spines of `spanSet`s (runtime/mspanset.go): 512 pointers behind a
/// header of 24 bytes, or since Go 1.25 of `tagAlign`; and `spanSetInitSpineCap` pointers.
fn is_span_set_memory(bytes: i64) -> bool {
    const SPINE: i64 = 256 * 8;
    [512 * 8 + 24, 512 * 8 + 512].into_iter().any(|block| {
        let most = bytes / SPINE;
        (0..=most).any(|spines| (bytes - spines * SPINE) % block == 0)
    }) && bytes >= 0
}

fn fields_equal(scanned: &Scan, own: &Stats, fields: &[&str], context: &str) {
    let mut wrong = Vec::new();
    for field in fields {
        let (seen, told) = (scanned.int(&format!("/memstats/{field}")), own.mem(field));
        if seen != told {
            wrong.push(format!("{field}: scan {seen}, program {told}"));
        }
    }
    let fraction = scanned.at("/memstats/GCCPUFraction").as_f64();
    if fraction != own.memstats()["GCCPUFraction"].as_f64() {
        wrong.push(format!("GCCPUFraction: scan {fraction:?}"));
    }
    assert!(wrong.is_empty(), "{context}: {wrong:#?}");
}

/// Every identity without a difference. The mark bits are compared with a counter in which the runtime has objects
/// with finalizers twice (each of `shapes` has one of 24 bytes) and so may have a little more.
pub fn identities_hold(scanned: &Scan, context: &str) {
    let off: Vec<_> = scanned
        .differences()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("mark bits"))
        .collect();
    assert!(off.is_empty(), "{context}: {off:?}");
    assert!(
        scanned.failed_checks().is_empty(),
        "{context}: {:?}",
        scanned.failed_checks()
    );
    assert_eq!(scanned.at("/capture/consistent"), &Value::Bool(true), "{context}");
    assert_eq!(scanned.list("/unavailable"), &[] as &[Value], "{context}");
    assert_eq!(scanned.code, 0, "{context}: {}", scanned.stderr);
}

/// The profile of user goroutines equals the report's groups, but for the runtime's own and the one that asks.
pub fn goroutines_equal(scanned: &Scan, own: &Stats, context: &str) {
    let mut told: BTreeMap<_, u64> = BTreeMap::new();
    for group in own.goroutines() {
        let asking = group.created_by.is_empty() && group.status == "running";
        let status = if asking { "syscall".to_owned() } else { group.status };
        *told
            .entry((status, group.created_by, group.file, u64::from(group.line)))
            .or_default() += group.count;
    }
    assert_eq!(scanned.groups(), told, "{context}");
    assert_eq!(scanned.int("/goroutines/user"), own.num_goroutine(), "{context}");
    let by_status = scanned.at("/goroutines/by_status").as_object().unwrap();
    let total: u64 = by_status.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(total, scanned.int("/goroutines/total"), "{context}");
}

/// `runtime/metrics` say the same.
pub fn metrics_equal(scanned: &Scan, own: &Stats, context: &str) {
    // The program asks for these after its MemStats; a span of stacks may come and go in between, but only among them.
    let moving = ["released", "free", "stacks"].map(|name| own.metric(&format!("/memory/classes/heap/{name}:bytes")));
    let told: u64 = moving
        .into_iter()
        .map(|bytes| bytes.expect("every version has it"))
        .sum();
    let seen = [
        "/memstats/HeapReleased",
        "/idle/unreturned_bytes",
        "/memstats/StackInuse",
    ];
    let seen: u64 = seen.into_iter().map(|pointer| scanned.int(pointer)).sum();
    assert_eq!(seen, told, "{context}: heap not in use, and stacks");
    for (metric, pointer) in [
        ("/memory/classes/metadata/mspan/inuse:bytes", "/memstats/MSpanInuse"),
        ("/memory/classes/metadata/mcache/inuse:bytes", "/memstats/MCacheInuse"),
        ("/memory/classes/metadata/other:bytes", "/memstats/GCSys"),
        ("/memory/classes/other:bytes", "/memstats/OtherSys"),
        ("/memory/classes/profiling/buckets:bytes", "/memstats/BuckHashSys"),
        ("/memory/classes/total:bytes", "/memstats/Sys"),
        ("/gc/heap/goal:bytes", "/gc/heap_goal_bytes"),
        ("/gc/heap/live:bytes", "/gc/heap_marked_bytes"),
        ("/gc/gogc:percent", "/gc/gogc"),
        ("/gc/cycles/total:gc-cycles", "/gc/cycles"),
        ("/sched/gomaxprocs:threads", "/process/gomaxprocs"),
    ] {
        if let Some(told) = own.metric(metric) {
            assert_eq!(scanned.int(pointer), told, "{context}: {metric}");
        }
    }
}

/// What the fixture did to its Ps and goroutines on purpose.
pub fn caches_as_built(scanned: &Scan, own: &Stats, context: &str) {
    let shape = own.shape();
    assert_eq!(scanned.int("/process/gomaxprocs"), own.gomaxprocs(), "{context}");
    assert_eq!(scanned.list("/processors").len() as u64, own.gomaxprocs(), "{context}");
    assert_eq!(
        scanned.int("/retired_count"),
        shape["retired_procs"].as_u64().unwrap(),
        "{context}"
    );
    // A retired P gives its mcache back.
    assert_eq!(scanned.int("/free_mcaches"), scanned.int("/retired_count"), "{context}");
    let free = ["with_stack", "without_stack", "in_processors"];
    let dead: u64 = free
        .iter()
        .map(|name| scanned.int(&format!("/free_goroutines/{name}")))
        .sum();
    assert!(
        dead * 10 >= shape["dead_goroutines"].as_u64().unwrap() * 9,
        "{context}: {dead} dead goroutines"
    );
    let timers: u64 = scanned
        .list("/processors")
        .iter()
        .map(|p| p["timers"].as_u64().unwrap())
        .sum();
    assert!(
        timers >= shape["timers"]["functions"].as_u64().unwrap(),
        "{context}: {timers} timers"
    );
    let large: Vec<u64> = scanned
        .list("/large_objects/top")
        .iter()
        .map(|o| o["bytes"].as_u64().unwrap())
        .collect();
    for built in shape["large"].as_array().unwrap() {
        let bytes = built["bytes"].as_u64().unwrap().next_multiple_of(8192);
        assert!(
            large.contains(&bytes),
            "{context}: no large object of {bytes} bytes in {large:?}"
        );
    }
}

/// The ledger's rows and what they do not explain add up to RSS, and little stays unexplained.
pub fn ledger_adds_up(scanned: &Scan, context: &str) {
    let rows: i64 = scanned
        .list("/ledger/rows")
        .iter()
        .map(|row| row["resident_bytes"].as_i64().unwrap())
        .sum();
    let rss = scanned.int("/ledger/rss_bytes") as i64;
    let unexplained = scanned.at("/ledger/unexplained_bytes").as_i64().unwrap();
    assert_eq!(rows + unexplained, rss, "{context}");
    assert!(
        unexplained.abs() * 100 <= rss,
        "{context}: {unexplained} of {rss} bytes unexplained"
    );
}
