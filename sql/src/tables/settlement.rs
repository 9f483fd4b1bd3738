//! `settlement`: what each delivery interval of an asset, or of a bid without one, comes to; newest version of each.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, delivered_long_ago, within_retention};

/// The table.
pub(super) const TABLE: Definition = Definition {
    name: "settlement",
    private: Privacy::Organisation("organisation"),
    table: table::Table::Settlement,
    every_version: false,
    live,
    stable: &["organisation", "asset", "bid", "zone", "location", "market", "start_time", "duration_ms"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history: delivered_long_ago,
    covered: within_retention,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::settlement(view.context(), view.snapshot.settlement.values().map(|(t, row)| (*t, false, row)))
}
