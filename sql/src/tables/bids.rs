//! `bids`: every bid as it stands.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, always_covered};

/// The table. An amended bid may move to another delivery day, so days cannot be skipped: its newest version may lie
/// elsewhere.
pub(super) const TABLE: Definition = Definition {
    name: "bids",
    private: Privacy::Organisation("organisation"),
    table: table::Table::Bids,
    every_version: false,
    live,
    stable: &["bid"],
    by_day: false,
    bounded_by_lookback: false,
    needs_history: super::versioned::since_the_start,
    covered: always_covered,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::bids(view.context(), view.snapshot.bids.values().map(|(t, row)| (*t, false, row)))
}
