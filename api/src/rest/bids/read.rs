//! Bids as they stand, and their lives.

use std::ops::Bound;

use model::bid::{BidStatus, Side};
use model::time::{T, parse_instant, parse_range_end, parse_range_start, rfc3339};
use model::wire::WireStep;
use model::{LiveBid, LocationId, Snapshot, Zones};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::market::market;
use super::super::{Answer, Shared, json};
use crate::error::{Error, ErrorBody};
use crate::params::{Params, decode};
use crate::view::Series;
use crate::view::bid::{BidView, StepView};

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
    /// Whether the first version is its submission and no revision between is missing: older ones are kept for a while only.
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
    let mut found = snapshot.bids.range((from, Bound::Unbounded)).filter(|(_, (_, bid))| filter.admits(bid));
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
    let (t, bid) = match live(app, &snapshot, &id) {
        Some(bid) => (snapshot.t, bid),
        None => recorded(app, &id).await?,
    };
    json(&OneBid { t, bid })
}

/// The life of a bid: every version that stood, as far as it is known.
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
    // What the followers of the batches have may be newer than the state that this answer is at, or a little older.
    let versions = app.hub.lives.of_bid(&id).into_iter().filter(|(t, _)| *t <= snapshot.t);
    let mut events: Vec<BidView> = versions.map(|(t, bid)| BidView::new(&app.labels, Some(t), &bid)).collect();
    let mut t = snapshot.t;
    let standing = live(app, &snapshot, &id);
    events.extend(standing.filter(|standing| events.last().is_none_or(|last| last.t < standing.t)));
    if events.is_empty() {
        let (at, newest) = recorded(app, &id).await?;
        (t, events) = (at, vec![newest]);
    }
    let is_first = events[0].status == BidStatus::Submitted.as_str();
    let complete = is_first && events.windows(2).all(|pair| pair[0].revision + 1 == pair[1].revision);
    json(&BidLife { t, bid: id, complete, events })
}

fn live(app: &Shared, snapshot: &Snapshot, id: &str) -> Option<BidView> {
    snapshot.bids.get(id).map(|(t, bid)| BidView::new(&app.labels, Some(*t), bid))
}

/// A row of the table `bids`.
#[derive(Deserialize)]
struct Row {
    t: String,
    organisation: String,
    asset: Option<String>,
    zone: String,
    location: String,
    market: String,
    delivery_time: String,
    duration_ms: i64,
    side: String,
    status: String,
    revision: i64,
    terms: String,
    steps: String,
    event_time: String,
}

/// The newest version of a bid that the live state has no more, and the T that the answer is at.
async fn recorded(app: &Shared, id: &str) -> Result<(T, BidView), Error> {
    let statement = format!(
        "SELECT t, organisation, asset, zone, location, market, delivery_time, duration_ms, side, status, revision, terms, \
         steps, event_time FROM bids WHERE bid = '{}'",
        id.replace('\'', "''")
    );
    let engine = &app.deps.engine;
    let result = engine.query(&statement, &engine.limits()).await?;
    let (t, schema) = (result.t, result.schema.clone());
    let rows = sql::encode::json_rows(&schema, &result.collect().await?)?;
    let view = from_rows(&app.deps.zones, id, &rows);
    let view = view.map_err(|error| Error::Internal(format!("read a row of bids: {error}")))?;
    Ok((t, view.ok_or_else(|| Error::NotFound(format!("no bid {id}")))?))
}

/// The first of JSON rows.
fn from_rows(zones: &Zones, id: &str, rows: &[u8]) -> Result<Option<BidView>, serde_json::Error> {
    let rows: Vec<Row> = serde_json::from_slice(rows)?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let instant = |text: &str| parse_instant(text).unwrap_or(0);
    let delivery_ms = instant(&row.delivery_time);
    let steps: Vec<WireStep> = serde_json::from_str(&row.steps)?;
    let currency = zones.get(&row.zone).map(|zone| zone.currency.as_str().to_owned());
    Ok(Some(BidView {
        bid: id.to_owned(),
        revision: row.revision,
        status: row.status,
        organisation: row.organisation,
        asset: row.asset,
        series: Series { zone: row.zone, location: row.location, market: row.market, currency },
        delivery: rfc3339(delivery_ms),
        duration_ms: row.duration_ms,
        side: row.side,
        kind: serde_json::from_str(&row.terms)?,
        steps: steps.iter().map(|step| StepView::of_wire(step, delivery_ms)).collect(),
        timestamp: rfc3339(instant(&row.event_time)),
        t: T::try_from(instant(&row.t)).ok(),
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{BidKind, Names, Side, Step};

    use super::*;
    use crate::view::Labels;

    #[test]
    fn a_bid_from_a_table_is_the_bid_from_the_state() {
        let (zones, names) = (Zones::built_in(), Arc::new(Names::default()));
        let location = names.location("MIBEL-ES", "MIBEL-ES").0;
        let mut last = Step::flat(3_600_000, 20_000_001, 2_500);
        last.end_price_micros = 30_000_000;
        let bid = LiveBid {
            bid: "b".to_owned(),
            revision: 4,
            status: BidStatus::Amended,
            organisation: "o".to_owned(),
            asset: Some("unit".to_owned()),
            series: model::SeriesKey { location, market: model::Market::DayAheadHourly },
            delivery_ms: 0,
            duration_ms: 3_600_000,
            side: Side::Sell,
            kind: BidKind::MinimumIncome { fixed_micros: 5_500_000, variable_micros: None },
            steps: vec![Step { min_power_kw: 500, ..Step::flat(0, -10_000_000, 1_500) }, last],
            event_ms: 12_345,
            partition: model::PartitionId(0),
            offset: 0,
        };
        let context = model::table::Context { names: &names, zones: &zones };
        let table = model::table::bids(context, [(77, false, &bid)]).unwrap();
        let rows = sql::encode::json_rows(&table.schema(), &[table]).unwrap();
        let labels = Labels { names, zones: zones.clone() };
        assert_eq!(from_rows(&zones, "b", &rows).unwrap(), Some(BidView::new(&labels, Some(77), &bid)));
        assert_eq!(from_rows(&zones, "b", b"[]").unwrap(), None);
    }
}
