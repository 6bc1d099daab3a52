//! What is measured of one scan and of its target, and what it should be at most.

use serde_json::Value;

/// The figures of one scan.
pub struct Scan {
    /// Name and value, in the order in which they are printed.
    pub figures: Vec<(String, f64)>,
    pub spans: u64,
    pub threads: u64,
    pub goroutines: u64,
    pub bytes_read: u64,
}

/// Steps that depend on the binary alone.
const START_UP: [&str; 2] = ["open", "binary"];
/// Bytes of an mspan in the Go version of the fixture.
const MSPAN_BYTES: u64 = 160;

impl Scan {
    pub fn of(json: &Value) -> Scan {
        let int = |pointer: &str| json.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let ms = |ns: u64| ns as f64 / 1e6;
        let steps = |pointer: &str| -> Vec<(String, f64)> {
            let list = json.pointer(pointer).and_then(Value::as_array);
            let named = list.into_iter().flatten().map(|step| {
                let name = step["name"].as_str().unwrap_or("").to_owned();
                (name, ms(step["wall_ns"].as_u64().unwrap_or(0)))
            });
            named.collect()
        };
        let mut figures = vec![("pause".to_owned(), ms(int("/capture/pause_ns")))];
        let indented = |(name, value): (String, f64)| (format!("  {name}"), value);
        figures.extend(steps("/capture/pause_steps").into_iter().map(indented));
        let all = steps("/capture/steps");
        let start_up: f64 = all
            .iter()
            .filter(|(name, _)| START_UP.contains(&name.as_str()))
            .map(|(_, ms)| ms)
            .sum();
        let wall = ms(int("/capture/wall_ns"));
        figures.push(("wall".to_owned(), wall));
        figures.push(("start-up".to_owned(), start_up));
        figures.push(("after start-up".to_owned(), wall - start_up));
        figures.extend(
            all.into_iter()
                .filter(|(name, _)| !START_UP.contains(&name.as_str()))
                .map(indented),
        );
        let mib = int("/tool/peak_rss_bytes") as f64 / f64::from(1 << 20);
        figures.push(("own peak, MiB".to_owned(), mib));
        Scan {
            figures,
            spans: int("/memstats/MSpanInuse") / MSPAN_BYTES,
            threads: int("/capture/threads_stopped"),
            goroutines: int("/goroutines/total"),
            bytes_read: int("/capture/bytes_read"),
        }
    }

    pub fn figure(&self, name: &str) -> f64 {
        let found = self.figures.iter().find(|(figure, _)| figure == name);
        found.map_or(0.0, |(_, value)| *value)
    }

    /// The pause to reach on one copying thread; twice that is the gate.
    pub fn pause_formula(&self) -> f64 {
        0.3 + 0.011 * self.threads as f64 + 30e-6 * self.spans as f64 + 150e-6 * self.goroutines as f64
    }

    /// 30 ms up to 200k spans, 120 ms at a million, in between in proportion.
    pub fn wall_limit(&self) -> f64 {
        30.0 + 90.0 * (self.spans as f64 - 200e3).max(0.0) / 800e3
    }

    /// 32 MB and 190 bytes per span.
    pub fn memory_limit(&self) -> f64 {
        (32e6 + 190.0 * self.spans as f64) / f64::from(1 << 20)
    }
}

/// What the kernel says of the target's own memory.
pub struct Target {
    pub anonymous_kib: i64,
    pub page_tables_kib: i64,
}

impl Target {
    pub fn read(pid: u32) -> Target {
        let field = |file: &str, name: &str| -> i64 {
            let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the target lives");
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .expect("the field is there");
            line.split_ascii_whitespace()
                .next()
                .and_then(|kib| kib.parse().ok())
                .expect("a number")
        };
        Target {
            anonymous_kib: field("smaps_rollup", "Anonymous:"),
            page_tables_kib: field("status", "VmPTE:"),
        }
    }
}

/// The value below which `percent` of the ascending `values` lie.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    values[(values.len() - 1) * percent / 100]
}
