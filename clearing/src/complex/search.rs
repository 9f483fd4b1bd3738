//! The set of units with the greatest welfare among those that nobody accepted loses by: branch and bound.
//!
//! ```text
//!  start     dual prices from the market without units; take what they want; drop the worst loser until nobody loses;
//!            then local search: put in, take out, swap
//!  node      bound by the dual (improved a little) → prune; fix by reduced cost; highest possible prices → prune if an
//!            accepted unit still loses; try what the bound wants; branch on the worst loser, else on the closest call
//! ```
//! Rejecting a unit that would have earned is allowed (paradoxical rejection); accepting one that loses is not.
//! The budget counts nodes, never time: the same book gives the same result on any machine. When it runs out, the best
//! set so far is the result and `bound` says how much better another one could be at most.

use crate::complex::bound::{Dual, Fate, is_income};
use crate::complex::evaluate::{Problem, State};
use crate::complex::local::Tried;
use crate::complex::unit::Condition;
use crate::order::{Side, WHOLE};
use std::collections::BTreeMap;

/// Dual steps before the search, and at each node.
const ROOT_ROUNDS: usize = 400;
const NODE_ROUNDS: usize = 12;

/// Result of one component.
#[derive(Clone, Debug)]
pub(crate) struct Solution {
    pub(crate) state: State,
    pub(crate) welfare: i128,
    pub(crate) bound: i128,
    pub(crate) nodes: u64,
}

pub(crate) struct Search<'a> {
    pub(crate) problem: &'a Problem<'a>,
    /// Scratch: the set evaluated last; the next one re-clears only what differs.
    pub(crate) state: State,
    pub(crate) best: State,
    pub(crate) best_welfare: i128,
    nodes: u64,
    budget: u64,
    open_bound: i128,
}

/// Units up to which a component gets its whole budget.
const FULL_BUDGET_UNITS: u64 = 100;

/// Solve one component with at most `budget` nodes; fewer in proportion beyond 100 units, because a node costs so much
/// more there.
pub(crate) fn solve(problem: &Problem<'_>, budget: u64) -> Solution {
    let empty = State::new(problem, vec![0; problem.units.len()]);
    let budget = budget * FULL_BUDGET_UNITS / FULL_BUDGET_UNITS.max(problem.units.len() as u64);
    let welfare = empty.welfare(problem);
    let mut search = Search {
        problem,
        state: empty.clone(),
        best: empty.clone(),
        best_welfare: welfare,
        nodes: 0,
        budget,
        open_bound: i128::MIN,
    };
    let mut fates = vec![Fate::Free; problem.units.len()];
    search.propagate(&mut fates);
    let prices = empty.cleared.iter().map(|cleared| cleared.price).collect();
    let mut dual = Dual::at(problem, prices).improve(problem, &fates, welfare, ROOT_ROUNDS);
    search.start(&dual, &fates);
    dual = dual.improve(problem, &fates, search.best_welfare, ROOT_ROUNDS);
    search.node(fates, dual);
    let bound = search.open_bound.max(search.best_welfare);
    Solution { state: search.best, welfare: search.best_welfare, bound, nodes: search.nodes }
}

