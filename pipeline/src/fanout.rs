//! Fanout: each closed batch to everybody, in order: log of bindings, snapshot, stream, then the sinks' queues.
//!
//! ```text
//! assemble ─ bounded channel ─► fanout ─► Log ─► Snapshot (ArcSwap) ─► broadcast ─► queue ─► queue ─► …
//! ```
//!
//! Nobody sees a batch before its binding is in the log: everything that is waiting is bound in one go, so that a slow
//! log costs latency and not throughput. A log that is taken over by another instance ends this one.
//!
//! A full queue holds up this thread, which fills the channel, which stops the minter, which stops the source:
//! nothing is dropped and memory is bounded. Readers of the snapshot and the stream come first, so that a slow
//! sink delays them by no more than that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use model::batch::Counts;
use model::{Batch, PartitionId, Snapshot, T};
use tokio::sync::{broadcast, oneshot, watch};

use crate::Error;
use crate::assemble::Closed;
use crate::checkpoint::Cut;
use crate::clock::{now, wall_ms};
use crate::coordination::Coordination;
use crate::metrics::Metrics;
use crate::record::{QUIET, Record};
use crate::shutdown::GRACE;
use crate::standby::{Held, Word};

/// The most batches that are bound in one go.
const GROUP: usize = 256;

/// A sink's bounded queue, as the fanout sees it.
#[async_trait]
pub trait BatchQueue: Send {
    /// The sink's name.
    fn name(&self) -> &str;

    /// Queues a batch; waits while the queue is full. `false` when nobody will take it any more.
    async fn push(&mut self, batch: Arc<Batch>) -> bool;

    /// Offers the state that this life begins with, before any batch. Only a store that holds less needs it, and only
    /// its queue can tell; one with nothing behind it does not.
    fn restore(&mut self, _state: Arc<Snapshot>) {}
}

/// Tells up to which T the history is safely written.
pub type Written = Box<dyn Fn() -> T + Send>;

/// A plain bounded channel is a queue, too.
#[async_trait]
impl BatchQueue for tokio::sync::mpsc::Sender<Arc<Batch>> {
    fn name(&self) -> &str {
        "channel"
    }

    async fn push(&mut self, batch: Arc<Batch>) -> bool {
        self.send(batch).await.is_ok()
    }
}

/// A sink's driver: its queue is bounded by rows.
#[async_trait]
impl BatchQueue for sinks::driver::Handle {
    fn name(&self) -> &str {
        sinks::driver::Handle::name(self)
    }

    async fn push(&mut self, batch: Arc<Batch>) -> bool {
        sinks::driver::Handle::push(self, batch).await.is_ok()
    }

    fn restore(&mut self, state: Arc<Snapshot>) {
        if let Err(closed) = sinks::driver::Handle::restore(self, state) {
            tracing::debug!(%closed, "state left out");
        }
    }
}

/// How far delivery is: what `Handle` waits on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The T published last.
    pub t: T,
    /// Batches published.
    pub batches: u64,
    /// Tick records accounted for.
    pub counts: Counts,
    /// The T that every queue has taken.
    pub delivered_t: T,
}

pub(crate) struct Fanout {
    pub(crate) shared: Arc<Coordination>,
    pub(crate) metrics: Metrics,
    pub(crate) closed: Receiver<Closed>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) batches: broadcast::Sender<Arc<Batch>>,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) queues: Vec<Box<dyn BatchQueue>>,
    pub(crate) record: Record,
    /// What a standby holds back, and who tells it more.
    pub(crate) standby: Option<(Held, Receiver<Word>)>,
    /// Told when everybody who is to see every batch has subscribed.
    pub(crate) begin: Option<oneshot::Receiver<()>>,
    /// Batches that the stream holds for its slowest subscriber.
    pub(crate) capacity: usize,
    /// Where the state at a barrier goes.
    pub(crate) cuts: Option<Sender<Cut>>,
    /// Offsets bound so far, of every partition.
    pub(crate) bound: BTreeMap<PartitionId, i64>,
    pub(crate) max_backlog: usize,
    /// Once stopping: when full queues are given up.
    pub(crate) give_up: Option<tokio::time::Instant>,
    /// Up to which T the history is written: what the snapshot may forget.
    pub(crate) written: Option<Written>,
}

impl Fanout {
    /// Runs until the workers are gone and the channel is empty. `Err` when the log gave up: what is not in it was never
    /// said.
    pub(crate) fn run(mut self, runtime: &tokio::runtime::Runtime) -> Result<(), Error> {
        let result = self.release(runtime);
        if result.is_err() {
            // The workers must not wait for us.
            self.shared.fail();
            while self.closed.recv().is_ok() {}
        }
        result
    }

