//! Elects the address of a variable. A site is one statement about one function; it proposes the addresses that would
//! make the statement true. The fewer it proposes the more it tells: one address in 256 is 8 bits. Functions are
//! independent of each other, statements about the same function are not, so each function tells its best one only.

use std::collections::{BTreeMap, BTreeSet};

use super::anchors::Anchors;
use super::references::{References, Referrer};

/// Bits that a site tells which proposes one address: the code names some hundred variables in all.
const MOST_BITS: u32 = 8;
/// Bits that the winner needs, and by which it must be ahead of every other address.
const ENOUGH_BITS: u32 = 12;
const MARGIN_BITS: u32 = 6;
const ENOUGH_FUNCTIONS: usize = 2;
/// Functions that must agree for each that does not.
const VOTES_PER_DISSENT: usize = 8;

/// What the sites say about one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The variable, "runtime.mheap_".
    pub name: &'static str,
    /// Its link-time address; `None` when too few functions speak of it, or when they do not agree.
    pub address: Option<u64>,
    /// Functions that speak for the address that got most.
    pub votes: usize,
    /// Names of the functions that speak for other addresses only.
    pub against: Vec<String>,
    /// Functions of which something is known that holds for no address: they were built otherwise, or the offsets are
    /// wrong.
    pub silent: usize,
    /// Functions that speak for the address that got second most; they may speak for the first one too.
    pub runner_up: usize,
    /// By how many bits of evidence the first is ahead of the second.
    pub margin_bits: u32,
}

/// What is asked of the release: offsets of paths, and which addresses may be proposed.
pub(super) struct Asked<'a> {
    pub(super) offset: &'a dyn Fn(&str) -> Option<u64>,
    pub(super) possible: &'a dyn Fn(u64) -> bool,
}

/// Gathers the proposals for one variable.
pub(super) struct Election<'a> {
    anchors: &'static Anchors,
    references: &'a References,
    /// What every function proposes by each of its statements.
    sites: BTreeMap<&'a str, Vec<BTreeSet<u64>>>,
    /// The addresses at which alone some function finds several fields: wrong only if the offsets are.
    certain: BTreeSet<u64>,
}

