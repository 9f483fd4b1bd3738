//! `real-time-kpis`: key figures over any trailing window, computed from the live minute bars.
//!
//! The window at T holds the minute bars whose start lies in `(T − window, T]`: the same figures, by the same
//! definition, as the dataflow's own KPIs for its fixed windows.

use std::collections::BTreeMap;

use model::time::{MINUTE_MS, T, rfc3339};
use model::{Bar, BarRow, Kpi, SeriesKey, Snapshot};
use serde::Serialize;
use utoipa::ToSchema;

use super::market::{change_ppm, difference_std};
use crate::error::ErrorBody;
use crate::params::Params;
use crate::rest::{Answer, Shared, json};
use crate::series;
use crate::view::KpiView;

/// Key figures of zones.
#[derive(Serialize, ToSchema)]
pub(crate) struct RealTimeKpis {
    /// The one moment all of them are at, UTC ms.
    t: T,
    /// The same as RFC 3339.
    timestamp: String,
    /// Window length, minutes.
    time_window: u32,
    /// By zone, as the request wrote it.
    zones: BTreeMap<String, ZoneKpis>,
    summary: Summary,
}

/// Key figures of one zone's headline series.
#[derive(Serialize, ToSchema)]
pub(crate) struct ZoneKpis {
    /// Canonical code.
    zone: String,
    /// `live`, or `no_data` when the window holds no bar.
    status: &'static str,
    /// How old the newest price is at T, seconds; null without one.
    freshness_seconds: Option<f64>,
    /// The figures; null without data.
    kpis: Option<KpiView>,
}

/// The zones together.
#[derive(Serialize, ToSchema)]
pub(crate) struct Summary {
    zones: usize,
    zones_with_data: usize,
    /// MWh.
    total_volume: f64,
    tick_count: i64,
}

/// Parameters of `real-time-kpis`.
pub(crate) const ALLOWED: [&str; 2] = ["market_zones", "time_window"];

/// Key figures of zones over the last minutes.
#[utoipa::path(get, path = "/api/analytics/real-time-kpis", tag = "analytics",
    params(("market_zones" = Option<String>, Query, description = "Zones by any name, comma-separated; all that have a price without", example = "MUMBAI,DELHI,BANGALORE"),
        ("time_window" = Option<u32>, Query, description = "Minutes, 1 to 2880; 60 without", example = 60)),
    responses((status = 200, description = "Key figures", body = RealTimeKpis),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody)))]
pub(crate) fn real_time_kpis(query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &ALLOWED)?;
    let window_min = params.number("time_window", 1..=2_880_u32)?.unwrap_or(60);
    let names = params.list("market_zones");
    let snapshot = app.snapshot();
    let mut zones = BTreeMap::new();
    for (asked, zone) in app.zones_or_all(&names)? {
        let series = series::headline(&snapshot, &zone);
        if series.is_none() && names.is_empty() {
            continue;
        }
        let reference = |market| SeriesKey { location: zone.reference(), market };
        let kpi = series.and_then(|series| kpi(&snapshot, series, reference(series.market), window_min));
        let latest = series.and_then(|series| snapshot.latest.get(&series));
        let now = i64::try_from(snapshot.t).unwrap_or(i64::MAX);
        zones.insert(
            asked,
            ZoneKpis {
                zone: zone.code.clone(),
                status: if kpi.is_some() { "live" } else { "no_data" },
                freshness_seconds: latest.map(|(_, row)| (now - row.bar.last_ms) as f64 / 1e3),
                kpis: kpi.map(|kpi| KpiView::new(&app.labels, &kpi)),
            },
        );
    }
    let figures = || zones.values().filter_map(|zone| zone.kpis.as_ref());
    let summary = Summary {
        zones: zones.len(),
        zones_with_data: figures().count(),
        total_volume: figures().map(|kpi| kpi.volume).sum(),
        tick_count: figures().map(|kpi| kpi.count).sum(),
    };
    let timestamp = rfc3339(i64::try_from(snapshot.t).unwrap_or(i64::MAX));
    json(&RealTimeKpis { t: snapshot.t, timestamp, time_window: window_min, zones, summary })
}

/// The figures of one series over the trailing window; `None` without a bar in it.
pub(crate) fn kpi(snapshot: &Snapshot, series: SeriesKey, reference: SeriesKey, window_min: u32) -> Option<Kpi> {
    let window_ms = i64::from(window_min) * MINUTE_MS;
    let rows: Vec<&BarRow> = snapshot.window_bars(series, window_ms).collect();
    let whole = Bar::merge(rows.iter().map(|row| &row.bar))?;
    let closes: Vec<i64> = rows.iter().map(|row| row.bar.close).collect();
    let against = (reference != series)
        .then(|| Bar::merge(snapshot.window_bars(reference, window_ms).map(|row| &row.bar)))
        .flatten();
    let change = whole.close - whole.open;
    Some(Kpi {
        series,
        window_min,
        last: whole.close,
        last_ms: whole.last_ms,
        change,
        change_ppm: change_ppm(change, whole.open),
        min: whole.low,
        max: whole.high,
        mean: whole.mean(),
        vwap: whole.vwap(),
        volatility: difference_std(&closes),
        volume_kwh: whole.sum_volume_kwh,
        count: whole.count,
        spread: against.map(|reference| whole.mean() - reference.mean()),
    })
}
