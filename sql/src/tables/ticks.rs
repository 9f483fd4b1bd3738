//! `ticks`: the records that reached their bar, with what became of them. Recent ones live (by number), all in history.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use model::{T, TickRow, table};

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, never_covered};

/// The table. A record never changes, so every column but `t` and what became of it is stable.
pub(super) const TABLE: Definition = Definition {
    name: "ticks",
    private: Privacy::Public,
    table: table::Table::Ticks,
    every_version: false,
    live,
    stable: &["zone", "location", "market", "event_time", "topic", "partition", "offset", "id"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history,
    covered: never_covered,
};

fn live(view: &View, wanted: &Wanted) -> Result<RecordBatch, ArrowError> {
    let rows = view.snapshot.ticks.iter().flat_map(|(t, rows)| rows.iter().map(move |row| (*t, false, row)));
    if wanted.is_everything() {
        return table::ticks(view.context(), rows);
    }
    let mut admitted = std::collections::HashMap::new();
    let mut named = |row: &TickRow| {
        *admitted.entry(row.tick.series()).or_insert_with(|| {
            let name = view.names.name(row.tick.location);
            wanted.admits("market", row.tick.market.as_str())
                && name
                    .is_none_or(|name| wanted.admits("zone", &name.zone) && wanted.admits("location", &name.location))
        })
    };
    let found: Vec<(T, bool, &TickRow)> =
        rows.filter(|(_, _, row)| wanted.admits_time(row.tick.event_ms) && named(row)).collect();
    table::ticks(view.context(), found)
}

/// Records that arrived since the oldest one kept are all live.
fn needs_history(view: &View, wanted: &Wanted) -> bool {
    match view.snapshot.ticks.front() {
        Some((oldest, _)) => wanted.from_t <= i64::try_from(*oldest).unwrap_or(i64::MAX),
        None => true,
    }
}
