//! An upper bound of the welfare that any set of units can reach: the Lagrangian dual of the balance of each interval.
//!
//! For *any* prices p, welfare <= Σ surplus of plain orders at p + capacity × price difference + Σ over units of the
//! most they can gain at p. It needs no solver, is exact in integers, separates by unit (families of linked blocks and
//! exclusive groups apart), and tells what each decision costs at least: the reduced cost. Subgradient steps on p make
//! it tight; they may use floats because every bound that comes out is recomputed in integers.

use crate::complex::evaluate::Problem;
use crate::complex::unit::{Condition, Unit};
use crate::order::{Interval, WHOLE};
use std::collections::BTreeMap;

/// Decision about a unit at a node of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Free,
    In,
    Out,
}

/// Prices, and what they say.
#[derive(Clone, Debug)]
pub(crate) struct Dual {
    /// By position, per zone.
    pub(crate) prices: Vec<[i64; 2]>,
    /// Bound without the units, value.
    pub(crate) plain: i128,
    /// The most each unit gains when it is in, value.
    pub(crate) gains: Vec<i128>,
}

fn most(unit: &Unit, price: impl Fn(Interval) -> i64) -> i128 {
    let whole = unit.welfare(WHOLE, &price);
    let least = unit.block.as_ref().map_or(WHOLE, |terms| terms.min_ratio);
    if least == WHOLE || whole >= 0 {
        return if least == WHOLE { whole } else { whole + slack(unit, &price) };
    }
    unit.welfare(least, &price) + slack(unit, &price)
}

/// A ratio is rounded down to whole kW per interval: it may gain that much more than in proportion.
fn slack(unit: &Unit, price: impl Fn(Interval) -> i64) -> i128 {
    let periods = unit.periods.iter();
    periods
        .map(|period| {
            let gap = i128::from(price(period.interval)) - i128::from(period.stairs[0].price);
            gap.abs() * i128::from(period.duration)
        })
        .sum()
}

impl Dual {
    pub(crate) fn at(problem: &Problem<'_>, prices: Vec<[i64; 2]>) -> Self {
        let mut plain = 0;
        for (at, table) in problem.tables.iter().enumerate() {
            let mut hour: i128 =
                (0..table.zones()).map(|zone| table.dual(&problem.plains[at], zone, prices[at][zone])).sum();
            if table.zones() == 2 {
                let rise = i128::from(prices[at][1] - prices[at][0]);
                let capacity = problem.capacity[at][usize::from(rise < 0)];
                hour += i128::from(capacity) * rise.abs();
            }
            plain += hour * i128::from(table.duration);
        }
        let gain = |unit: &Unit| {
            let zone = unit.zone;
            most(unit, |interval| prices[problem.position[usize::from(interval)]][zone])
        };
        let gains = problem.units.iter().map(gain).collect();
        Self { prices, plain, gains }
    }

    /// What a unit and the family below it add at most if the unit is in.
    fn family(&self, problem: &Problem<'_>, fates: &[Fate], unit: usize) -> i128 {
        let children = problem.units[unit].children.iter();
        let most = |child: usize| match fates[child] {
            Fate::Out => 0,
            Fate::In => self.family(problem, fates, child),
            Fate::Free => self.family(problem, fates, child).max(0),
        };
        self.gains[unit] + children.map(|child| most(*child)).sum::<i128>()
    }

    /// Upper bound of the welfare of every set that agrees with the fates. Also fills in which free units the bound
    /// would take.
    pub(crate) fn bound(&self, problem: &Problem<'_>, fates: &[Fate], wanted: &mut Vec<bool>) -> i128 {
        let mut sum = self.plain;
        wanted.clear();
        wanted.resize(fates.len(), false);
        let mut groups: BTreeMap<u64, (i128, usize, bool)> = BTreeMap::new();
        for (at, unit) in problem.units.iter().enumerate() {
            if fates[at] == Fate::Out {
                continue;
            }
            let terms = unit.block.as_ref();
            if terms.is_some_and(|terms| terms.parent.is_some()) {
                wanted[at] = fates[at] == Fate::In || self.family(problem, fates, at) >= 0;
                continue;
            }
            let value = self.family(problem, fates, at);
            let held = fates[at] == Fate::In;
            match terms.and_then(|terms| terms.group) {
                None => {
                    wanted[at] = held || value >= 0;
                    sum += if held { value } else { value.max(0) };
                }
                Some(group) => {
                    let best = groups.entry(group).or_insert((value, at, held));
                    if held || (!best.2 && value > best.0) {
                        *best = (value, at, held);
                    }
                }
            }
        }
        for (value, unit, held) in groups.into_values() {
            sum += if held { value } else { value.max(0) };
            wanted[unit] = held || value >= 0;
        }
        for at in 0..wanted.len() {
            let parent = problem.units[at].block.as_ref().and_then(|terms| terms.parent);
            wanted[at] &= parent.is_none_or(|parent| parent != at && wanted[parent]);
        }
        sum
    }

