//! `bars`: one-minute bars and their roll-ups, newest version of each.
//!
//! Live as long as the snapshot's limits say (minute bars 48 h, …), older ones from history. The start of a bar is part
//! of its key, so all its versions lie in one day's folder.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use datafusion::error::Result;
use model::time::Granularity;
use model::{BarKey, BarRow, SeriesKey, Snapshot, T, table};

use crate::history::newest::millis;
use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::versioned::{Definition, column};

/// The table.
pub(super) const TABLE: Definition = Definition {
    name: "bars",
    private: Privacy::Public,
    table: table::Table::Bars,
    every_version: false,
    live,
    stable: &["zone", "location", "market", "granularity", "start_time"],
    by_day: true,
    bounded_by_lookback: false,
    needs_history,
    covered,
};

fn live(view: &View, wanted: &Wanted) -> Result<RecordBatch, ArrowError> {
    let snapshot = &view.snapshot;
    if wanted.is_everything() {
        return table::bars(view.context(), snapshot.bars.values().map(|(t, row)| (*t, false, row)));
    }
    let mut rows: Vec<(T, bool, &BarRow)> = Vec::new();
    for series in all_series(snapshot) {
        let name = view.names.name(series.location);
        let (zone, location) = name.as_ref().map_or(("", ""), |name| (&name.zone, &name.location));
        // A series without a name is encoded in any case: the filters above decide.
        let named = name.is_none() || (wanted.admits("zone", zone) && wanted.admits("location", location));
        if !named || !wanted.admits("market", series.market.as_str()) {
            continue;
        }
        for granularity in Granularity::ALL.into_iter().filter(|g| wanted.admits("granularity", g.as_str())) {
            let key = |start_ms| BarKey { series, granularity, start_ms };
            if wanted.from_ms <= wanted.to_ms {
                let range = snapshot.bars.range(key(wanted.from_ms)..=key(wanted.to_ms));
                rows.extend(range.map(|(_, (t, row))| (*t, false, row)));
            }
        }
    }
    table::bars(view.context(), rows)
}

/// Every series with a bar, by leaps over its bars.
fn all_series(snapshot: &Snapshot) -> impl Iterator<Item = SeriesKey> {
    let mut next = snapshot.bars.get_min().map(|(key, _)| key.series);
    std::iter::from_fn(move || {
        let series = next?;
        let last = BarKey { series, granularity: Granularity::D1, start_ms: i64::MAX };
        next = snapshot.bars.range(last..).map(|(key, _)| key.series).find(|found| *found != series);
        Some(series)
    })
}

/// First start of a bar that the snapshot still keeps.
fn horizon(view: &View, granularity: Granularity) -> i64 {
    view.now_ms().saturating_sub(view.snapshot.limits().bars_ms(granularity))
}

/// Bars that start after the live state began, inside its retention, are all live.
fn needs_history(view: &View, wanted: &Wanted) -> bool {
    let began = i64::try_from(view.snapshot.began_t).unwrap_or(i64::MAX);
    let kept = Granularity::ALL
        .into_iter()
        .filter(|granularity| wanted.admits("granularity", granularity.as_str()))
        .map(|granularity| horizon(view, granularity))
        .max()
        .unwrap_or(i64::MIN);
    view.snapshot.t == 0 || wanted.from_ms < began.max(kept)
}

fn covered(view: &View, batch: &RecordBatch) -> Result<BooleanArray> {
    let granularity = cast(column(batch, "granularity")?, &DataType::Utf8)?;
    let granularity = granularity.as_string::<i32>();
    let starts = millis(column(batch, "start_time")?)?;
    let starts = starts.as_primitive::<Int64Type>();
    let kept = |row| {
        Granularity::parse(granularity.value(row))
            .is_some_and(|granularity| starts.value(row) >= horizon(view, granularity))
    };
    Ok((0..starts.len()).map(|row| Some(kept(row))).collect())
}
