//! Two zones coupled through a capacity in each direction.
//!
//! The zones are first cleared together. If some flow within the capacities serves the common price, it is the price
//! of both; of the flows that do, the one is taken that gives the margin of both zones the same share, as if they were one
//! zone (or the nearest to it that the capacity allows). Otherwise the connection is congested: the flow is the capacity
//! in the direction that is asked for, each zone clears with it as a fixed import, and the price is the higher one
//! where the flow arrives (never the other way round: congestion means that the exporter has more to sell at the common
//! price than can leave). One zone alone is the same calculation without the second half.
//!
//! The zones are seen through `Zones` only: merit orders, or the tables of the complex solver.

use crate::merit::MeritOrder;
use crate::uniform::{self, Clearing, Rules, price_range};

/// Net supply of one or two zones, fixed imports included.
pub(crate) trait Zones {
    /// 1 or 2.
    fn count(&self) -> usize;
    /// excess(price) of one zone.
    fn excess(&self, zone: usize, price: i64) -> i64;
    /// The lowest price in floor..=cap where the excess of one zone (or of both: `None`) reaches `target`.
    fn first_reaching(&self, zone: Option<usize>, target: i64) -> Option<i64>;
    /// What sells, and what buys, at exactly this price in one zone, kW.
    fn at_margin(&self, zone: usize, price: i64) -> (i64, i64);
}

/// Prices and flow of coupled zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coupled {
    /// Price per zone.
    pub(crate) price: [i64; 2],
    /// Clearing prices per zone, (lowest, highest).
    pub(crate) range: [(i64, i64); 2],
    /// Flow from zone 0 to zone 1, kW.
    pub(crate) flow: i64,
    /// False when supply and demand cannot be balanced within floor and cap.
    pub(crate) balanced: bool,
}

/// Clear the zones. `capacity` is kW from zone 0 to 1, and from 1 to 0.
pub(crate) fn couple(zones: &impl Zones, capacity: [i64; 2], rules: &Rules) -> Coupled {
    let two = zones.count() == 2;
    let joint = |price: i64| zones.excess(0, price) + if two { zones.excess(1, price) } else { 0 };
    let range = price_range(|target| zones.first_reaching(None, target), joint, 0, rules);
    let price = rules.in_gap(range.0, range.1);
    let balanced = joint(price) >= 0 && joint(price - 1) <= 0;
    let alone = Coupled { price: [price; 2], range: [range; 2], flow: 0, balanced };
    if !two {
        return alone;
    }
    let low = zones.excess(0, price - 1).max(-zones.excess(1, price)).max(-capacity[1]);
    let high = zones.excess(0, price).min(-zones.excess(1, price - 1)).min(capacity[0]);
    if low <= high || !balanced {
        let flow = if low < high { even_flow(zones, price).clamp(low, high) } else { high };
        return Coupled { flow, ..alone };
    }
    let flow = if high == capacity[0] { capacity[0] } else { -capacity[1] };
    let one = |zone: usize, target: i64| {
        price_range(|t| zones.first_reaching(Some(zone), t), |p| zones.excess(zone, p), target, rules)
    };
    let ranges = [one(0, flow), one(1, -flow)];
    let prices = [rules.in_gap(ranges[0].0, ranges[0].1), rules.in_gap(ranges[1].0, ranges[1].1)];
    let clears = |zone: usize, target: i64| {
        zones.excess(zone, prices[zone]) >= target && zones.excess(zone, prices[zone] - 1) <= target
    };
    Coupled { price: prices, range: ranges, flow, balanced: clears(0, flow) && clears(1, -flow) }
}

/// The flow at which both zones accept the same share of what is cut at the common price. The most is traded there: the
/// short side is accepted whole.
fn even_flow(zones: &impl Zones, price: i64) -> i64 {
    let sure = [zones.excess(0, price - 1), zones.excess(1, price - 1)];
    let margin = [zones.at_margin(0, price), zones.at_margin(1, price)];
    let missing = -(sure[0] + sure[1]);
    let sells = margin[0].0 + margin[1].0;
    // sure: nothing sells and everything buys at the price
    if missing <= sells {
        return sure[0] + part(missing, margin[0].0, sells);
    }
    let buys = margin[0].1 + margin[1].1;
    sure[0] + margin[0].0 + part(missing - sells, margin[0].1, buys)
}

/// total × one / all, rounded to the nearest kW (half up).
fn part(total: i64, one: i64, all: i64) -> i64 {
    if all == 0 {
        return 0;
    }
    let (total, one, all) = (i128::from(total), i128::from(one), i128::from(all));
    i64::try_from((2 * total * one + all).div_euclid(2 * all)).expect("a part of a quantity in kW")
}

