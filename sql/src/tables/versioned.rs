//! A table whose rows are versions: live rows and history behind one name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use model::table::Table;

use crate::history::History;
use crate::history::newest::{Columns, Covered, NewestExec, chunks, millis};
use crate::history::scan::Scan;
use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;

/// How one table is read.
pub(crate) struct Definition {
    /// SQL name.
    pub(crate) name: &'static str,
    /// What of it is whose.
    pub(crate) private: Privacy,
    /// Whose rows.
    pub(crate) table: Table,
    /// Whether each version of a row is a row of its own, told apart by `t`; otherwise the newest stands.
    pub(crate) every_version: bool,
    /// Encodes the live rows that `Wanted` admits (it may encode more).
    pub(crate) live: fn(&View, &Wanted) -> Result<RecordBatch, ArrowError>,
    /// Columns that are the same in all versions of a row: filters on them may go down to the files.
    pub(crate) stable: &'static [&'static str],
    /// Whether all versions of a row lie in the day that the time column tells, so that other days can be skipped.
    pub(crate) by_day: bool,
    /// Without a lower bound on `t`, look back this far only (`View::lookback_ms`).
    pub(crate) bounded_by_lookback: bool,
    /// Whether the files can hold admitted rows that the live state does not.
    pub(crate) needs_history: fn(&View, &Wanted) -> bool,
    /// Whether the live state would hold a version written since it began, if it stood.
    pub(crate) covered: fn(&View, &RecordBatch) -> Result<BooleanArray>,
}

/// Everything written since the live state began is in it.
pub(crate) fn always_covered(_: &View, batch: &RecordBatch) -> Result<BooleanArray> {
    Ok(BooleanArray::from(vec![true; batch.num_rows()]))
}

/// Nothing is ever removed from the table, so a version in history stands.
pub(crate) fn never_covered(_: &View, batch: &RecordBatch) -> Result<BooleanArray> {
    Ok(BooleanArray::from(vec![false; batch.num_rows()]))
}

/// Rows that changed since the live state began are all live; older versions are in history.
pub(crate) fn since_the_start(view: &View, wanted: &Wanted) -> bool {
    wanted.from_t < i64::try_from(view.snapshot.began_t).unwrap_or(i64::MAX) || view.snapshot.t == 0
}

/// First start of a delivery interval that the snapshot still keeps, UTC ms.
fn delivery_horizon(view: &View) -> i64 {
    view.now_ms().saturating_sub(view.snapshot.limits().minute_ms)
}

/// What concerns deliveries leaves the live state some time after them; until then what changed since it began is live.
pub(crate) fn delivered_long_ago(view: &View, wanted: &Wanted) -> bool {
    since_the_start(view, wanted) || wanted.from_ms < delivery_horizon(view)
}

/// Rows whose delivery started recently enough to be live, if they stand.
pub(crate) fn within_retention(view: &View, batch: &RecordBatch) -> Result<BooleanArray> {
    let starts = millis(column(batch, "start_time")?)?;
    let (starts, horizon) = (starts.as_primitive::<Int64Type>(), delivery_horizon(view));
    Ok((0..starts.len()).map(|row| Some(starts.value(row) >= horizon)).collect())
}

/// A table over one view.
pub(crate) struct VersionedTable {
    definition: &'static Definition,
    view: Arc<View>,
    file_schema: SchemaRef,
    schema: SchemaRef,
}

impl VersionedTable {
    /// The table over one view.
    pub(crate) fn new(definition: &'static Definition, view: Arc<View>) -> Self {
        Self { definition, view, schema: schema(definition.table), file_schema: file_schema(definition.table) }
    }

    fn live(&self, wanted: &Wanted) -> Result<RecordBatch, ArrowError> {
        let encode = || (self.definition.live)(&self.view, wanted);
        if wanted.is_everything() {
            return self.view.cache.get(self.definition.table, self.view.snapshot.t, encode);
        }
        encode()
    }

    /// Positions in the files' schema of columns by name.
    fn positions<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<usize>> {
        names.into_iter().map(|name| Ok(self.file_schema.index_of(name)?)).collect()
    }

