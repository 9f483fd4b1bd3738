//! `bid_versions`: the lives of bids, one row for each version that stood at the end of a T.
//!
//! Versions come from history, all but the one that stands: one that was overtaken before the history sink wrote it is
//! here as soon as it is written.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, never_covered};

/// The table. A version never changes: it lies in the day of its own delivery, and every column of it is stable.
pub(super) const TABLE: Definition = Definition {
    name: "bid_versions",
    private: Privacy::Organisation("organisation"),
    table: table::Table::Bids,
    every_version: true,
    live,
    stable: &["bid", "t", "organisation", "asset", "zone", "location", "market", "delivery_time", "side", "status"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history: |_, _| true,
    covered: never_covered,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::bids(view.context(), view.snapshot.bids.values().map(|(t, row)| (*t, false, row)))
}