/// Merit orders with fixed imports, as [`Zones`].
pub(crate) struct Merits<'a> {
    pub(crate) merits: &'a [&'a MeritOrder],
    pub(crate) import: [i64; 2],
    pub(crate) rules: &'a Rules,
}

impl Zones for Merits<'_> {
    fn count(&self) -> usize {
        self.merits.len()
    }

    fn excess(&self, zone: usize, price: i64) -> i64 {
        self.merits[zone].excess(price) + self.import[zone]
    }

    fn at_margin(&self, zone: usize, price: i64) -> (i64, i64) {
        let merit = self.merits[zone];
        (merit.supply(price) - merit.supply(price - 1), merit.demand(price) - merit.demand(price + 1))
    }

    fn first_reaching(&self, zone: Option<usize>, target: i64) -> Option<i64> {
        let (floor, cap) = (self.rules.floor, self.rules.cap);
        if let Some(zone) = zone.or((self.merits.len() == 1).then_some(0)) {
            return self.merits[zone].first_reaching(target - self.import[zone], floor, cap);
        }
        let joint = |price: i64| self.excess(0, price) + self.excess(1, price);
        let (mut low, mut high) = (floor - 1, cap);
        if joint(high) < target {
            return None;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if joint(middle) >= target { high = middle } else { low = middle }
        }
        Some(high)
    }
}

/// Fixed imports cut to what the plain orders can take, so that the zones can be balanced: each zone to what it trades
/// itself and passes on, then both together, where the surplus is greatest first.
pub(crate) fn possible_imports(
    merits: &[&MeritOrder],
    import: [i64; 2],
    capacity: [i64; 2],
    rules: &Rules,
) -> [i64; 2] {
    let supply = |zone: usize| merits.get(zone).map_or(0, |merit| merit.supply(rules.cap));
    let demand = |zone: usize| merits.get(zone).map_or(0, |merit| merit.demand(rules.floor));
    let (supply, demand) = ([supply(0), supply(1)], [demand(0), demand(1)]);
    if merits.len() < 2 {
        return [import[0].clamp(-supply[0], demand[0]), 0];
    }
    let mut possible = import;
    for zone in 0..2 {
        // what leaves zone 0 leaves over capacity[0], what arrives there over capacity[1]
        let (out, inward) = (capacity[zone], capacity[1 - zone]);
        possible[zone] = possible[zone].clamp(-supply[zone] - inward, demand[zone] + out);
    }
    let over = |possible: [i64; 2], zone: usize| possible[zone] - demand[zone];
    let short = |possible: [i64; 2], zone: usize| -supply[zone] - possible[zone];
    for zone in if over(possible, 0) >= over(possible, 1) { [0, 1] } else { [1, 0] } {
        let excess = over(possible, 0) + over(possible, 1);
        possible[zone] -= excess.min(over(possible, zone)).max(0);
    }
    for zone in if short(possible, 0) >= short(possible, 1) { [0, 1] } else { [1, 0] } {
        let missing = short(possible, 0) + short(possible, 1);
        possible[zone] += missing.min(short(possible, zone)).max(0);
    }
    possible
}

/// Result of one interval of two coupled zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoupledClearing {
    /// Per zone; `import` includes the flow.
    pub zones: [Clearing; 2],
    /// Flow from zone 0 to zone 1, kW.
    pub flow: i64,
    /// Whether the prices differ because the capacity is used up.
    pub congested: bool,
}

/// Clear two zones of plain orders coupled by `capacity` (0→1, 1→0), with fixed imports per zone, all kW. Imports that
/// cannot be honoured are cut first ([`Clearing::curtailed`]); what is left clears by the ordinary rules.
#[must_use]
pub fn clear(merits: [&MeritOrder; 2], import: [i64; 2], capacity: [i64; 2], rules: &Rules) -> CoupledClearing {
    let possible = possible_imports(&merits, import, capacity, rules);
    let zones = Merits { merits: &merits, import: possible, rules };
    let coupled = couple(&zones, capacity, rules);
    let of = |zone: usize, inflow: i64| {
        let mut clearing = uniform::at_price(merits[zone], coupled.price[zone], possible[zone] + inflow);
        clearing.range = coupled.range[zone];
        clearing.curtailed = import[zone] - possible[zone];
        clearing
    };
    CoupledClearing {
        zones: [of(0, -coupled.flow), of(1, coupled.flow)],
        flow: coupled.flow,
        congested: coupled.price[0] != coupled.price[1],
    }
}
