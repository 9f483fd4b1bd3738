//! Complex orders as the solver sees them: units that are in or out.
//!
//! A unit has, per delivery interval, a staircase (block: one stair) of which `min` kW are taken whenever the unit is
//! in. Value is micro-currency per MWh × kW × ms throughout: exact in `i128`, no division before the end
//! (1 micro-currency = 3.6e9 of it).

use crate::order::{Interval, Kind, Order, OrderId, Side, Variable, WHOLE};
use std::collections::BTreeMap;

/// Value units per micro-currency: kW → MW and ms → h.
pub(crate) const VALUE_PER_MICRO: i128 = 3_600_000_000;

/// What an accepted unit must earn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Surplus over its own prices >= fixed; fixed is a cost in the welfare. Blocks and MAV orders: fixed = 0.
    Surplus { fixed: i128 },
    /// Income >= fixed + variable × energy; no part of the welfare.
    Income { fixed: i128, variable: i64 },
}

/// One stair: limit, cumulative kW up to and with it, their cost (sell) or worth (buy) at the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stair {
    pub(crate) price: i64,
    pub(crate) power: i64,
    pub(crate) worth: i128,
}

/// A unit in one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) interval: Interval,
    pub(crate) duration: i64,
    /// Taken whenever the unit is in, kW (cheapest stairs first).
    pub(crate) min: i64,
    pub(crate) min_worth: i128,
    /// Best price for the market first.
    pub(crate) stairs: Vec<Stair>,
}

/// Block terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) min_ratio: u32,
    pub(crate) group: Option<u64>,
    /// Index of the parent unit.
    pub(crate) parent: Option<usize>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) order: OrderId,
    pub(crate) zone: usize,
    pub(crate) side: Side,
    pub(crate) condition: Condition,
    pub(crate) block: Option<Terms>,
    pub(crate) children: Vec<usize>,
    pub(crate) periods: Vec<Period>,
}

impl Period {
    fn new(interval: Interval, duration: i64, side: Side, min: i64, mut steps: Vec<(i64, i64)>) -> Self {
        steps.sort_unstable_by_key(|step| if side == Side::Sell { step.0 } else { -step.0 });
        let (mut power, mut worth) = (0, 0);
        let (mut min_worth, mut left) = (0, min);
        let mut stairs: Vec<Stair> = Vec::with_capacity(steps.len());
        for (price, more) in steps {
            power += more;
            worth += i128::from(price) * i128::from(more);
            min_worth += i128::from(price) * i128::from(left.min(more));
            left -= left.min(more);
            match stairs.last_mut() {
                Some(last) if last.price == price => *last = Stair { price, power, worth },
                _ => stairs.push(Stair { price, power, worth }),
            }
        }
        Self { interval, duration, min, min_worth, stairs }
    }

    /// kW and their worth when every stair at `price` or better is taken (strictly better if `strict`).
    pub(crate) fn taken(&self, side: Side, price: i64, strict: bool) -> (i64, i128) {
        let count = self.stairs.partition_point(|stair| match (side, strict) {
            (Side::Sell, false) => stair.price <= price,
            (Side::Sell, true) => stair.price < price,
            (Side::Buy, false) => stair.price >= price,
            (Side::Buy, true) => stair.price > price,
        });
        match count.checked_sub(1).map(|last| self.stairs[last]) {
            Some(stair) if stair.power > self.min => (stair.power, stair.worth),
            _ => (self.min, self.min_worth),
        }
    }

    /// Contribution to the net supply of the zone once everything at `price` is in, kW (see `MeritOrder::excess`).
    pub(crate) fn net(&self, side: Side, price: i64) -> i64 {
        match side {
            Side::Sell => self.taken(side, price, false).0,
            Side::Buy => -self.taken(side, price, true).0,
        }
    }

    /// Surplus at `price`, value.
    pub(crate) fn surplus(&self, side: Side, price: i64) -> i128 {
        let (power, worth) = self.taken(side, price, false);
        let paid = i128::from(price) * i128::from(power);
        i128::from(self.duration) * if side == Side::Sell { paid - worth } else { worth - paid }
    }
}

impl Unit {
    /// kW of a block period at a ratio in ppm, rounded down.
    pub(crate) fn scaled(power: i64, ratio: u32) -> i64 {
        if ratio == WHOLE {
            return power;
        }
        i64::try_from(i128::from(power) * i128::from(ratio) / i128::from(WHOLE)).expect("a ratio is at most 1")
    }

