//! What it costs to understand a binary before anything is copied: `cargo bench --bench binaries [-- FILE...]`. Each
//! file is read by processes of its own, as often as the medians need, and each of them reports its wall time, its
//! processor time and the memory it took. Without files, fixtures are read: with DWARF, stripped, and without sections.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench fails loudly"
)]

#[path = "../support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use gomemscan::goruntime::locate::Runtime;
use gomemscan::image::Image;
use gomemscan::memory::Addr;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use support::fixtures::{Build, GoVersion, fixture};

const RUNS: usize = 21;

/// One reading: wall and processor time, ms; memory, MiB; what was used.
struct Reading {
    wall: f64,
    cpu: f64,
    memory: f64,
    how: String,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [flag, file] = words.as_slice()
        && flag == "--one"
    {
        return one(Path::new(file));
    }
    let given: Vec<PathBuf> = words.iter().map(PathBuf::from).collect();
    let folder = tempfile::tempdir().unwrap();
    let files = if given.is_empty() {
        fixtures(folder.path())
    } else {
        given
    };
    println!("medians of {RUNS} readings, each by a fresh process, the file in the page cache");
    println!(
        "{:>9} {:>9} {:>9} {:>9}  {:<28} file",
        "MiB", "wall ms", "CPU ms", "peak MiB", "layout"
    );
    for file in files {
        let mut readings: Vec<Reading> = (0..RUNS).map(|_| reading(&file)).collect();
        readings.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
        let cpu = readings[RUNS / 2].cpu;
        readings.sort_by(|a, b| a.wall.total_cmp(&b.wall));
        let middle = &readings[RUNS / 2];
        let size = fs::metadata(&file).map_or(0, |meta| meta.len()) as f64 / f64::from(1 << 20);
        println!(
            "{size:>9.1} {:>9.1} {cpu:>9.1} {:>9.1}  {:<28} {}",
            middle.wall,
            middle.memory,
            middle.how,
            file.display()
        );
    }
}

/// Fixtures of each kind that is read in a way of its own.
fn fixtures(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = [Build::Exe, Build::WithoutDwarf, Build::Stripped, Build::StrippedPie]
        .map(|build| fixture("shapes", GoVersion::V1_24, build))
        .into();
    let mut bytes = fs::read(fixture("shapes", GoVersion::V1_24, Build::StrippedPie)).unwrap();
    bytes[0x28..0x30].fill(0);
    bytes[0x3c..0x40].fill(0);
    let path = folder.join("shapes-without-sections");
    fs::write(&path, bytes).unwrap();
    files.push(path);
    files
}

fn reading(file: &Path) -> Reading {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("--one")
        .arg(file)
        .output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut words = text.trim().splitn(4, ' ');
    let mut number = || words.next().and_then(|word| word.parse().ok());
    let (Some(wall), Some(cpu), Some(memory)) = (number(), number(), number()) else {
        panic!("{}: {errors}", file.display());
    };
    Reading {
        wall,
        cpu,
        memory,
        how: words.next().unwrap_or_default().to_owned(),
    }
}

/// In the child: everything that a scan does before it asks the process.
fn one(path: &Path) {
    let before = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let begun = Instant::now();
    let image = Image::open(File::open(path).unwrap(), path.to_owned()).unwrap();
    let first = *image.elf.segments.first().expect("a segment");
    // As if it were loaded where it was linked.
    let page = first.offset % 4096;
    let anchor = (Addr(first.vaddr - page), first.offset - page);
    let candidates = Runtime::locate(&image, anchor).unwrap();
    let wall = begun.elapsed().as_secs_f64() * 1e3;
    let after = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let ms = |time: TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    let cpu = ms(after.user_time()) - ms(before.user_time()) + ms(after.system_time()) - ms(before.system_time());
    println!(
        "{wall} {cpu} {} {}",
        after.max_rss() as f64 / 1024.0,
        candidates[0].provenance
    );
}
