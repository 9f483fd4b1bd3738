//! The tables, as Arrow sees them: one schema a table, shared by the embedded history (writer) and SQL (reader).
//!
//! Every table has `t` (when this version was written, timestamp) first. History tables are logs of versions: the
//! newest `t` of a key stands, unless `removed`. (Bodies follow in the next commit; the shapes are final.)

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::bar::BarRow;
use crate::bid::LiveBid;
use crate::location::Names;
use crate::output::{Alert, Correlation, Kpi};
use crate::tick::TickRow;
use crate::time::T;
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
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 6] = [Self::Ticks, Self::Bars, Self::Kpis, Self::Anomalies, Self::Correlations, Self::Bids];

    /// SQL name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Bars => "bars",
            Self::Kpis => "kpis",
            Self::Anomalies => "anomalies",
            Self::Correlations => "correlations",
            Self::Bids => "bids",
        }
    }

    /// Columns that identify a row among its versions.
    pub fn key(self) -> &'static [&'static str] {
        match self {
            Self::Ticks => &["topic", "partition", "offset", "row"],
            Self::Bars => &["zone", "location", "market", "granularity", "start_time"],
            Self::Kpis => &["zone", "location", "market", "window_min"],
            Self::Anomalies => &["id"],
            Self::Correlations => {
                &["zone_a", "location_a", "market_a", "zone_b", "location_b", "market_b", "window_min", "lag_min"]
            }
            Self::Bids => &["bid"],
        }
    }

    /// The column that dates a row (history is partitioned by its UTC day).
    pub fn time_column(self) -> &'static str {
        match self {
            Self::Ticks => "event_time",
            Self::Bars | Self::Anomalies => "start_time",
            Self::Kpis | Self::Correlations => "t",
            Self::Bids => "delivery_time",
        }
    }

    /// Arrow schema.
    pub fn schema(self) -> SchemaRef {
        SchemaRef::new(arrow::datatypes::Schema::empty())
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

/// A version of a row: when it was written, whether it is a removal, and the row.
pub type Version<'a, R> = (T, bool, &'a R);

/// Encodes tick rows.
pub fn ticks<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, TickRow>>,
) -> Result<RecordBatch, ArrowError> {
    let _ = (context, rows.into_iter().count());
    Err(ArrowError::NotYetImplemented("table".into()))
}

/// Encodes bars.
pub fn bars<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, BarRow>>,
) -> Result<RecordBatch, ArrowError> {
    let _ = (context, rows.into_iter().count());
    Err(ArrowError::NotYetImplemented("table".into()))
}

/// Encodes KPIs.
pub fn kpis<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Kpi>>,
) -> Result<RecordBatch, ArrowError> {
    let _ = (context, rows.into_iter().count());
    Err(ArrowError::NotYetImplemented("table".into()))
}

/// Encodes alerts; an alert's `changed_t` is its `t`.
pub fn anomalies<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = &'a Alert>,
) -> Result<RecordBatch, ArrowError> {
    let _ = (context, rows.into_iter().count());
    Err(ArrowError::NotYetImplemented("table".into()))
}

/// Encodes correlations.
pub fn correlations<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Correlation>>,
) -> Result<RecordBatch, ArrowError> {
    let _ = (context, rows.into_iter().count());
    Err(ArrowError::NotYetImplemented("table".into()))
}

/// Encodes live bids.
pub fn bids<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, LiveBid>>,
) -> Result<RecordBatch, ArrowError> {
    let _ = (context, rows.into_iter().count());
    Err(ArrowError::NotYetImplemented("table".into()))
}
