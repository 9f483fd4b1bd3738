//! `bid_kpis`: what each organisation has in the book of a delivery interval, and how much of it was taken; newest version of each.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, delivered_long_ago, within_retention};

/// The table.
pub(super) const TABLE: Definition = Definition {
    name: "bid_kpis",
    private: Privacy::Organisation("organisation"),
    table: table::Table::BidKpis,
    every_version: false,
    live,
    stable: &["zone", "location", "market", "side", "start_time", "duration_ms", "organisation"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history: delivered_long_ago,
    covered: within_retention,
};

fn live(view: &View, _: &Wanted) -> Result<RecordBatch, ArrowError> {
    table::bid_kpis(view.context(), view.snapshot.bid_kpis.values().map(|(t, row)| (*t, false, row)))
}
