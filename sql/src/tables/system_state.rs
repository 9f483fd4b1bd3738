//! `system_state`: one row, the T that the whole query reads and what has been accounted for up to it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::snapshot_table::{Definition, instant};

/// The table.
pub(super) const TABLE: Definition = Definition { name: "system_state", private: Privacy::Public, schema, rows };

const NUMBERS: [&str; 18] = [
    "t_ms",
    "received",
    "applied",
    "corrected",
    "superseded",
    "duplicates",
    "dead_letters",
    "live_bars",
    "live_kpis",
    "live_alerts",
    "live_correlations",
    "live_bids",
    "live_clearing",
    "live_awards",
    "live_settlement",
    "live_pnl",
    "live_bid_kpis",
    "live_ticks",
];

fn schema() -> Schema {
    let numbers = NUMBERS.map(|name| Field::new(name, DataType::UInt64, false));
    Schema::new([instant("t"), instant("began_t")].into_iter().chain(numbers).collect::<Vec<_>>())
}

fn rows(view: &View, _: &Wanted, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
    let snapshot = &view.snapshot;
    let counts = &snapshot.counts;
    let instant = |t: u64| -> ArrayRef {
        let ms = i64::try_from(t).unwrap_or(i64::MAX);
        Arc::new(TimestampMillisecondArray::from(vec![ms]).with_timezone("UTC"))
    };
    let numbers = [
        snapshot.t,
        counts.received,
        counts.applied,
        counts.corrected,
        counts.superseded,
        counts.duplicates,
        counts.dead_letters,
        snapshot.bars.len() as u64,
        snapshot.kpis.len() as u64,
        snapshot.alerts.len() as u64,
        snapshot.correlations.len() as u64,
        snapshot.bids.len() as u64,
        snapshot.clearing.len() as u64,
        snapshot.awards.len() as u64,
        snapshot.settlement.len() as u64,
        snapshot.pnl.len() as u64,
        snapshot.bid_kpis.len() as u64,
        snapshot.ticks.iter().map(|(_, rows)| rows.len() as u64).sum(),
    ];
    let numbers = numbers.map(|number| -> ArrayRef { Arc::new(UInt64Array::from(vec![number])) });
    RecordBatch::try_new(schema, [instant(snapshot.t), instant(snapshot.began_t)].into_iter().chain(numbers).collect())
}
