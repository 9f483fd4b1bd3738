//! The merit order of one auction (zone, interval): price level → quantity per side, with cumulative sums.
//!
//! ```text
//!  steps:    Tree<Level>   one 64-byte node per price level, both sides in it: one descent finds the crossing
//!  lines:    Tree<Bend>    two bends per linear segment: slope and offset in 2^-40 kW; empty when no linear orders
//!  at_level: (price, side, order) → kW      who stands at a level: marginal orders, pro-rata
//! ```
//! Everything is defined on the grid of integer prices: `supply(p)` is what sells at p or less, `demand(p)` what buys
//! at p or more, and the net supply `excess(p) = supply(p) − demand(p + 1)` never falls with p. A linear curve is on this
//! grid a staircase, rounded to the nearest kW in the sum over all segments of a side; each order
//! gets what its line says to within 1 kW.
//!
//! Cost: O(log levels) per change and per query. State: 64 B a level + about 45 B a live (order, level) pair.

use crate::order::{OrderId, Segment, Side};
use crate::sums::{Bend, Level};
use crate::tree::Tree;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Linear quantities are summed in 2^-40 kW: slopes are off by less than that, sums of 2^15 segments of 2^40 kW fit.
const FRACTION_BITS: u32 = 40;

/// One price level of the merit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeritLevel {
    /// Micro-currency per MWh.
    pub price: i64,
    /// Offered for sale at exactly this price by steps, kW.
    pub sell: i64,
    /// Asked for at exactly this price by steps, kW.
    pub buy: i64,
    /// Supply at this price or less, linear segments included, kW.
    pub supply: i64,
    /// Demand at this price or more, linear segments included, kW.
    pub demand: i64,
}

/// Part of an order that price alone does not decide: between `base` and `base + room` kW at the clearing price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Margin {
    pub(crate) order: OrderId,
    pub(crate) base: i64,
    pub(crate) room: i64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct MeritOrder {
    steps: Tree<Level>,
    lines: Tree<Bend>,
    line_buy_total: i64,
    at_level: BTreeMap<(i64, Side, OrderId), i64>,
    segments: BTreeSet<(OrderId, Side, Segment, u32)>,
}

fn level(side: Side, price: i64, power: i64) -> Level {
    let value = i128::from(price) * i128::from(power);
    match side {
        Side::Sell => Level { sell: power, sell_value: value, ..Level::default() },
        Side::Buy => Level { buy: power, buy_value: value, ..Level::default() },
    }
}

/// (lower price, upper price) of a segment; its quantity, or what leaves the demand, rises between them.
fn span(segment: &Segment) -> (i64, i64) {
    (segment.start_price.min(segment.end_price), segment.start_price.max(segment.end_price))
}

/// kW of a sell segment (or kW gone from a buy segment) at `price`, in 2^-40 kW.
fn risen(segment: &Segment, price: i64) -> i128 {
    let (low, high) = span(segment);
    if price >= high {
        return i128::from(segment.power) << FRACTION_BITS;
    }
    slope(segment) * i128::from((price - low).max(0))
}

fn slope(segment: &Segment) -> i128 {
    let (low, high) = span(segment);
    (i128::from(segment.power) << FRACTION_BITS) / i128::from(high - low)
}

impl MeritOrder {
    /// Price levels of steps held.
    #[must_use]
    pub fn level_count(&self) -> usize {
        self.steps.len()
    }

