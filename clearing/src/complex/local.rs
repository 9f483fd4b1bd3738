//! Good sets before the search: what the bound wants, without the losers, improved by single moves and swaps.

use crate::complex::bound::{Dual, Fate};
use crate::complex::search::Search;
use crate::order::WHOLE;
use std::collections::BTreeMap;

/// Units moved: those with the smallest gain or loss by the bound.
const CLOSEST: usize = 48;
/// Passes over all moves.
const PASSES: usize = 6;

/// What became of a set.
pub(crate) enum Tried {
    /// Nobody loses; its welfare.
    Feasible(i128),
    /// The unit that loses most.
    Loses(usize),
    /// Supply and demand do not meet within floor and cap.
    Unbalanced,
}

impl Search<'_> {
    /// Evaluate a set (units wanted, whole) and keep it if it is feasible and better. Returns its worst loser.
    pub(crate) fn try_set(&mut self, wanted: &[bool]) -> Tried {
        let changes: Vec<(usize, u32)> =
            wanted.iter().enumerate().map(|(unit, wanted)| (unit, if *wanted { WHOLE } else { 0 })).collect();
        self.state.set(self.problem, &changes);
        self.state.settle(self.problem);
        if !self.state.balanced() {
            return Tried::Unbalanced;
        }
        if let Some(worst) = self.state.worst(self.problem) {
            return Tried::Loses(worst);
        }
        let welfare = self.state.welfare(self.problem);
        let tie = welfare == self.best_welfare && self.state.ratios > self.best.ratios;
        if welfare > self.best_welfare || tie {
            self.best_welfare = welfare;
            self.best = self.state.clone();
        }
        Tried::Feasible(welfare)
    }

    /// At most one of a group, no child without its parent.
    pub(crate) fn legal(&self, wanted: &mut [bool], gains: &[i128]) {
        let mut chosen: BTreeMap<u64, usize> = BTreeMap::new();
        for unit in 0..wanted.len() {
            let group = self.problem.units[unit].block.as_ref().and_then(|terms| terms.group);
            if let (true, Some(group)) = (wanted[unit], group) {
                let held = *chosen.entry(group).or_insert(unit);
                if held != unit {
                    let loser = if gains[unit] > gains[held] { held } else { unit };
                    wanted[loser] = false;
                    if loser == held {
                        chosen.insert(group, unit);
                    }
                }
            }
        }
        self.orphans(wanted);
    }

    pub(crate) fn orphans(&self, wanted: &mut [bool]) {
        let parent = |unit: usize| self.problem.units[unit].block.as_ref().and_then(|terms| terms.parent);
        let mut changed = true;
        while changed {
            changed = false;
            for unit in 0..wanted.len() {
                if wanted[unit] && parent(unit).is_some_and(|parent| parent == unit || !wanted[parent]) {
                    wanted[unit] = false;
                    changed = true;
                }
            }
        }
    }

    /// Drop the worst loser until nobody loses; the set that is left.
    pub(crate) fn repair(&mut self, mut wanted: Vec<bool>, gains: &[i128]) -> Vec<bool> {
        loop {
            let drop = match self.try_set(&wanted) {
                Tried::Feasible(_) => return wanted,
                Tried::Loses(unit) => Some(unit),
                Tried::Unbalanced => {
                    (0..wanted.len()).filter(|unit| wanted[*unit]).min_by_key(|unit| (gains[*unit], *unit))
                }
            };
            let Some(drop) = drop else { return wanted };
            wanted[drop] = false;
            self.orphans(&mut wanted);
        }
    }

    pub(crate) fn start(&mut self, dual: &Dual, fates: &[Fate]) {
        let mut wanted = Vec::new();
        let bound = dual.bound(self.problem, fates, &mut wanted);
        self.legal(&mut wanted, &dual.gains);
        self.repair(wanted, &dual.gains);
        for _ in 0..PASSES {
            let before = self.best_welfare;
            let slack = bound - self.best_welfare;
            let mut near: Vec<usize> = (0..fates.len())
                .filter(|unit| fates[*unit] == Fate::Free && dual.reduced_cost(self.problem, *unit) <= slack)
                .collect();
            near.sort_by_key(|unit| (dual.gains[*unit].abs(), *unit));
            near.truncate(CLOSEST);
            for (at, first) in near.iter().enumerate() {
                for second in std::iter::once(first).chain(&near[at + 1..]) {
                    let mut wanted: Vec<bool> = self.best.ratios.iter().map(|ratio| *ratio > 0).collect();
                    wanted[*first] = !wanted[*first];
                    if first != second {
                        // a pair is a swap; two additions or removals are two single moves
                        if wanted[*first] != wanted[*second] {
                            continue;
                        }
                        wanted[*second] = !wanted[*second];
                    }
                    self.legal(&mut wanted, &dual.gains);
                    self.try_set(&wanted);
                }
            }
            if self.best_welfare == before {
                return;
            }
        }
    }
}