    fn release(&mut self, runtime: &tokio::runtime::Runtime) -> Result<(), Error> {
        if let Some(begin) = self.begin.take() {
            runtime.block_on(self.record.meanwhile(async {
                tokio::select! { _ = begin => {}, () = self.shared.shutdown.stopping() => {} }
            }))?;
        }
        let mut snapshot = Snapshot::clone(&self.snapshot.load());
        let mut progress = *self.progress.borrow();
        loop {
            let first = match self.closed.recv_timeout(QUIET) {
                Ok(closed) => closed,
                // Time goes on while nothing closes: let the metric say so, and those who wait for our end.
                Err(RecvTimeoutError::Timeout) => {
                    self.measure_lag(progress.t);
                    self.record.live()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let group: Vec<Closed> = std::iter::once(first).chain(self.closed.try_iter().take(GROUP)).collect();
            runtime.block_on(self.listen())?;
            self.record.append(&group)?;
            for closed in group {
                if closed.binding.t <= self.shared.repeated_t() {
                    runtime.block_on(self.pace())?;
                }
                self.publish(&mut snapshot, &mut progress, &closed);
                if let Some((held, _)) = &mut self.standby {
                    held.batches.extend((!closed.saved).then(|| Arc::clone(&closed.batch)));
                } else if closed.saved {
                    // The whole state, not only what operators say of it again.
                    let state = self.snapshot.load_full();
                    self.queues.iter_mut().for_each(|queue| queue.restore(Arc::clone(&state)));
                } else {
                    runtime.block_on(self.deliver(&closed.batch))?;
                }
                progress.delivered_t = closed.batch.t;
                self.progress.send_replace(progress);
                self.shared.delivered(self.max_backlog);
                self.metrics.backlog.set(i64::try_from(self.shared.backlog()).unwrap_or(i64::MAX));
            }
        }
    }

    /// A standby hears what it need not hold any more, and when it is to lead. While it holds all it may, it waits here.
    async fn listen(&mut self) -> Result<(), Error> {
        while let Some((held, words)) = &mut self.standby {
            let is_full = held.batches.len() >= held.limit && !self.shared.shutdown.is_stopping();
            let word = if is_full { words.recv_timeout(QUIET).ok() } else { words.try_recv().ok() };
            match word {
                Some(Word::Written(t)) => while held.batches.pop_front_if(|batch| batch.t <= t).is_some() {},
                Some(Word::Lead(log, logged_t)) => {
                    let held = std::mem::take(&mut held.batches);
                    self.standby = None;
                    self.record.lead(log, logged_t);
                    for batch in held {
                        self.deliver(&batch).await?;
                    }
                }
                None if is_full => {}
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn publish(&mut self, snapshot: &mut Snapshot, progress: &mut Progress, closed: &Closed) {
        let batch = &closed.batch;
        self.bound.extend(&closed.binding.offsets);
        if let Some(written) = &self.written {
            snapshot.written_t = written();
        }
        if closed.saved {
            snapshot.complete(batch);
        } else {
            snapshot.apply(batch);
        }
        let published = Arc::new(snapshot.clone());
        self.snapshot.store(Arc::clone(&published));
        if let (Some(alerts), Some(cuts)) = (&closed.alerts, &self.cuts) {
            let cut = Cut { t: batch.t, snapshot: published, alerts: alerts.clone(), bound: self.bound.clone() };
            // Nobody takes it only when the program ends.
            let _ = cuts.send(cut);
        }
        progress.t = batch.t;
        if closed.saved {
            progress.counts = snapshot.counts;
            self.progress.send_replace(*progress);
            return;
        }
        // Nobody listening is no error.
        let _ = self.batches.send(Arc::clone(batch));
        progress.batches += 1;
        progress.counts.add(&batch.counts);
        self.progress.send_replace(*progress);
        self.metrics.batch(batch);
        if let Some(minted_at) = closed.minted_at {
            self.metrics.close_seconds.observe(minted_at.elapsed().as_secs_f64());
        }
        self.measure_lag(batch.t);
    }

    /// The past is repeated as fast as the slowest subscriber takes it: a client that resumes must find every moment.
    async fn pace(&mut self) -> Result<(), Error> {
        while self.batches.len() * 2 >= self.capacity && !self.shared.shutdown.is_stopping() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.record.live()?;
        }
        Ok(())
    }

    fn measure_lag(&self, t: T) {
        let lag = i64::try_from(wall_ms()).unwrap_or(i64::MAX) - i64::try_from(t).unwrap_or(i64::MAX);
        self.metrics.frontier_lag.set(lag);
    }

    async fn deliver(&mut self, batch: &Arc<Batch>) -> Result<(), Error> {
        let mut given_up = Vec::new();
        for (number, queue) in self.queues.iter_mut().enumerate() {
            let started = now();
            let stopping = self.shared.shutdown.stopping();
            let grace = async {
                stopping.await;
                let give_up = self.give_up.get_or_insert_with(|| tokio::time::Instant::now() + GRACE);
                tokio::time::sleep_until(*give_up).await;
            };
            let taken = self.record.meanwhile(async {
                tokio::select! {
                    biased;
                    taken = queue.push(Arc::clone(batch)) => Some(taken),
                    () = grace => None,
                }
            });
            match taken.await? {
                Some(true) => {}
                Some(false) => {
                    tracing::debug!(sink = queue.name(), t = batch.t, "queue is closed: batch left out");
                }
                None => {
                    tracing::error!(
                        sink = queue.name(),
                        t = batch.t,
                        rows = batch.rows(),
                        "queue still full at the end: this batch and what follows is not delivered"
                    );
                    given_up.push(number);
                }
            }
            let waited = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            if waited > 0 {
                self.metrics.blocked.with_label_values(&[queue.name()]).inc_by(waited);
            }
        }
        // No holes: what a store has, it has up to some T.
        for number in given_up.into_iter().rev() {
            self.queues.remove(number);
        }
        Ok(())
    }
}
