//! The tables of the SQL surface, one file each. All tables of one query show one snapshot, hence one T.
//!
//! ```text
//! snapshot at T ─► live rows as Arrow (cached for this T) ─┬─► rows                    (zones, rules, notices …)
//! history files ─► versions ───────────────────────────────┴─► newest of each key      (ticks, bars, kpis …)
//!                                                            └► every one of them       (bid_versions)
//! ```
//! Each says what of it is whose ([`private::Privacy`]); a reader who is not the house sees no more.

mod anomalies;
mod awards;
mod bars;
mod bid_kpis;
mod bid_versions;
mod bids;
mod clearing;
mod correlations;
mod kpis;
mod merit_order;
mod notices;
mod pnl;
pub(crate) mod private;
mod rules;
mod settlement;
pub(crate) mod snapshot_table;
mod system_state;
mod ticks;
pub(crate) mod versioned;
mod zones;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::catalog::TableProvider;
use model::table::{Context, Table};
use model::time::T;
use model::{Names, Reader, Snapshot, Zones};
use parking_lot::Mutex;

use crate::history::History;
use crate::metrics::Metrics;
use crate::tables::snapshot_table::SnapshotTable;
use crate::tables::versioned::{Definition, VersionedTable};

/// Everything that the tables of one query read.
#[derive(Debug)]
pub(crate) struct View {
    /// The state at T.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Names behind ids.
    pub(crate) names: Arc<Names>,
    /// The zone table.
    pub(crate) zones: Zones,
    /// The embedded history, if there is one.
    pub(crate) history: Option<Arc<History>>,
    /// How far back KPIs and correlations of earlier runs are looked for, ms.
    pub(crate) lookback_ms: i64,
    /// Live rows that an earlier query at the same T has encoded.
    pub(crate) cache: Arc<LiveCache>,
    /// Counters.
    pub(crate) metrics: Metrics,
}

impl View {
    /// What ids are resolved with.
    pub(crate) fn context(&self) -> Context<'_> {
        Context { names: &self.names, zones: &self.zones }
    }

    /// The snapshot's T as event time.
    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.snapshot.t).unwrap_or(i64::MAX)
    }
}

/// Whole live tables as Arrow, for the newest T that was asked for.
#[derive(Debug, Default)]
pub(crate) struct LiveCache(Mutex<HashMap<Table, (T, RecordBatch)>>);

impl LiveCache {
    /// The table at `t`, encoded at most once by queries that come one after another.
    pub(crate) fn get(
        &self,
        table: Table,
        t: T,
        encode: impl FnOnce() -> Result<RecordBatch, ArrowError>,
    ) -> Result<RecordBatch, ArrowError> {
        if let Some((at, batch)) = self.0.lock().get(&table)
            && *at == t
            && t != 0
        {
            return Ok(batch.clone());
        }
        let batch = encode()?;
        let mut tables = self.0.lock();
        // A slow query at an older T does not take the place of a newer one's rows.
        if tables.get(&table).is_none_or(|(at, _)| *at < t) {
            tables.insert(table, (t, batch.clone()));
        }
        Ok(batch)
    }
}

const VERSIONED: [&Definition; 12] = [
    &ticks::TABLE,
    &bars::TABLE,
    &kpis::TABLE,
    &anomalies::TABLE,
    &correlations::TABLE,
    &bids::TABLE,
    &bid_versions::TABLE,
    &clearing::TABLE,
    &awards::TABLE,
    &settlement::TABLE,
    &pnl::TABLE,
    &bid_kpis::TABLE,
];
const SNAPSHOT: [&snapshot_table::Definition; 5] =
    [&zones::TABLE, &rules::TABLE, &notices::TABLE, &merit_order::TABLE, &system_state::TABLE];

/// Every table over one view, by name, as `reader` sees it.
pub(crate) fn all(view: &Arc<View>, reader: &Reader) -> BTreeMap<&'static str, Arc<dyn TableProvider>> {
    let versioned = VERSIONED.iter().map(|definition| {
        let table = Arc::new(VersionedTable::new(definition, Arc::clone(view)));
        (definition.name, definition.private.guard(table, reader, &view.snapshot))
    });
    let snapshot = SNAPSHOT.iter().map(|definition| {
        let table = Arc::new(SnapshotTable::new(definition, Arc::clone(view)));
        (definition.name, definition.private.guard(table, reader, &view.snapshot))
    });
    versioned.chain(snapshot).collect()
}

/// Every table's name and columns.
pub(crate) fn schemas() -> BTreeMap<&'static str, SchemaRef> {
    let versioned = VERSIONED.iter().map(|definition| (definition.name, versioned::schema(definition.table)));
    let snapshot = SNAPSHOT.iter().map(|definition| (definition.name, SchemaRef::new((definition.schema)())));
    versioned.chain(snapshot).collect()
}
