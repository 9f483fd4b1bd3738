//! Reads the history files that a query needs: the days of its time range, the row groups and pages whose statistics
//! admit its filters, the columns it names. File metadata is cached by the engine's runtime.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use model::table::Table;
use model::time::T;

use crate::history::wanted::Wanted;
use crate::history::{File, History};
use crate::metrics::Metrics;

/// How one query reads one table's files.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// The folder.
    pub(crate) history: Arc<History>,
    /// The table.
    pub(crate) table: Table,
    /// The schema of its files.
    pub(crate) file_schema: SchemaRef,
    /// Columns to read, indices into the files' schema.
    pub(crate) columns: Vec<usize>,
    /// What may match.
    pub(crate) wanted: Wanted,
    /// Filters on columns that no version of a row changes.
    pub(crate) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Days may be skipped by `wanted`'s time range.
    pub(crate) by_day: bool,
    /// The snapshot's T: newer versions do not exist yet.
    pub(crate) t: T,
    /// Up to which T the snapshot relies on the history.
    pub(crate) written_t: T,
    /// Counters.
    pub(crate) metrics: Metrics,
}

impl Scan {
    /// The files that may hold matching versions.
    pub(crate) async fn files(&self, afresh: bool) -> Result<Vec<File>> {
        let all = self.history.files(self.table, self.written_t, afresh).await.map_err(to_datafusion)?;
        let needed = |file: &&File| {
            (!self.by_day || self.wanted.admits_day(file.day))
                && self.wanted.admits_t(file.last_t)
                && file.first_t <= self.t
        };
        Ok(all.iter().filter(needed).cloned().collect())
    }

    /// Starts reading these files.
    pub(crate) fn read(&self, files: &[File], context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.metrics.history_files.inc_by(files.len() as u64);
        self.metrics.history_bytes.inc_by(files.iter().map(|file| file.object.size).sum());
        let cache = context.runtime_env().cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(Arc::clone(self.history.store()), cache);
        let mut source = ParquetSource::new(Arc::clone(&self.file_schema))
            .with_parquet_file_reader_factory(Arc::new(reader))
            .with_enable_page_index(true);
        if let Some(predicate) = &self.predicate {
            source = source.with_predicate(Arc::clone(predicate)).with_pushdown_filters(true);
        }
        let partitions = context.session_config().target_partitions().clamp(1, files.len().max(1));
        let mut groups = vec![Vec::new(); partitions];
        for (index, file) in files.iter().enumerate() {
            groups[index % partitions].push(PartitionedFile::from(file.object.clone()));
        }
        let config = FileScanConfigBuilder::new(History::store_url(), Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(Some(self.columns.clone()))?
            .build();
        let plan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        let plan: Arc<dyn ExecutionPlan> =
            if partitions > 1 { Arc::new(CoalescePartitionsExec::new(plan)) } else { plan };
        execute_stream(plan, context)
    }
}

/// Whether a file was listed but is gone: compaction has replaced it.
pub(crate) fn is_gone(error: &DataFusionError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(object_store::Error::NotFound { .. }) = error.downcast_ref::<object_store::Error>() {
            return true;
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::NotFound
        {
            return true;
        }
        // Boxed inside DataFusion's and Parquet's own variants, which do not all name it as their source.
        match error.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::ObjectStore(inner)) if matches!(**inner, object_store::Error::NotFound { .. }) => {
                return true;
            }
            Some(DataFusionError::ParquetError(inner)) => match &**inner {
                parquet::errors::ParquetError::External(inner) => source = Some(&**inner),
                _ => source = error.source(),
            },
            _ => source = error.source(),
        }
    }
    false
}

fn to_datafusion(error: object_store::Error) -> DataFusionError {
    DataFusionError::ObjectStore(Box::new(error))
}
