//! The book of a delivery interval: its bids, best first, its top, and what is in it.

use model::time::{T, rfc3339};
use model::{LiveBid, Side};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{Answer, Shared, json};
use super::{IntervalBid, asked};
use crate::books::{Place, is_energy};
use crate::error::ErrorBody;
use crate::params::Params;
use crate::view::Series;
use crate::view::auction::BookRow;

/// The book of one interval.
#[derive(Serialize, ToSchema)]
pub(crate) struct BookView {
    /// The moment it is at, UTC ms.
    t: T,
    series: Series,
    /// Start of the delivery interval.
    start: String,
    /// Its length, ms.
    duration_ms: u32,
    /// The top of the book and its totals; null when the state has cleared the interval no more.
    book: Option<BookRow>,
    /// Whether the limit cut bids off.
    truncated: bool,
    /// Bids to buy, the dearest first step first.
    buy: Vec<IntervalBid>,
    /// Bids to sell, the cheapest first step first.
    sell: Vec<IntervalBid>,
}

/// The live bids of a delivery interval, the top of its book, and totals. Of the bids, your own.
#[utoipa::path(get, path = "/api/market/{location}/{interval}/book", tag = "auctions",
    params(("location" = String, Path, description = "ZONE, ZONE/LOCATION (the slash as %2F), or a location's name if only one zone has it", example = "ES"),
        ("interval" = String, Path, description = "Any instant in the delivery interval: RFC 3339 or UTC milliseconds", example = "2030-06-20T22:00:00Z"),
        ("market" = Option<String>, Query, description = "Market; the zone's own, else the first that has bids there, without"),
        ("limit" = Option<usize>, Query, description = "At most so many bids a side, up to 1,000; 100 without", example = 100)),
    responses((status = 200, description = "The book", body = BookView),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "No such location, or no bids there: says where there are some", body = ErrorBody)))]
pub(crate) fn auction_book(location: &str, interval: &str, query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["market", "limit"])?;
    let asked = asked(location, interval, &params)?;
    let limit = params.number("limit", 1..=1_000_usize)?.unwrap_or(100);
    let snapshot = app.snapshot();
    let place = Place::find(app, &snapshot, &asked)?;
    let here = [place.series.location];
    let bids = snapshot.bids.values().map(|(_, bid)| bid);
    let shown =
        |bid: &&LiveBid| app.reader().sees(&bid.organisation) && is_energy(bid) && place.auction.holds(&here, bid);
    let bids: Vec<&LiveBid> = bids.filter(shown).collect();
    let mut truncated = false;
    let mut best = |side: Side| {
        let first =
            |bid: &LiveBid| bid.steps.iter().find(|step| step.start_ms == place.start_ms).map(|step| step.price_micros);
        let mut found: Vec<(i64, &LiveBid)> =
            bids.iter().filter(|bid| bid.side == side).filter_map(|bid| Some((first(bid)?, *bid))).collect();
        let sign = if side == Side::Buy { -1 } else { 1 };
        found.sort_by(|(a, one), (b, other)| (a * sign, &one.bid).cmp(&(b * sign, &other.bid)));
        truncated |= found.len() > limit;
        found.into_iter().take(limit).filter_map(|(_, bid)| IntervalBid::new(bid, place.start_ms)).collect()
    };
    let (buy, sell) = (best(Side::Buy), best(Side::Sell));
    let row = snapshot.clearing.get(&(place.series, place.start_ms));
    json(&BookView {
        t: snapshot.t,
        series: app.labels.series(place.series),
        start: rfc3339(place.start_ms),
        duration_ms: place.auction.duration_ms,
        book: row.map(|(_, row)| BookRow::new(&app.labels, row)),
        truncated,
        buy,
        sell,
    })
}
