//! The cheap side of a driver: push batches in, see how far they are written and how the store is doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::health::{ServiceHealth, ServiceState};
use model::{Batch, Snapshot, T};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::Limits;

/// How a store is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing has been tried yet.
    Starting,
    /// The last attempt succeeded.
    Up,
    /// Attempts fail, and are repeated.
    Failing {
        /// What the store said.
        error: String,
        /// Attempts that failed in a row.
        attempts: u32,
        /// The store refuses the data or the configuration: waiting will not help, a person must act.
        permanent: bool,
    },
    /// The driver has ended. `unwritten` rows were still queued when its time was up.
    Stopped {
        /// Rows not written.
        unwritten: usize,
    },
}

/// The driver has ended: nobody will write this batch.
#[derive(Debug, thiserror::Error)]
#[error("sink {0} has stopped")]
pub struct Closed(pub &'static str);

/// What waits in the queue.
pub(super) enum Queued {
    /// A closed batch, and its room, which is given back when this is dropped: once the batch is written.
    Batch { batch: Arc<Batch>, _room: OwnedSemaphorePermit },
    /// The state that this life begins with, for a store that holds less.
    State(Arc<Snapshot>),
}

impl Queued {
    /// Rows that are lost to the store if this is not written. (A state is told again at the next start.)
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Batch { batch, .. } => batch.rows(),
            Self::State(_) => 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: &'static str,
    pub(super) limits: Limits,
    pub(super) room: Arc<Semaphore>,
    pub(super) offered_t: AtomicU64,
    pub(super) acked_t: watch::Sender<T>,
    pub(super) held_t: watch::Sender<Option<T>>,
    pub(super) condition: watch::Sender<Condition>,
}

impl Shared {
    pub(super) fn new(name: &'static str, limits: Limits) -> Self {
        Self {
            name,
            limits,
            room: Arc::new(Semaphore::new(limits.room())),
            offered_t: AtomicU64::new(0),
            acked_t: watch::channel(0).0,
            held_t: watch::channel(None).0,
            condition: watch::channel(Condition::Starting).0,
        }
    }

    pub(super) fn queued_rows(&self) -> usize {
        self.limits.room().saturating_sub(self.room.available_permits())
    }

    pub(super) fn lag_ms(&self) -> u64 {
        let acked = *self.acked_t.borrow();
        // Before the first ack there is no T to measure from: T is wall or event time, not zero-based.
        if acked == 0 { 0 } else { self.offered_t.load(Ordering::Relaxed).saturating_sub(acked) }
    }
}

/// Pushes batches to one sink and tells how it is doing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: mpsc::UnboundedSender<Queued>,
}

impl Handle {
    /// The sink's name.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// Queues the next closed batch; waits while the queue is full. Batches are written in the order of these calls.
    ///
    /// Cancelling the wait leaves the batch out. A batch weighs its rows; an empty one weighs one.
    pub async fn push(&self, batch: Arc<Batch>) -> Result<(), Closed> {
        let weight = batch.rows().clamp(1, self.shared.limits.room());
        let weight = u32::try_from(weight).expect("room fits u32");
        let closed = |_| Closed(self.shared.name);
        let room = Arc::clone(&self.shared.room).acquire_many_owned(weight).await.map_err(closed)?;
        self.shared.offered_t.fetch_max(batch.t, Ordering::Relaxed);
        self.queue.send(Queued::Batch { batch, _room: room }).map_err(|_| Closed(self.shared.name))
    }

    /// Queues the whole state that this life begins with, before the batches that follow it. It is written only if the
    /// store says that it holds less, and takes no room: readers hold the same state anyway.
    pub fn restore(&self, state: Arc<Snapshot>) -> Result<(), Closed> {
        self.shared.offered_t.fetch_max(state.t, Ordering::Relaxed);
        self.queue.send(Queued::State(state)).map_err(|_| Closed(self.shared.name))
    }

    /// Up to which T the store held everything when it was asked at the start, 0 for an empty one. `None` until it has
    /// answered, and for a store that keeps no account. What has been written since is [`Handle::acked_t`].
    pub fn held_t(&self) -> Option<T> {
        *self.shared.held_t.borrow()
    }

    /// Follows [`Handle::held_t`].
    pub fn held(&self) -> watch::Receiver<Option<T>> {
        self.shared.held_t.subscribe()
    }

    /// Everything up to this T is safely written; 0 before the first write.
    pub fn acked_t(&self) -> T {
        *self.shared.acked_t.borrow()
    }

    /// Follows [`Handle::acked_t`].
    pub fn acked(&self) -> watch::Receiver<T> {
        self.shared.acked_t.subscribe()
    }

    /// Follows how the store is doing.
    pub fn state(&self) -> watch::Receiver<Condition> {
        self.shared.condition.subscribe()
    }

    /// Rows waiting or being written (a batch larger than the queue counts as the queue).
    pub fn queued_rows(&self) -> usize {
        self.shared.queued_rows()
    }

    /// Row for `/health`.
    pub fn health(&self) -> ServiceHealth {
        let (rows, limit) = (self.queued_rows(), self.shared.limits.room());
        let behind = format!(
            "written up to T {}, {} ms behind, {rows} of {limit} rows queued",
            self.acked_t(),
            self.shared.lag_ms()
        );
        let (state, detail) = match &*self.shared.condition.borrow() {
            Condition::Starting => (ServiceState::Down, "not tried yet".to_owned()),
            // Nine tenths full: it works, but the source is about to be slowed.
            Condition::Up if rows * 10 > limit * 9 => (ServiceState::Degraded, format!("falls behind: {behind}")),
            Condition::Up => (ServiceState::Up, behind),
            Condition::Failing { error, attempts, permanent } => {
                let kind = if *permanent { "refuses the data, a person must act" } else { "does not answer" };
                (ServiceState::Down, format!("{kind}: {error}; {attempts} attempts, {behind}"))
            }
            Condition::Stopped { unwritten: 0 } => (ServiceState::Down, "stopped".to_owned()),
            Condition::Stopped { unwritten } => {
                (ServiceState::Down, format!("stopped with {unwritten} rows unwritten"))
            }
        };
        ServiceHealth { name: self.shared.name.to_owned(), state, detail, required: self.shared.limits.required }
    }
}
