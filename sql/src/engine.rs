//! The query engine: SQL in, Arrow batches out, everything in one query at one T.
//!
//! ```text
//! SQL ─► parse ─► refuse what writes ─► names over ONE snapshot ─► plan ─► run ─► batches (rows, time, memory limited)
//! ```
//!
//! Queries run on threads of their own, so that a heavy one delays neither the API nor the dataflow. A result that is
//! dropped stops its query. A result larger than its limit is an error, never a silently shorter result.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::ParamValues;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, TryStreamExt};
use model::humane::Span;
use model::{Names, Reader, Snapshot, T, Zones};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::config::{Config, HistoryConfig, Limits};
use crate::error::Error;
use crate::history::History;
use crate::metrics::Metrics;
use crate::session::{self, Session, SessionUser, Sessions};
use crate::statement::Statement;
use crate::tables::{self, LiveCache, View};
use crate::threads::Threads;

/// Batches that may wait for a slow reader.
const BATCHES_AHEAD: usize = 4;

/// The engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    zones: Zones,
    names: Arc<Names>,
    live: Arc<ArcSwap<Snapshot>>,
    history: Option<Arc<History>>,
    cache: Arc<LiveCache>,
    sessions: Arc<dyn Sessions>,
    slots: Arc<Semaphore>,
    threads: Threads,
    metrics: Metrics,
}

/// A query with what it needs besides its text.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The parsed statement.
    pub(crate) statement: Statement,
    /// Values of `$1`, `$2` …
    pub(crate) parameters: Option<ParamValues>,
    /// Who asks: for `current_user` and the like.
    pub(crate) user: SessionUser,
}

/// The columns of a result and the types of the parameters, before it runs.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) schema: SchemaRef,
    pub(crate) parameters: BTreeMap<String, Option<arrow::datatypes::DataType>>,
}

impl Engine {
    /// Puts the engine together. `live` is where the pipeline publishes snapshots; `history` is the folder that the
    /// history sink writes.
    pub fn new(
        config: Config,
        zones: Zones,
        names: Arc<Names>,
        live: Arc<ArcSwap<Snapshot>>,
        history: Option<&HistoryConfig>,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let history = history.map(History::open).transpose()?.map(Arc::new);
        let sessions = session::open(&config, history.as_deref())?;
        let inner = Inner {
            slots: Arc::new(Semaphore::new(config.concurrency.max(1))),
            threads: Threads::start(config.threads.max(1))?,
            sessions,
            cache: Arc::default(),
            config,
            zones,
            names,
            live,
            history,
            metrics,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The limits that the configuration gives a query.
    pub fn limits(&self) -> Limits {
        Limits::from(&self.inner.config)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn names(&self) -> &Arc<Names> {
        &self.inner.names
    }

    pub(crate) fn has_history(&self) -> bool {
        self.inner.history.is_some()
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.live.load_full()
    }

    /// Runs one statement against the newest snapshot, with the eyes of `reader`.
    pub async fn query(&self, sql: &str, reader: &Reader, limits: &Limits) -> Result<QueryResult, Error> {
        let statement = Statement::parse_one(sql)?;
        let request = Request { statement, parameters: None, user: SessionUser::reading(reader) };
        self.run(request, self.snapshot(), limits).await
    }

    /// Runs a parsed statement against a snapshot. Boxed: see [`crate::session::Sessions`].
    pub(crate) fn run<'e>(
        &'e self,
        request: Request,
        snapshot: Arc<Snapshot>,
        limits: &Limits,
    ) -> BoxFuture<'e, Result<QueryResult, Error>> {
        let limits = *limits;
        let active = Active::begin(&self.inner.metrics);
        Box::pin(async move {
            let begun = self.begin(request, snapshot, limits, active).await;
            begun.inspect_err(|error| self.inner.metrics.queries.with_label_values(&[error.sqlstate()]).inc())
        })
    }

    async fn begin(
        &self,
        request: Request,
        snapshot: Arc<Snapshot>,
        limits: Limits,
        active: Active,
    ) -> Result<QueryResult, Error> {
        let deadline = Instant::now() + limits.timeout.0;
        let slot = self.slot(deadline, limits).await?;
        let snapshot = self.visible(snapshot).await?;
        let t = snapshot.t;
        let engine = self.clone();
        let plan = async move { engine.session(&request.user, snapshot, &limits).execute(request).await };
        let planned = self.inner.threads.run(timeout_at(deadline, plan)).await?;
        let (stream, tables) = planned.map_err(|_| Error::Timeout { limit: limits.timeout })??;
        let schema = stream.schema();
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let pump = Pump { stream, tables, limits, deadline, sender, rows: 0, slot, active };
        self.inner.threads.spawn(pump.run());
        Ok(QueryResult { schema, t, receiver, ended: false })
    }

    /// Says what a statement would return, without running it.
    pub(crate) fn describe(&self, request: Request) -> BoxFuture<'static, Result<Description, Error>> {
        let (limits, engine) = (self.limits(), self.clone());
        let planning = engine.clone();
        let plan = async move {
            let session = planning.session(&request.user, planning.snapshot(), &limits);
            session.describe(request).await
        };
        let planned = timeout_at(Instant::now() + limits.timeout.0, plan);
        Box::pin(async move {
            let planned = engine.inner.threads.run(planned).await?;
            planned.map_err(|_| Error::Timeout { limit: limits.timeout })?
        })
    }