    fn output(&self, projection: Option<&Vec<usize>>) -> Result<Vec<usize>> {
        let names = self.schema.fields().iter().map(|field| field.name().as_str());
        match projection {
            None => self.positions(names),
            Some(wanted) => self.positions(wanted.iter().map(|index| self.schema.field(*index).name().as_str())),
        }
    }

    fn predicate(&self, session: &dyn Session, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let stable = |filter: &&Expr| {
            let columns = filter.column_refs();
            !columns.is_empty() && columns.iter().all(|column| self.definition.stable.contains(&column.name.as_str()))
        };
        let Some(filter) = conjunction(filters.iter().filter(stable).cloned()) else { return Ok(None) };
        let schema = DFSchema::try_from(Arc::clone(&self.file_schema))?;
        session.create_physical_expr(filter, &schema).map(Some)
    }

    fn with_history(
        &self,
        history: &Arc<History>,
        session: &dyn Session,
        filters: &[Expr],
        wanted: Wanted,
        live: &RecordBatch,
        output: &[usize],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut columns = output.to_vec();
        let mut place = |index: usize| match columns.iter().position(|column| *column == index) {
            Some(place) => place,
            None => {
                columns.push(index);
                columns.len() - 1
            }
        };
        let version = self.definition.every_version.then_some("t");
        let key = self.positions(self.definition.table.key().iter().copied().chain(version))?;
        let read = Columns {
            key: key.into_iter().map(&mut place).collect(),
            t: place(self.file_schema.index_of("t")?),
            removed: place(self.file_schema.index_of("removed")?),
            output: (0..output.len()).collect(),
        };
        let scan = Scan {
            history: Arc::clone(history),
            table: self.definition.table,
            file_schema: Arc::clone(&self.file_schema),
            columns: columns.clone(),
            wanted,
            predicate: self.predicate(session, filters)?,
            by_day: self.definition.by_day,
            t: self.view.snapshot.t,
            // The greatest T means that no sink of ours writes this history: then nothing is forgotten for its sake.
            written_t: Some(self.view.snapshot.written_t).filter(|t| *t != u64::MAX).unwrap_or(0),
            metrics: self.view.metrics.clone(),
        };
        let (view, covered) = (Arc::clone(&self.view), self.definition.covered);
        let covered: Covered = Arc::new(move |batch| covered(&view, batch));
        let live = live.project(&columns)?;
        Ok(Arc::new(NewestExec::new(scan, live, read, self.view.snapshot.began_t, covered)?))
    }
}

#[async_trait]
impl TableProvider for VersionedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut wanted = Wanted::read(filters, self.definition.table.time_column());
        let live = self.live(&wanted)?;
        let output = self.output(projection)?;
        if let Some(history) = &self.view.history
            && (self.definition.needs_history)(&self.view, &wanted)
        {
            if self.definition.bounded_by_lookback && wanted.from_t == i64::MIN {
                wanted.from_t = self.view.now_ms().saturating_sub(self.view.lookback_ms);
                wanted.from_ms = wanted.from_ms.max(wanted.from_t);
            }
            return self.with_history(history, session, filters, wanted, &live, &output);
        }
        let schema = live.schema();
        let source = MemorySourceConfig::try_new(&[chunks(&live)], schema, Some(output))?;
        Ok(DataSourceExec::from_data_source(source))
    }
}

impl fmt::Debug for VersionedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionedTable").field("table", &self.definition.name).finish_non_exhaustive()
    }
}

/// The columns that a query sees: those of the files without `removed`.
pub(crate) fn schema(table: Table) -> SchemaRef {
    let file_schema = file_schema(table);
    let fields: Vec<_> = file_schema.fields().iter().filter(|field| field.name() != "removed").cloned().collect();
    Arc::new(Schema::new(fields))
}

/// Schemas are made by encoding nothing, which needs the zone table: once is enough.
fn file_schema(table: Table) -> SchemaRef {
    static SCHEMAS: LazyLock<BTreeMap<Table, SchemaRef>> =
        LazyLock::new(|| Table::ALL.into_iter().map(|table| (table, table.schema())).collect());
    SCHEMAS.get(&table).map_or_else(|| table.schema(), Arc::clone)
}

/// A column that the files' schema promises.
pub(crate) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Arc<dyn arrow::array::Array>> {
    batch.column_by_name(name).ok_or_else(|| DataFusionError::Internal(format!("history has no column {name}")))
}
