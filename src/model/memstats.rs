//! `runtime.MemStats`, field for field, as `runtime.ReadMemStats` would fill it at the instant of the capture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The figures of `runtime.MemStats` under Go's own names.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub struct MemStats {
    /// Bytes of allocated heap objects; the same as HeapAlloc.
    pub alloc: Option<u64>,
    /// Cumulative bytes allocated for heap objects.
    pub total_alloc: Option<u64>,
    /// Bytes obtained from the OS: the sum of the *Sys figures.
    pub sys: Option<u64>,
    /// Cumulative count of heap objects allocated.
    pub mallocs: Option<u64>,
    /// Cumulative count of heap objects freed.
    pub frees: Option<u64>,
    /// Bytes of allocated heap objects, garbage that is not yet swept included.
    pub heap_alloc: Option<u64>,
    /// Bytes of heap memory obtained from the OS, address space never touched included.
    pub heap_sys: Option<u64>,
    /// Bytes in idle spans, returned ones included.
    pub heap_idle: Option<u64>,
    /// Bytes in in-use spans.
    pub heap_inuse: Option<u64>,
    /// Bytes of idle spans returned to the OS (or never touched).
    pub heap_released: Option<u64>,
    /// Allocated heap objects (count).
    pub heap_objects: Option<u64>,
    /// Bytes in stack spans.
    pub stack_inuse: Option<u64>,
    /// Bytes of stack memory obtained from the OS.
    pub stack_sys: Option<u64>,
    /// Bytes of mspan structures in use.
    #[serde(rename = "MSpanInuse")]
    pub mspan_inuse: Option<u64>,
    /// Bytes obtained from the OS for mspan structures.
    #[serde(rename = "MSpanSys")]
    pub mspan_sys: Option<u64>,
    /// Bytes of mcache structures in use (the structures, not the memory they hold).
    #[serde(rename = "MCacheInuse")]
    pub mcache_inuse: Option<u64>,
    /// Bytes obtained from the OS for mcache structures.
    #[serde(rename = "MCacheSys")]
    pub mcache_sys: Option<u64>,
    /// Bytes of profiling bucket hash tables.
    pub buck_hash_sys: Option<u64>,
    /// Bytes of garbage collection metadata.
    #[serde(rename = "GCSys")]
    pub gc_sys: Option<u64>,
    /// Bytes of miscellaneous off-heap runtime allocations.
    pub other_sys: Option<u64>,
    /// Heap size in bytes at which the next GC ends; 18446744073709551615 with GC off (see NextGCString).
    #[serde(rename = "NextGC")]
    pub next_gc: Option<u64>,
    /// NextGC as a decimal string, for readers that round integers above 2^53.
    #[serde(rename = "NextGCString")]
    pub next_gc_string: Option<String>,
    /// End of the last GC in ns since the Unix epoch; 0 before the first (see LastGCString).
    #[serde(rename = "LastGC")]
    pub last_gc: Option<u64>,
    /// LastGC as a decimal string, for readers that round integers above 2^53.
    #[serde(rename = "LastGCString")]
    pub last_gc_string: Option<String>,
    /// Cumulative stop-the-world pauses of the GC in ns.
    pub pause_total_ns: Option<u64>,
    /// Completed GC cycles (count).
    #[serde(rename = "NumGC")]
    pub num_gc: Option<u64>,
    /// GC cycles forced by the program (count).
    #[serde(rename = "NumForcedGC")]
    pub num_forced_gc: Option<u64>,
    /// Fraction of the available CPU time used by the GC since the start, 0 to 1.
    #[serde(rename = "GCCPUFraction")]
    pub gc_cpu_fraction: Option<f64>,
}

impl MemStats {
    /// Sets the string twins from their integers.
    pub fn set_string_twins(&mut self) {
        self.next_gc_string = self.next_gc.map(|value| value.to_string());
        self.last_gc_string = self.last_gc.map(|value| value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::MemStats;

    #[test]
    fn the_fields_have_gos_own_names_in_the_contracts_order() {
        let json = serde_json::to_value(MemStats::default()).unwrap();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names.join(" "),
            "Alloc TotalAlloc Sys Mallocs Frees HeapAlloc HeapSys HeapIdle HeapInuse HeapReleased HeapObjects \
             StackInuse StackSys MSpanInuse MSpanSys MCacheInuse MCacheSys BuckHashSys GCSys OtherSys NextGC \
             NextGCString LastGC LastGCString PauseTotalNs NumGC NumForcedGC GCCPUFraction"
        );
    }

    #[test]
    fn the_goal_of_a_collector_that_is_off_survives_as_a_string() {
        let mut memstats = MemStats {
            next_gc: Some(u64::MAX),
            ..MemStats::default()
        };
        memstats.set_string_twins();
        assert_eq!(memstats.next_gc_string.as_deref(), Some("18446744073709551615"));
        assert_eq!(memstats.last_gc_string, None);
    }
}