    /// Welfare contribution at prices by `price(interval)`, fixed cost included, value.
    pub(crate) fn welfare(&self, ratio: u32, price: impl Fn(Interval) -> i64) -> i128 {
        let mut sum = match self.condition {
            Condition::Surplus { fixed } => -fixed,
            Condition::Income { .. } => 0,
        };
        for period in &self.periods {
            let at = price(period.interval);
            sum += if ratio == WHOLE {
                period.surplus(self.side, at)
            } else {
                let gain =
                    if self.side == Side::Sell { at - period.stairs[0].price } else { period.stairs[0].price - at };
                i128::from(period.duration) * i128::from(gain) * i128::from(Self::scaled(period.min, ratio))
            };
        }
        sum
    }

    /// What the condition leaves over at these prices, value; negative is a paradoxical acceptance.
    ///
    /// For a minimum income, the part of a stair at the price itself is counted where that is to the order's
    /// disadvantage, so that the condition holds whatever share of the margin it gets.
    pub(crate) fn margin(&self, ratio: u32, price: impl Fn(Interval) -> i64) -> i128 {
        match self.condition {
            Condition::Surplus { .. } => self.welfare(ratio, price),
            Condition::Income { fixed, variable } => {
                let earned = self.periods.iter().map(|period| {
                    let at = price(period.interval);
                    let power = period.taken(self.side, at, at >= variable).0;
                    i128::from(period.duration) * i128::from(at - variable) * i128::from(power)
                });
                earned.sum::<i128>() - fixed
            }
        }
    }
}

/// Units of the complex orders, in the order of their ids; an order whose only condition is a minimum quantity is one
/// unit per interval, and only for the intervals `within` (its others are another component's). `durations` in ms.
pub(crate) fn units<'a>(
    orders: impl IntoIterator<Item = &'a Order>,
    durations: &[i64],
    within: &[Interval],
) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut at: BTreeMap<OrderId, usize> = BTreeMap::new();
    let mut parents: Vec<(usize, OrderId)> = Vec::new();
    for order in orders {
        let duration = |interval: Interval| durations[usize::from(interval)];
        let unit = |condition, block, periods| Unit {
            order: order.id,
            zone: usize::from(order.zone),
            side: order.side,
            condition,
            block,
            children: Vec::new(),
            periods,
        };
        match &order.kind {
            Kind::Linear(_) => {}
            Kind::Block(block) => {
                let periods = block.periods.iter().map(|&(interval, power)| {
                    Period::new(interval, duration(interval), order.side, power, vec![(block.price, power)])
                });
                let terms = Terms { min_ratio: block.min_acceptance_ratio, group: block.exclusive_group, parent: None };
                if let Some(parent) = block.parent {
                    parents.push((units.len(), parent));
                }
                at.insert(order.id, units.len());
                units.push(unit(Condition::Surplus { fixed: 0 }, Some(terms), periods.collect()));
            }
            Kind::Steps(steps, income) => {
                let mut by_interval: BTreeMap<Interval, (i64, Vec<(i64, i64)>)> = BTreeMap::new();
                for step in steps.iter().filter(|step| within.contains(&step.interval)) {
                    let entry = by_interval.entry(step.interval).or_default();
                    entry.0 += step.min_power;
                    entry.1.push((step.price, step.power));
                }
                let mut periods = by_interval
                    .into_iter()
                    .map(|(interval, (min, steps))| Period::new(interval, duration(interval), order.side, min, steps));
                match income {
                    None => {
                        units.extend(periods.map(|period| unit(Condition::Surplus { fixed: 0 }, None, vec![period])))
                    }
                    Some(income) => {
                        let fixed = i128::from(income.fixed) * VALUE_PER_MICRO;
                        let condition = match income.variable {
                            Variable::StepPrices => Condition::Surplus { fixed },
                            Variable::PerEnergy(variable) => Condition::Income { fixed, variable },
                        };
                        units.push(unit(condition, None, periods.by_ref().collect()));
                    }
                }
            }
        }
    }
    let parents: BTreeMap<usize, Option<usize>> =
        parents.into_iter().map(|(child, parent)| (child, at.get(&parent).copied())).collect();
    for child in parents.keys() {
        // without a root above it (the parent is not in the book, or links run in a circle) a block can never be
        // accepted: it becomes its own parent and stays out
        let rooted = root_of(&parents, *child).is_some();
        let parent = parents[child].filter(|_| rooted).unwrap_or(*child);
        if let Some(terms) = &mut units[*child].block {
            terms.parent = Some(parent);
        }
        if parent != *child {
            units[parent].children.push(*child);
        }
    }
    units
}

/// The block without a parent above a child, if there is one.
fn root_of(parents: &BTreeMap<usize, Option<usize>>, child: usize) -> Option<usize> {
    let mut at = child;
    for _ in 0..=parents.len() {
        match parents.get(&at) {
            None => return Some(at),
            Some(parent) => at = (*parent)?,
        }
    }
    None
}
