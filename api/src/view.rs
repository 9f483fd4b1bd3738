//! Rows as JSON: what a price, a bar, a KPI, an alert and a correlation look like to clients, the same over
//! REST and over the WebSocket.
//!
//! Units: prices in currency per MWh, volumes in MWh, instants RFC 3339 in UTC, `t` in UTC milliseconds.
//! What is undefined is `null`, never 0 and never NaN.

pub(crate) mod auction;
pub(crate) mod bid;

use std::sync::Arc;

use model::money::{price, volume_mwh};
use model::time::{T, rfc3339};
use model::{Alert, BarRow, Correlation, Kpi, LocationId, LocationName, Names, Notice, SeriesKey, Zones};
use serde::Serialize;
use utoipa::ToSchema;

/// Turns ids into names.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) names: Arc<Names>,
    pub(crate) zones: Zones,
}

impl Labels {
    /// Zone and location names of an id; an id nobody has named yet is shown in hexadecimal.
    pub(crate) fn name(&self, id: LocationId) -> LocationName {
        self.names.name(id).unwrap_or_else(|| match self.zones.of(id) {
            Some(zone) => {
                let known = zone.locations.iter().find(|location| zone.location(&location.name) == id);
                let location = if zone.index() == id { Some(&zone.code) } else { known.map(|known| &known.name) };
                let text = location.cloned().unwrap_or_else(|| format!("{:016x}", id.0));
                LocationName { id, zone: zone.code.as_str().into(), location: text.as_str().into() }
            }
            None => LocationName { id, zone: "?".into(), location: format!("{:016x}", id.0).into() },
        })
    }

    /// A series as clients see it.
    pub(crate) fn series(&self, series: SeriesKey) -> Series {
        let name = self.name(series.location);
        Series {
            zone: name.zone.to_string(),
            location: name.location.to_string(),
            market: series.market.as_str().to_owned(),
            currency: self.zones.of(series.location).map(|zone| zone.currency.as_str().to_owned()),
        }
    }
}

/// Which series a row belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(crate) struct Series {
    /// Canonical zone code.
    #[schema(example = "IEX-W2")]
    pub(crate) zone: String,
    /// Location inside the zone; the zone's own index is named like the zone.
    pub(crate) location: String,
    /// Market in gridstatus vocabulary.
    #[schema(example = "REAL_TIME_5_MIN")]
    pub(crate) market: String,
    /// ISO 4217 code of the zone's currency.
    #[schema(example = "INR")]
    pub(crate) currency: Option<String>,
}

/// The latest price of a series, with the minute bar it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Price {
    /// Which series.
    #[serde(flatten)]
    pub(crate) series: Series,
    /// Price, currency per MWh.
    #[schema(example = 52.5)]
    pub(crate) price: f64,
    /// Volume of the minute so far, MWh.
    pub(crate) volume: f64,
    /// Event time of the price.
    pub(crate) timestamp: String,
    /// The minute bar.
    pub(crate) bar: Bar,
}

impl Price {
    pub(crate) fn new(labels: &Labels, row: &BarRow) -> Self {
        Self {
            series: labels.series(row.key.series),
            price: price(row.bar.close),
            volume: volume_mwh(row.bar.sum_volume_kwh),
            timestamp: rfc3339(row.bar.last_ms),
            bar: Bar::new(row),
        }
    }
}

/// One bar.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Bar {
    /// Start of the bucket.
    pub(crate) start: String,
    /// End of the bucket, exclusive (a local day has 23, 24 or 25 hours).
    pub(crate) end: String,
    /// First price.
    pub(crate) open: f64,
    /// Highest price.
    pub(crate) high: f64,
    /// Lowest price.
    pub(crate) low: f64,
    /// Last price.
    pub(crate) close: f64,
    /// Mean of the tick prices.
    pub(crate) mean: f64,
    /// Volume-weighted average price; null without volume.
    pub(crate) vwap: Option<f64>,
    /// Volume, MWh.
    pub(crate) volume: f64,
    /// Number of ticks.
    pub(crate) count: i64,
    /// Sample standard deviation of the tick prices; null below two ticks.
    pub(crate) volatility: Option<f64>,
}

impl Bar {
    pub(crate) fn new(row: &BarRow) -> Self {
        let bar = &row.bar;
        Self {
            start: rfc3339(row.key.start_ms),
            end: rfc3339(row.end_ms),
            open: price(bar.open),
            high: price(bar.high),
            low: price(bar.low),
            close: price(bar.close),
            mean: price(bar.mean()),
            vwap: bar.vwap().map(price),
            volume: volume_mwh(bar.sum_volume_kwh),
            count: bar.count,
            volatility: bar.std().map(price),
        }
    }
}

/// Key figures of a series over a trailing window.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct KpiView {
    /// Which series.
    #[serde(flatten)]
    pub(crate) series: Series,
    /// Window length, minutes.
    pub(crate) window_minutes: u32,
    /// Newest price.
    pub(crate) last: f64,
    /// Event time of the newest price.
    pub(crate) last_time: String,
    /// Newest price minus the window's first.
    pub(crate) change: f64,
    /// Change in per cent of the first price; null when that is 0.
    pub(crate) change_percent: Option<f64>,
    /// Lowest price.
    pub(crate) min: f64,
    /// Highest price.
    pub(crate) max: f64,
    /// Mean of the tick prices.
    pub(crate) mean: f64,
    /// Volume-weighted average price; null without volume.
    pub(crate) vwap: Option<f64>,
    /// Sample standard deviation of the differences between closes of consecutive bars; null below three bars.
    pub(crate) volatility: Option<f64>,
    /// Volume, MWh.
    pub(crate) volume: f64,
    /// Number of ticks.
    pub(crate) count: i64,
    /// Mean minus the reference location's mean; null without a reference.
    pub(crate) spread: Option<f64>,
}

