//! One table as of one T: live rows and the versions in history, of each key the newest.
//!
//! ```text
//! live rows (already newest) ──► seed the keys ┐
//! history files ──► versions with t ≤ T ───────┴► greatest t of each key ──► drop the removed ──► rows
//! ```
//!
//! Rules, in this order, for a version v in history:
//! 1. v.t > T: not there yet.
//! 2. its key is live: the live row is at least as new.
//! 3. v.t ≥ the T at which the live state began, and the live state still covers such rows: live would have it, so the
//!    row was removed since, whether history says so already or not, and no older version of it stands.
//! 4. else the greatest t of the key counts, and if that says `removed`, there is no row.
//!
//! State: the rows that still may stand, and their keys; losers are let go when they outnumber the others. Accounted
//! for in the query's memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use model::time::T;

use crate::history::scan::{Scan, is_gone};

/// Scans again this often when compaction takes files away.
const ATTEMPTS: usize = 5;
const CHUNK_ROWS: usize = 8192;

/// Decides whether the live state would hold a row if it stood: `(row of this batch) → covered`.
pub(crate) type Covered = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray> + Send + Sync>;

/// The operator. A leaf: it lists and reads the files itself, so that it can begin again.
pub(crate) struct NewestExec {
    scan: Scan,
    /// Live rows, with the columns that the scan reads.
    live: RecordBatch,
    /// Positions of the key, of `t` and of `removed` among the columns read.
    key: Vec<usize>,
    t: usize,
    removed: usize,
    /// Positions of the output among the columns read.
    output: Vec<usize>,
    began_t: T,
    covered: Covered,
    properties: Arc<PlanProperties>,
}

/// What the operator needs to know about the columns read.
pub(crate) struct Columns {
    /// The key.
    pub(crate) key: Vec<usize>,
    /// `t`.
    pub(crate) t: usize,
    /// `removed`.
    pub(crate) removed: usize,
    /// The output.
    pub(crate) output: Vec<usize>,
}

