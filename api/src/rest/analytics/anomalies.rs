//! `anomaly-detection`: the z-score of every bar of a range against its trailing bars, at the threshold the
//! client asks for, and beside it the alerts that the dataflow's own rules have raised.
//!
//! z by the same definition as the rules': (close − mean of the trailing closes) / their sample standard deviation,
//! over at most `window_bars` bars (of minutes none more than a day older), in exact micros; an anomaly where
//! |z| > threshold. Undefined, and no anomaly, below five trailing bars (or the whole of a shorter window) or when
//! they do not vary. The baseline reaches back before the range.

use model::money::{div_round, isqrt, price};
use model::time::{DAY_MS, T, rfc3339};
use model::{BarRow, Granularity, Market, SeriesKey};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::market::{granularity, market, range};
use crate::error::{Error, ErrorBody};
use crate::history::{self, Range};
use crate::params::Params;
use crate::rest::{Answer, Shared, json};
use crate::series::candidates;
use crate::view::{AlertView, Series};

/// What stands out in a range.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnomalyDetection {
    /// The zone as the request wrote it.
    market_zone: String,
    /// The moment the live part is at, UTC ms.
    t: T,
    /// Which series was judged; null when none has bars in the range.
    series: Option<Series>,
    timezone: String,
    granularity: &'static str,
    /// Start of the range.
    start: String,
    /// End of the range, exclusive.
    end: String,
    threshold: f64,
    /// Trailing bars that make the baseline.
    window_bars: usize,
    /// Bars in the range.
    bars: usize,
    /// Bars that could be judged.
    judged: usize,
    /// Bars beyond the threshold, earliest first.
    anomalies: Vec<Found>,
    /// Share of judged bars that are anomalies, per cent; null when none could be judged.
    anomaly_rate: Option<f64>,
    /// Alerts of the zone that the rules raised in the range, as they stand (withdrawn ones left out).
    alerts: Vec<AlertView>,
}

/// A bar beyond the threshold.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Found {
    /// Start of the bar.
    timestamp: String,
    /// Its close.
    price: f64,
    /// Mean of the trailing closes.
    baseline: f64,
    /// Their sample standard deviation.
    deviation: f64,
    z_score: f64,
    /// `spike` above the baseline, `drop` below.
    direction: &'static str,
    /// `warning`, or `critical` from twice the threshold on.
    severity: &'static str,
}

/// Parameters of `anomaly-detection`.
pub(crate) const ALLOWED: [&str; 8] =
    ["market_zone", "threshold", "start_date", "end_date", "granularity", "window_bars", "market", "location"];

/// Bars of a zone that stand out, at any threshold, and the alerts its rules raised.
#[utoipa::path(get, path = "/api/analytics/anomaly-detection", tag = "analytics",
    params(("market_zone" = String, Query, description = "Zone by any name", example = "DELHI"),
        ("threshold" = Option<f64>, Query, description = "|z| from which a bar is an anomaly, 0.1 to 100; 2.5 without", example = 2.5),
        ("start_date" = Option<String>, Query, description = "Date (the zone's local day) or RFC 3339; 24 hours before the end without", example = "2025-11-18"),
        ("end_date" = Option<String>, Query, description = "Date (inclusive) or RFC 3339 (exclusive); now without", example = "2025-11-19"),
        ("granularity" = Option<String>, Query, description = "minute, 5min, 15min, hour or day; minute without"),
        ("window_bars" = Option<usize>, Query, description = "Trailing bars that make the baseline, 2 to 10000; 30 without"),
        ("market" = Option<String>, Query, description = "Market; the first that has data without"),
        ("location" = Option<String>, Query, description = "Location; the zone's headline without")),
    responses((status = 200, description = "Anomalies and alerts", body = AnomalyDetection),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 422, description = "The range holds too many bars", body = ErrorBody)))]