impl KpiView {
    pub(crate) fn new(labels: &Labels, kpi: &Kpi) -> Self {
        Self {
            series: labels.series(kpi.series),
            window_minutes: kpi.window_min,
            last: price(kpi.last),
            last_time: rfc3339(kpi.last_ms),
            change: price(kpi.change),
            // Parts per million of the first price to per cent.
            change_percent: kpi.change_ppm.map(|ppm| ppm as f64 / 1e4),
            min: price(kpi.min),
            max: price(kpi.max),
            mean: price(kpi.mean),
            vwap: kpi.vwap.map(price),
            volatility: kpi.volatility.map(price),
            volume: volume_mwh(kpi.volume_kwh),
            count: kpi.count,
            spread: kpi.spread.map(price),
        }
    }
}

/// An alert with its life.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct AlertView {
    /// Stable id, 16 hexadecimal digits: the same alert keeps it through corrections.
    pub(crate) id: String,
    /// Which series.
    #[serde(flatten)]
    pub(crate) series: Series,
    /// What was found, e.g. `z_score`.
    pub(crate) alert_type: String,
    /// `info`, `warning` or `critical`.
    pub(crate) severity: String,
    /// `raised`, `revised` or `withdrawn`.
    pub(crate) state: String,
    /// The rule that fired.
    pub(crate) rule: String,
    /// For people.
    pub(crate) message: String,
    /// Start of the minute that fired.
    pub(crate) timestamp: String,
    /// The value judged: currency per MWh (of a stale feed: seconds of silence).
    pub(crate) value: f64,
    /// What it was judged against, in the same unit.
    pub(crate) baseline: Option<f64>,
    /// z, for kinds that have one.
    pub(crate) z_score: Option<f64>,
    /// The threshold, in the kind's unit (z, currency per MWh, bars, seconds).
    pub(crate) threshold: f64,
    /// When it was raised, as T.
    pub(crate) raised_t: T,
    /// When it last changed, as T.
    pub(crate) changed_t: T,
    /// Changes since it was raised.
    pub(crate) revision: u32,
}

impl AlertView {
    pub(crate) fn new(labels: &Labels, alert: &Alert) -> Self {
        let found = &alert.anomaly;
        let series = labels.series(found.series);
        // A stale feed's value is milliseconds of silence, everybody else's micros of price.
        let stale = found.kind == model::AnomalyKind::StaleFeed;
        let unit = |value: i64| if stale { value as f64 / 1e3 } else { price(value) };
        let (value, baseline) = (unit(found.value), found.baseline.map(unit));
        let threshold = found.threshold_milli as f64 / 1e3;
        let against = baseline.map(|base| format!(" against {base}")).unwrap_or_default();
        Self {
            id: format!("{:016x}", found.id),
            message: format!(
                "{} {} at {}: {value}{against} (threshold {threshold})",
                series.location,
                found.kind.as_str().replace('_', " "),
                rfc3339(found.start_ms),
            ),
            series,
            alert_type: found.kind.as_str().to_owned(),
            severity: found.severity.as_str().to_owned(),
            state: alert.state.as_str().to_owned(),
            rule: found.rule.clone(),
            timestamp: rfc3339(found.start_ms),
            value,
            baseline,
            z_score: found.z_milli.map(|z| z as f64 / 1e3),
            threshold,
            raised_t: alert.raised_t,
            changed_t: alert.changed_t,
            revision: alert.revision,
        }
    }
}

/// The correlation of two series.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CorrelationView {
    /// First series.
    pub(crate) a: Series,
    /// Second series.
    pub(crate) b: Series,
    /// Window length, minutes.
    pub(crate) window_minutes: u32,
    /// Lag of the second behind the first, minutes.
    pub(crate) lag_minutes: u32,
    /// Number of paired minutes.
    pub(crate) count: i64,
    /// Pearson correlation in [−1, 1]; null when undefined.
    pub(crate) correlation: Option<f64>,
}

impl CorrelationView {
    pub(crate) fn new(labels: &Labels, row: &Correlation) -> Self {
        Self {
            a: labels.series(row.a),
            b: labels.series(row.b),
            window_minutes: row.window_min,
            lag_minutes: row.lag_min,
            count: row.n,
            correlation: row.r(),
        }
    }
}

/// A notice: an operator's broadcast, a market event or a bidding notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct NoticeView {
    /// Unique id.
    pub(crate) id: String,
    /// Canonical zone, or `*` for everybody.
    pub(crate) zone: String,
    /// `market_alert`, `market_event` or `bidding`.
    pub(crate) class: String,
    /// The sender's own type, e.g. `price_spike`.
    pub(crate) alert_type: String,
    /// For people.
    pub(crate) message: String,
    /// `info`, `warning` or `critical`.
    pub(crate) severity: String,
    /// When it happened.
    pub(crate) timestamp: String,
}

impl NoticeView {
    pub(crate) fn new(notice: &Notice) -> Self {
        Self {
            id: notice.id.clone(),
            zone: notice.zone.clone(),
            class: notice.class.clone(),
            alert_type: notice.alert_type.clone(),
            message: notice.message.clone(),
            severity: notice.severity.as_str().to_owned(),
            timestamp: rfc3339(notice.event_ms),
        }
    }
}
