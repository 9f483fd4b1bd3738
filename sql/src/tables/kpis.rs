//! `kpis`: the newest key figures of each series and window. Series that have been silent since the start come from
//! history, as far back as `sql.lookback` or the query's own lower bound on `t`.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, always_covered};

/// The table. Its history lies by the day of `t`, so a query without a bound on `t` looks back `sql.lookback` only.
pub(super) const TABLE: Definition = Definition {
    name: "kpis",
    private: Privacy::Public,
    table: table::Table::Kpis,
    every_version: false,
    live,
    stable: &["zone", "location", "market", "window_min"],
    by_day: false,
    bounded_by_lookback: true,
    needs_history: super::versioned::since_the_start,
    covered: always_covered,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::kpis(view.context(), view.snapshot.kpis.values().map(|(t, row)| (*t, false, row)))
}