pub(crate) async fn anomaly_detection(query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &ALLOWED)?;
    let asked = params.required("market_zone", "DELHI")?;
    let zone = app.zone(asked)?;
    let threshold = params.number("threshold", 0.1..=100.0)?.unwrap_or(2.5);
    let window_bars = params.number("window_bars", 2..=10_000_usize)?.unwrap_or(30);
    let granularity = granularity(&params, "granularity")?.unwrap_or(Granularity::M1);
    let snapshot = app.snapshot();
    let (from_ms, to_ms) = range(&params, "start_date", "end_date", zone.timezone, snapshot.t)?;
    let candidates = candidates(zone, params.text("location")?, market(&params)?);
    let range = Range { granularity, from_ms, to_ms, max_bars: app.config.max_bars };
    let store = &app.deps.store;
    let found = history::first_with_bars(&snapshot, store, &candidates, range).await?;
    let (series, rows) = found.map_or((None, Vec::new()), |(series, rows)| (Some(series), rows));
    let before = match series {
        Some(series) => before(app, &snapshot, series, range, window_bars).await?,
        None => Vec::new(),
    };
    let (anomalies, judged) = judge(&before, &rows, window_bars, threshold);
    let alerts = alerts(app, &zone.code, from_ms, to_ms).await?;
    json(&AnomalyDetection {
        market_zone: asked.to_owned(),
        t: snapshot.t,
        series: series.map(|series| app.labels.series(series)),
        timezone: zone.timezone.name().to_owned(),
        granularity: granularity.as_str(),
        start: rfc3339(from_ms),
        end: rfc3339(to_ms),
        threshold,
        window_bars,
        bars: rows.len(),
        judged,
        anomaly_rate: (judged > 0).then(|| anomalies.len() as f64 * 100.0 / judged as f64),
        anomalies,
        alerts,
    })
}

/// The last `window_bars` bars before a range: the baseline of its first ones.
async fn before(
    app: &Shared,
    snapshot: &std::sync::Arc<model::Snapshot>,
    series: SeriesKey,
    range: Range,
    window_bars: usize,
) -> Result<Vec<BarRow>, Error> {
    let live = snapshot.series_bars(series, range.granularity, i64::MIN, range.from_ms);
    let mut rows: Vec<BarRow> = live.rev().take(window_bars).copied().collect();
    rows.reverse();
    if rows.len() == window_bars {
        return Ok(rows);
    }
    // Feeds have gaps, and intervals are longer than a bar: look back far enough for both, and no further.
    let bars = window_bars.saturating_mul(20).min(range.max_bars);
    let reach = history::width_ms(range.granularity) * i64::try_from(bars).unwrap_or(i64::MAX);
    let reach = oldest_ms(range.granularity).map_or(reach, |oldest| reach.min(oldest));
    let wider = Range { from_ms: range.from_ms.saturating_sub(reach), to_ms: range.from_ms, ..range };
    let mut rows = history::bars(snapshot, &app.deps.store, series, wider).await?;
    Ok(rows.split_off(rows.len().saturating_sub(window_bars)))
}

/// How much older than a bar its baseline may be; only minutes age.
fn oldest_ms(granularity: Granularity) -> Option<i64> {
    (granularity == Granularity::M1).then_some(DAY_MS)
}

/// The fewest closes that make a baseline, as for the dataflow's rules.
const LEAST_COUNT: usize = 5;

fn judge(before: &[BarRow], rows: &[BarRow], window: usize, threshold: f64) -> (Vec<Found>, usize) {
    let all: Vec<&BarRow> = before.iter().chain(rows).collect();
    let least = LEAST_COUNT.min(window);
    let (mut from, mut sum, mut squares) = (0, 0_i128, 0_i128);
    let (mut found, mut judged) = (Vec::new(), 0);
    for (at, row) in all.iter().enumerate() {
        let too_old = |old: &BarRow| {
            oldest_ms(row.key.granularity).is_some_and(|oldest| row.key.start_ms - old.key.start_ms > oldest)
        };
        while at - from > window || (from < at && too_old(all[from])) {
            let old = i128::from(all[from].bar.close);
            sum -= old;
            squares -= old * old;
            from += 1;
        }
        let n = (at - from) as i128;
        if at >= before.len() && at - from >= least {
            // Rounded to micros before they meet, so that z does not depend on how the sums were made.
            let mean = div_round(sum, n).unwrap_or_default();
            let deviation = i64::try_from(isqrt((n * squares - sum * sum) / (n * (n - 1)))).unwrap_or(i64::MAX);
            if deviation > 0 {
                judged += 1;
                found.extend(anomaly(row, mean, deviation, threshold));
            }
        }
        let close = i128::from(row.bar.close);
        sum += close;
        squares += close * close;
    }
    (found, judged)
}

