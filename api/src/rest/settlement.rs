//! `/api/settlement`: what deliveries come to, interval by interval, with the totals of each organisation and asset.

use std::collections::{BTreeMap, BTreeSet};

use model::money::{price, volume_mwh};
use model::settlement::clamp;
use model::time::{T, parse_range_end, parse_range_start, rfc3339};
use model::{LocationId, Settlement};
use serde::Serialize;
use utoipa::ToSchema;
use warp::Filter;

use super::market::market;
use super::{Answer, Routes, Shared, answer, json, with};
use crate::error::{Error, ErrorBody};
use crate::params::{Params, raw_query};
use crate::series;
use crate::view::{Labels, Series};

/// `/api/settlement`.
pub(crate) fn routes(app: &Shared) -> Routes {
    warp::path!("api" / "settlement")
        .and(warp::get())
        .and(raw_query())
        .and(with(app))
        .then(|query: String, app| answer(async move { settlement(&query, &app) }))
        .boxed()
}

/// Settlement rows that match, and their totals.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettlementView {
    /// The one moment all of them are at, UTC ms.
    t: T,
    count: usize,
    /// Whether the limit cut later ones off; totals are of all that match.
    truncated: bool,
    /// By organisation, asset and currency.
    totals: Vec<Total>,
    /// By start of the interval, then organisation, asset and bid.
    settlement: Vec<SettlementRow>,
}

/// What an organisation's asset (or its bids without one) comes to: amounts that are known so far.
#[derive(Serialize, ToSchema)]
pub(crate) struct Total {
    organisation: String,
    /// Null for bids without an asset.
    asset: Option<String>,
    #[schema(example = "EUR")]
    currency: Option<String>,
    day_ahead: f64,
    imbalance: f64,
    penalty: f64,
    /// Day-ahead + imbalance − penalty.
    total: f64,
    intervals: usize,
    /// Intervals whose total is not known yet.
    open_intervals: usize,
}

/// The settlement of an asset, or of a bid without one, in one delivery interval. Positive amounts are received.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettlementRow {
    organisation: String,
    /// The unit; null for a bid without one.
    asset: Option<String>,
    /// The bid, where there is no asset.
    bid: Option<String>,
    #[serde(flatten)]
    series: Series,
    /// Start of the delivery interval.
    start: String,
    /// Its length, ms.
    duration_ms: u32,
    /// Sales less purchases awarded.
    scheduled_mw: f64,
    /// Schedule × clearing price.
    day_ahead: f64,
    /// Mean power delivered; null until it is metered.
    metered_mw: Option<f64>,
    /// Metered less scheduled.
    imbalance_mw: Option<f64>,
    /// Null until the interval is over and there is a price.
    real_time_price: Option<f64>,
    /// Imbalance × real-time price.
    imbalance: Option<f64>,
    /// For imbalance beyond the tolerance.
    penalty: Option<f64>,
    /// Day-ahead + imbalance − penalty.
    total: Option<f64>,
    /// T at which it was said, or last revised.
    t: T,
}

impl SettlementRow {
    fn new(labels: &Labels, t: T, row: &Settlement) -> Self {
        Self {
            organisation: row.organisation.clone(),
            asset: named(&row.asset),
            bid: named(&row.bid),
            series: labels.series(row.series),
            start: rfc3339(row.start_ms),
            duration_ms: row.duration_ms,
            scheduled_mw: volume_mwh(row.scheduled_kw),
            day_ahead: price(row.day_ahead_micros),
            metered_mw: row.metered_kw.map(volume_mwh),
            imbalance_mw: row.imbalance_kw.map(volume_mwh),
            real_time_price: row.real_time_price_micros.map(price),
            imbalance: row.imbalance_micros.map(price),
            penalty: row.penalty_micros.map(price),
            total: row.total_micros.map(price),
            t,
        }
    }
}

fn named(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}

/// Micro-currency added up; wide, so that no sum of rows leaves it.
#[derive(Default)]
struct Sums {
    day_ahead: i128,
    imbalance: i128,
    penalty: i128,
    intervals: usize,
    open_intervals: usize,
}

