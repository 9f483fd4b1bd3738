//! The book of one delivery day and its clearing, kept up to date order by order.
//!
//! ```text
//!  plain orders ──► MeritOrder per (interval, zone) ─────────────┐
//!  complex orders ─► components: intervals they connect ─► tables ┴─► search ─► prices, acceptances
//! ```
//! A change marks its intervals; [`Day::clear`] re-clears those alone, or, where complex orders connect them with
//! others, their component (the tables of its untouched intervals are kept). The result is a function of the book:
//! equal to a clearing from scratch, whatever came before. A refused change leaves the book as it was.
//!
//! State: the orders, one merit order per interval and zone, and for intervals with complex orders one table each.

mod group;
mod solve;

use crate::complex::evaluate::State;
use crate::complex::table::Table;
use crate::complex::unit::Unit;
use crate::coupling;
use crate::merit::MeritOrder;
use crate::order::{Interval, Kind, Order, OrderId, Refusal, Side, Zone};
use crate::uniform::{self, Clearing, Rules};
use std::collections::{BTreeMap, BTreeSet};

/// Shape of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Duration of each delivery interval, ms; the intervals are its indices.
    pub durations_ms: Vec<i64>,
    /// 1 or 2.
    pub zones: Zone,
    /// Price rules.
    pub rules: Rules,
    /// Nodes that the search may visit per component; beyond 100 complex orders fewer in proportion, which bounds the
    /// time (about 0.5 ms a node at 100 orders and 24 hours).
    pub node_budget: u64,
}

impl Config {
    /// One zone, `intervals` hours, European price limits, 5,000 nodes.
    #[must_use]
    pub fn hours(intervals: Interval) -> Self {
        let durations_ms = vec![3_600_000; usize::from(intervals)];
        Self { durations_ms, zones: 1, rules: Rules::default(), node_budget: 5_000 }
    }
}

/// Result of one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntervalClearing {
    /// Per zone.
    pub zones: Vec<Clearing>,
    /// Flow from zone 0 to zone 1, kW.
    pub flow: i64,
    /// Whether prices differ because the capacity is used up.
    pub congested: bool,
}

/// A complex order that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The order.
    pub order: OrderId,
    /// Ratio, ppm.
    pub ratio: u32,
    /// Intervals for which it is accepted (all of the order's, but for minimum quantities without income condition).
    pub intervals: Vec<Interval>,
    /// What its condition leaves over, micro-currency, rounded down; never negative but for a parent kept by its family.
    pub margin: i128,
}

/// Result of intervals that complex orders connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Intervals, ascending.
    pub intervals: Vec<Interval>,
    /// Complex orders accepted, by id.
    pub accepted: Vec<Accepted>,
    /// Welfare reached, micro-currency.
    pub welfare: i128,
    /// No feasible set reaches more than this; equal to `welfare` when the search was complete.
    pub bound: i128,
    /// Nodes visited.
    pub nodes: u64,
}

#[derive(Clone, Debug)]
struct Solved {
    orders: Vec<OrderId>,
    units: Vec<Unit>,
    tables: Vec<Option<Table>>,
    state: Option<State>,
    summary: Component,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Day {
    config: Config,
    merits: Vec<Vec<MeritOrder>>,
    imports: Vec<[i64; 2]>,
    capacity: Vec<[i64; 2]>,
    orders: BTreeMap<OrderId, Order>,
    complex: BTreeSet<OrderId>,
    changed_intervals: BTreeSet<Interval>,
    changed_complex: BTreeSet<OrderId>,
    components: Vec<Solved>,
    of_interval: Vec<Option<usize>>,
    results: Vec<IntervalClearing>,
}

impl Day {
    /// An empty book: no orders, no flows, no capacity between the zones.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let intervals = config.durations_ms.len();
        let zones = usize::from(config.zones.clamp(1, 2));
        let all = 0..Interval::try_from(intervals).expect("a day has fewer than 65,536 intervals");
        Self {
            merits: vec![vec![MeritOrder::default(); zones]; intervals],
            imports: vec![[0; 2]; intervals],
            capacity: vec![[0; 2]; intervals],
            orders: BTreeMap::new(),
            complex: BTreeSet::new(),
            changed_intervals: all.collect(),
            changed_complex: BTreeSet::new(),
            components: Vec::new(),
            of_interval: vec![None; intervals],
            results: vec![IntervalClearing::default(); intervals],
            config,
        }
    }

    /// Shape of the day.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Live orders by id.
    #[must_use]
    pub fn orders(&self) -> &BTreeMap<OrderId, Order> {
        &self.orders
    }

    /// The merit order of the plain orders of one auction.
    #[must_use]
    pub fn merit(&self, interval: Interval, zone: Zone) -> &MeritOrder {
        &self.merits[usize::from(interval)][usize::from(zone)]
    }

    /// Insert an order, or amend the one with its id; gives back what was there.
    ///
    /// # Errors
    /// [`Refusal`]; the book is unchanged.
    pub fn put(&mut self, order: Order) -> Result<Option<Order>, Refusal> {
        let intervals = Interval::try_from(self.merits.len()).expect("checked in new");
        order.check(self.config.zones, intervals, self.config.rules.floor, self.config.rules.cap)?;
        let before = self.take_out(order.id);
        self.enter(&order, true);
        self.orders.insert(order.id, order);
        Ok(before)
    }

