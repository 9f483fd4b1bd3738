//! The tables, as Arrow sees them: one schema a table, shared by the embedded history (writer) and SQL (reader).
//!
//! Prices are currency per MWh (`float64`), volumes MWh, times `timestamp(ms, UTC)`, ids text. Every table
//! starts with `t`, when this version of the row was written. History tables are logs of versions: of the
//! rows with one [`Table::key`] the newest `t` stands, unless it says `removed`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt32Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::bar::BarRow;
use crate::bid::LiveBid;
use crate::bid_kpi::BidKpi;
use crate::clearing::{Award, Clearing};
use crate::location::{LocationId, LocationName, Names, SeriesKey};
use crate::money::{price, volume_mwh};
use crate::output::{Alert, AlertState, Correlation, Kpi};
use crate::settlement::{Pnl, Settlement};
use crate::tick::TickRow;
use crate::time::T;
use crate::wire::{WireKind, WireStep};
use crate::zones::Zones;

/// A table of the SQL surface and of the embedded history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Tick records with what became of them.
    Ticks,
    /// Bars of every granularity.
    Bars,
    /// Key figures.
    Kpis,
    /// Alerts with their life.
    Anomalies,
    /// Correlations.
    Correlations,
    /// Live bids.
    Bids,
    /// Clearing results.
    Clearing,
    /// Awards.
    Awards,
    /// Settlement of delivery intervals.
    Settlement,
    /// Profit and loss by day.
    Pnl,
    /// Key figures of bids.
    BidKpis,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 11] = [
        Self::Ticks,
        Self::Bars,
        Self::Kpis,
        Self::Anomalies,
        Self::Correlations,
        Self::Bids,
        Self::Clearing,
        Self::Awards,
        Self::Settlement,
        Self::Pnl,
        Self::BidKpis,
    ];

    /// SQL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Bars => "bars",
            Self::Kpis => "kpis",
            Self::Anomalies => "anomalies",
            Self::Correlations => "correlations",
            Self::Bids => "bids",
            Self::Clearing => "clearing",
            Self::Awards => "awards",
            Self::Settlement => "settlement",
            Self::Pnl => "pnl",
            Self::BidKpis => "bid_kpis",
        }
    }

    /// Columns that identify a row among its versions.
    pub fn key(self) -> &'static [&'static str] {
        match self {
            // Rows of one columnar message share topic, partition and offset; the id tells them apart.
            Self::Ticks => &["topic", "partition", "offset", "id", "event_time"],
            Self::Bars => &["zone", "location", "market", "granularity", "start_time"],
            Self::Kpis => &["zone", "location", "market", "window_min"],
            Self::Anomalies => &["id"],
            Self::Correlations => {
                &["zone_a", "location_a", "market_a", "zone_b", "location_b", "market_b", "window_min", "lag_min"]
            }
            Self::Bids => &["bid"],
            Self::Clearing => &["zone", "location", "market", "start_time"],
            Self::Awards => &["bid", "start_time"],
            Self::Settlement => {
                &["organisation", "asset", "bid", "zone", "location", "market", "start_time", "duration_ms"]
            }
            Self::Pnl => &["organisation", "asset", "zone", "start_time"],
            // Whose comes last: it is free text, and what stands before it tells where it begins.
            Self::BidKpis => &["zone", "location", "market", "side", "start_time", "duration_ms", "organisation"],
        }
    }

    /// The column that dates a row (history is partitioned by its UTC day).
    pub fn time_column(self) -> &'static str {
        match self {
            Self::Ticks => "event_time",
            Self::Bars
            | Self::Anomalies
            | Self::Clearing
            | Self::Awards
            | Self::Settlement
            | Self::Pnl
            | Self::BidKpis => "start_time",
            Self::Kpis | Self::Correlations => "t",
            Self::Bids => "delivery_time",
        }
    }

    /// Arrow schema.
    pub fn schema(self) -> SchemaRef {
        // An empty batch has the schema: the encoders are the one place that says what a table holds.
        let (names, zones) = (Names::default(), Zones::built_in());
        let context = Context { names: &names, zones: &zones };
        let empty = match self {
            Self::Ticks => ticks(context, []),
            Self::Bars => bars(context, []),
            Self::Kpis => kpis(context, []),
            Self::Anomalies => anomalies(context, []),
            Self::Correlations => correlations(context, []),
            Self::Bids => bids(context, []),
            Self::Clearing => clearing(context, []),
            Self::Awards => awards(context, []),
            Self::Settlement => settlement(context, []),
            Self::Pnl => pnl(context, []),
            Self::BidKpis => bid_kpis(context, []),
        };
        empty.expect("columns of an empty table have equal length").schema()
    }
}

/// What ids are resolved with.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Names behind ids.
    pub names: &'a Names,
    /// Zone table (currency).
    pub zones: &'a Zones,
}