    /// Live (order, level) pairs and linear segments held.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.at_level.len() + self.segments.len()
    }

    /// Bytes held, estimated: arenas as allocated, ordered maps at three quarters full.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let entry = size_of::<(i64, Side, OrderId)>() + size_of::<i64>();
        let segment = size_of::<(OrderId, Side, Segment, u32)>();
        self.steps.bytes() + self.lines.bytes() + (self.at_level.len() * entry + self.segments.len() * segment) * 4 / 3
    }

    /// Add `power` kW at `price`; a second step of one order at one price adds to the first.
    pub fn add_step(&mut self, order: OrderId, side: Side, price: i64, power: i64) {
        self.steps.add(price, level(side, price, power));
        *self.at_level.entry((price, side, order)).or_insert(0) += power;
    }

    /// Take back what [`Self::add_step`] added.
    ///
    /// # Panics
    /// If it never was added: the book keeps the orders, so that would be a broken invariant.
    pub fn remove_step(&mut self, order: OrderId, side: Side, price: i64, power: i64) {
        self.steps.add(price, Level::default() - level(side, price, power));
        let Entry::Occupied(mut held) = self.at_level.entry((price, side, order)) else {
            unreachable!("a removed step was added before")
        };
        *held.get_mut() -= power;
        if *held.get() == 0 {
            held.remove();
        }
    }

    /// Add a linear segment. `copy` tells equal segments of one order apart.
    pub fn add_segment(&mut self, order: OrderId, side: Side, segment: Segment, copy: u32) {
        if self.segments.insert((order, side, segment, copy)) {
            self.bend(side, &segment, false);
        }
    }

    /// Take back what [`Self::add_segment`] added.
    pub fn remove_segment(&mut self, order: OrderId, side: Side, segment: Segment, copy: u32) {
        if self.segments.remove(&(order, side, segment, copy)) {
            self.bend(side, &segment, true);
        }
    }

    fn bend(&mut self, side: Side, segment: &Segment, remove: bool) {
        let (low, high) = span(segment);
        let (slope, low_price) = (slope(segment), i128::from(low));
        let mut start = Bend::default();
        start.slope[side as usize] = slope;
        start.offset[side as usize] = -slope * low_price;
        let mut end = Bend::default();
        end.slope[side as usize] = -slope;
        end.offset[side as usize] = slope * low_price + (i128::from(segment.power) << FRACTION_BITS);
        let power = if side == Side::Buy { segment.power } else { 0 };
        if remove {
            (start, end) = (Bend::default() - start, Bend::default() - end);
            self.line_buy_total -= power;
        } else {
            self.line_buy_total += power;
        }
        self.lines.add(low, start);
        self.lines.add(high, end);
    }

    /// Whether linear segments are in the book.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Linear (supply, demand gone) at `price`, whole kW.
    fn line_sums(&self, price: i64) -> (i64, i64) {
        if self.segments.is_empty() {
            return (0, 0);
        }
        let sum = self.lines.prefix(price);
        let at = |side: Side| sum.slope[side as usize] * i128::from(price) + sum.offset[side as usize];
        let nearest = |power: i128| to_kw((power + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS);
        (nearest(at(Side::Sell)), nearest(at(Side::Buy)))
    }

    /// What sells at `price` or less, kW.
    #[must_use]
    pub fn supply(&self, price: i64) -> i64 {
        self.steps.prefix(price).sell + self.line_sums(price).0
    }

    /// What buys at `price` or more, kW.
    #[must_use]
    pub fn demand(&self, price: i64) -> i64 {
        let left = self.line_buy_total - self.line_sums(price).1;
        self.steps.total().buy - self.steps.prefix(price - 1).buy + left
    }

    /// Net supply once everything at `price` is in: supply(price) − demand(price + 1), kW. Never falls with price.
    #[must_use]
    pub fn excess(&self, price: i64) -> i64 {
        let upto = self.steps.prefix(price);
        let lines = if self.segments.is_empty() {
            0
        } else {
            self.line_sums(price).0 + self.line_sums(price + 1).1 - self.line_buy_total
        };
        upto.sell + upto.buy - self.steps.total().buy + lines
    }

    /// The lowest price in `floor..=cap` with `excess(price) >= target`. One descent when there are no linear orders.
    #[must_use]
    pub fn first_reaching(&self, target: i64, floor: i64, cap: i64) -> Option<i64> {
        let buy_total = self.steps.total().buy;
        let plain = self.segments.is_empty();
        let found = self.steps.first(|price, upto| {
            if plain { upto.sell + upto.buy - buy_total >= target } else { self.excess(price) >= target }
        });
        if plain {
            if -buy_total >= target {
                return Some(floor);
            }
            return found.map(|(price, _, _)| price.clamp(floor, cap)).filter(|price| self.excess(*price) >= target);
        }
        let mut high = found.map_or(cap, |(price, _, _)| price.min(cap));
        if self.excess(high) < target {
            return None;
        }
        let mut low = self.steps.before(high).map_or(floor - 1, |price| price.max(floor - 1));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.excess(middle) >= target { high = middle } else { low = middle }
        }
        Some(high.max(floor))
    }

    /// Consumer and producer surplus at `price` per hour of delivery: Σ |limit − price|·kW over what is in the money,
    /// per side (buy, sell), in micro-currency per MWh × kW.
    #[must_use]
    pub fn surplus(&self, price: i64) -> (i128, i128) {
        let (upto, total) = (self.steps.prefix(price), self.steps.total());
        let p = i128::from(price);
        let mut buy = (total.buy_value - upto.buy_value) - p * i128::from(total.buy - upto.buy);
        let mut sell = p * i128::from(upto.sell) - upto.sell_value;
        for (_, side, segment, _) in &self.segments {
            let (low, high) = span(segment);
            let (power, width) = (i128::from(segment.power), i128::from(high - low));
            let into = i128::from(price.clamp(low, high) - low);
            match side {
                Side::Sell => sell += power * into * into / (2 * width) + power * i128::from((price - high).max(0)),
                Side::Buy => {
                    let left = width - into;
                    buy += power * left * left / (2 * width) + power * i128::from((low - price).max(0));
                }
            }
        }
        (buy, sell)
    }

    /// Step levels in ascending price with cumulative quantities.
    pub fn levels(&self) -> impl Iterator<Item = MeritLevel> + '_ {
        let buy_total = self.steps.total().buy;
        let (mut supply, mut gone) = (0, 0);
        self.steps.iter().map(move |(price, level)| {
            supply += level.sell;
            let demand = buy_total - gone;
            gone += level.buy;
            let (line_supply, line_gone) = self.line_sums(price);
            MeritLevel {
                price,
                sell: level.sell,
                buy: level.buy,
                supply: supply + line_supply,
                demand: demand + self.line_buy_total - line_gone,
            }
        })
    }

    /// Prices of all step levels and bends, ascending, with repeats between the two.
    pub(crate) fn prices(&self) -> impl Iterator<Item = i64> + '_ {
        self.steps.iter().map(|(price, _)| price).chain(self.lines.iter().map(|(price, _)| price))
    }

    /// Orders with a step at exactly `price`, by id, with their kW there.
    pub fn orders_at(&self, price: i64, side: Side) -> impl Iterator<Item = (OrderId, i64)> + '_ {
        let (from, to) = ((price, side, OrderId(0)), (price, side, OrderId(u64::MAX)));
        self.at_level.range(from..=to).map(|(key, power)| (key.2, *power))
    }

    /// The dearest sell level at or below `price`, or the cheapest buy level at or above it. One descent.
    #[must_use]
    pub fn nearest_in_the_money(&self, price: i64, side: Side) -> Option<i64> {
        match side {
            Side::Sell => {
                let all = self.steps.prefix(price).sell;
                // the sum reaches what it is at `price` at the last level that adds to it
                self.steps.first(|_, upto| upto.sell >= all).map(|found| found.0).filter(|_| all > 0)
            }
            Side::Buy => {
                let below = self.steps.prefix(price - 1).buy;
                self.steps.first(|_, upto| upto.buy > below).map(|found| found.0)
            }
        }
    }

    /// Top of the book: the dearest price at which somebody buys, the cheapest at which somebody sells. Two descents.
    #[must_use]
    pub fn best(&self) -> (Option<i64>, Option<i64>) {
        let total = self.steps.total();
        let sell = self.steps.first(|_, upto| upto.sell > 0).map(|found| found.0).filter(|_| total.sell > 0);
        let buy = self.steps.first(|_, upto| upto.buy >= total.buy).map(|found| found.0).filter(|_| total.buy > 0);
        let of = |side: Side| {
            let lines = self.segments.iter().filter(move |segment| segment.1 == side);
            lines.map(|segment| segment.2.start_price)
        };
        (of(Side::Buy).chain(buy).max(), of(Side::Sell).chain(sell).min())
    }

    /// Everything the price leaves open at `price` on one side: steps at the price, stairs of linear segments.
    pub(crate) fn margins(&self, price: i64, side: Side) -> Vec<Margin> {
        let mut margins: Vec<Margin> =
            self.orders_at(price, side).map(|(order, room)| Margin { order, base: 0, room }).collect();
        for (order, of, segment, _) in &self.segments {
            if *of != side {
                continue;
            }
            let whole = i128::from(segment.power) << FRACTION_BITS;
            let (sure, possible) = match side {
                Side::Sell => (risen(segment, price - 1), risen(segment, price)),
                Side::Buy => (whole - risen(segment, price + 1), whole - risen(segment, price)),
            };
            let base = to_kw(sure >> FRACTION_BITS);
            let room = to_kw(-((-possible) >> FRACTION_BITS)) - base;
            if base > 0 || room > 0 {
                margins.push(Margin { order: *order, base, room });
            }
        }
        margins.sort_unstable();
        margins
    }

    /// kW of step orders strictly in the money at `price`, per order, for one side. O(steps in the money).
    pub(crate) fn in_the_money(&self, price: i64, side: Side) -> impl Iterator<Item = (OrderId, i64)> + '_ {
        let keep = move |at: i64| if side == Side::Sell { at < price } else { at > price };
        self.at_level.iter().filter(move |(key, _)| key.1 == side && keep(key.0)).map(|(key, power)| (key.2, *power))
    }
}

fn to_kw(power: i128) -> i64 {
    i64::try_from(power).expect("sums of kW fit 64 bits: each order is at most 2^40")
}