    /// Withdraw an order.
    ///
    /// # Errors
    /// [`Refusal::UnknownOrder`].
    pub fn withdraw(&mut self, id: OrderId) -> Result<Order, Refusal> {
        self.take_out(id).ok_or(Refusal::UnknownOrder(id))
    }

    /// Fixed (price-independent) net import into a zone, kW; negative is export.
    pub fn set_import(&mut self, interval: Interval, zone: Zone, import: i64) {
        self.imports[usize::from(interval)][usize::from(zone)] = import;
        self.changed_intervals.insert(interval);
    }

    /// Capacity from zone 0 to 1 and from 1 to 0, kW.
    pub fn set_capacity(&mut self, interval: Interval, capacity: [i64; 2]) {
        self.capacity[usize::from(interval)] = capacity.map(|kw| kw.max(0));
        self.changed_intervals.insert(interval);
    }

    fn take_out(&mut self, id: OrderId) -> Option<Order> {
        let order = self.orders.remove(&id)?;
        self.enter(&order, false);
        Some(order)
    }

    fn enter(&mut self, order: &Order, add: bool) {
        self.changed_intervals.extend(order.intervals());
        let zone = usize::from(order.zone);
        if order.is_complex() {
            self.changed_complex.insert(order.id);
            if add {
                self.complex.insert(order.id)
            } else {
                self.complex.remove(&order.id)
            };
            return;
        }
        match &order.kind {
            Kind::Block(_) => {}
            Kind::Steps(steps, _) => {
                for step in steps {
                    let merit = &mut self.merits[usize::from(step.interval)][zone];
                    if add {
                        merit.add_step(order.id, order.side, step.price, step.power);
                    } else {
                        merit.remove_step(order.id, order.side, step.price, step.power);
                    }
                }
            }
            Kind::Linear(segments) => {
                for (copy, segment) in (0_u32..).zip(segments) {
                    let merit = &mut self.merits[usize::from(segment.interval)][zone];
                    if add {
                        merit.add_segment(order.id, order.side, *segment, copy);
                    } else {
                        merit.remove_segment(order.id, order.side, *segment, copy);
                    }
                }
            }
        }
    }

    /// Clear what has changed since the last call. Returns the intervals that were cleared again, ascending.
    pub fn clear(&mut self) -> Vec<Interval> {
        let changed = std::mem::take(&mut self.changed_intervals);
        let changed_complex = std::mem::take(&mut self.changed_complex);
        let mut cleared = changed.clone();
        if !changed_complex.is_empty() {
            cleared.extend(self.regroup(&changed_complex));
        }
        let mut solve = BTreeSet::new();
        for interval in &cleared {
            match self.of_interval[usize::from(*interval)] {
                Some(component) => {
                    solve.insert(component);
                }
                None => self.results[usize::from(*interval)] = self.clear_plain(*interval),
            }
        }
        for component in solve {
            let hole = Solved::new(Vec::new(), Vec::new());
            let mut solved = std::mem::replace(&mut self.components[component], hole);
            self.solve(&mut solved, &changed);
            cleared.extend(solved.summary.intervals.iter().copied());
            self.components[component] = solved;
        }
        cleared.into_iter().collect()
    }

    fn clear_plain(&self, interval: Interval) -> IntervalClearing {
        let at = usize::from(interval);
        let (merits, import, rules) = (&self.merits[at], self.imports[at], &self.config.rules);
        match &merits[..] {
            [one, two] => {
                let cleared = coupling::clear([one, two], import, self.capacity[at], rules);
                IntervalClearing { zones: cleared.zones.into(), flow: cleared.flow, congested: cleared.congested }
            }
            _ => IntervalClearing { zones: vec![uniform::clear(&merits[0], import[0], rules)], ..Default::default() },
        }
    }

    /// Result of one interval, as of the last [`Self::clear`].
    #[must_use]
    pub fn result(&self, interval: Interval) -> &IntervalClearing {
        &self.results[usize::from(interval)]
    }

    /// Results of the connected intervals with complex orders.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.components.iter().map(|solved| &solved.summary)
    }

    /// Accepted kW per order of one auction and side, as of the last [`Self::clear`]. O(orders); sums to `sold` or
    /// `bought` of the clearing exactly.
    #[must_use]
    pub fn accepted(&self, interval: Interval, zone: Zone, side: Side) -> BTreeMap<OrderId, i64> {
        let at = usize::from(zone);
        let clearing = &self.results[usize::from(interval)].zones[at];
        let Some(price) = clearing.price else { return BTreeMap::new() };
        let total = if side == Side::Sell { clearing.sold } else { clearing.bought };
        let solved = self.of_interval[usize::from(interval)].map(|component| &self.components[component]);
        let extra = solved.and_then(|solved| {
            let state = solved.state.as_ref()?;
            Some(solve::complex_margins(&solved.units, &state.ratios, (interval, at, side), price))
        });
        uniform::acceptance(self.merit(interval, zone), price, side, total, &extra.unwrap_or_default())
    }
}

impl Solved {
    fn new(intervals: Vec<Interval>, orders: Vec<OrderId>) -> Self {
        Self {
            orders,
            units: Vec::new(),
            tables: vec![None; intervals.len()],
            state: None,
            summary: Component { intervals, accepted: Vec::new(), welfare: 0, bound: 0, nodes: 0 },
        }
    }
}
