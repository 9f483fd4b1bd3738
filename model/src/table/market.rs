//! What the market's data become: ticks, bars, key figures, alerts, correlations.

use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch};
use arrow::error::ArrowError;

use super::columns::{millis, versions};
use super::{Context, Version};
use crate::bar::BarRow;
use crate::money::{price, volume_mwh};
use crate::output::{Alert, AlertState, Correlation, Kpi};
use crate::tick::TickRow;

/// Encodes tick rows.
pub fn ticks<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, TickRow>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let tick = || rows.iter().map(|row| &row.tick);
        let extra = || tick().map(|tick| tick.extra.as_deref());
        let origins: Vec<_> =
            tick().map(|t| context.names.partition_name(t.partition).unwrap_or_else(|| ("?".into(), -1))).collect();
        columns.series(context, "", tick().map(|tick| tick.series()));
        columns.time("event_time", tick().map(|tick| tick.event_ms));
        columns.int("duration_ms", tick().map(|tick| i64::from(tick.duration_ms)));
        columns.float("price", tick().map(|tick| price(tick.price_micros)));
        columns.float("volume", tick().map(|tick| volume_mwh(tick.volume_kwh)));
        columns.maybe_text("currency", tick().map(|tick| context.currency(tick.location)));
        columns.maybe_float("energy", extra().map(|extra| extra?.energy_micros.map(price)));
        columns.maybe_float("congestion", extra().map(|extra| extra?.congestion_micros.map(price)));
        columns.maybe_float("loss", extra().map(|extra| extra?.loss_micros.map(price)));
        columns.text(
            "id",
            tick().map(|tick| match tick.extra.as_deref().and_then(|extra| extra.id.as_deref()) {
                Some(id) => id.to_owned(),
                None => format!("{:016x}", tick.id),
            }),
        );
        columns.int("revision", tick().map(|tick| tick.revision));
        columns.flag("cancelled", tick().map(|tick| tick.cancelled));
        columns.text("disposition", rows.iter().map(|row| row.disposition.as_str()));
        columns.maybe_text("source", extra().map(|extra| extra?.source.as_deref()));
        columns.text("topic", origins.iter().map(|(topic, _)| topic));
        columns.add("partition", Arc::new(Int32Array::from_iter_values(origins.iter().map(|origin| origin.1))), false);
        columns.int("offset", tick().map(|tick| tick.offset));
    })
}

/// Encodes bars.
pub fn bars<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, BarRow>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        let bar = || row().map(|row| &row.bar);
        columns.series(context, "", row().map(|row| row.key.series));
        columns.text("granularity", row().map(|row| row.key.granularity.as_str()));
        columns.time("start_time", row().map(|row| row.key.start_ms));
        columns.time("end_time", row().map(|row| row.end_ms));
        columns.float("open", bar().map(|bar| price(bar.open)));
        columns.float("high", bar().map(|bar| price(bar.high)));
        columns.float("low", bar().map(|bar| price(bar.low)));
        columns.float("close", bar().map(|bar| price(bar.close)));
        columns.float("mean", bar().map(|bar| price(bar.mean())));
        columns.maybe_float("vwap", bar().map(|bar| bar.vwap().map(price)));
        columns.maybe_float("std", bar().map(|bar| bar.std().map(price)));
        columns.float("volume", bar().map(|bar| volume_mwh(bar.sum_volume_kwh)));
        columns.int("count", bar().map(|bar| bar.count));
        columns.time("first_time", bar().map(|bar| bar.first_ms));
        columns.time("last_time", bar().map(|bar| bar.last_ms));
        columns.maybe_text("currency", row().map(|row| context.currency(row.key.series.location)));
        // The exact sums, as text where they outgrow 64 bits: with them a stored bar can be merged and revised.
        columns.text("sum_price", bar().map(|bar| bar.sum_price.to_string()));
        columns.text("sum_price_sq", bar().map(|bar| bar.sum_price_sq.to_string()));
        columns.text("sum_price_volume", bar().map(|bar| bar.sum_price_volume.to_string()));
    })
}

/// Encodes KPIs.
pub fn kpis<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Kpi>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        columns.series(context, "", row().map(|row| row.series));
        columns.minutes("window_min", row().map(|row| row.window_min));
        columns.float("last", row().map(|row| price(row.last)));
        columns.time("last_time", row().map(|row| row.last_ms));
        columns.float("change", row().map(|row| price(row.change)));
        columns.maybe_float("change_percent", row().map(|row| row.change_ppm.map(|ppm| ppm as f64 / 10_000.0)));
        columns.float("min", row().map(|row| price(row.min)));
        columns.float("max", row().map(|row| price(row.max)));
        columns.float("mean", row().map(|row| price(row.mean)));
        columns.maybe_float("vwap", row().map(|row| row.vwap.map(price)));
        columns.maybe_float("volatility", row().map(|row| row.volatility.map(price)));
        columns.float("volume", row().map(|row| volume_mwh(row.volume_kwh)));
        columns.int("count", row().map(|row| row.count));
        columns.maybe_float("spread", row().map(|row| row.spread.map(price)));
        columns.maybe_text("currency", row().map(|row| context.currency(row.series.location)));
    })
}

/// Encodes alerts; an alert's `changed_t` is its `t`. Value and baseline are in the kind's own unit:
/// currency per MWh, or milliseconds of silence for a stale feed.
pub fn anomalies<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = &'a Alert>,
) -> Result<RecordBatch, ArrowError> {
    // A withdrawn alert stays a row: that it was raised is history.
    let rows = rows.into_iter().map(|alert| (alert.changed_t, false, alert));
    versions(rows, |columns, rows| {
        let anomaly = || rows.iter().map(|row| &row.anomaly);
        columns.text("id", anomaly().map(|anomaly| format!("{:016x}", anomaly.id)));
        columns.series(context, "", anomaly().map(|anomaly| anomaly.series));
        columns.text("rule", anomaly().map(|anomaly| &anomaly.rule));
        columns.text("kind", anomaly().map(|anomaly| anomaly.kind.as_str()));
        columns.text("severity", anomaly().map(|anomaly| anomaly.severity.as_str()));
        columns.time("start_time", anomaly().map(|anomaly| anomaly.start_ms));
        columns.float("value", anomaly().map(|anomaly| anomaly.value_in_units()));
        columns.maybe_float("baseline", anomaly().map(|anomaly| anomaly.baseline.map(price)));
        columns.maybe_float("z", anomaly().map(|anomaly| anomaly.z_milli.map(|z| z as f64 / 1000.0)));
        columns.float("threshold", anomaly().map(|anomaly| anomaly.threshold_milli as f64 / 1000.0));
        columns.text("state", rows.iter().map(|row| row.state.as_str()));
        columns.time("raised_time", rows.iter().map(|row| millis(row.raised_t)));
        columns.minutes("revision", rows.iter().map(|row| row.revision));
        columns.flag("withdrawn", rows.iter().map(|row| row.state == AlertState::Withdrawn));
    })
}

/// Encodes correlations.
pub fn correlations<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Correlation>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        columns.series(context, "_a", row().map(|row| row.a));
        columns.series(context, "_b", row().map(|row| row.b));
        columns.minutes("window_min", row().map(|row| row.window_min));
        columns.minutes("lag_min", row().map(|row| row.lag_min));
        columns.int("n", row().map(|row| row.n));
        columns.maybe_float("r", row().map(|row| row.r()));
    })
}