fn anomaly(row: &BarRow, mean: i64, deviation: i64, threshold: f64) -> Option<Found> {
    let distance = 1000 * (i128::from(row.bar.close) - i128::from(mean));
    let z = div_round(distance, i128::from(deviation))? as f64 / 1e3;
    (z.abs() > threshold).then(|| Found {
        timestamp: rfc3339(row.key.start_ms),
        price: price(row.bar.close),
        baseline: price(mean),
        deviation: price(deviation),
        z_score: z,
        direction: if z > 0.0 { "spike" } else { "drop" },
        severity: if z.abs() >= 2.0 * threshold { "critical" } else { "warning" },
    })
}

/// Most alerts in one answer, the newest.
const MOST_ALERTS: usize = 10_000;

async fn alerts(app: &Shared, zone: &str, from_ms: i64, to_ms: i64) -> Result<Vec<AlertView>, Error> {
    let code = model::location::zone_code(zone);
    let places = app.deps.names.all().into_iter().map(|name| name.id).filter(|id| id.zone_code() == code);
    let series = |location| Market::ALL.map(|market| SeriesKey { location, market });
    let series: Vec<SeriesKey> = places.flat_map(series).collect();
    if series.is_empty() {
        return Ok(Vec::new());
    }
    let filter = sql::AlertFilter { series, from_ms, to_ms, limit: MOST_ALERTS, ..sql::AlertFilter::default() };
    let mut standing = app.deps.store.alerts(&filter).await?;
    standing.retain(|alert| app.reader().sees_rule(&alert.anomaly.rule));
    standing.sort_by_key(|alert| (alert.anomaly.start_ms, alert.anomaly.id));
    Ok(standing.iter().map(|alert| AlertView::new(&app.labels, alert)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Bar, BarKey, LocationId};

    fn rows(closes: &[i64]) -> Vec<BarRow> {
        let series = SeriesKey { location: LocationId::new("PJM", "PJM"), market: Market::Continuous };
        let row = |(minute, close): (i64, &i64)| {
            let start_ms = minute * 60_000;
            let key = BarKey { series, granularity: Granularity::M1, start_ms };
            BarRow { key, end_ms: start_ms + 60_000, bar: Bar::of(start_ms, close * 1_000_000, 0) }
        };
        (0..).zip(closes).map(row).collect()
    }

    #[test]
    fn judges_each_bar_by_those_before_it() {
        let all = rows(&[10, 12, 10, 12, 30, 11]);
        let (found, judged) = judge(&[], &all, 4, 2.5);
        // Trailing 10 12 10 12: mean 11, deviation 1.1547; 30 lies 16.45 of them above. 11 follows 12 10 12 30.
        assert_eq!(judged, 2);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].z_score, found[0].direction, found[0].severity), (16.454, "spike", "critical"));
        let (split, judged) = judge(&all[..4], &all[4..], 4, 2.5);
        assert_eq!((split, judged), (found, 2));
    }

    #[test]
    fn a_flat_or_short_baseline_judges_nothing() {
        assert_eq!(judge(&[], &rows(&[5, 5, 5, 99]), 3, 0.1), (Vec::new(), 0));
        assert_eq!(judge(&[], &rows(&[5, 6]), 3, 0.1), (Vec::new(), 0));
    }
}
