//! Bids as they stand, and their lives.

use std::collections::BTreeMap;
use std::ops::Bound;

use model::bid::{BidStatus, Side};
use model::time::{T, parse_range_end, parse_range_start};
use model::{LiveBid, LocationId};
use serde::Serialize;
use sql::BidVersion;
use utoipa::ToSchema;

use super::super::market::market;
use super::super::{Answer, Shared, json};
use crate::error::{Error, ErrorBody};
use crate::params::{Params, decode};
use crate::view::bid::BidView;

/// Bids that match.
#[derive(Serialize, ToSchema)]
pub(crate) struct BidList {
    /// The one moment all of them are at, UTC ms.
    t: T,
    count: usize,
    /// Give it as `cursor` for what follows; null at the end.
    next_cursor: Option<String>,
    /// By id.
    bids: Vec<BidView>,
}

/// A bid as it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneBid {
    /// The moment the state is at, UTC ms.
    t: T,
    bid: BidView,
}

/// The life of a bid.
#[derive(Serialize, ToSchema)]
pub(crate) struct BidLife {
    /// The moment the newest version is at, UTC ms.
    t: T,
    bid: String,
    /// Whether the first version is its submission and no revision between is missing. Of several within one T the last is told;
    /// without a history, versions from before the process began are not.
    complete: bool,
    /// Every version known, oldest first.
    events: Vec<BidView>,
}

const LIST: [&str; 11] =
    ["organisation", "market_zone", "location", "market", "side", "status", "from", "to", "asset", "limit", "cursor"];

/// Which bids.
struct Filter<'a> {
    organisation: Option<&'a str>,
    asset: Option<&'a str>,
    zone: Option<u16>,
    location: Option<LocationId>,
    market: Option<model::Market>,
    side: Option<Side>,
    status: Option<BidStatus>,
    /// Deliveries that touch `[from, to)`, UTC ms.
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

impl<'a> Filter<'a> {
    fn read(params: &'a Params, app: &Shared) -> Result<Self, Error> {
        let zone = params.text("market_zone")?.map(|name| app.zone(name)).transpose()?;
        let location = match (params.text("location")?, zone) {
            (None, _) => None,
            (Some(name), Some(zone)) => Some(zone.location(name)),
            (Some(name), None) => return Err(Error::parameter("location", name, "together with market_zone")),
        };
        let timezone = zone.map_or(chrono_tz::UTC, |zone| zone.timezone);
        let form = "a date like 2025-11-18 (the zone's local day, UTC without one) or RFC 3339";
        let time = |name: &str, parse: fn(&str, chrono_tz::Tz) -> Option<i64>| match params.text(name)? {
            None => Ok(None),
            Some(text) => parse(text, timezone).map(Some).ok_or_else(|| Error::parameter(name, text, form)),
        };
        Ok(Self {
            organisation: params.text("organisation")?,
            asset: params.text("asset")?,
            zone: zone.map(|zone| model::location::zone_code(&zone.code)),
            location,
            market: market(params)?,
            side: params.one_of("side", &["buy", "sell"], |text| {
                [Side::Buy, Side::Sell].into_iter().find(|side| side.as_str() == text)
            })?,
            status: params.one_of("status", &STATUSES.map(BidStatus::as_str), |text| {
                STATUSES.into_iter().find(|status| status.as_str() == text)
            })?,
            from_ms: time("from", parse_range_start)?,
            to_ms: time("to", parse_range_end)?,
        })
    }

    fn admits(&self, bid: &LiveBid) -> bool {
        fn is<V: PartialEq>(wanted: Option<V>, found: V) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        is(self.organisation, bid.organisation.as_str())
            && self.asset.is_none_or(|asset| bid.asset.as_deref() == Some(asset))
            && is(self.zone, bid.series.location.zone_code())
            && is(self.location, bid.series.location)
            && is(self.market, bid.series.market)
            && is(self.side, bid.side)
            && is(self.status, bid.status)
            && self.from_ms.is_none_or(|from_ms| bid.delivery_end_ms() > from_ms)
            && self.to_ms.is_none_or(|to_ms| bid.delivery_ms < to_ms)
    }
}

const STATUSES: [BidStatus; 6] = [
    BidStatus::Submitted,
    BidStatus::Amended,
    BidStatus::Withdrawn,
    BidStatus::Accepted,
    BidStatus::Rejected,
    BidStatus::Expired,
];

