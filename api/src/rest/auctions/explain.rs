//! Why an interval clears as it does: the bid that sets the price, who shares the margin, and what became of complex bids.

use std::collections::BTreeMap;

use auction::{Book, Interval};
use clearing::{Accepted, Order, OrderId, WHOLE};
use model::bid::Step;
use model::money::{price, volume_mwh};
use model::time::rfc3339;
use model::{LiveBid, Reader, Side};
use serde::Serialize;
use utoipa::ToSchema;

use crate::view::bid::StepView;

/// Most bids of a list.
const MAX_BIDS: usize = 1_000;

/// Why an interval clears as it does.
#[derive(Serialize, ToSchema)]
pub(crate) struct Explain {
    /// The bid that sets the price; null when nothing is traded.
    marginal: Option<MarginalBid>,
    /// Bids with something at exactly the clearing price, and their share of it.
    at_margin: Vec<MarginBid>,
    /// What complex bids connect the interval with; null when there are none in it.
    component: Option<ComponentView>,
    /// Whether a list was cut off.
    truncated: bool,
}

/// The bid that sets the price.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarginalBid {
    bid: String,
    organisation: String,
    /// `buy` or `sell`.
    side: &'static str,
    /// The step that sets it; in a vertical gap, the nearest that is accepted.
    step: Option<StepView>,
}

/// A bid at the margin.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarginBid {
    bid: String,
    organisation: String,
    /// `buy` or `sell`.
    side: &'static str,
    /// MW it has at the clearing price.
    at_price_mw: f64,
    /// MW of them that are accepted.
    awarded_mw: f64,
}

/// Intervals that complex bids connect: they clear together.
#[derive(Serialize, ToSchema)]
pub(crate) struct ComponentView {
    /// Starts of its intervals.
    intervals: Vec<String>,
    /// Welfare reached, currency.
    welfare: f64,
    /// No other choice of complex bids reaches more than this, currency.
    bound: f64,
    /// Complex bids, the accepted ones first.
    complex: Vec<ComplexBid>,
}

/// What became of a complex bid.
#[derive(Serialize, ToSchema)]
pub(crate) struct ComplexBid {
    bid: String,
    organisation: String,
    /// `buy` or `sell`.
    side: &'static str,
    /// `block`, `minimum_income`, or `curve` with minimum quantities.
    kind: &'static str,
    accepted: bool,
    /// How much of it, 0 to 1.
    ratio: f64,
    /// Starts of the intervals for which it is accepted.
    intervals: Vec<String>,
    /// What its condition leaves over, currency; null when it is not accepted.
    surplus: Option<f64>,
}

/// Explains an interval of a cleared book in one of its zones, with the bids that `reader` may see.
pub(crate) fn explain(book: &Book, interval: Interval, zone: usize, reader: &Reader) -> Explain {
    let cleared = &book.day().result(interval).zones[zone];
    let start_ms = book.intervals().start_ms(interval);
    let marginal = cleared.price.zip(cleared.marginal).and_then(|(at, (_, id))| {
        let bid = book.bid(id).filter(|bid| reader.sees(&bid.organisation))?;
        Some(MarginalBid {
            bid: bid.bid.clone(),
            organisation: bid.organisation.clone(),
            side: bid.side.as_str(),
            step: marginal_step(bid, start_ms, at).map(StepView::new),
        })
    });
    let mut at_margin = cleared.price.map_or_else(Vec::new, |at| margin(book, interval, zone, at, reader));
    let mut component = component(book, interval, reader);
    let complex = component.as_ref().map_or(0, |component| component.complex.len());
    let truncated = at_margin.len() > MAX_BIDS || complex > MAX_BIDS;
    at_margin.truncate(MAX_BIDS);
    if let Some(component) = &mut component {
        component.complex.truncate(MAX_BIDS);
    }
    Explain { marginal, at_margin, component, truncated }
}

/// Lowest and highest price of a step.
fn span(step: &Step) -> (i64, i64) {
    (step.price_micros.min(step.end_price_micros), step.price_micros.max(step.end_price_micros))
}

fn is_at(step: &Step, at: i64) -> bool {
    let (low, high) = span(step);
    (low..=high).contains(&at)
}

/// Whether all of a step is strictly in the money.
fn is_inside(step: &Step, side: Side, at: i64) -> bool {
    let (low, high) = span(step);
    if side == Side::Sell { high < at } else { low > at }
}