    /// Before the first batch there is no T of our own: then history is shown as of its newest.
    async fn visible(&self, snapshot: Arc<Snapshot>) -> Result<Arc<Snapshot>, Error> {
        match &self.inner.history {
            Some(history) if snapshot.t == 0 => {
                let mut before = Snapshot::new(snapshot.limits());
                before.t = history.newest_t().await.map_err(|error| Error::History(error.to_string()))?;
                before.began_t = T::MAX;
                Ok(Arc::new(before))
            }
            _ => Ok(snapshot),
        }
    }

    async fn slot(&self, deadline: Instant, limits: Limits) -> Result<OwnedSemaphorePermit, Error> {
        let busy = || Error::Busy { limit: self.inner.config.concurrency, waited: limits.timeout };
        let slot = timeout_at(deadline, Arc::clone(&self.inner.slots).acquire_owned()).await.map_err(|_| busy())?;
        slot.map_err(|_| busy())
    }

    fn session(&self, user: &SessionUser, snapshot: Arc<Snapshot>, limits: &Limits) -> Box<dyn Session> {
        let inner = &self.inner;
        let view = Arc::new(View {
            snapshot,
            names: Arc::clone(&inner.names),
            zones: inner.zones.clone(),
            history: inner.history.clone(),
            lookback_ms: inner.config.lookback.millis_i64(),
            cache: Arc::clone(&inner.cache),
            metrics: inner.metrics.clone(),
        });
        let tables: BTreeMap<&'static str, Arc<dyn TableProvider>> = tables::all(&view, &user.reader);
        inner.sessions.session(user, tables, view.snapshot.t, limits.memory)
    }
}

/// A result: its T, its columns, and its rows as they come.
#[derive(Debug)]
pub struct QueryResult {
    /// Columns.
    pub schema: SchemaRef,
    /// The T that every table of the query showed.
    pub t: T,
    receiver: mpsc::Receiver<Result<RecordBatch, Error>>,
    ended: bool,
}

impl QueryResult {
    /// All rows.
    pub async fn collect(self) -> Result<Vec<RecordBatch>, Error> {
        self.try_collect().await
    }
}

impl Stream for QueryResult {
    type Item = Result<RecordBatch, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(self.receiver.poll_recv(context));
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

/// Counts a query from its arrival to its end.
struct Active {
    metrics: Metrics,
    begun: Instant,
}

impl Active {
    fn begin(metrics: &Metrics) -> Self {
        metrics.active.inc();
        Self { metrics: metrics.clone(), begun: Instant::now() }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.metrics.active.dec();
        self.metrics.seconds.observe(self.begun.elapsed().as_secs_f64());
    }
}

/// Carries batches from the plan to the reader, within the limits.
struct Pump {
    stream: SendableRecordBatchStream,
    tables: Vec<String>,
    limits: Limits,
    deadline: Instant,
    sender: mpsc::Sender<Result<RecordBatch, Error>>,
    rows: usize,
    slot: OwnedSemaphorePermit,
    active: Active,
}

impl Pump {
    async fn run(mut self) {
        let outcome = tokio::select! {
            ended = timeout_at(self.deadline, pump(&mut self.stream, &mut self.rows, &self.limits, &self.tables, &self.sender)) => {
                ended.unwrap_or(Err(Error::Timeout { limit: self.limits.timeout }))
            }
            () = self.sender.closed() => Err(Error::Cancelled),
        };
        // The slot is free before the reader learns that this was all: its next query finds it so.
        drop(self.stream);
        drop(self.slot);
        let metrics = self.active.metrics.clone();
        metrics.rows.inc_by(self.rows as u64);
        let label = outcome.as_ref().map_or_else(Error::sqlstate, |()| "ok");
        metrics.queries.with_label_values(&[label]).inc();
        drop(self.active);
        if let Err(error) = outcome {
            // However slow the reader, it must hear this: an end without it would look like a whole result. A reader
            // that is gone needs no error.
            let _ = self.sender.send(Err(error)).await;
        }
    }
}

async fn pump(
    stream: &mut SendableRecordBatchStream,
    rows: &mut usize,
    limits: &Limits,
    tables: &[String],
    sender: &mpsc::Sender<Result<RecordBatch, Error>>,
) -> Result<(), Error> {
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| Error::from_datafusion(&error, tables))?;
        if batch.num_rows() == 0 {
            continue;
        }
        *rows += batch.num_rows();
        if *rows > limits.max_rows {
            return Err(Error::TooManyRows { limit: limits.max_rows });
        }
        if sender.send(Ok(batch)).await.is_err() {
            return Err(Error::Cancelled);
        }
    }
    Ok(())
}

/// A plan's error with the tables to offer.
pub(crate) fn plan_error(error: &DataFusionError, tables: &[String]) -> Error {
    Error::from_datafusion(error, tables)
}

/// Whether a plan only reads.
pub(crate) fn only_reads(plan: &LogicalPlan) -> Result<(), Error> {
    let options = datafusion::execution::context::SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    options.verify_plan(plan).map_err(|_| Error::ReadOnly(plan.display().to_string()))
}

/// A time limit for tests and shells.
pub fn seconds(seconds: u64) -> Span {
    Span::from_millis(seconds * 1000)
}
