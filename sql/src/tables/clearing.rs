//! `clearing`: the clearing of every zone and delivery interval, newest version of each.
//!
//! The start of the interval is part of the key, so all versions of a row lie in one day's folder.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, delivered_long_ago, within_retention};

/// The table.
pub(super) const TABLE: Definition = Definition {
    name: "clearing",
    private: Privacy::Bid("marginal_bid"),
    table: table::Table::Clearing,
    every_version: false,
    live,
    stable: &["zone", "location", "market", "start_time"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history: delivered_long_ago,
    covered: within_retention,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::clearing(view.context(), view.snapshot.clearing.values().map(|(t, row)| (*t, false, row)))
}
