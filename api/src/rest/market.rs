//! The market as it is: zones, latest prices, price history.

use std::sync::Arc;

use chrono_tz::Tz;
use model::time::{DAY_MS, T, parse_range_end, parse_range_start, rfc3339};
use model::{Granularity, Market, Zone};
use serde::Serialize;
use serde_json::json as object;
use utoipa::ToSchema;
use warp::Filter;

use super::{Answer, Routes, Shared, answer, json, with};
use crate::error::{Error, ErrorBody};
use crate::history::{self, Range};
use crate::params::{Params, decode, raw_query};
use crate::series::{self, candidates};
use crate::view::{Bar, Price, Series};

/// `/api/market/…`.
pub(crate) fn routes(app: &Shared) -> Routes {
    let get = warp::get().and(raw_query()).and(with(app));
    let zones = warp::path!("api" / "market" / "zones")
        .and(get.clone())
        .then(|query: String, app| answer(async move { zones(&query, &app) }));
    let latest = warp::path!("api" / "market" / "prices" / "latest")
        .and(get.clone())
        .then(|query: String, app| answer(async move { latest(&query, &app) }));
    let history = warp::path!("api" / "market" / "prices" / String / "history")
        .and(get)
        .then(|zone: String, query: String, app| answer(async move { history(&zone, &query, &app).await }));
    zones.or(latest).unify().or(history).unify().boxed()
}

/// Names of the widths clients may ask for.
pub(crate) const GRANULARITIES: [&str; 10] = ["1m", "5m", "15m", "1h", "1d", "minute", "5min", "15min", "hour", "day"];

/// A zone of the table.
#[derive(Serialize, ToSchema)]
pub(crate) struct ZoneView {
    /// Canonical code.
    #[schema(example = "IEX-W2")]
    zone: String,
    name: String,
    /// Other names, any case.
    aliases: Vec<String>,
    /// IANA time zone: a date in a request means this zone's local day.
    timezone: String,
    currency: String,
    /// Market of its headline price.
    market: String,
    operator: Option<String>,
    country: String,
    region: Option<String>,
    latitude: f64,
    longitude: f64,
    /// Price cap that holds now, currency per MWh.
    price_cap: Option<f64>,
    /// Price floor that holds now, currency per MWh.
    price_floor: Option<f64>,
    /// Locations known: those of the table and those that have had a price.
    locations: Vec<String>,
    /// Series that have a price now.
    series: Vec<Series>,
}

/// Every zone.
#[derive(Serialize, ToSchema)]
pub(crate) struct ZonesView {
    t: T,
    zones: Vec<ZoneView>,
}

/// Every zone with its names, time zone, currency, limits, place and locations.
#[utoipa::path(get, path = "/api/market/zones", tag = "market", responses(
    (status = 200, description = "Zones in the order of the table", body = ZonesView),
    (status = 400, description = "Unknown parameter", body = ErrorBody)))]
pub(crate) fn zones(query: &str, app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let snapshot = app.snapshot();
    let names = app.deps.names.all();
    let view = |zone: &Arc<Zone>| {
        let now = i64::try_from(snapshot.t).unwrap_or(i64::MAX);
        let limits = zone.limits_at(now);
        let code = model::location::zone_code(&zone.code);
        let mut locations: Vec<String> = zone.locations.iter().map(|location| location.name.clone()).collect();
        let seen = names.iter().filter(|name| name.id.zone_code() == code).map(|name| name.location.to_string());
        locations.extend(seen);
        locations.sort();
        locations.dedup();
        let series = snapshot.series().filter(|series| series.location.zone_code() == code);
        let mut series: Vec<Series> = series.map(|series| app.labels.series(series)).collect();
        series.sort();
        ZoneView {
            zone: zone.code.clone(),
            name: zone.name.clone(),
            aliases: zone.aliases.clone(),
            timezone: zone.timezone.name().to_owned(),
            currency: zone.currency.as_str().to_owned(),
            market: zone.market.as_str().to_owned(),
            operator: zone.operator.clone(),
            country: zone.country.clone(),
            region: zone.region.clone(),
            latitude: zone.latitude,
            longitude: zone.longitude,
            price_cap: limits.map(|(_, cap)| model::money::price(cap)),
            price_floor: limits.map(|(floor, _)| model::money::price(floor)),
            locations,
            series,
        }
    };
    json(&ZonesView { t: snapshot.t, zones: app.deps.zones.iter().map(view).collect() })
}

