//! The tables, as Arrow sees them: one schema a table, shared by the embedded history (writer) and SQL (reader).
//!
//! Prices are currency per MWh (`float64`), volumes MWh, times `timestamp(ms, UTC)`, ids text. Every table
//! starts with `t`, when this version of the row was written. History tables are logs of versions: of the
//! rows with one [`Table::key`] the newest `t` stands, unless it says `removed`.

mod bids;
mod columns;
mod market;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};

pub use bids::{awards, bid_kpis, bids, clearing, pnl, settlement};
pub use market::{anomalies, bars, correlations, kpis, ticks};

use crate::location::{LocationId, LocationName, Names};
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

/// The type of every time column.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
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