impl<'a> Election<'a> {
    pub(super) fn new(anchors: &'static Anchors, references: &'a References) -> Election<'a> {
        Election {
            anchors,
            references,
            sites: BTreeMap::new(),
            certain: BTreeSet::new(),
        }
    }

    /// Hears one site: `function` speaks for `addresses`.
    pub(super) fn hear(&mut self, function: &'a str, addresses: impl Iterator<Item = u64>) {
        self.sites.entry(function).or_default().push(addresses.collect());
    }

    /// Hears everything that the anchors say.
    pub(super) fn hear_all(&mut self, asked: &Asked<'_>) {
        self.hear_receivers(asked);
        self.hear_nth(asked);
        self.hear_among(asked);
    }

    /// The calls that pass a variable to one of its methods.
    fn hear_receivers(&mut self, asked: &Asked<'_>) {
        let references = self.references;
        for (method, path) in self.anchors.receivers {
            let Some(offset) = (asked.offset)(path) else { continue };
            let methods: BTreeSet<u64> = references.starting_with(method).collect();
            for referrer in references.iter() {
                let calls = referrer.calls.iter().filter(|(callee, _)| methods.contains(callee));
                let mut bases = calls.map(|(_, receiver)| receiver.wrapping_sub(offset)).peekable();
                if bases.peek().is_some() {
                    self.hear(referrer.name, bases.filter(|addr| (asked.possible)(*addr)));
                }
            }
        }
    }

    /// The places in the order of a function's references.
    fn hear_nth(&mut self, asked: &Asked<'_>) {
        for (function, number, path) in self.anchors.nth {
            if let Some(offset) = (asked.offset)(path)
                && let Some(referrer) = speaker(self.references, function)
            {
                let len = referrer.data.len();
                let place = usize::try_from(*number)
                    .ok()
                    .or_else(|| len.checked_add_signed(*number));
                let named = place.and_then(|place| referrer.data.get(place));
                let base = named.map(|addr| addr.wrapping_sub(offset));
                self.hear(referrer.name, base.into_iter().filter(|addr| (asked.possible)(*addr)));
            }
        }
    }

    /// The fields that a function names together.
    fn hear_among(&mut self, asked: &Asked<'_>) {
        for (function, paths) in self.anchors.among {
            let offsets: Vec<u64> = paths.iter().filter_map(|path| (asked.offset)(path)).collect();
            if let Some((first, rest)) = offsets.split_first()
                && let Some(referrer) = speaker(self.references, function)
            {
                let used = |addr: u64| referrer.data.contains(&addr) || referrer.near.contains(&addr);
                let fits = |base: &u64| rest.iter().all(|more| used(base.wrapping_add(*more)));
                let bases = referrer.data.iter().map(|addr| addr.wrapping_sub(*first));
                let bases = bases.filter(|base| (asked.possible)(*base) && fits(base));
                let bases: BTreeSet<u64> = bases.collect();
                if bases.len() == 1 && !rest.is_empty() {
                    self.certain.extend(bases.iter().copied());
                }
                self.hear(referrer.name, bases.into_iter());
            }
        }
    }

    /// Counts.
    pub(super) fn close(self) -> Evidence {
        let mut tally: BTreeMap<u64, (u32, usize)> = BTreeMap::new();
        let mut silent = 0;
        for proposals in self.sites.values() {
            let mut told: BTreeMap<u64, u32> = BTreeMap::new();
            for addresses in proposals {
                let bits = MOST_BITS.saturating_sub(addresses.len().next_power_of_two().trailing_zeros());
                for addr in addresses {
                    let best = told.entry(*addr).or_default();
                    *best = bits.max(*best);
                }
            }
            silent += usize::from(told.is_empty());
            for (addr, bits) in told {
                let (sum, functions) = tally.entry(addr).or_default();
                (*sum, *functions) = (sum.saturating_add(bits), *functions + 1);
            }
        }
        let mut ranking: Vec<(u64, (u32, usize))> = tally.into_iter().collect();
        ranking.sort_by_key(|(_, (bits, _))| std::cmp::Reverse(*bits));
        let (winner, (bits, votes)) = ranking.first().copied().unwrap_or_default();
        let (_, (second_bits, runner_up)) = ranking.get(1).copied().unwrap_or_default();
        let speaks_for_other = |proposals: &&Vec<BTreeSet<u64>>| {
            let mut all = proposals.iter().flatten().peekable();
            all.peek().is_some() && !all.any(|addr| *addr == winner)
        };
        let against = self.sites.iter().filter(|(_, proposals)| speaks_for_other(proposals));
        let against: Vec<String> = against.map(|(function, _)| (*function).to_owned()).collect();
        let dissent = against.len();
        let margin_bits = bits.saturating_sub(second_bits);
        let vetoed = self.certain.iter().any(|addr| *addr != winner);
        let enough = bits >= ENOUGH_BITS && votes >= ENOUGH_FUNCTIONS;
        let agreed = enough && votes >= dissent.saturating_mul(VOTES_PER_DISSENT) && !vetoed;
        let undisputed = self.anchors.alone && bits == MOST_BITS && dissent == 0;
        Evidence {
            name: self.anchors.name,
            address: ((agreed || undisputed) && margin_bits >= MARGIN_BITS).then_some(winner),
            votes,
            against,
            silent,
            runner_up,
            margin_bits,
        }
    }
}

/// The function called `name`; of one and its wrapper, the one that names more.
fn speaker<'a>(references: &'a References, name: &str) -> Option<Referrer<'a>> {
    references.named(name).max_by_key(|referrer| referrer.data.len())
}
