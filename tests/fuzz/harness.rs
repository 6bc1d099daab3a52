//! Runs one target. Under `cargo test` that is every seed and a bounded number of mutations of them, the same ones each
//! time; built by `tests/fuzz/run`, it is libFuzzer, guided by coverage, for as long as it is told.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(not(fuzzing))]
use super::mutate::Mutator;

/// Seeds larger than this are none: the repository keeps them.
const MOST_SEED_BYTES: u64 = 64 << 10;

/// What is fed, and how much of it.
pub struct Target {
    /// The directory of its seeds, beside this file.
    pub name: &'static str,
    /// Mutated inputs in a run of `cargo test`.
    pub runs: u32,
    /// Longest input, bytes.
    pub longest: usize,
}

impl Target {
    /// Feeds inputs to `body`, which must come back from each without a panic.
    pub fn run(&self, body: impl FnMut(&[u8])) {
        let seeds = self.seeds();
        assert!(!seeds.is_empty(), "tests/fuzz/{} has no seeds", self.name);
        self.drive(seeds, body);
    }

    #[cfg(not(fuzzing))]
    fn drive(&self, seeds: Vec<(PathBuf, Vec<u8>)>, mut body: impl FnMut(&[u8])) {
        for (path, seed) in &seeds {
            println!("{}", path.display());
            body(seed);
        }
        let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
        let mut mutator = Mutator::new(self.name);
        for run in 0..wanted().unwrap_or(self.runs) {
            let input = mutator.next(&seeds, self.longest);
            // Shown by the test when it fails: enough to make a seed of.
            let shown = Shown(run, &input);
            body(&input);
            std::mem::forget(shown);
        }
    }

    /// libFuzzer gets its seeds by its arguments.
    #[cfg(fuzzing)]
    fn drive(&self, _: Vec<(PathBuf, Vec<u8>)>, body: impl FnMut(&[u8])) {
        let body = std::panic::AssertUnwindSafe(std::cell::RefCell::new(body));
        bolero::check!()
            .with_shrink_time(std::time::Duration::ZERO)
            .for_each(move |input: &[u8]| (body.borrow_mut())(input));
    }

    fn seeds(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(self.name);
        let entries = fs::read_dir(&dir).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let small = |path: &PathBuf| fs::metadata(path).unwrap().len() <= MOST_SEED_BYTES;
        assert!(paths.iter().all(small), "{}: a seed is too large", dir.display());
        paths
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }
}

/// So many mutations of each target instead of the usual few (`GOMEMSCAN_FUZZ_RUNS`).
#[cfg(not(fuzzing))]
fn wanted() -> Option<u32> {
    let runs = std::env::var("GOMEMSCAN_FUZZ_RUNS").ok()?;
    Some(runs.parse().expect("GOMEMSCAN_FUZZ_RUNS is a number"))
}

/// Prints the input that a panic is about.
#[cfg(not(fuzzing))]
struct Shown<'a>(u32, &'a [u8]);

#[cfg(not(fuzzing))]
impl Drop for Shown<'_> {
    fn drop(&mut self) {
        println!("mutation {}, {} bytes: {}", self.0, self.1.len(), self.1.escape_ascii());
    }
}