impl Context<'_> {
    /// Names of a location; the id in hexadecimal where the name is not known here.
    pub fn name(&self, id: LocationId) -> LocationName {
        self.names.name(id).unwrap_or_else(|| {
            let zone = self.zones.of(id).map_or("?", |zone| zone.code.as_str());
            LocationName { id, zone: zone.into(), location: format!("{:012x}", id.0 & 0xffff_ffff_ffff).into() }
        })
    }

    fn currency(&self, id: LocationId) -> Option<&str> {
        self.zones.of(id).map(|zone| zone.currency.as_str())
    }
}

/// A version of a row: when it was written, whether it is a removal, and the row.
pub type Version<'a, R> = (T, bool, &'a R);

/// Collects columns in order, then makes the batch.
struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn new() -> Self {
        Self { fields: Vec::new(), arrays: Vec::new() }
    }

    fn add(&mut self, name: &str, array: ArrayRef, nullable: bool) {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(array);
    }

    fn time(&mut self, name: &str, values: impl Iterator<Item = i64>) {
        let array = TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC");
        debug_assert_eq!(array.timezone(), Some("UTC"));
        self.add(name, Arc::new(array), false);
    }

    fn text<S: AsRef<str>>(&mut self, name: &str, values: impl Iterator<Item = S>) {
        self.add(name, Arc::new(StringArray::from_iter_values(values)), false);
    }

    fn maybe_text<S: AsRef<str>>(&mut self, name: &str, values: impl Iterator<Item = Option<S>>) {
        self.add(name, Arc::new(StringArray::from_iter(values)), true);
    }

    fn float(&mut self, name: &str, values: impl Iterator<Item = f64>) {
        self.add(name, Arc::new(Float64Array::from_iter_values(values)), false);
    }

    fn maybe_float(&mut self, name: &str, values: impl Iterator<Item = Option<f64>>) {
        self.add(name, Arc::new(Float64Array::from_iter(values)), true);
    }

    fn int(&mut self, name: &str, values: impl Iterator<Item = i64>) {
        self.add(name, Arc::new(Int64Array::from_iter_values(values)), false);
    }

    fn minutes(&mut self, name: &str, values: impl Iterator<Item = u32>) {
        self.add(name, Arc::new(UInt32Array::from_iter_values(values)), false);
    }

    fn flag(&mut self, name: &str, values: impl Iterator<Item = bool>) {
        self.add(name, Arc::new(BooleanArray::from_iter(values.map(Some))), false);
    }

    /// `zone`, `location`, `market` with a suffix.
    fn series(&mut self, context: Context<'_>, suffix: &str, series: &[SeriesKey]) {
        let names: Vec<LocationName> = series.iter().map(|series| context.name(series.location)).collect();
        self.text(&format!("zone{suffix}"), names.iter().map(|name| &name.zone));
        self.text(&format!("location{suffix}"), names.iter().map(|name| &name.location));
        self.text(&format!("market{suffix}"), series.iter().map(|series| series.market.as_str()));
    }

    fn finish(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)
    }
}

fn millis(t: T) -> i64 {
    i64::try_from(t).unwrap_or(i64::MAX)
}

/// The type of every time column.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// Encodes tick rows.
pub fn ticks<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, TickRow>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let tick = || rows.iter().map(|(_, _, row)| &row.tick);
    let extra = || tick().map(|tick| tick.extra.as_deref());
    let origins: Vec<_> =
        tick().map(|t| context.names.partition_name(t.partition).unwrap_or_else(|| ("?".into(), -1))).collect();
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.series(context, "", &tick().map(|tick| tick.series()).collect::<Vec<_>>());
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
    columns.text("disposition", rows.iter().map(|(_, _, row)| row.disposition.as_str()));
    columns.maybe_text("source", extra().map(|extra| extra?.source.as_deref()));
    columns.text("topic", origins.iter().map(|(topic, _)| topic));
    columns.add("partition", Arc::new(Int32Array::from_iter_values(origins.iter().map(|origin| origin.1))), false);
    columns.int("offset", tick().map(|tick| tick.offset));
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes bars.
pub fn bars<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, BarRow>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let bar = || row().map(|row| &row.bar);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.series(context, "", &row().map(|row| row.key.series).collect::<Vec<_>>());
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
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes KPIs.
pub fn kpis<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Kpi>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.series(context, "", &row().map(|row| row.series).collect::<Vec<_>>());
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
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes alerts; an alert's `changed_t` is its `t`. Value and baseline are in the kind's own unit:
/// currency per MWh, or milliseconds of silence for a stale feed.
pub fn anomalies<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = &'a Alert>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let anomaly = || rows.iter().map(|row| &row.anomaly);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|row| millis(row.changed_t)));
    columns.text("id", anomaly().map(|anomaly| format!("{:016x}", anomaly.id)));
    columns.series(context, "", &anomaly().map(|anomaly| anomaly.series).collect::<Vec<_>>());
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
    // A withdrawn alert stays a row: that it was raised is history.
    columns.flag("removed", rows.iter().map(|_| false));
    columns.finish()
}

