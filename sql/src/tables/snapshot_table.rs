//! A table that is made from the snapshot alone.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::history::newest::chunks;
use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;

/// How one table is made.
pub(crate) struct Definition {
    /// SQL name.
    pub(crate) name: &'static str,
    /// What of it is whose.
    pub(crate) private: Privacy,
    /// Its columns.
    pub(crate) schema: fn() -> Schema,
    /// Its rows that `Wanted` admits (it may make more). What dates a row is its `start_time`.
    pub(crate) rows: fn(&View, &Wanted, SchemaRef) -> Result<RecordBatch, ArrowError>,
}

/// The table over one view.
pub(crate) struct SnapshotTable {
    definition: &'static Definition,
    view: Arc<View>,
    schema: SchemaRef,
}

impl SnapshotTable {
    /// The table over one view.
    pub(crate) fn new(definition: &'static Definition, view: Arc<View>) -> Self {
        Self { definition, view, schema: Arc::new((definition.schema)()) }
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
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
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = Wanted::read(filters, "start_time");
        let rows = (self.definition.rows)(&self.view, &wanted, Arc::clone(&self.schema))?;
        let source = MemorySourceConfig::try_new(&[chunks(&rows)], Arc::clone(&self.schema), projection.cloned())?;
        Ok(DataSourceExec::from_data_source(source))
    }
}

impl fmt::Debug for SnapshotTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotTable").field("table", &self.definition.name).finish_non_exhaustive()
    }
}

/// A text column.
pub(crate) fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

/// An instant, UTC ms.
pub(crate) fn instant(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false)
}