impl Search<'_> {
    /// Consequences of decisions: parents, children, groups. False when they contradict each other.
    fn propagate(&self, fates: &mut [Fate]) -> bool {
        let units = self.problem.units;
        loop {
            let mut changed = false;
            let mut held: BTreeMap<u64, usize> = BTreeMap::new();
            for (at, unit) in units.iter().enumerate() {
                let Some(terms) = &unit.block else { continue };
                if let Some(parent) = terms.parent {
                    if parent == at || fates[parent] == Fate::Out {
                        match fates[at] {
                            Fate::In => return false,
                            Fate::Free => (fates[at], changed) = (Fate::Out, true),
                            Fate::Out => {}
                        }
                    } else if fates[at] == Fate::In && fates[parent] == Fate::Free {
                        (fates[parent], changed) = (Fate::In, true);
                    }
                }
                if let (Some(group), Fate::In) = (terms.group, fates[at])
                    && *held.entry(group).or_insert(at) != at
                {
                    return false;
                }
            }
            for (at, unit) in units.iter().enumerate() {
                let group = unit.block.as_ref().and_then(|terms| terms.group);
                if fates[at] == Fate::Free
                    && group.and_then(|group| held.get(&group)).is_some_and(|holder| *holder != at)
                {
                    (fates[at], changed) = (Fate::Out, true);
                }
            }
            if !changed {
                return true;
            }
        }
    }

    /// Whether a unit decided In loses even at the prices most favourable to its side that are still possible.
    fn hopeless(&mut self, fates: &[Fate]) -> bool {
        for side in [Side::Sell, Side::Buy] {
            let concerns = |unit: usize| fates[unit] == Fate::In && self.problem.units[unit].side == side;
            let deciding: Vec<usize> = (0..fates.len()).filter(|unit| concerns(*unit)).collect();
            if deciding.is_empty() {
                continue;
            }
            let changes: Vec<(usize, u32)> = (0..fates.len())
                .map(|at| {
                    let unit = &self.problem.units[at];
                    let least = unit.block.as_ref().map_or(WHOLE, |terms| terms.min_ratio);
                    let ratio = match fates[at] {
                        Fate::In if unit.side == side => least,
                        Fate::In => WHOLE,
                        Fate::Free if unit.side != side => WHOLE,
                        Fate::Free | Fate::Out => 0,
                    };
                    (at, ratio)
                })
                .collect();
            self.state.set(self.problem, &changes);
            for unit in deciding {
                let of = &self.problem.units[unit];
                let price = self.state.price(self.problem, of.zone);
                let most = match of.condition {
                    Condition::Surplus { .. } if of.children.is_empty() => of.welfare(WHOLE, price),
                    Condition::Surplus { .. } => 0,
                    Condition::Income { fixed, variable } => {
                        let periods = of.periods.iter().map(|period| {
                            let at = price(period.interval);
                            let power = period.taken(side, at, false).0;
                            i128::from(period.duration) * i128::from((at - variable).max(0)) * i128::from(power)
                        });
                        periods.sum::<i128>() - fixed
                    }
                };
                if most < 0 {
                    return true;
                }
            }
        }
        false
    }

    fn node(&mut self, mut fates: Vec<Fate>, mut dual: Dual) {
        let mut wanted = Vec::new();
        if !self.propagate(&mut fates) {
            return;
        }
        let mut bound = dual.bound(self.problem, &fates, &mut wanted);
        if bound < self.best_welfare {
            return;
        }
        if self.nodes >= self.budget {
            self.open_bound = self.open_bound.max(bound);
            return;
        }
        self.nodes += 1;
        dual = dual.improve(self.problem, &fates, self.best_welfare, NODE_ROUNDS);
        bound = dual.bound(self.problem, &fates, &mut wanted);
        if bound < self.best_welfare || self.hopeless(&fates) {
            return;
        }
        for unit in 0..fates.len() {
            let fixed = bound - dual.reduced_cost(self.problem, unit) < self.best_welfare;
            if fates[unit] == Fate::Free && fixed {
                fates[unit] = if wanted[unit] { Fate::In } else { Fate::Out };
            }
        }
        if !self.propagate(&mut fates) {
            return;
        }
        self.legal(&mut wanted, &dual.gains);
        let tried = self.try_set(&wanted);
        let free = |unit: &usize| fates[*unit] == Fate::Free;
        let mut branch = None;
        match tried {
            Tried::Feasible(welfare) if welfare >= bound => return,
            Tried::Feasible(_) | Tried::Unbalanced => {}
            Tried::Loses(worst) => {
                let losers = (0..fates.len()).filter(free).filter(|unit| wanted[*unit]);
                let margins = losers.map(|unit| (self.state.margin(self.problem, unit), unit));
                branch = margins.filter(|(margin, _)| *margin < 0).min().map(|(_, unit)| (unit, false));
                let mut left = wanted.clone();
                left[worst] = false;
                self.orphans(&mut left);
                self.repair(left, &dual.gains);
            }
        }
        let closest = || {
            // an order outside the welfare is decided by its condition: decide the greatest first
            let call = |unit: &usize| (is_income(&self.problem.units[*unit]), dual.gains[*unit].abs(), *unit);
            (0..fates.len()).filter(free).min_by_key(call).map(|unit| (unit, wanted[unit]))
        };
        let Some((unit, first)) = branch.or_else(closest) else { return };
        for take in [first, !first] {
            let mut next = fates.clone();
            next[unit] = if take { Fate::In } else { Fate::Out };
            self.node(next, dual.clone());
        }
    }
}
