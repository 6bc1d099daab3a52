//! Mutations of seeds for `cargo test`: the same ones every time, blind to coverage.

/// Values that lengths, counts and offsets are made of when they are meant to hurt.
const HARD: [u64; 14] = [
    0,
    1,
    7,
    8,
    0x7f,
    0xff,
    0xffff,
    1 << 20,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 47,
    i64::MAX as u64,
    u64::MAX,
];

/// A source of mutated inputs.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// The source that belongs to `name`.
    pub fn new(name: &str) -> Mutator {
        let state = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Mutator { state }
    }

    /// Steele, Lea and Flood's SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random() % end.max(1) as u64) as usize
    }

    /// One of `seeds`, changed in one to eight places, of `longest` bytes at most.
    pub fn next(&mut self, seeds: &[Vec<u8>], longest: usize) -> Vec<u8> {
        let pick = self.below(seeds.len());
        let mut input = seeds[pick].clone();
        for _ in 0..=self.below(8) {
            self.change(&mut input, seeds);
        }
        input.truncate(longest);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        match self.below(7) {
            0 => {
                let byte = self.random() as u8;
                input.insert(at, byte);
            }
            1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 if at < input.len() => input[at] = self.random() as u8,
            3 => {
                let hard = HARD[self.below(HARD.len())].to_le_bytes();
                let width = 1 << self.below(4);
                for (to, from) in input.iter_mut().skip(at).zip(&hard[..width]) {
                    *to = *from;
                }
            }
            4 => {
                let end = (at + 1 + self.below(16)).min(input.len());
                input.drain(at..end.max(at));
            }
            5 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                let end = (from + 1 + self.below(64)).min(other.len());
                input.splice(at..at, other[from..end].iter().copied());
            }
            _ => {
                let random = self.random().to_le_bytes();
                input.splice(at..at, random);
            }
        }
    }
}