/// Bids as they stand, whatever their status, by id.
#[utoipa::path(get, path = "/api/bids", tag = "bids",
    params(("organisation" = Option<String>, Query, description = "Whose", example = "Acme"),
        ("market_zone" = Option<String>, Query, description = "Zone by any name", example = "ES"),
        ("location" = Option<String>, Query, description = "Location inside the zone; needs market_zone"),
        ("market" = Option<String>, Query, description = "Market", example = "DAY_AHEAD_HOURLY"),
        ("side" = Option<String>, Query, description = "buy or sell"),
        ("status" = Option<String>, Query, description = "submitted, amended, withdrawn, accepted, rejected or expired"),
        ("from" = Option<String>, Query, description = "Deliveries that end after this: date or RFC 3339"),
        ("to" = Option<String>, Query, description = "Deliveries that start before this: date (inclusive) or RFC 3339 (exclusive)"),
        ("asset" = Option<String>, Query, description = "The unit behind them"),
        ("limit" = Option<usize>, Query, description = "At most so many, up to 1,000; 100 without", example = 100),
        ("cursor" = Option<String>, Query, description = "next_cursor of the answer before")),
    responses((status = 200, description = "Bids", body = BidList),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody)))]
pub(crate) fn list_bids(query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &LIST)?;
    let filter = Filter::read(&params, app)?;
    let limit = params.number("limit", 1..=1_000_usize)?.unwrap_or(100);
    let from = params.text("cursor")?.map_or(Bound::Unbounded, |cursor| Bound::Excluded(cursor.to_owned()));
    let snapshot = app.snapshot();
    let mut found = snapshot
        .bids
        .range((from, Bound::Unbounded))
        .filter(|(_, (_, bid))| app.reader().sees(&bid.organisation) && filter.admits(bid));
    let bids: Vec<BidView> =
        found.by_ref().take(limit).map(|(_, (t, bid))| BidView::new(&app.labels, Some(*t), bid)).collect();
    let next_cursor = found.next().and_then(|_| bids.last().map(|last| last.bid.clone()));
    json(&BidList { t: snapshot.t, count: bids.len(), next_cursor, bids })
}

/// One bid as it stands.
#[utoipa::path(get, path = "/api/bids/{id}", tag = "bids",
    params(("id" = String, Path, description = "The bid", example = "b-1")),
    responses((status = 200, description = "The bid", body = OneBid),
        (status = 400, description = "Unknown parameter", body = ErrorBody),
        (status = 404, description = "No such bid", body = ErrorBody),
        (status = 503, description = "The history does not answer", body = ErrorBody)))]
pub(crate) async fn bid(id: &str, query: &str, app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let id = decode(id)?;
    let snapshot = app.snapshot();
    let (t, bid) = match snapshot.bids.get(&id) {
        // Another's bid and none at all are answered alike.
        Some((_, bid)) if !app.reader().sees(&bid.organisation) => return Err(unknown(&id)),
        Some((t, bid)) => (snapshot.t, BidView::new(&app.labels, Some(*t), bid)),
        None => {
            let newest = app.deps.store.versions_of_bid_at(&snapshot, &id).await?.pop();
            let newest = newest.filter(|version| app.reader().sees(&version.bid.organisation));
            let newest = newest.ok_or_else(|| unknown(&id))?;
            (snapshot.t.max(newest.t), recorded(app, &newest))
        }
    };
    json(&OneBid { t, bid })
}

/// The life of a bid: every version that stood, from the state and the history.
#[utoipa::path(get, path = "/api/bids/{id}/events", tag = "bids",
    params(("id" = String, Path, description = "The bid", example = "b-1")),
    responses((status = 200, description = "Its versions", body = BidLife),
        (status = 400, description = "Unknown parameter", body = ErrorBody),
        (status = 404, description = "No such bid", body = ErrorBody),
        (status = 503, description = "The history does not answer", body = ErrorBody)))]
pub(crate) async fn bid_events(id: &str, query: &str, app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let id = decode(id)?;
    let snapshot = app.snapshot();
    let versions = app.deps.store.versions_of_bid_at(&snapshot, &id).await?;
    let is_own = |bid: &LiveBid| app.reader().sees(&bid.organisation);
    let own = versions.iter().filter(|version| is_own(&version.bid));
    let mut events: BTreeMap<T, BidView> = own.map(|version| (version.t, recorded(app, version))).collect();
    // What was overtaken before the history had it. The followers of the batches may be ahead of the state.
    for (t, bid) in app.hub.lives.of_bid(&id).into_iter().filter(|(t, bid)| *t <= snapshot.t && is_own(bid)) {
        events.entry(t).or_insert_with(|| BidView::new(&app.labels, Some(t), &bid));
    }
    let events: Vec<BidView> = events.into_values().collect();
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Err(unknown(&id)) };
    let is_first = first.status == BidStatus::Submitted.as_str();
    let complete = is_first && events.windows(2).all(|pair| pair[0].revision + 1 == pair[1].revision);
    json(&BidLife { t: snapshot.t.max(last.t.unwrap_or(0)), bid: id, complete, events })
}

fn unknown(id: &str) -> Error {
    Error::NotFound(format!("no bid {id}"))
}

/// A version from the store. The names of a location that is only in the history may not be known to the labels.
fn recorded(app: &Shared, version: &BidVersion) -> BidView {
    let mut view = BidView::new(&app.labels, Some(version.t), &version.bid);
    (view.series.zone, view.series.location) = (version.place.zone.to_string(), version.place.location.to_string());
    view
}
