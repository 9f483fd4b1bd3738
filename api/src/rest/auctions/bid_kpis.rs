//! Key figures of bids: what organisations have in the book, and how much of it was taken.

use std::collections::BTreeSet;

use model::time::{T, parse_range_end, parse_range_start};
use model::{BidKpi, BidKpiKey, LocationId, Side};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::market::market;
use super::super::{Answer, Shared, json};
use crate::error::{Error, ErrorBody};
use crate::params::Params;
use crate::series;
use crate::view::auction::BidKpiView;

/// Key figures that match.
#[derive(Serialize, ToSchema)]
pub(crate) struct BidKpisView {
    /// The one moment all of them are at, UTC ms.
    t: T,
    count: usize,
    /// Whether the limit cut later ones off.
    truncated: bool,
    /// By interval, then organisation, place and side.
    bid_kpis: Vec<BidKpiView>,
}

/// Counts, volume, mean price and acceptance rate of bids per organisation, location, market, side and delivery interval.
#[utoipa::path(get, path = "/api/market/bid-kpis", tag = "auctions",
    params(("organisation" = Option<String>, Query, description = "Whose bids", example = "Acme"),
        ("location" = Option<String>, Query, description = "ZONE, ZONE/LOCATION, or a location's name if only one zone has it; all without", example = "ES"),
        ("market" = Option<String>, Query, description = "Market; all without", example = "DAY_AHEAD_HOURLY"),
        ("side" = Option<String>, Query, description = "`buy` or `sell`; both without", example = "sell"),
        ("start" = Option<String>, Query, description = "Intervals that start at or after this: date (the location's local day, UTC without one) or RFC 3339"),
        ("end" = Option<String>, Query, description = "Intervals that start before this: date (inclusive) or RFC 3339 (exclusive)"),
        ("limit" = Option<usize>, Query, description = "At most so many, up to 10,000; 1,000 without", example = 1000)),
    responses((status = 200, description = "Key figures", body = BidKpisView),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "No such location", body = ErrorBody)))]
pub(crate) fn bid_kpis(query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["organisation", "location", "market", "side", "start", "end", "limit"])?;
    let market = market(&params)?;
    let places: Option<BTreeSet<LocationId>> = match params.text("location")? {
        Some(location) => {
            let series = series::find(&app.labels, location, market)?;
            Some(series.into_iter().map(|series| series.location).collect())
        }
        None => None,
    };
    let place = places.as_ref().and_then(|places| places.first());
    let timezone = place.map_or(chrono_tz::UTC, |place| app.deps.zones.timezone(*place));
    let form = "a date like 2025-11-18 (the location's local day, UTC without one) or RFC 3339";
    let time = |name: &str, parse: fn(&str, chrono_tz::Tz) -> Option<i64>| match params.text(name)? {
        None => Ok(None),
        Some(text) => parse(text, timezone).map(Some).ok_or_else(|| Error::parameter(name, text, form)),
    };
    let (start_ms, end_ms) = (time("start", parse_range_start)?, time("end", parse_range_end)?);
    let organisation = params.text("organisation")?;
    let side = params.one_of("side", &["buy", "sell"], |text| {
        [Side::Buy, Side::Sell].into_iter().find(|side| side.as_str() == text)
    })?;
    let limit = params.number("limit", 1..=10_000_usize)?.unwrap_or(1_000);
    let snapshot = app.snapshot();
    let admits = |key: &BidKpiKey| {
        app.reader().sees(&key.organisation)
            && places.as_ref().is_none_or(|places| places.contains(&key.series.location))
            && market.is_none_or(|market| key.series.market == market)
            && start_ms.is_none_or(|start_ms| key.start_ms >= start_ms)
            && end_ms.is_none_or(|end_ms| key.start_ms < end_ms)
            && organisation.is_none_or(|organisation| key.organisation == organisation)
            && side.is_none_or(|side| key.side == side)
    };
    let rows = snapshot.bid_kpis.iter().filter(|(key, _)| admits(key)).map(|(_, row)| row);
    let mut found: Vec<&(T, BidKpi)> = rows.collect();
    let order = |(_, row): &&(T, BidKpi)| {
        let BidKpiKey { series, start_ms, duration_ms, side, organisation } = row.key();
        (start_ms, organisation, series, side, duration_ms)
    };
    found.sort_by_cached_key(order);
    let truncated = found.len() > limit;
    let bid_kpis: Vec<_> =
        found.into_iter().take(limit).map(|(t, row)| BidKpiView::new(&app.labels, *t, row)).collect();
    json(&BidKpisView { t: snapshot.t, count: bid_kpis.len(), truncated, bid_kpis })
}