/// Latest prices.
#[derive(Serialize, ToSchema)]
pub(crate) struct Latest {
    /// The one moment all of them are at, UTC ms.
    t: T,
    /// One per series; a zone's headline series is first among its own.
    prices: Vec<LatestPrice>,
}

/// The latest price of one series.
#[derive(Serialize, ToSchema)]
pub(crate) struct LatestPrice {
    /// The zone as the request wrote it, or its canonical code.
    market_zone: String,
    /// Whether this is the zone's headline series.
    headline: bool,
    #[serde(flatten)]
    price: Price,
}

/// The latest price of every series, or of some zones'.
#[utoipa::path(get, path = "/api/market/prices/latest", tag = "market",
    params(("zone" = Option<String>, Query, description = "Zones by any name, comma-separated; all without", example = "PJM,MUMBAI")),
    responses((status = 200, description = "Prices", body = Latest),
        (status = 400, description = "Unknown parameter", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody)))]
pub(crate) fn latest(query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["zone"])?;
    let snapshot = app.snapshot();
    let mut prices = Vec::new();
    for (asked, zone) in app.zones_or_all(&params.list("zone"))? {
        let headline = series::headline(&snapshot, &zone);
        let code = model::location::zone_code(&zone.code);
        let rows = snapshot.latest.iter().filter(|(series, _)| series.location.zone_code() == code);
        let mut found: Vec<LatestPrice> = rows
            .map(|(series, (_, row))| LatestPrice {
                market_zone: asked.clone(),
                headline: Some(*series) == headline,
                price: Price::new(&app.labels, row),
            })
            .collect();
        found.sort_by(|a, b| (!a.headline, &a.price.series).cmp(&(!b.headline, &b.price.series)));
        prices.extend(found);
    }
    json(&Latest { t: snapshot.t, prices })
}

/// Bars of one series.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryView {
    /// The zone as the request wrote it.
    market_zone: String,
    /// The moment the live part is at, UTC ms.
    t: T,
    /// Which series answered; null when none has bars in the range.
    series: Option<Series>,
    /// The zone's time zone.
    timezone: String,
    /// `1m`, `5m`, `15m`, `1h` or `1d`.
    granularity: &'static str,
    /// Start of the range.
    start: String,
    /// End of the range, exclusive.
    end: String,
    /// Number of bars.
    count: usize,
    /// Whether the limit cut older bars off.
    truncated: bool,
    /// Bars, earliest first.
    data: Vec<Bar>,
}

/// Parameters of the price history.
pub(crate) const HISTORY: [&str; 6] = ["start", "end", "granularity", "market", "location", "limit"];

/// The bars of one series: from the live state where it reaches, from the history before that.
#[utoipa::path(get, path = "/api/market/prices/{zone}/history", tag = "market",
    params(("zone" = String, Path, description = "Zone by any name", example = "pjm"),
        ("start" = Option<String>, Query, description = "Date (the zone's local day) or RFC 3339; 24 hours before the end without"),
        ("end" = Option<String>, Query, description = "Date (inclusive) or RFC 3339 (exclusive); now without"),
        ("granularity" = Option<String>, Query, description = "1m, 5m, 15m, 1h, 1d; 1m without", example = "5m"),
        ("market" = Option<String>, Query, description = "Market; the first that has data without", example = "REAL_TIME_5_MIN"),
        ("location" = Option<String>, Query, description = "Location; the zone's headline without", example = "WESTERN HUB"),
        ("limit" = Option<usize>, Query, description = "At most so many bars, the newest; 1,000 without", example = 100)),
    responses((status = 200, description = "Bars", body = HistoryView),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 422, description = "The range holds too many bars", body = ErrorBody)))]
