//! One component: tables, search, and the result of each of its intervals.

use crate::complex::evaluate::{Problem, State};
use crate::complex::search;
use crate::complex::table::{Plain, Table};
use crate::complex::unit::{Period, Unit, VALUE_PER_MICRO, units};
use crate::coupling::possible_imports;
use crate::day::{Accepted, Component, Day, IntervalClearing, Solved};
use crate::merit::Margin;
use crate::order::{Interval, OrderId, Side, WHOLE};
use crate::uniform::{self, Clearing};
use std::collections::BTreeSet;

impl Day {
    pub(super) fn solve(&mut self, solved: &mut Solved, changed: &BTreeSet<Interval>) {
        let durations = &self.config.durations_ms;
        let intervals = solved.summary.intervals.clone();
        solved.units = units(solved.orders.iter().map(|id| &self.orders[id]), durations, &intervals);
        let plains: Vec<Plain<'_>> = intervals
            .iter()
            .map(|interval| {
                let at = usize::from(*interval);
                let (merits, rules) = (self.merits[at].iter().collect::<Vec<_>>(), self.config.rules);
                let import = possible_imports(&merits, self.imports[at], self.capacity[at], &rules);
                Plain { merits, import, rules }
            })
            .collect();
        for (at, interval) in intervals.iter().enumerate() {
            if solved.tables[at].is_none() || changed.contains(interval) {
                let duration = durations[usize::from(*interval)];
                solved.tables[at] = Some(Table::new(*interval, duration, &plains[at], &solved.units));
            }
        }
        let mut position = vec![usize::MAX; self.merits.len()];
        for (at, interval) in intervals.iter().enumerate() {
            position[usize::from(*interval)] = at;
        }
        let problem = Problem {
            units: &solved.units,
            tables: solved.tables.iter().flatten().collect(),
            plains,
            position,
            capacity: intervals.iter().map(|interval| self.capacity[usize::from(*interval)]).collect(),
        };
        let solution = search::solve(&problem, self.config.node_budget);
        let mut results = Vec::with_capacity(intervals.len());
        for (at, interval) in intervals.iter().enumerate() {
            results.push((*interval, self.interval_result(&problem, &solution.state, *interval, at)));
        }
        let accepted = (0..problem.units.len()).filter(|unit| solution.state.ratios[*unit] > 0).map(|unit| Accepted {
            order: problem.units[unit].order,
            ratio: solution.state.ratios[unit],
            intervals: problem.units[unit].periods.iter().map(|period| period.interval).collect(),
            margin: solution.state.margin(&problem, unit).div_euclid(VALUE_PER_MICRO),
        });
        solved.summary = Component {
            accepted: accepted.collect(),
            welfare: solution.welfare.div_euclid(VALUE_PER_MICRO),
            bound: solution.bound.div_euclid(VALUE_PER_MICRO),
            nodes: solution.nodes,
            intervals: intervals.clone(),
        };
        solved.state = Some(solution.state);
        for (interval, result) in results {
            self.results[usize::from(interval)] = result;
        }
    }

    fn interval_result(&self, problem: &Problem<'_>, state: &State, interval: Interval, at: usize) -> IntervalClearing {
        let cleared = &state.cleared[at];
        let merits = &self.merits[usize::from(interval)];
        let zone_result = |zone: usize| {
            let price = cleared.price[zone];
            let fixed = problem.plains[at].import[zone];
            let import = fixed + if zone == 0 { -cleared.flow } else { cleared.flow };
            let total = |side: Side| {
                let margins = complex_margins(problem.units, &state.ratios, (interval, zone, side), price);
                margins.iter().map(|margin| margin.base + margin.room).sum::<i64>()
            };
            let demand = merits[zone].demand(price) + total(Side::Buy);
            let bought = demand.min(merits[zone].supply(price) + total(Side::Sell) + import);
            let mut clearing = uniform::at_price(&merits[zone], price, import);
            (clearing.bought, clearing.sold) = (bought, bought - import);
            clearing.price = (clearing.bought > 0 || clearing.sold > 0).then_some(price);
            clearing.range = cleared.range[zone];
            clearing.curtailed = self.imports[usize::from(interval)][zone] - fixed;
            clearing.marginal = clearing.price.and_then(|_| self.marginal(problem, state, interval, zone, &clearing));
            for (unit, ratio) in problem.units.iter().zip(&state.ratios).filter(|(unit, _)| unit.zone == zone) {
                let here = unit.periods.iter().filter(|period| *ratio > 0 && period.interval == interval);
                let gain: i128 = here.map(|period| gain(unit, period, *ratio, price)).sum();
                if unit.side == Side::Buy { clearing.buy_surplus += gain } else { clearing.sell_surplus += gain }
            }
            clearing
        };
        IntervalClearing {
            zones: (0..merits.len()).map(zone_result).collect(),
            flow: cleared.flow,
            congested: merits.len() == 2 && cleared.price[0] != cleared.price[1],
        }
    }

    fn marginal(
        &self,
        problem: &Problem<'_>,
        state: &State,
        interval: Interval,
        zone: usize,
        clearing: &Clearing,
    ) -> Option<(Side, OrderId)> {
        let merit = &self.merits[usize::from(interval)][zone];
        let price = clearing.price?;
        let of = |side: Side| {
            let margins = complex_margins(problem.units, &state.ratios, (interval, zone, side), price);
            let total: i64 = margins.iter().map(|margin| margin.base + margin.room).sum();
            let at = margins.iter().filter(|margin| margin.room > 0).map(|margin| margin.order).min();
            let plain = merit.orders_at(price, side).next().map(|found| found.0);
            (total, [at, plain].into_iter().flatten().min())
        };
        let (sell, buy) = (of(Side::Sell), of(Side::Buy));
        let sell_cut = clearing.sold < merit.supply(price) + sell.0;
        let buy_cut = clearing.bought < merit.demand(price) + buy.0;
        let (sell, buy) = (sell.1.map(|id| (Side::Sell, id)), buy.1.map(|id| (Side::Buy, id)));
        let here = if buy_cut && !sell_cut { buy.or(sell) } else { sell.or(buy) };
        here.or_else(|| uniform::marginal(merit, price, clearing.sold, clearing.bought))
    }
}

fn gain(unit: &Unit, period: &Period, ratio: u32, price: i64) -> i128 {
    let hour = period.surplus(unit.side, price) / i128::from(period.duration);
    hour * i128::from(ratio) / i128::from(WHOLE)
}

/// Sure and open quantities of the accepted units of one side and zone in an interval, at its price.
pub(super) fn complex_margins(
    units: &[Unit],
    ratios: &[u32],
    (interval, zone, side): (Interval, usize, Side),
    price: i64,
) -> Vec<Margin> {
    let mut margins = Vec::new();
    for (unit, ratio) in units.iter().zip(ratios).filter(|(_, ratio)| **ratio > 0) {
        if unit.zone != zone || unit.side != side {
            continue;
        }
        for period in unit.periods.iter().filter(|period| period.interval == interval) {
            let base = Unit::scaled(period.taken(side, price, true).0, *ratio);
            let room = if unit.block.is_some() { 0 } else { period.taken(side, price, false).0 - base };
            margins.push(Margin { order: unit.order, base, room });
        }
    }
    margins
}
