//! Uniform-price clearing of one auction, O(log levels).
//!
//! With `excess(p)` of [`MeritOrder`] plus the fixed import, a price clears when excess(p − 1) <= 0 <= excess(p).
//! These prices are an interval [low, high] of the integer grid; every edge of the field is one of its shapes:
//!
//! | case | shape | what we do |
//! |---|---|---|
//! | vertical crossing of a step | low = high | that price; the step that is cut is the marginal order |
//! | horizontal overlap | low = high, steps of both sides at it | the volume is the greatest one possible |
//! | vertical gap | low < high, volume the same all along | the market's [`Gap`] rule: lower, upper or midpoint (rounded down) |
//! | no crossing, one-sided or empty book | volume 0 | no price |
//! | negative prices | nothing special | prices are signed |
//! | fixed import takes all demand, or more | gap open to the floor | price = floor, what is too much is curtailed |
//! | fixed export takes all supply, or more | gap open to the cap | price = cap, what is too much is curtailed |
//!
//! On the long side the quantity at the margin is shared in proportion to what each order has there, in whole kW:
//! rounded down, then one kW each to the largest remainders, then to the lower order id. Sold + import = bought +
//! export holds exactly in kW.

use crate::merit::{Margin, MeritOrder};
use crate::order::{OrderId, Side};
use std::collections::BTreeMap;

/// Which price of a vertical gap is the clearing price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gap {
    /// The lowest: the last accepted sell or first rejected buy sets it.
    Lower,
    /// The highest.
    Upper,
    /// Half-way, rounded down to the micro-currency (EUPHEMIA's rule).
    #[default]
    Midpoint,
}

/// The market's rules for a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Lowest price, micro-currency per MWh.
    pub floor: i64,
    /// Highest price.
    pub cap: i64,
    /// Rule for the vertical gap.
    pub gap: Gap,
}

impl Default for Rules {
    /// The harmonised limits of the European day-ahead market: −500 to 4,000 EUR/MWh.
    fn default() -> Self {
        Self { floor: -500_000_000, cap: 4_000_000_000, gap: Gap::Midpoint }
    }
}

impl Rules {
    /// The price of the gap [low, high] by the rule. Where only quantities without a price (fixed flows, blocks) meet a
    /// side in full, the gap is open towards the floor or the cap, and that is the price.
    #[must_use]
    pub fn in_gap(&self, low: i64, high: i64) -> i64 {
        match (low == self.floor, high == self.cap, self.gap) {
            (true, false, _) => low,
            (false, true, _) => high,
            (_, _, Gap::Lower) => low,
            (_, _, Gap::Upper) => high,
            (_, _, Gap::Midpoint) => low + (high - low) / 2,
        }
    }
}

/// Result of one auction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clearing {
    /// Clearing price, micro-currency per MWh; none when nothing is traded.
    pub price: Option<i64>,
    /// All prices that clear: (lowest, highest); equal unless there is a vertical gap.
    pub range: (i64, i64),
    /// Accepted sales, kW.
    pub sold: i64,
    /// Accepted purchases, kW. `sold + import == bought`.
    pub bought: i64,
    /// Net import into the zone (fixed flow and coupling) that was honoured, kW; negative is export.
    pub import: i64,
    /// Fixed import that could not be honoured, kW.
    pub curtailed: i64,
    /// The order that sets the price (see [`marginal`]).
    pub marginal: Option<(Side, OrderId)>,
    /// Surplus of the buyers, micro-currency per MWh × kW (divide by 1,000 for micro-currency an hour).
    pub buy_surplus: i128,
    /// Surplus of the sellers.
    pub sell_surplus: i128,
}

impl Clearing {
    /// Traded power: the larger of sold and bought, kW.
    #[must_use]
    pub fn volume(&self) -> i64 {
        self.sold.max(self.bought)
    }
}

/// Prices with `excess(p - 1) <= target <= excess(p)`, by a search and the excess itself.
pub(crate) fn price_range(
    first: impl Fn(i64) -> Option<i64>,
    excess: impl Fn(i64) -> i64,
    target: i64,
    rules: &Rules,
) -> (i64, i64) {
    let Some(low) = first(target) else { return (rules.cap, rules.cap) };
    if excess(low) > target {
        return (low, low);
    }
    (low, first(target + 1).unwrap_or(rules.cap))
}

/// Clear one auction of plain orders. `import` is a net fixed flow into the zone, kW (negative: export).
#[must_use]
pub fn clear(merit: &MeritOrder, import: i64, rules: &Rules) -> Clearing {
    let possible = import.clamp(-merit.supply(rules.cap), merit.demand(rules.floor));
    let range = price_range(
        |target| merit.first_reaching(target, rules.floor, rules.cap),
        |price| merit.excess(price),
        -possible,
        rules,
    );
    let mut clearing = at_price(merit, rules.in_gap(range.0, range.1), possible);
    clearing.range = range;
    clearing.curtailed = import - possible;
    clearing
}