pub(crate) async fn history(zone: &str, query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &HISTORY)?;
    let asked = decode(zone)?;
    let zone = app.zone(&asked)?;
    let snapshot = app.snapshot();
    let (from_ms, to_ms) = range(&params, "start", "end", zone.timezone, snapshot.t)?;
    let granularity = granularity(&params, "granularity")?.unwrap_or(Granularity::M1);
    let limit = params.number("limit", 1..=app.config.max_bars)?.unwrap_or(1_000);
    let candidates = candidates(zone, params.text("location")?, market(&params)?);
    let range = Range { granularity, from_ms, to_ms, max_bars: app.config.max_bars };
    let found = history::first_with_bars(&snapshot, &app.deps.store, &candidates, range).await?;
    let (series, rows) = found.map_or((None, Vec::new()), |(series, rows)| (Some(series), rows));
    let skip = rows.len().saturating_sub(limit);
    let data: Vec<Bar> = rows[skip..].iter().map(Bar::new).collect();
    json(&HistoryView {
        market_zone: asked,
        t: snapshot.t,
        series: series.map(|series| app.labels.series(series)),
        timezone: zone.timezone.name().to_owned(),
        granularity: granularity.as_str(),
        start: rfc3339(from_ms),
        end: rfc3339(to_ms),
        count: data.len(),
        truncated: skip > 0,
        data,
    })
}

/// A width of bars.
pub(crate) fn granularity(params: &Params, name: &str) -> Result<Option<Granularity>, Error> {
    params.one_of(name, &GRANULARITIES, Granularity::parse)
}

/// A market by its gridstatus name.
pub(crate) fn market(params: &Params) -> Result<Option<Market>, Error> {
    params.one_of("market", &series::market_names(), Market::parse)
}

/// A half-open range of instants. A date means the local day in `tz`, the end's included; without an end it is
/// just after `t`, without a start 24 hours before the end.
pub(crate) fn range(params: &Params, start: &str, end: &str, tz: Tz, t: T) -> Result<(i64, i64), Error> {
    let form = "a date like 2025-11-18 (the zone's local day) or RFC 3339 like 2025-11-18T00:00:00Z";
    let read = |name: &str, parse: fn(&str, Tz) -> Option<i64>| match params.text(name)? {
        None => Ok(None),
        Some(text) => parse(text, tz).map(Some).ok_or_else(|| Error::parameter(name, text, form)),
    };
    let now = i64::try_from(t).unwrap_or(i64::MAX).saturating_add(1);
    let to_ms = read(end, parse_range_end)?.unwrap_or(now);
    let from_ms = read(start, parse_range_start)?.unwrap_or(to_ms.saturating_sub(DAY_MS));
    if from_ms >= to_ms {
        let message = format!("{start} ({}) is not before {end} ({})", rfc3339(from_ms), rfc3339(to_ms));
        return Err(Error::BadParameter { message, details: object!({"parameter": start, "before": end}) });
    }
    Ok((from_ms, to_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_local_day_and_the_end_is_inclusive() {
        let params = Params::parse("s=2025-11-18&e=2025-11-18", &["s", "e"]).unwrap();
        let (from, to) = range(&params, "s", "e", chrono_tz::Asia::Kolkata, 0).unwrap();
        assert_eq!(rfc3339(from), "2025-11-17T18:30:00.000Z");
        assert_eq!(to - from, DAY_MS);
        let params = Params::parse("s=2025-11-19&e=2025-11-18", &["s", "e"]).unwrap();
        assert!(range(&params, "s", "e", chrono_tz::UTC, 0).unwrap_err().to_string().contains("is not before"));
    }
}