impl NewestExec {
    /// Puts the operator together; `live` holds the columns that `scan` reads.
    pub(crate) fn new(scan: Scan, live: RecordBatch, columns: Columns, began_t: T, covered: Covered) -> Result<Self> {
        let schema: SchemaRef = Arc::new(live.schema().project(&columns.output)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let Columns { key, t, removed, output } = columns;
        Ok(Self { scan, live, key, t, removed, output, began_t, covered, properties: Arc::new(properties) })
    }

    async fn rows(&self, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        let mut attempt = 1;
        loop {
            match self.attempt(&context, attempt > 1).await {
                Err(error) if attempt < ATTEMPTS && is_gone(&error) => {
                    self.scan.metrics.history_retries.inc();
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn attempt(&self, context: &Arc<TaskContext>, afresh: bool) -> Result<Vec<RecordBatch>> {
        let files = self.scan.files(afresh).await?;
        let reservation = MemoryConsumer::new("newest versions").register(context.memory_pool());
        let mut newest = Newest::new(self, reservation)?;
        if !files.is_empty() {
            let mut versions = self.scan.read(&files, Arc::clone(context))?;
            while let Some(batch) = versions.next().await {
                let batch = batch?;
                self.scan.metrics.history_rows.inc_by(batch.num_rows() as u64);
                newest.add(batch)?;
            }
        }
        newest.finish()
    }
}

/// Where a key's newest version lies.
#[derive(Clone, Copy)]
struct Place {
    t: i64,
    batch: usize,
    row: usize,
}

const LIVE: usize = usize::MAX;
/// Of a key: its live row stands, and if there is none, nothing.
const LIVE_DECIDES: Place = Place { t: i64::MAX, batch: LIVE, row: 0 };

struct Newest<'a> {
    exec: &'a NewestExec,
    keys: RowConverter,
    places: HashMap<Box<[u8]>, Place>,
    batches: Vec<RecordBatch>,
    rows: usize,
    reservation: MemoryReservation,
}

impl<'a> Newest<'a> {
    fn new(exec: &'a NewestExec, reservation: MemoryReservation) -> Result<Self> {
        let schema = exec.live.schema();
        let fields = exec.key.iter().map(|index| SortField::new(schema.field(*index).data_type().clone())).collect();
        let keys = RowConverter::new(fields)?;
        let mut newest = Self { exec, keys, places: HashMap::new(), batches: Vec::new(), rows: 0, reservation };
        newest.reservation.try_grow(exec.live.get_array_memory_size())?;
        let live = newest.keys_of(&exec.live)?;
        for key in live.iter() {
            newest.places.insert(key.data().into(), LIVE_DECIDES);
        }
        Ok(newest)
    }

    fn keys_of(&self, batch: &RecordBatch) -> Result<arrow::row::Rows> {
        let columns: Vec<_> = self.exec.key.iter().map(|index| Arc::clone(batch.column(*index))).collect();
        Ok(self.keys.convert_columns(&columns)?)
    }

    fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let times = millis(batch.column(self.exec.t))?;
        let times = times.as_primitive::<Int64Type>();
        let covered = (self.exec.covered)(&batch)?;
        let keys = self.keys_of(&batch)?;
        let now = i64::try_from(self.exec.scan.t).unwrap_or(i64::MAX);
        let began = i64::try_from(self.exec.began_t).unwrap_or(i64::MAX);
        let here = self.batches.len();
        for (row, key) in keys.iter().enumerate() {
            let t = times.value(row);
            if t > now {
                continue;
            }
            // A covered version settles its key: what is older than it stands even less.
            let place = if t >= began && covered.value(row) { LIVE_DECIDES } else { Place { t, batch: here, row } };
            match self.places.get_mut(key.data()) {
                Some(known) if known.t >= place.t => {}
                Some(known) => *known = place,
                None => {
                    self.places.insert(key.data().into(), place);
                }
            }
        }
        self.rows += batch.num_rows();
        self.reservation.try_grow(batch.get_array_memory_size() + keys.size())?;
        self.batches.push(batch);
        // Halving the rows each time keeps the work linear in what was read.
        if self.rows > 2 * self.places.len().max(CHUNK_ROWS) {
            self.let_losers_go()?;
        }
        Ok(())
    }

    /// For each batch the rows that stand.
    fn standing(&self) -> Vec<Vec<bool>> {
        let mut standing: Vec<Vec<bool>> = self.batches.iter().map(|batch| vec![false; batch.num_rows()]).collect();
        for place in self.places.values().filter(|place| place.batch != LIVE) {
            standing[place.batch][place.row] = true;
        }
        standing
    }

    fn let_losers_go(&mut self) -> Result<()> {
        let standing = self.standing();
        // Where each standing row moves to, among the rows of its batch that stay.
        let moved: Vec<Vec<usize>> = standing
            .iter()
            .map(|rows| {
                let mut kept = 0;
                rows.iter()
                    .map(|stands| {
                        let place = kept;
                        kept += usize::from(*stands);
                        place
                    })
                    .collect()
            })
            .collect();
        for place in self.places.values_mut().filter(|place| place.batch != LIVE) {
            place.row = moved[place.batch][place.row];
        }
        let mut bytes = self.exec.live.get_array_memory_size();
        self.rows = 0;
        for (batch, rows) in self.batches.iter_mut().zip(standing) {
            *batch = filter_record_batch(batch, &BooleanArray::from(rows))?;
            bytes += batch.get_array_memory_size();
            self.rows += batch.num_rows();
        }
        bytes += self.places.keys().map(|key| key.len() + size_of::<Place>() + 32).sum::<usize>();
        self.reservation.resize(bytes);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RecordBatch>> {
        let standing = self.standing();
        let mut out = chunks(&self.exec.live);
        for (batch, mut rows) in std::mem::take(&mut self.batches).into_iter().zip(standing) {
            let removed = batch.column(self.exec.removed);
            let removed = removed
                .as_boolean_opt()
                .ok_or_else(|| DataFusionError::Internal("column removed is not boolean".to_owned()))?;
            for (row, stands) in rows.iter_mut().enumerate() {
                *stands &= removed.is_null(row) || !removed.value(row);
            }
            let batch = filter_record_batch(&batch, &BooleanArray::from(rows))?;
            if batch.num_rows() > 0 {
                out.push(batch);
            }
        }
        out.iter().map(|batch| Ok(batch.project(&self.exec.output)?)).collect()
    }
}

/// A batch in pieces that DataFusion can spread over threads.
pub(crate) fn chunks(batch: &RecordBatch) -> Vec<RecordBatch> {
    (0..batch.num_rows())
        .step_by(CHUNK_ROWS)
        .map(|start| batch.slice(start, CHUNK_ROWS.min(batch.num_rows() - start)))
        .collect()
}

/// A timestamp column as integers, milliseconds.
pub(crate) fn millis(column: &Arc<dyn Array>) -> Result<Arc<dyn Array>> {
    let ms = match column.data_type() {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, _) => Arc::clone(column),
        DataType::Timestamp(_, zone) => {
            cast(column, &DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, zone.clone()))?
        }
        other => return Err(DataFusionError::Internal(format!("{other} is no timestamp"))),
    };
    Ok(cast(&ms, &DataType::Int64)?)
}

impl fmt::Debug for NewestExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewestExec").field("table", &self.scan.table).field("t", &self.scan.t).finish_non_exhaustive()
    }
}

impl DisplayAs for NewestExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewestExec: table={}, t={}, live={}", self.scan.table.name(), self.scan.t, self.live.num_rows())?;
        if let Some(predicate) = &self.scan.predicate {
            write!(f, ", history filter={predicate}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for NewestExec {
    fn name(&self) -> &str {
        "NewestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let exec = self.clone();
        let schema = self.schema();
        let rows = async move { exec.rows(context).await.map(|rows| futures::stream::iter(rows.into_iter().map(Ok))) };
        let stream = futures::stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

impl Clone for NewestExec {
    fn clone(&self) -> Self {
        Self {
            scan: self.scan.clone(),
            live: self.live.clone(),
            key: self.key.clone(),
            output: self.output.clone(),
            covered: Arc::clone(&self.covered),
            properties: Arc::clone(&self.properties),
            ..*self
        }
    }
}