    /// Subgradient at these prices for the wanted units: excess kW × ms per position and zone.
    fn slope(&self, problem: &Problem<'_>, wanted: &[bool]) -> Vec<[f64; 2]> {
        let mut slope = vec![[0.0; 2]; self.prices.len()];
        for (at, table) in problem.tables.iter().enumerate() {
            let prices = self.prices[at];
            let mut excess = [0_i64; 2];
            for zone in 0..table.zones() {
                excess[zone] = table.base_excess(zone, prices[zone]);
            }
            for (unit, period) in table.members.iter().filter(|(unit, _)| wanted[*unit]) {
                let unit = &problem.units[*unit];
                excess[unit.zone] += unit.periods[*period].net(unit.side, prices[unit.zone]);
            }
            if table.zones() == 2 {
                // at equal prices any flow is a subgradient: take the one that balances best
                let capacity = problem.capacity[at];
                let flow = match prices[1].cmp(&prices[0]) {
                    std::cmp::Ordering::Greater => capacity[0],
                    std::cmp::Ordering::Less => -capacity[1],
                    std::cmp::Ordering::Equal => ((excess[0] - excess[1]) / 2).clamp(-capacity[1], capacity[0]),
                };
                excess = [excess[0] - flow, excess[1] + flow];
            }
            for zone in 0..2 {
                #[expect(clippy::cast_precision_loss, reason = "a direction, not a result")]
                let value = (excess[zone] as f64) * (table.duration as f64);
                slope[at][zone] = value;
            }
        }
        slope
    }

    /// Better prices: Polyak steps towards `target`, keeping the best of all bounds seen. Deterministic.
    pub(crate) fn improve(self, problem: &Problem<'_>, fates: &[Fate], target: i128, rounds: usize) -> Self {
        let mut wanted = Vec::new();
        let mut current = self.clone();
        let mut value = current.bound(problem, fates, &mut wanted);
        let (mut best, mut best_value) = (self, value);
        let mut pace = 1.0_f64;
        let mut stale = 0;
        for _ in 0..rounds {
            if best_value < target {
                break;
            }
            let slope = current.slope(problem, &wanted);
            let norm: f64 = slope.iter().flatten().map(|s| s * s).sum();
            if norm == 0.0 {
                break;
            }
            #[expect(clippy::cast_precision_loss, reason = "a step length, not a result")]
            let step = pace * ((value - target) as f64) / norm;
            let mut prices = current.prices.clone();
            for (at, price) in prices.iter_mut().enumerate() {
                let rules = &problem.plains[at].rules;
                for zone in 0..2 {
                    #[expect(clippy::cast_possible_truncation, reason = "saturates, then clamps")]
                    let moved = (slope[at][zone] * step).round() as i64;
                    price[zone] = price[zone].saturating_sub(moved).clamp(rules.floor, rules.cap);
                }
            }
            current = Self::at(problem, prices);
            value = current.bound(problem, fates, &mut wanted);
            if value < best_value {
                (best, best_value, stale) = (current.clone(), value, 0);
            } else {
                stale += 1;
                if stale >= 6 {
                    (pace, stale) = (pace / 2.0, 0);
                    current = best.clone();
                    value = current.bound(problem, fates, &mut wanted);
                }
            }
        }
        best
    }

    /// What accepting (or, if wanted, rejecting) a unit costs at least against the bound; only for units without
    /// family or group, others cost 0.
    pub(crate) fn reduced_cost(&self, problem: &Problem<'_>, unit: usize) -> i128 {
        let of = &problem.units[unit];
        let tied = of.block.as_ref().is_some_and(|terms| terms.group.is_some() || terms.parent.is_some());
        if tied || !of.children.is_empty() { 0 } else { self.gains[unit].abs() }
    }
}

/// Whether the fixed term of a unit is outside the welfare (classic minimum income).
pub(crate) fn is_income(unit: &Unit) -> bool {
    matches!(unit.condition, Condition::Income { .. })
}