/// What deliveries come to in the intervals that the state keeps, with the totals of each organisation and asset.
#[utoipa::path(get, path = "/api/settlement", tag = "settlement",
    params(("organisation" = Option<String>, Query, description = "Whose; all without", example = "Acme"),
        ("asset" = Option<String>, Query, description = "Of which unit; all, and bids without one, without", example = "wind-1"),
        ("location" = Option<String>, Query, description = "ZONE, ZONE/LOCATION, or a location's name if only one zone has it; all without", example = "ES"),
        ("market" = Option<String>, Query, description = "Market; all without", example = "DAY_AHEAD_HOURLY"),
        ("start" = Option<String>, Query, description = "Intervals that start at or after this: date (the zone's local day; UTC without a location) or RFC 3339"),
        ("end" = Option<String>, Query, description = "Intervals that start before this: date (inclusive) or RFC 3339 (exclusive)"),
        ("limit" = Option<usize>, Query, description = "At most so many rows, up to 10,000; 1,000 without", example = 1000)),
    responses((status = 200, description = "Settlement rows and totals", body = SettlementView),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "No such location", body = ErrorBody)))]
pub(crate) fn settlement(query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["organisation", "asset", "location", "market", "start", "end", "limit"])?;
    let market = market(&params)?;
    let places = match params.text("location")? {
        None => None,
        Some(name) => {
            let found = series::find(&app.labels, name, market)?;
            Some(found.into_iter().map(|series| series.location).collect::<BTreeSet<LocationId>>())
        }
    };
    let first = places.as_ref().and_then(|places| places.first());
    let timezone = first.map_or(chrono_tz::UTC, |place| app.deps.zones.timezone(*place));
    let form = "a date like 2025-11-18 (the zone's local day) or RFC 3339";
    let time = |name: &str, parse: fn(&str, chrono_tz::Tz) -> Option<i64>| match params.text(name)? {
        None => Ok(None),
        Some(text) => parse(text, timezone).map(Some).ok_or_else(|| Error::parameter(name, text, form)),
    };
    let (start_ms, end_ms) = (time("start", parse_range_start)?, time("end", parse_range_end)?);
    let (organisation, asset) = (params.text("organisation")?, params.text("asset")?);
    let limit = params.number("limit", 1..=10_000_usize)?.unwrap_or(1_000);
    let snapshot = app.snapshot();
    let admits = |row: &Settlement| {
        app.reader().sees(&row.organisation)
            && places.as_ref().is_none_or(|places| places.contains(&row.series.location))
            && market.is_none_or(|market| row.series.market == market)
            && start_ms.is_none_or(|start_ms| row.start_ms >= start_ms)
            && end_ms.is_none_or(|end_ms| row.start_ms < end_ms)
            && organisation.is_none_or(|organisation| row.organisation == organisation)
            && asset.is_none_or(|asset| row.asset == asset)
    };
    let mut found: Vec<&(T, Settlement)> = snapshot.settlement.values().filter(|(_, row)| admits(row)).collect();
    found.sort_by_cached_key(|(_, row)| (row.start_ms, row.key()));
    let totals = totals(app, found.iter().map(|(_, row)| row));
    let truncated = found.len() > limit;
    let settlement: Vec<_> =
        found.into_iter().take(limit).map(|(t, row)| SettlementRow::new(&app.labels, *t, row)).collect();
    json(&SettlementView { t: snapshot.t, count: settlement.len(), truncated, totals, settlement })
}

fn totals<'a>(app: &Shared, rows: impl Iterator<Item = &'a Settlement>) -> Vec<Total> {
    let mut sums: BTreeMap<(&str, &str, Option<&str>), Sums> = BTreeMap::new();
    let zones = &app.deps.zones;
    for row in rows {
        let currency = zones.of(row.series.location).map(|zone| zone.currency.as_str());
        let sum = sums.entry((&row.organisation, &row.asset, currency)).or_default();
        sum.day_ahead += i128::from(row.day_ahead_micros);
        sum.imbalance += i128::from(row.imbalance_micros.unwrap_or(0));
        sum.penalty += i128::from(row.penalty_micros.unwrap_or(0));
        sum.intervals += 1;
        sum.open_intervals += usize::from(row.is_open());
    }
    let amount = |micros: i128| price(clamp(micros));
    let total = |((organisation, asset, currency), sum): ((&str, &str, Option<&str>), Sums)| Total {
        organisation: organisation.to_owned(),
        asset: named(asset),
        currency: currency.map(str::to_owned),
        day_ahead: amount(sum.day_ahead),
        imbalance: amount(sum.imbalance),
        penalty: amount(sum.penalty),
        total: amount(sum.day_ahead + sum.imbalance - sum.penalty),
        intervals: sum.intervals,
        open_intervals: sum.open_intervals,
    };
    sums.into_iter().map(total).collect()
}
