//! Random instants that can be had again, and how many of them.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether all attacks are wanted.
pub fn full() -> bool {
    std::env::var("GOMEMSCAN_ATTACKS").is_ok_and(|value| value == "full")
}

/// How often: with the other tests, and when all attacks are wanted.
pub fn times(few: usize, all: usize) -> usize {
    if full() { all } else { few }
}

/// SplitMix64.
pub struct Chance(u64);

impl Chance {
    /// A sequence of its own for each name.
    pub fn new(name: &str) -> Chance {
        static SEED: LazyLock<u64> = LazyLock::new(|| {
            let given = std::env::var("GOMEMSCAN_SEED").ok().and_then(|seed| seed.parse().ok());
            let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let seed = given.unwrap_or_else(now);
            println!("GOMEMSCAN_SEED={seed}");
            seed
        });
        let salt = name
            .bytes()
            .fold(0u64, |salt, byte| salt.wrapping_mul(31) + u64::from(byte));
        Chance(*SEED ^ salt)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