fn marginal_step(bid: &LiveBid, start_ms: i64, at: i64) -> Option<&Step> {
    let steps = || bid.steps.iter().filter(|step| step.start_ms == start_ms);
    steps().find(|step| is_at(step, at)).or_else(|| {
        let inside = steps().filter(|step| is_inside(step, bid.side, at));
        inside.min_by_key(|step| (step.price_micros - at).abs())
    })
}

fn margin(book: &Book, interval: Interval, zone: usize, at: i64, reader: &Reader) -> Vec<MarginBid> {
    let start_ms = book.intervals().start_ms(interval);
    let mut found = Vec::new();
    for (side, of) in [(Side::Buy, clearing::Side::Buy), (Side::Sell, clearing::Side::Sell)] {
        let accepted = book.day().accepted(interval, u8::from(zone > 0), of);
        for order in book.day().orders().values().filter(|order| order.side == of && usize::from(order.zone) == zone) {
            let Some(bid) = book.bid(order.id).filter(|bid| reader.sees(&bid.organisation)) else { continue };
            let awarded = accepted.get(&order.id).copied().unwrap_or(0);
            // A block stands or falls as a whole, and a complex bid that is refused has no share to wait for.
            let is_block = matches!(order.kind, clearing::Kind::Block(_));
            if is_block || (order.is_complex() && awarded == 0) {
                continue;
            }
            let sum = |wanted: &dyn Fn(&Step) -> bool| -> i64 {
                let steps = bid.steps.iter().filter(|step| step.start_ms == start_ms && wanted(step));
                steps.map(|step| step.power_kw).sum()
            };
            let (here, inside) = (sum(&|step| is_at(step, at)), sum(&|step| is_inside(step, side, at)));
            if here > 0 {
                found.push(MarginBid {
                    bid: bid.bid.clone(),
                    organisation: bid.organisation.clone(),
                    side: side.as_str(),
                    at_price_mw: volume_mwh(here),
                    awarded_mw: volume_mwh((awarded - inside).clamp(0, here)),
                });
            }
        }
    }
    found.sort_by(|one, other| (one.side, &one.bid).cmp(&(other.side, &other.bid)));
    found
}

fn component(book: &Book, interval: Interval, reader: &Reader) -> Option<ComponentView> {
    let component = book.day().components().find(|component| component.intervals.contains(&interval))?;
    let mut accepted: BTreeMap<OrderId, Vec<&Accepted>> = BTreeMap::new();
    for one in &component.accepted {
        accepted.entry(one.order).or_default().push(one);
    }
    // A component has all the intervals of its bids, so one of them tells.
    let inside = |order: &&Order| {
        order.is_complex() && order.intervals().first().is_some_and(|first| component.intervals.contains(first))
    };
    let orders = book.day().orders().values().filter(inside);
    let own = orders.filter_map(|order| Some((order.id, book.bid(order.id)?)));
    let own = own.filter(|(_, bid)| reader.sees(&bid.organisation));
    let mut complex: Vec<ComplexBid> = own.map(|(id, bid)| complex_bid(book, bid, accepted.get(&id))).collect();
    complex.sort_by(|one, other| (!one.accepted, &one.bid).cmp(&(!other.accepted, &other.bid)));
    Some(ComponentView {
        intervals: component.intervals.iter().map(|at| rfc3339(book.intervals().start_ms(*at))).collect(),
        welfare: money(component.welfare),
        bound: money(component.bound),
        complex,
    })
}

fn complex_bid(book: &Book, bid: &LiveBid, accepted: Option<&Vec<&Accepted>>) -> ComplexBid {
    let accepted = accepted.map_or(&[][..], Vec::as_slice);
    let mut intervals: Vec<Interval> = accepted.iter().flat_map(|one| one.intervals.iter().copied()).collect();
    intervals.sort_unstable();
    intervals.dedup();
    ComplexBid {
        bid: bid.bid.clone(),
        organisation: bid.organisation.clone(),
        side: bid.side.as_str(),
        kind: bid.kind.as_str(),
        accepted: !accepted.is_empty(),
        ratio: f64::from(accepted.iter().map(|one| one.ratio).max().unwrap_or(0)) / f64::from(WHOLE),
        intervals: intervals.into_iter().map(|at| rfc3339(book.intervals().start_ms(at))).collect(),
        surplus: (!accepted.is_empty()).then(|| money(accepted.iter().map(|one| one.margin).sum())),
    }
}

fn money(micros: i128) -> f64 {
    price(i64::try_from(micros).unwrap_or(i64::MAX))
}