/// Encodes correlations.
pub fn correlations<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Correlation>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.series(context, "_a", &row().map(|row| row.a).collect::<Vec<_>>());
    columns.series(context, "_b", &row().map(|row| row.b).collect::<Vec<_>>());
    columns.minutes("window_min", row().map(|row| row.window_min));
    columns.minutes("lag_min", row().map(|row| row.lag_min));
    columns.int("n", row().map(|row| row.n));
    columns.maybe_float("r", row().map(|row| row.r()));
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes live bids; the curve is JSON text, `[{"price":…,"power":…}]` in currency per MWh and MW.
pub fn bids<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, LiveBid>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.text("bid", row().map(|row| &row.bid));
    columns.text("organisation", row().map(|row| &row.organisation));
    columns.maybe_text("asset", row().map(|row| row.asset.as_deref()));
    columns.series(context, "", &row().map(|row| row.series).collect::<Vec<_>>());
    columns.time("delivery_time", row().map(|row| row.delivery_ms));
    columns.int("duration_ms", row().map(|row| i64::from(row.duration_ms)));
    columns.text("side", row().map(|row| row.side.as_str()));
    columns.text("status", row().map(|row| row.status.as_str()));
    columns.int("revision", row().map(|row| row.revision));
    let power_mw = |row: &LiveBid| volume_mwh(row.steps.iter().map(|step| step.power_kw).fold(0, i64::saturating_add));
    columns.float("power_mw", row().map(power_mw));
    columns.text("kind", row().map(|row| row.kind.as_str()));
    columns.text("terms", row().map(|row| terms_json(context, row)));
    columns.text("steps", row().map(steps_json));
    columns.time("event_time", row().map(|row| row.event_ms));
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes clearing results: prices in currency per MWh, power in MW, surplus in currency.
pub fn clearing<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Clearing>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.series(context, "", &row().map(|row| row.series).collect::<Vec<_>>());
    columns.time("start_time", row().map(|row| row.start_ms));
    columns.int("duration_ms", row().map(|row| i64::from(row.duration_ms)));
    columns.maybe_float("price", row().map(|row| row.price_micros.map(price)));
    columns.maybe_float("price_low", row().map(|row| Some(price(row.range_micros?.0))));
    columns.maybe_float("price_high", row().map(|row| Some(price(row.range_micros?.1))));
    columns.float("sold_mw", row().map(|row| volume_mwh(row.sold_kw)));
    columns.float("bought_mw", row().map(|row| volume_mwh(row.bought_kw)));
    columns.float("import_mw", row().map(|row| volume_mwh(row.import_kw)));
    columns.flag("congested", row().map(|row| row.congested));
    columns.maybe_text("marginal_side", row().map(|row| Some(row.marginal.as_ref()?.0.as_str())));
    columns.maybe_text("marginal_bid", row().map(|row| Some(&row.marginal.as_ref()?.1)));
    columns.float("buy_surplus", row().map(|row| price(row.buy_surplus_micros)));
    columns.float("sell_surplus", row().map(|row| price(row.sell_surplus_micros)));
    columns.float("offered_mw", row().map(|row| volume_mwh(row.offered_kw)));
    columns.float("wanted_mw", row().map(|row| volume_mwh(row.wanted_kw)));
    columns.maybe_float("best_buy", row().map(|row| row.best_buy_micros.map(price)));
    columns.maybe_float("best_sell", row().map(|row| row.best_sell_micros.map(price)));
    columns.int("bids", row().map(|row| row.bids));
    columns.maybe_text("currency", row().map(|row| context.currency(row.series.location)));
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes awards: MW, currency per MWh.
pub fn awards<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Award>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.text("bid", row().map(|row| &row.bid));
    columns.text("organisation", row().map(|row| &row.organisation));
    columns.maybe_text("asset", row().map(|row| row.asset.as_deref()));
    columns.series(context, "", &row().map(|row| row.series).collect::<Vec<_>>());
    columns.time("start_time", row().map(|row| row.start_ms));
    columns.int("duration_ms", row().map(|row| i64::from(row.duration_ms)));
    columns.text("side", row().map(|row| row.side.as_str()));
    columns.float("power_mw", row().map(|row| volume_mwh(row.power_kw)));
    columns.float("price", row().map(|row| price(row.price_micros)));
    columns.maybe_text("currency", row().map(|row| context.currency(row.series.location)));
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes settlement: MW, currency per MWh, amounts in currency; what is not known is null.
pub fn settlement<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Settlement>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.text("organisation", row().map(|row| &row.organisation));
    columns.text("asset", row().map(|row| &row.asset));
    columns.text("bid", row().map(|row| &row.bid));
    columns.series(context, "", &row().map(|row| row.series).collect::<Vec<_>>());
    columns.time("start_time", row().map(|row| row.start_ms));
    columns.int("duration_ms", row().map(|row| i64::from(row.duration_ms)));
    columns.time("day_time", row().map(|row| row.day_ms));
    columns.float("scheduled_mw", row().map(|row| volume_mwh(row.scheduled_kw)));
    columns.float("day_ahead", row().map(|row| price(row.day_ahead_micros)));
    columns.maybe_float("metered_mw", row().map(|row| row.metered_kw.map(volume_mwh)));
    columns.maybe_float("imbalance_mw", row().map(|row| row.imbalance_kw.map(volume_mwh)));
    columns.maybe_float("real_time_price", row().map(|row| row.real_time_price_micros.map(price)));
    columns.maybe_float("imbalance", row().map(|row| row.imbalance_micros.map(price)));
    columns.maybe_float("penalty", row().map(|row| row.penalty_micros.map(price)));
    columns.maybe_float("total", row().map(|row| row.total_micros.map(price)));
    columns.maybe_text("currency", row().map(|row| context.currency(row.series.location)));
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes profit and loss by day: amounts in currency.
pub fn pnl<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Pnl>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.text("organisation", row().map(|row| &row.organisation));
    columns.text("asset", row().map(|row| &row.asset));
    columns.text("zone", row().map(|row| context.name(row.zone).zone));
    columns.time("start_time", row().map(|row| row.day_ms));
    columns.time("end_time", row().map(|row| row.day_end_ms));
    columns.float("day_ahead", row().map(|row| price(row.day_ahead_micros)));
    columns.float("imbalance", row().map(|row| price(row.imbalance_micros)));
    columns.float("penalty", row().map(|row| price(row.penalty_micros)));
    columns.float("total", row().map(|row| price(row.total_micros)));
    columns.int("intervals", row().map(|row| row.intervals));
    columns.int("open_intervals", row().map(|row| row.open_intervals));
    columns.maybe_text("currency", row().map(|row| context.currency(row.zone)));
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// Encodes key figures of bids: MW, currency per MWh, acceptance in percent.
pub fn bid_kpis<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, BidKpi>>,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = || rows.iter().map(|(_, _, row)| *row);
    let key = || row().map(|row| &row.key);
    let mut columns = Columns::new();
    columns.time("t", rows.iter().map(|(t, _, _)| millis(*t)));
    columns.text("organisation", key().map(|key| &key.organisation));
    columns.series(context, "", &key().map(|key| key.series).collect::<Vec<_>>());
    columns.text("side", key().map(|key| key.side.as_str()));
    columns.time("start_time", key().map(|key| key.start_ms));
    columns.int("duration_ms", key().map(|key| i64::from(key.duration_ms)));
    columns.int("live_bids", row().map(|row| row.live));
    columns.int("withdrawn_bids", row().map(|row| row.withdrawn));
    columns.int("rejected_bids", row().map(|row| row.rejected));
    columns.int("expired_bids", row().map(|row| row.expired));
    columns.float("offered_mw", row().map(|row| volume_mwh(row.offered_kw)));
    columns.maybe_float("mean_price", row().map(|row| row.mean_price_micros.map(price)));
    columns.float("awarded_mw", row().map(|row| volume_mwh(row.awarded_kw)));
    columns.maybe_float("acceptance_percent", row().map(|row| row.acceptance_ppm.map(|ppm| ppm as f64 / 10_000.0)));
    columns.maybe_text("currency", key().map(|key| context.currency(key.series.location)));
    columns.flag("removed", rows.iter().map(|(_, removed, _)| *removed));
    columns.finish()
}

/// What is asked of a bid's acceptance, as on the wire.
fn terms_json(context: Context<'_>, bid: &LiveBid) -> String {
    let terms = WireKind::of(&bid.kind, |to| context.name(to).zone.to_string());
    serde_json::to_string(&terms).expect("numbers and text always serialise")
}

fn steps_json(bid: &LiveBid) -> String {
    let steps: Vec<WireStep> = bid.steps.iter().map(|step| WireStep::of(step, bid.delivery_ms)).collect();
    serde_json::to_string(&steps).expect("numbers and text always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_key_and_time_columns() {
        for table in Table::ALL {
            let schema = table.schema();
            assert_eq!(schema.field(0).name(), "t");
            for column in table.key().iter().chain([&table.time_column(), &"removed"]) {
                assert!(schema.field_with_name(column).is_ok(), "{} in {}", column, table.name());
            }
            assert_eq!(schema.field_with_name(table.time_column()).unwrap().data_type(), &time_type());
        }
    }
}
