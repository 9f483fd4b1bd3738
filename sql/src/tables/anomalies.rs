//! `anomalies`: alerts with their life. Withdrawn ones stay, with that state.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::table;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, never_covered};

/// The table. An alert's id is a hash of its rule, kind, series and bar, so those never change.
pub(super) const TABLE: Definition = Definition {
    name: "anomalies",
    private: Privacy::Rule("rule"),
    table: table::Table::Anomalies,
    every_version: false,
    live,
    stable: &["id", "rule", "kind", "zone", "location", "market", "start_time"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history,
    covered: never_covered,
};

fn live(view: &View, wanted: &Wanted) -> Result<RecordBatch, ArrowError> {
    let alerts = view.snapshot.alerts.values();
    table::anomalies(view.context(), alerts.filter(|alert| wanted.admits_time(alert.anomaly.start_ms)))
}

/// Alerts on bars that start after the live state began, inside its retention, are all live.
fn needs_history(view: &View, wanted: &Wanted) -> bool {
    let began = i64::try_from(view.snapshot.began_t).unwrap_or(i64::MAX);
    let kept = view.now_ms().saturating_sub(view.snapshot.limits().minute_ms);
    view.snapshot.t == 0 || wanted.from_ms < began.max(kept)
}
