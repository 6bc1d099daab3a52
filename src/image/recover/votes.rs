//! Elects the address of a variable. A site is one statement about one function; it proposes the addresses that would
//! make the statement true. A site that proposes several divides its vote among them, so that it counts for little
//! unless others agree.

use std::collections::BTreeMap;

use super::anchors::Anchors;
use super::references::{References, Referrer};

/// A whole vote; divisible by small numbers.
const WHOLE: u32 = 840;
/// What is needed: more than one and a half votes, by two functions at least, and twice what any other address gets.
const ENOUGH: u32 = WHOLE + WHOLE / 2;
const ENOUGH_FUNCTIONS: usize = 2;

/// What the sites say about one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The variable, "runtime.mheap_".
    pub name: &'static str,
    /// Its link-time address; `None` when too few functions speak of it, or when they do not agree.
    pub address: Option<u64>,
    /// Functions that speak for the address that got most.
    pub votes: usize,
    /// Functions that speak against it: their statement holds for other addresses only, or for none.
    pub dissent: usize,
    /// Functions that speak for the address that got second most; they may speak for the first one too.
    pub runner_up: usize,
}

/// Gathers the proposals for one variable.
pub(super) struct Election<'a> {
    name: &'static str,
    /// What every function was heard to say: function, and votes for addresses.
    sites: Vec<(&'a str, Vec<u64>)>,
}

impl<'a> Election<'a> {
    pub(super) fn new(name: &'static str) -> Election<'a> {
        Election {
            name,
            sites: Vec::new(),
        }
    }

    /// Hears one site: `function` speaks for `addresses`.
    pub(super) fn hear(&mut self, function: &'a str, mut addresses: Vec<u64>) {
        addresses.sort_unstable();
        addresses.dedup();
        self.sites.push((function, addresses));
    }

    /// Hears what `anchors` say of functions in `references`; `offset` gives the place of a path, when the release has
    /// it. Addresses that `possible` refuses are not proposed.
    pub(super) fn hear_anchors(
        &mut self,
        anchors: &Anchors,
        references: &'a References,
        offset: &impl Fn(&str) -> Option<u64>,
        possible: &impl Fn(u64) -> bool,
    ) {
        for (function, number, path) in anchors.nth {
            let Some(offset) = offset(path) else { continue };
            if let Some(referrer) = speaker(references, function) {
                let base = referrer.data.get(*number).map(|addr| addr.wrapping_sub(offset));
                self.hear(referrer.name, base.into_iter().filter(|addr| possible(*addr)).collect());
            }
        }
        for (function, paths) in anchors.among {
            let offsets: Vec<u64> = paths.iter().filter_map(|path| offset(path)).collect();
            let Some((first, rest)) = offsets.split_first() else {
                continue;
            };
            if let Some(referrer) = speaker(references, function) {
                let names = |addr: u64| referrer.data.contains(&addr);
                let fits = |base: &u64| possible(*base) && rest.iter().all(|more| names(base.wrapping_add(*more)));
                let bases = referrer.data.iter().map(|addr| addr.wrapping_sub(*first));
                self.hear(referrer.name, bases.filter(fits).collect());
            }
        }
    }

    /// Hears the calls in `references` that pass a variable to one of the methods of `anchors`.
    pub(super) fn hear_receivers(
        &mut self,
        anchors: &Anchors,
        references: &'a References,
        offset: &impl Fn(&str) -> Option<u64>,
        possible: &impl Fn(u64) -> bool,
    ) {
        for (method, path) in anchors.receivers {
            let Some(offset) = offset(path) else { continue };
            for referrer in references.iter() {
                let mut bases: Vec<u64> = Vec::new();
                for (callee, receiver) in referrer.calls {
                    if references.name_at(*callee).is_some_and(|name| name.starts_with(method)) {
                        bases.push(receiver.wrapping_sub(offset));
                    }
                }
                if !bases.is_empty() {
                    bases.retain(|addr| possible(*addr));
                    self.hear(referrer.name, bases);
                }
            }
        }
    }

    /// Counts.
    pub(super) fn close(self) -> Evidence {
        let mut tally: BTreeMap<u64, u32> = BTreeMap::new();
        for (_, addresses) in &self.sites {
            let share = u32::try_from(addresses.len()).map_or(0, |n| WHOLE.checked_div(n).unwrap_or(0));
            for addr in addresses {
                let votes = tally.entry(*addr).or_default();
                *votes = votes.saturating_add(share);
            }
        }
        let mut ranking: Vec<(u64, u32)> = tally.into_iter().collect();
        ranking.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
        let first = ranking.first().copied();
        let second = ranking.get(1).copied();
        let for_address = |addr: Option<u64>| {
            let speak = |addresses: &Vec<u64>| addr.is_some_and(|addr| addresses.contains(&addr));
            distinct(
                self.sites
                    .iter()
                    .filter(|(_, addresses)| speak(addresses))
                    .map(|(f, _)| *f),
            )
        };
        let votes = for_address(first.map(|(addr, _)| addr));
        let all = distinct(self.sites.iter().map(|(f, _)| *f));
        let wins = |&(_, points): &(u64, u32)| {
            points >= ENOUGH
                && votes >= ENOUGH_FUNCTIONS
                && points >= second.map_or(0, |(_, points)| points.saturating_mul(2))
                && votes.saturating_mul(2) > all
        };
        Evidence {
            name: self.name,
            address: first.filter(wins).map(|(addr, _)| addr),
            votes,
            dissent: all.saturating_sub(votes),
            runner_up: for_address(second.map(|(addr, _)| addr)),
        }
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

/// The function called `name`; of one and its wrapper, the one that names more.
fn speaker<'a>(references: &'a References, name: &str) -> Option<Referrer<'a>> {
    references.named(name).max_by_key(|referrer| referrer.data.len())
}
