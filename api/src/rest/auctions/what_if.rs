//! What would be if: the day cleared again with bids more or less. Nothing is published.

use auction::Book;
use model::bid::BidStatus;
use model::money::{price, volume_mwh};
use model::time::{T, rfc3339};
use model::{Clearing, LiveBid, SeriesKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::bids::{NewBid, judge};
use super::super::{Answer, Shared, from_json, json};
use super::asked;
use crate::books::Place;
use crate::error::{Error, ErrorBody};
use crate::params::Params;
use crate::view::Series;
use crate::view::auction::Marginal;

/// Most bids added or removed.
const MAX_BIDS: usize = 1_000;

/// Bids more or less.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"add": [{
    "organisation": "Acme", "market_zone": "ES", "market": "DAY_AHEAD_HOURLY", "delivery": "2030-06-20T22:00:00Z",
    "side": "sell", "steps": [{"price": 5, "power": 500}]
}], "remove": ["b-1"]}))]
pub(crate) struct WhatIf {
    /// Bids of the same day of delivery. One with the id of a bid that stands takes its place; gates do not matter.
    #[serde(default)]
    add: Vec<NewBid>,
    /// Ids of bids that stand.
    #[serde(default)]
    remove: Vec<String>,
}

/// What would change.
#[derive(Serialize, ToSchema)]
pub(crate) struct WhatIfView {
    /// The moment it is at, UTC ms.
    t: T,
    /// The day of delivery.
    day_start: String,
    /// Its end, exclusive.
    day_end: String,
    /// Intervals and zones that would clear otherwise, by interval.
    changed: Vec<Changed>,
    /// How many would clear as they do.
    unchanged: usize,
}

/// An interval that would clear otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Changed {
    series: Series,
    /// Start of the delivery interval.
    start: String,
    /// As it is; null without bids.
    before: Option<Outcome>,
    /// As it would be; null without bids.
    after: Option<Outcome>,
}

/// How an interval clears.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Outcome {
    /// Currency per MWh; null when nothing is traded.
    price: Option<f64>,
    /// The larger of sold and bought.
    volume_mw: f64,
    /// Net flow in from the coupled zone.
    import_mw: f64,
    /// The bid that sets the price.
    marginal: Option<Marginal>,
}

impl Outcome {
    fn new(row: &Clearing) -> Self {
        Self {
            price: row.price_micros.map(price),
            volume_mw: volume_mwh(row.sold_kw.max(row.bought_kw)),
            import_mw: volume_mwh(row.import_kw),
            marginal: row.marginal.as_ref().map(Marginal::new),
        }
    }
}

/// Clears the day of an interval with hypothetical bids added and bids removed, and tells what would be otherwise.
#[utoipa::path(post, path = "/api/market/{location}/{interval}/what-if", tag = "auctions", request_body = WhatIf,
    params(("location" = String, Path, description = "ZONE, ZONE/LOCATION (the slash as %2F), or a location's name if only one zone has it", example = "ES"),
        ("interval" = String, Path, description = "Any instant in the delivery interval: RFC 3339 or UTC milliseconds", example = "2030-06-20T22:00:00Z"),
        ("market" = Option<String>, Query, description = "Market; the zone's own, else the first that has bids there, without")),
    responses((status = 200, description = "What would change", body = WhatIfView),
        (status = 400, description = "Bad parameter, not the body expected, or a bid for another day of delivery", body = ErrorBody),
        (status = 404, description = "No such location, zone or bid", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 422, description = "More bids than are allowed, or one against a rule of the market", body = ErrorBody),
        (status = 503, description = "Enough of them are being cleared: try again", body = ErrorBody)))]
pub(crate) async fn what_if(location: &str, interval: &str, query: &str, body: &[u8], app: &Shared) -> Answer {
    let params = Params::parse(query, &["market"])?;
    let asked = asked(location, interval, &params)?;
    let WhatIf { add, remove } = from_json(body)?;
    if add.len() > MAX_BIDS || remove.len() > MAX_BIDS {
        return Err(Error::Limit(format!("at most {MAX_BIDS} bids are added, and as many removed")));
    }
    let snapshot = app.snapshot();
    let place = match Place::find(app, &snapshot, &asked) {
        Ok(place) => place,
        Err(error) => Place::on_grid(app, &asked)?.ok_or(error)?,
    };
    let members = app.books.rules.members(&place.auction);
    let removed = remove.iter().map(|id| match snapshot.bids.get(id) {
        Some((_, bid))
            if app.reader().sees(&bid.organisation) && bid.is_live() && place.auction.holds(&members, bid) =>
        {
            Ok(bid.clone())
        }
        _ => Err(Error::NotFound(format!("no live bid {id} for this day of delivery"))),
    });
    let removed: Vec<LiveBid> = removed.collect::<Result<_, Error>>()?;
    let added = (0..).zip(add).map(|(index, bid)| hypothetical(app, &place, &members, index, bid));
    let added: Vec<LiveBid> = added.collect::<Result<_, Error>>()?;
    let shared = app.clone();
    let trial = move |before: &Book, mut book: Book| {
        removed.iter().for_each(|bid| book.take_out(bid));
        for bid in added {
            if let Some(known) = book.find(&bid.bid).cloned() {
                book.take_out(&known);
            }
            book.enter(bid);
        }
        book.clear();
        compare(&shared, &place, before, &book)
    };
    let (changed, unchanged) = app.books.tried(&snapshot, place.auction, trial).await?;
    let (start_ms, end_ms) = place.auction.day_ms;
    json(&WhatIfView { t: snapshot.t, day_start: rfc3339(start_ms), day_end: rfc3339(end_ms), changed, unchanged })
}

/// A bid judged by every rule but the gate: what is not entered comes neither early nor late.
fn hypothetical(
    app: &Shared,
    place: &Place,
    members: &[model::LocationId],
    index: usize,
    bid: NewBid,
) -> Result<LiveBid, Error> {
    let now_ms = chrono::Utc::now().timestamp_millis();
    let mut wire = bid.into_wire(app.reader(), now_ms, || format!("what-if-{index}"))?;
    wire.status = BidStatus::Accepted;
    let (bid, _) = judge(app, &wire)?;
    if !place.auction.holds(members, &bid) {
        let (start_ms, end_ms) = place.auction.day_ms;
        return Err(Error::BadBody(format!(
            "add[{index}] is for another market, or for another day of delivery than {} to {}",
            rfc3339(start_ms),
            rfc3339(end_ms)
        )));
    }
    Ok(bid.into())
}

fn compare(app: &Shared, place: &Place, before: &Book, after: &Book) -> (Vec<Changed>, usize) {
    let (mut changed, mut unchanged) = (Vec::new(), 0);
    for interval in after.intervals().all() {
        for (zone, location) in after.zones().iter().enumerate() {
            let sees = |book: &Book, bid: &str| book.find(bid).is_some_and(|bid| app.reader().sees(&bid.organisation));
            let outcome = |book: &Book| {
                let mut row = book.row(interval, zone)?;
                row.marginal.take_if(|(_, bid)| !sees(book, bid));
                Some(Outcome::new(&row))
            };
            let (old, new) = (outcome(before), outcome(after));
            if old == new {
                unchanged += usize::from(old.is_some());
                continue;
            }
            let series = SeriesKey { location: *location, ..place.series };
            let start = rfc3339(after.intervals().start_ms(interval));
            changed.push(Changed { series: app.labels.series(series), start, before: old, after: new });
        }
    }
    (changed, unchanged)
}
