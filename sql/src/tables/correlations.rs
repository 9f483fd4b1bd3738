//! `correlations`: the newest correlation of each pair, window and lag.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, always_covered};

/// The table. Its history lies by the day of `t`, so a query without a bound on `t` looks back `sql.lookback` only.
pub(super) const TABLE: Definition = Definition {
    name: "correlations",
    private: Privacy::Public,
    table: table::Table::Correlations,
    every_version: false,
    live,
    stable: &["zone_a", "location_a", "market_a", "zone_b", "location_b", "market_b", "window_min", "lag_min"],
    by_day: false,
    bounded_by_lookback: true,
    needs_history: super::versioned::since_the_start,
    covered: always_covered,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::correlations(view.context(), view.snapshot.correlations.values().map(|(t, row)| (*t, false, row)))
}
