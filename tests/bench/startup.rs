//! What reading the binary costs before anything is copied, by kind of binary.

use super::figures::{Scan, percentile};
use super::scan;
use super::support::fixtures::{Build, GoVersion, fixture};
use super::support::process::Running;

/// Prints a line for each kind.
pub fn print(runs: usize) {
    println!("\nstart-up by binary (aim: 60 for an ordinary server of 20 MB)");
    let programs = [
        ("shapes", Build::Exe),
        ("shapes", Build::Pie),
        ("shapes", Build::Cgo),
        ("churn", Build::Exe),
    ];
    for (name, build) in programs {
        let program = fixture(name, GoVersion::V1_26, build);
        let size = std::fs::metadata(&program).map_or(0, |meta| meta.len()) as f64 / f64::from(1 << 20);
        let running = Running::start(&program, &[]);
        let scans: Vec<Scan> = (0..runs).map(|_| scan(running.pid(), &[])).collect();
        let mut values: Vec<f64> = scans.iter().map(|scan| scan.figure("start-up")).collect();
        values.sort_by(f64::total_cmp);
        let (median, late) = (percentile(&values, 50), percentile(&values, 90));
        println!(
            "  {name} {build}, {size:.1} MiB: {median:.2} ({:.2}, {late:.2})",
            values[0]
        );
    }
}
