//! `bids`: every bid as it stands.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use datafusion::error::Result as Read;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::versioned::{Definition, delivered_long_ago, starts_within_retention};

/// The table. An amended bid may move to another delivery day, so days cannot be skipped: its newest version may lie
/// elsewhere.
pub(super) const TABLE: Definition = Definition {
    name: "bids",
    table: table::Table::Bids,
    every_version: false,
    live,
    stable: &["bid"],
    by_day: false,
    bounded_by_lookback: false,
    needs_history: delivered_long_ago,
    covered,
};

fn covered(view: &View, batch: &RecordBatch) -> Read<BooleanArray> {
    starts_within_retention(view, batch, "delivery_time")
}

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::bids(view.context(), view.snapshot.bids.values().map(|(t, row)| (*t, false, row)))
}
