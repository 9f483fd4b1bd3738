//! `pnl`: profit and loss of each organisation and asset by zone and day of delivery; newest version of each.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, delivered_long_ago, within_retention};

/// The table.
pub(super) const TABLE: Definition = Definition {
    name: "pnl",
    private: Privacy::Organisation("organisation"),
    table: table::Table::Pnl,
    every_version: false,
    live,
    stable: &["organisation", "asset", "zone", "start_time"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history: delivered_long_ago,
    covered: within_retention,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::pnl(view.context(), view.snapshot.pnl.values().map(|(t, row)| (*t, false, row)))
}
