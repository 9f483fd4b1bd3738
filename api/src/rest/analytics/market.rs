//! `market-analytics`: per bucket open, high, low, close, mean, VWAP, volume and volatility, and the same over
//! the whole range.
//!
//! `volatility` is the sample standard deviation of the tick prices; `close_volatility` that of the differences
//! between closes of consecutive buckets (differences, because prices go negative).

use model::money::{isqrt, price};
use model::time::{T, rfc3339};
use model::{Bar, BarRow, Granularity};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::market::{granularity, market, range};
use crate::error::ErrorBody;
use crate::history::{self, Range};
use crate::params::Params;
use crate::rest::{Answer, Shared, json};
use crate::series::candidates;
use crate::view::{self, Series};

/// Buckets of a range and what they come to.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarketAnalytics {
    /// The zone as the request wrote it.
    market_zone: String,
    /// The moment the live part is at, UTC ms.
    t: T,
    /// Which series answered; null when none has bars in the range.
    series: Option<Series>,
    timezone: String,
    granularity: &'static str,
    /// Start of the range.
    start: String,
    /// End of the range, exclusive.
    end: String,
    /// Buckets that have ticks, earliest first.
    data: Vec<view::Bar>,
    /// The range as a whole; null without ticks.
    summary: Option<Summary>,
}

/// The range as a whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct Summary {
    buckets: usize,
    count: i64,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    /// Last price minus first.
    change: f64,
    /// Change in per cent of the first price; null when that is 0.
    change_percent: Option<f64>,
    mean: f64,
    vwap: Option<f64>,
    /// MWh.
    volume: f64,
    volatility: Option<f64>,
    /// Null below three buckets.
    close_volatility: Option<f64>,
    /// Start of the bucket with the highest price.
    peak: String,
    /// Start of the bucket with the lowest price.
    trough: String,
}

/// Parameters of `market-analytics`.
pub(crate) const ALLOWED: [&str; 6] = ["market_zone", "start_date", "end_date", "granularity", "market", "location"];

/// Prices, volume and volatility of a zone, per bucket and over a range.
#[utoipa::path(get, path = "/api/analytics/market-analytics", tag = "analytics",
    params(("market_zone" = String, Query, description = "Zone by any name", example = "MUMBAI"),
        ("start_date" = Option<String>, Query, description = "Date (the zone's local day) or RFC 3339; 24 hours before the end without", example = "2025-11-18"),
        ("end_date" = Option<String>, Query, description = "Date (inclusive) or RFC 3339 (exclusive); now without", example = "2025-11-19"),
        ("granularity" = Option<String>, Query, description = "minute, 5min, 15min, hour or day; hour without", example = "hour"),
        ("market" = Option<String>, Query, description = "Market; the first that has data without"),
        ("location" = Option<String>, Query, description = "Location; the zone's headline without")),
    responses((status = 200, description = "Buckets and summary", body = MarketAnalytics),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 422, description = "The range holds too many bars", body = ErrorBody)))]
pub(crate) async fn market_analytics(query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &ALLOWED)?;
    let asked = params.required("market_zone", "MUMBAI")?;
    let zone = app.zone(asked)?;
    let snapshot = app.snapshot();
    let (from_ms, to_ms) = range(&params, "start_date", "end_date", zone.timezone, snapshot.t)?;
    let granularity = granularity(&params, "granularity")?.unwrap_or(Granularity::H1);
    let candidates = candidates(zone, params.text("location")?, market(&params)?);
    let range = Range { granularity, from_ms, to_ms, max_bars: app.config.max_bars };
    let found = history::first_with_bars(&snapshot, &app.deps.store, &candidates, range).await?;
    let (series, rows) = found.map_or((None, Vec::new()), |(series, rows)| (Some(series), rows));
    json(&MarketAnalytics {
        market_zone: asked.to_owned(),
        t: snapshot.t,
        series: series.map(|series| app.labels.series(series)),
        timezone: zone.timezone.name().to_owned(),
        granularity: granularity.as_str(),
        start: rfc3339(from_ms),
        end: rfc3339(to_ms),
        summary: summary(&rows),
        data: rows.iter().map(view::Bar::new).collect(),
    })
}

fn summary(rows: &[BarRow]) -> Option<Summary> {
    let whole = Bar::merge(rows.iter().map(|row| &row.bar))?;
    let peak = rows.iter().reduce(|best, row| if row.bar.high > best.bar.high { row } else { best })?;
    let trough = rows.iter().reduce(|best, row| if row.bar.low < best.bar.low { row } else { best })?;
    let closes: Vec<i64> = rows.iter().map(|row| row.bar.close).collect();
    let change = whole.close - whole.open;
    Some(Summary {
        buckets: rows.len(),
        count: whole.count,
        open: price(whole.open),
        high: price(whole.high),
        low: price(whole.low),
        close: price(whole.close),
        change: price(change),
        change_percent: change_percent(change, whole.open),
        mean: price(whole.mean()),
        vwap: whole.vwap().map(price),
        volume: model::money::volume_mwh(whole.sum_volume_kwh),
        volatility: whole.std().map(price),
        close_volatility: difference_std(&closes).map(price),
        peak: rfc3339(peak.key.start_ms),
        trough: rfc3339(trough.key.start_ms),
    })
}

/// Change in per cent of |first|, rounded to 10⁻⁴; `None` when first is 0.
pub(crate) fn change_percent(change: i64, first: i64) -> Option<f64> {
    change_ppm(change, first).map(|ppm| ppm as f64 / 1e4)
}

/// Change in parts per million of |first|; `None` when first is 0.
pub(crate) fn change_ppm(change: i64, first: i64) -> Option<i64> {
    model::money::div_round(i128::from(change) * 1_000_000, i128::from(first).abs())
}

/// Sample standard deviation of the differences between consecutive values, rounded down; `None` below three values.
pub(crate) fn difference_std(values: &[i64]) -> Option<i64> {
    let differences = || values.windows(2).map(|pair| i128::from(pair[1]) - i128::from(pair[0]));
    let n = values.len() as i128 - 1;
    if n < 2 {
        return None;
    }
    let (sum, squares) = differences().fold((0_i128, 0_i128), |(sum, squares), d| (sum + d, squares + d * d));
    // Does not fit only where absurd prices meet absurd ranges: then there is no figure rather than a wrong one.
    let spread = n.checked_mul(squares)?.checked_sub(sum.checked_mul(sum)?)?;
    i64::try_from(isqrt(spread / (n * (n - 1)))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_need_three_values_and_changes_a_base() {
        assert_eq!(difference_std(&[1, 2]), None);
        assert_eq!(difference_std(&[0, 10, 20]), Some(0));
        // Differences 10 and −10: mean 0, sample variance 200.
        assert_eq!(difference_std(&[0, 10, 0]), Some(14));
        assert_eq!(change_percent(5, 0), None);
        assert_eq!(change_percent(5, -10), Some(50.0));
    }
}
