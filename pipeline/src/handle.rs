//! What the rest of the program holds of a running pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::health::{ServiceHealth, ServiceState};
use model::{Batch, Snapshot, T};
use tokio::sync::{broadcast, watch};

use crate::Error;
use crate::coordination::Coordination;
use crate::fanout::Progress;
use crate::shutdown::Shutdown;
use crate::source::embedded::Embedded;
use crate::status::{Loss, Positions, SourceStatus, TopicPartition};

/// An open T older than this makes the dataflow `Degraded`.
const SLOW: Duration = Duration::from_secs(5);

/// How the pipeline ended, once it has.
pub(crate) type Ended = watch::Receiver<Option<Result<(), Arc<Error>>>>;

/// The running pipeline. Cheap to clone; dropping it stops nothing.
#[derive(Clone)]
pub struct Handle {
    /// The current state. The fanout is its only writer.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The stream of closed batches. A subscriber that lags more than `broadcast` batches loses its place.
    pub batches: broadcast::Sender<Arc<Batch>>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) status: Arc<SourceStatus>,
    pub(crate) shared: Arc<Coordination>,
    pub(crate) shutdown: Shutdown,
    pub(crate) ended: Ended,
    pub(crate) embedded: Option<Embedded>,
    pub(crate) max_backlog: usize,
    /// Worker 0 is in this process.
    pub(crate) leads: bool,
    /// T of the checkpoint that this life began with.
    pub(crate) begun_t: T,
}

impl Handle {
    /// Next offset to read, by topic and partition.
    pub fn positions(&self) -> BTreeMap<TopicPartition, i64> {
        self.positions.all()
    }

    /// The same, to be shared.
    pub fn shared_positions(&self) -> Arc<Positions> {
        Arc::clone(&self.positions)
    }

    /// The embedded broker, if that is the feed.
    pub fn embedded(&self) -> Option<&Embedded> {
        self.embedded.as_ref()
    }

    /// Records lost at the source since the start.
    pub fn records_lost(&self) -> u64 {
        self.status.records_lost()
    }

    /// The latest losses at the source.
    pub fn losses(&self) -> Vec<Loss> {
        self.status.losses()
    }

    /// T of the checkpoint that this life began with; 0 without one.
    pub fn begun_t(&self) -> T {
        self.begun_t
    }

    /// Whether T's on record are being repeated: the state is one that the world has seen already.
    pub fn is_repeating(&self) -> bool {
        self.progress.borrow().t < self.shared.repeated_t()
    }

    /// Whether the state is as new as anything that anybody has seen of it. Never so where worker 0 is not.
    pub fn is_current(&self) -> bool {
        self.leads && !self.shared.stands_by() && !self.is_repeating()
    }

    /// Waits until everything on record has been repeated. `false` when the pipeline ends before.
    pub async fn await_live(&self) -> bool {
        let repeated_t = self.shared.repeated_t();
        self.wait_for(|progress| progress.t >= repeated_t).await
    }

    /// How far delivery is.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Rows for `/health`: the source and the dataflow.
    pub fn health(&self) -> Vec<ServiceHealth> {
        vec![self.status.health(), self.dataflow_health()]
    }

    fn dataflow_health(&self) -> ServiceHealth {
        let progress = *self.progress.borrow();
        let (backlog, staged) = (self.shared.backlog(), self.shared.staged());
        let stuck = self.shared.oldest_open().map(|at| at.elapsed()).filter(|age| *age > SLOW);
        let (state, detail) = if self.shared.has_failed() {
            (ServiceState::Down, "a worker died".to_owned())
        } else if self.ended.borrow().is_some() {
            (ServiceState::Down, "stopped".to_owned())
        } else if self.shared.stands_by() {
            (ServiceState::Down, format!("standing by at T {}: another instance leads", progress.t))
        } else if self.is_repeating() {
            let repeated_t = self.shared.repeated_t();
            (ServiceState::Down, format!("repeating what is on record: T {} of {repeated_t}", progress.t))
        } else if !self.leads {
            (ServiceState::Up, format!("a part of the group's, {staged} rows staged: T closes in process 0"))
        } else if backlog >= self.max_backlog {
            let taken = progress.delivered_t;
            let detail = format!("{backlog} batches wait for a full queue since T {taken}, {staged} rows staged");
            (ServiceState::Degraded, detail)
        } else if let Some(age) = stuck {
            (ServiceState::Degraded, format!("T {} is open for {} ms", self.shared.last_t(), age.as_millis()))
        } else {
            (ServiceState::Up, format!("T {}, {} batches, {staged} rows staged", progress.t, progress.batches))
        };
        ServiceHealth { name: "dataflow".to_owned(), state, detail, required: true }
    }

    /// Waits until `reached` holds of the progress. `false` when the pipeline ends before.
    pub async fn wait_for(&self, mut reached: impl FnMut(&Progress) -> bool) -> bool {
        let mut progress = self.progress.clone();
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            found = progress.wait_for(|p| reached(p)) => found.is_ok(),
            _ = ended.wait_for(Option::is_some) => false,
        }
    }

    /// Waits until `n` tick records are accounted for and published.
    pub async fn await_received(&self, n: u64) -> bool {
        self.wait_for(|progress| progress.counts.received >= n).await
    }

    /// Waits until T has been published.
    pub async fn await_t(&self, t: T) -> bool {
        self.wait_for(|progress| progress.t >= t).await
    }

    /// Waits until the pipeline has ended: by its own, or because it was stopped.
    pub async fn wait(&self) -> Result<(), Arc<Error>> {
        let mut ended = self.ended.clone();
        let result = ended.wait_for(Option::is_some).await.ok().and_then(|result| result.clone());
        result.unwrap_or_else(|| Err(Arc::new(Error::Dataflow("the supervisor died".to_owned()))))
    }

    /// Stops and waits for the end.
    pub async fn stop(&self) -> Result<(), Arc<Error>> {
        self.shutdown.stop();
        self.wait().await
    }
}
