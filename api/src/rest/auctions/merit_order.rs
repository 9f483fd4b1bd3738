//! The merit order of a delivery interval: price levels of supply and demand with what has come up to each.

use clearing::{MeritLevel, Order};
use model::money::{price, volume_mwh};
use model::time::{T, rfc3339};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{Answer, Shared, json};
use super::{IntervalBid, asked};
use crate::books::Place;
use crate::error::ErrorBody;
use crate::params::Params;
use crate::view::Series;

/// The merit order of one interval.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeritOrderView {
    /// The moment it is at, UTC ms.
    t: T,
    series: Series,
    /// Start of the delivery interval.
    start: String,
    /// Its length, ms.
    duration_ms: u32,
    /// Where it clears; null when nothing is traded.
    price: Option<f64>,
    /// Whether the limit cut something off.
    truncated: bool,
    /// Plain bids to sell, the cheapest first.
    supply: Vec<MeritLevelView>,
    /// Plain bids to buy, the dearest first.
    demand: Vec<MeritLevelView>,
    /// Bids whose curves are linear: they are in the levels' cumulative power, between levels.
    linear: Vec<IntervalBid>,
    /// Blocks, bids with a minimum income and bids with minimum quantities: in none of the levels.
    complex: Vec<IntervalBid>,
}

/// A price level.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct MeritLevelView {
    /// Currency per MWh.
    price: f64,
    /// MW at exactly this price.
    power_mw: f64,
    /// MW at this price or better.
    cumulative_mw: f64,
}

impl MeritLevelView {
    fn new(level: &MeritLevel, power_kw: i64, cumulative_kw: i64) -> Self {
        let (power_mw, cumulative_mw) = (volume_mwh(power_kw), volume_mwh(cumulative_kw));
        Self { price: price(level.price), power_mw, cumulative_mw }
    }
}

/// The price levels of supply and demand of a delivery interval; complex bids apart. Of the bids listed, your own.
#[utoipa::path(get, path = "/api/market/{location}/{interval}/merit-order", tag = "auctions",
    params(("location" = String, Path, description = "ZONE, ZONE/LOCATION (the slash as %2F), or a location's name if only one zone has it", example = "ES"),
        ("interval" = String, Path, description = "Any instant in the delivery interval: RFC 3339 or UTC milliseconds", example = "2030-06-20T22:00:00Z"),
        ("market" = Option<String>, Query, description = "Market; the zone's own, else the first that has bids there, without"),
        ("limit" = Option<usize>, Query, description = "At most so many levels a side, and bids a list, up to 5,000; 500 without", example = 500)),
    responses((status = 200, description = "The merit order", body = MeritOrderView),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "No such location, or no bids there: says where there are some", body = ErrorBody)))]
pub(crate) async fn merit_order(location: &str, interval: &str, query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["market", "limit"])?;
    let asked = asked(location, interval, &params)?;
    let limit = params.number("limit", 1..=5_000_usize)?.unwrap_or(500);
    let snapshot = app.snapshot();
    let place = Place::find(app, &snapshot, &asked)?;
    let book = app.books.cleared(&snapshot, place.auction).await?;
    let (interval, zone) = place.of(&book)?;
    let number = u8::from(zone > 0);
    let levels: Vec<MeritLevel> = book.day().merit(interval, number).levels().collect();
    let supply = levels.iter().filter(|level| level.sell > 0);
    let supply: Vec<_> =
        supply.map(|level| MeritLevelView::new(level, level.sell, level.supply)).take(limit + 1).collect();
    let demand = levels.iter().rev().filter(|level| level.buy > 0);
    let demand: Vec<_> =
        demand.map(|level| MeritLevelView::new(level, level.buy, level.demand)).take(limit + 1).collect();
    let listed = |wanted: fn(&Order) -> bool| -> Vec<IntervalBid> {
        let here = book.day().orders().values().filter(|order| order.zone == number && wanted(order));
        let bids = here.filter_map(|order| book.bid(order.id)).filter(|bid| app.reader().sees(&bid.organisation));
        let mut bids: Vec<_> = bids.filter_map(|bid| IntervalBid::new(bid, place.start_ms)).collect();
        bids.sort_by(|one, other| (one.side, &one.bid).cmp(&(other.side, &other.bid)));
        bids
    };
    let linear = listed(|order| matches!(order.kind, clearing::Kind::Linear(_)));
    let complex = listed(Order::is_complex);
    let truncated = [supply.len(), demand.len(), linear.len(), complex.len()].into_iter().any(|count| count > limit);
    json(&MeritOrderView {
        t: snapshot.t,
        series: app.labels.series(place.series),
        start: rfc3339(place.start_ms),
        duration_ms: place.auction.duration_ms,
        price: book.day().result(interval).zones[zone].price.map(price),
        truncated,
        supply: supply.into_iter().take(limit).collect(),
        demand: demand.into_iter().take(limit).collect(),
        linear: linear.into_iter().take(limit).collect(),
        complex: complex.into_iter().take(limit).collect(),
    })
}