/// The clearing of one zone at a price known to clear with `import`.
pub(crate) fn at_price(merit: &MeritOrder, price: i64, import: i64) -> Clearing {
    let bought = merit.demand(price).min(merit.supply(price) + import);
    let sold = bought - import;
    let (buy_surplus, sell_surplus) = merit.surplus(price);
    let traded = sold > 0 || bought > 0;
    Clearing {
        price: traded.then_some(price),
        range: (price, price),
        sold,
        bought,
        import,
        curtailed: 0,
        marginal: if traded { marginal(merit, price, sold, bought) } else { None },
        buy_surplus,
        sell_surplus,
    }
}

/// The price-setting order: at the price, the lowest id of the side that is cut there; else of sell, then buy, with a
/// step there; in a gap, the dearest accepted sell, or the cheapest accepted buy.
#[must_use]
pub fn marginal(merit: &MeritOrder, price: i64, sold: i64, bought: i64) -> Option<(Side, OrderId)> {
    let at = |side: Side, price: i64| merit.orders_at(price, side).next().map(|found| (side, found.0));
    let sell_cut = sold < merit.supply(price);
    let buy_cut = bought < merit.demand(price);
    let (first, second) = if buy_cut && !sell_cut { (Side::Buy, Side::Sell) } else { (Side::Sell, Side::Buy) };
    let here = at(first, price).or_else(|| at(second, price));
    if here.is_some() {
        return here;
    }
    if merit.has_lines() {
        for side in [Side::Sell, Side::Buy] {
            if let Some(margin) = merit.margins(price, side).iter().find(|margin| margin.room > 0) {
                return Some((side, margin.order));
            }
        }
    }
    let near = |side: Side| merit.nearest_in_the_money(price, side).and_then(|level| at(side, level));
    near(Side::Sell).or_else(|| near(Side::Buy))
}

/// Share `total` kW over the margins in proportion to their room: rounded down, then by largest remainder, then id.
pub(crate) fn share(total: i64, margins: &[Margin]) -> Vec<i64> {
    let rooms: i128 = margins.iter().map(|margin| i128::from(margin.room)).sum();
    let total = i128::from(total).clamp(0, rooms);
    if rooms == 0 {
        return vec![0; margins.len()];
    }
    let mut shares: Vec<i64> = Vec::with_capacity(margins.len());
    let mut remainders: Vec<(i128, usize)> = Vec::with_capacity(margins.len());
    for (at, margin) in margins.iter().enumerate() {
        let exact = total * i128::from(margin.room);
        shares.push(i64::try_from(exact / rooms).expect("a share is at most its room"));
        remainders.push((-(exact % rooms), at));
    }
    let given: i128 = shares.iter().map(|share| i128::from(*share)).sum();
    let left = usize::try_from(total - given).expect("fewer than one kW a margin is left");
    remainders.sort_unstable_by_key(|(remainder, at)| (*remainder, margins[*at].order, *at));
    for (_, at) in remainders.into_iter().take(left) {
        shares[at] += 1;
    }
    shares
}

/// Accepted kW per order, both sides, on demand: O(orders in the money). Orders with nothing accepted are absent.
///
/// `extra` are margins and sure quantities of complex orders that share the price with the plain ones.
pub(crate) fn acceptance(
    merit: &MeritOrder,
    price: i64,
    side: Side,
    total: i64,
    extra: &[Margin],
) -> BTreeMap<OrderId, i64> {
    let mut accepted: BTreeMap<OrderId, i64> = BTreeMap::new();
    for (order, power) in merit.in_the_money(price, side) {
        *accepted.entry(order).or_insert(0) += power;
    }
    let mut margins = merit.margins(price, side);
    margins.extend_from_slice(extra);
    margins.sort_unstable();
    for margin in &margins {
        *accepted.entry(margin.order).or_insert(0) += margin.base;
    }
    let sure: i64 = accepted.values().sum();
    for (margin, share) in margins.iter().zip(share(total - sure, &margins)) {
        *accepted.entry(margin.order).or_insert(0) += share;
    }
    accepted.retain(|_, power| *power > 0);
    accepted
}

/// Accepted kW per plain order of a clearing, one side.
#[must_use]
pub fn accepted(merit: &MeritOrder, clearing: &Clearing, side: Side) -> BTreeMap<OrderId, i64> {
    let Some(price) = clearing.price else { return BTreeMap::new() };
    let total = if side == Side::Sell { clearing.sold } else { clearing.bought };
    acceptance(merit, price, side, total, &[])
}
