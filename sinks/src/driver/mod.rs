//! Drives one sink: gathers batches into runs, writes them in order, repeats what fails, says how far it got.
//!
//! * The queue is bounded by rows; [`Handle::push`] waits when it is full, so the source slows. Nothing is dropped.
//! * A run is up to `max_rows` or `max_delay` of consecutive batches. Runs are written one after the other.
//! * A transient failure is repeated for ever, with exponential backoff and jitter. A permanent one (the store
//!   refuses the data) is logged as an error, shown in health, and repeated slowly: rather late than lost.
//! * A run of moments in which nothing changed is written, too: the store's own account of how far it is moves on.
//! * The state that a restart begins with is written only to a store that says it holds less ([`Handle::restore`]).
//! * On shutdown what is queued is written, within `drain`.
//!
//! Time is read from tokio's clock, only to wait and to measure: nothing here decides what is written.

mod backoff;
mod handle;
mod limits;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{Batch, Snapshot, T};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::metrics::SinkMetrics;
use crate::{Error, Metrics, Sink, state};
pub use handle::{Closed, Condition, Handle};
use handle::{Queued, Shared};
pub use limits::Limits;

/// One sink with its queue. [`Driver::run`] does the work until shutdown or until every [`Handle`] is gone.
pub struct Driver {
    sink: Box<dyn Sink>,
    shared: Arc<Shared>,
    queue: mpsc::UnboundedReceiver<Queued>,
    metrics: SinkMetrics,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// When the time for draining is up; `None` while nobody has asked to stop.
type Stop = watch::Receiver<Option<Instant>>;

/// One thing to do with the store.
#[derive(Clone, Copy)]
enum Step<'a> {
    /// A run of closed batches.
    Write(&'a [Arc<Batch>]),
    /// A state is about to be told.
    Forget,
    /// A part of that state.
    Restore(&'a [Arc<Batch>]),
}

impl Driver {
    /// A driver for `sink`, and the handle to feed it.
    pub fn new(sink: Box<dyn Sink>, limits: Limits, metrics: &Metrics) -> (Handle, Self) {
        let shared = Arc::new(Shared::new(sink.name(), limits));
        let metrics = metrics.of(sink.name());
        metrics.queue_limit_rows.set(i64::try_from(limits.room()).unwrap_or(i64::MAX));
        let (sender, queue) = mpsc::unbounded_channel();
        (Handle { shared: Arc::clone(&shared), queue: sender }, Self { sink, shared, queue, metrics })
    }

    /// Starts the driver as a task of its own.
    pub fn spawn(
        sink: Box<dyn Sink>,
        limits: Limits,
        metrics: &Metrics,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> (Handle, tokio::task::JoinHandle<()>) {
        let (handle, driver) = Self::new(sink, limits, metrics);
        (handle, tokio::spawn(driver.run(shutdown)))
    }

    /// Writes what is pushed until `shutdown` completes (then drains) or every handle is dropped.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let (announce, stop) = watch::channel(None);
        let drain = self.shared.limits.drain.0;
        let watcher = async {
            shutdown.await;
            announce.send_replace(Some(Instant::now() + drain));
            std::future::pending::<()>().await;
        };
        let mut unwritten = tokio::select! {
            () = watcher => 0,
            rows = self.work(stop) => rows,
        };
        self.shared.room.close();
        self.queue.close();
        while let Ok(queued) = self.queue.try_recv() {
            unwritten += queued.rows();
        }
        if unwritten > 0 {
            tracing::error!(sink = self.shared.name, rows = unwritten, "stopped before everything was written");
        }
        self.shared.condition.send_replace(Condition::Stopped { unwritten });
    }

    /// Returns the rows of the run it had to give up, if any.
    async fn work(&mut self, mut stop: Stop) -> usize {
        if !self.start(&mut stop).await {
            return 0;
        }
        let mut next = None;
        while let Some(first) = self.next(&mut next, &mut stop).await {
            let run = match first {
                Queued::State(state) => {
                    if !self.restore(&state, &mut stop).await {
                        return 0;
                    }
                    continue;
                }
                Queued::Batch { .. } => self.gather(first, &mut next, &mut stop).await,
            };
            let rows = run.iter().map(Queued::rows).sum();
            if !self.store(run, &mut stop).await {
                return rows;
            }
        }
        0
    }

    /// Waits for the store to be ready, and asks how far it is. `false` when asked to stop before it was.
    async fn start(&mut self, stop: &mut Stop) -> bool {
        let mut failures = 0;
        loop {
            let limit = self.time_left(stop);
            let sink = &mut self.sink;
            let ready = async {
                sink.check().await?;
                sink.held_t().await
            };
            match timeout(limit, ready).await.unwrap_or(Err(Error::Timeout(limit))) {
                Ok(held_t) => {
                    self.shared.held_t.send_replace(held_t);
                    self.succeeded();
                    return true;
                }
                Err(error) => {
                    failures += 1;
                    if !self.failed(&error, failures, stop).await {
                        return false;
                    }
                }
            }
        }
    }

    /// The next in the queue; `None` when there will be nothing.
    async fn next(&mut self, next: &mut Option<Queued>, stop: &mut Stop) -> Option<Queued> {
        self.observe();
        if next.is_some() {
            return next.take();
        }
        tokio::select! {
            biased;
            queued = self.queue.recv() => queued,
            // From now on a push is told that it is too late; what is in the queue is still written.
            () = asked(stop) => {
                self.queue.close();
                self.queue.recv().await
            }
        }
    }

    /// The run that begins with `first`; what does not belong to it is left in `next`. The queued entries keep their
    /// room until they are dropped.
    async fn gather(&mut self, first: Queued, next: &mut Option<Queued>, stop: &mut Stop) -> Vec<Queued> {
        let limits = self.shared.limits;
        let deadline = Instant::now() + limits.max_delay.0;
        let mut rows = first.rows();
        let mut run = vec![first];
        while rows < limits.run_rows() {
            let stopping = stop.borrow().is_some();
            let queued = match self.queue.try_recv() {
                Ok(queued) => Some(queued),
                Err(_) if stopping => None,
                Err(_) => tokio::select! {
                    queued = timeout_at(deadline, self.queue.recv()) => queued.ok().flatten(),
                    () = asked(stop) => continue,
                },
            };
            match queued {
                Some(queued @ Queued::Batch { .. }) => {
                    rows += queued.rows();
                    run.push(queued);
                }
                other => {
                    *next = other;
                    break;
                }
            }
        }
        run
    }

    /// Writes a run, however often it takes. `false` when the time to drain is up.
    async fn store(&mut self, run: Vec<Queued>, stop: &mut Stop) -> bool {
        self.observe();
        let batches: Vec<Arc<Batch>> = run
            .iter()
            .filter_map(|queued| match queued {
                Queued::Batch { batch, .. } => Some(Arc::clone(batch)),
                Queued::State(_) => None,
            })
            .collect();
        if !self.perform(Step::Write(&batches), stop).await {
            return false;
        }
        drop(run);
        self.acked(batches.last().map_or(0, |batch| batch.t));
        true
    }

    /// Gives the store a whole state, if it holds less. `false` when the time to drain is up: the next start tells it again.
    async fn restore(&mut self, state: &Snapshot, stop: &mut Stop) -> bool {
        let held_t = *self.shared.held_t.borrow();
        if let Some(held_t) = held_t.filter(|held_t| *held_t < state.t) {
            let batches = state::batches(state);
            let rows: usize = batches.iter().map(|batch| batch.rows()).sum();
            tracing::warn!(
                sink = self.shared.name,
                held_t,
                t = state.t,
                rows,
                "the store holds less than the saved state, and is given it"
            );
            if !self.perform(Step::Forget, stop).await {
                return false;
            }
            for run in state::runs(&batches, self.shared.limits.run_rows()) {
                if !self.perform(Step::Restore(run), stop).await {
                    return false;
                }
            }
            tracing::info!(sink = self.shared.name, t = state.t, rows, "the store holds the saved state");
        }
        self.acked(state.t);
        true
    }

    /// Does it, however often it takes. `false` when the time to drain is up.
    async fn perform(&mut self, step: Step<'_>, stop: &mut Stop) -> bool {
        let batches = match step {
            Step::Write(batches) | Step::Restore(batches) => batches,
            Step::Forget => &[],
        };
        let (rows, t) = (batches.iter().map(|batch| batch.rows()).sum::<usize>(), batches.last().map(|batch| batch.t));
        let mut failures = 0;
        loop {
            let (began, limit) = (Instant::now(), self.time_left(stop));
            let work = async {
                match step {
                    Step::Write(batches) => self.sink.write(batches).await,
                    Step::Forget => self.sink.forget().await,
                    Step::Restore(batches) => self.sink.restore(batches).await,
                }
            };
            match timeout(limit, work).await.unwrap_or(Err(Error::Timeout(limit))) {
                Ok(()) => {
                    self.metrics.write_seconds.observe(began.elapsed().as_secs_f64());
                    self.metrics.writes_total.inc();
                    self.metrics.rows_total.inc_by(rows as u64);
                    tracing::debug!(sink = self.shared.name, rows, batches = batches.len(), t, "written");
                    self.succeeded();
                    return true;
                }
                Err(error) => {
                    failures += 1;
                    if !self.failed(&error, failures, stop).await {
                        return false;
                    }
                }
            }
        }
    }

    fn acked(&self, t: T) {
        self.shared.acked_t.send_if_modified(|acked| {
            let newer = t > *acked;
            *acked = t.max(*acked);
            newer
        });
        self.metrics.acked_t.set(i64::try_from(*self.shared.acked_t.borrow()).unwrap_or(i64::MAX));
    }

    fn time_left(&self, stop: &Stop) -> Duration {
        let limit = self.shared.limits.write_timeout.0;
        stop.borrow().map_or(limit, |end| end.saturating_duration_since(Instant::now()).min(limit))
    }

    fn succeeded(&self) {
        self.metrics.up.set(1);
        self.shared.condition.send_if_modified(|condition| {
            let recovered = matches!(condition, Condition::Failing { .. });
            if recovered {
                tracing::info!(sink = self.shared.name, "works again");
            }
            let changed = *condition != Condition::Up;
            *condition = Condition::Up;
            changed
        });
    }

    /// Tells of a failure and waits before the next attempt. `false` when the time to drain is up.
    async fn failed(&mut self, error: &Error, attempts: u32, stop: &mut Stop) -> bool {
        let (name, limits, permanent) = (self.shared.name, self.shared.limits, !error.is_transient());
        self.metrics.up.set(0);
        if permanent {
            self.metrics.permanent_total.inc();
            tracing::error!(sink = name, %error, attempts, "the store refuses the data; trying again slowly");
        } else {
            self.metrics.transient_total.inc();
            if attempts == 1 {
                tracing::warn!(sink = name, %error, "write failed; trying again until it succeeds");
            } else {
                tracing::debug!(sink = name, %error, attempts, "write failed again");
            }
        }
        self.shared.condition.send_replace(Condition::Failing { error: error.to_string(), attempts, permanent });
        self.observe();
        let pause = if permanent {
            limits.retry_permanent.0
        } else {
            backoff::pause(limits.retry_min.0, limits.retry_max.0, attempts)
        };
        let end = *stop.borrow();
        let already_stopping = end.is_some();
        let pause = end.map_or(pause, |end| pause.min(end.saturating_duration_since(Instant::now())));
        tokio::select! {
            () = sleep(pause) => {}
            // Asked to stop in the middle of a long pause: try once more at once.
            () = asked(stop), if !already_stopping => {}
        }
        stop.borrow().is_none_or(|end| Instant::now() < end)
    }

    fn observe(&self) {
        self.metrics.queue_rows.set(i64::try_from(self.shared.queued_rows()).unwrap_or(i64::MAX));
        self.metrics.acked_lag_seconds.set(self.shared.lag_ms() as f64 / 1000.0);
        debug_assert!(*self.shared.acked_t.borrow() <= self.shared.offered_t.load(Ordering::Relaxed));
    }
}

/// Completes when somebody has asked to stop.
async fn asked(stop: &mut Stop) {
    // The announcer lives as long as the work that waits here, so this cannot fail; and the guard must not outlive the wait.
    let _ = stop.wait_for(Option::is_some).await;
}
