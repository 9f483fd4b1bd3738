//! `awards`: what each bid was awarded in each delivery interval, once its gate is closed; newest version of each.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, delivered_long_ago, within_retention};

/// The table.
pub(super) const TABLE: Definition = Definition {
    name: "awards",
    private: Privacy::Organisation("organisation"),
    table: table::Table::Awards,
    every_version: false,
    live,
    stable: &["bid", "start_time"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history: delivered_long_ago,
    covered: within_retention,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::awards(view.context(), view.snapshot.awards.values().map(|(t, row)| (*t, false, row)))
}
