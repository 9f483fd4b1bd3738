//! The live side: closed batches in, WebSocket messages out.
//!
//! ```text
//! broadcast<Arc<Batch>> ─► Hub ─► Moment (encoded on demand, once) ─┬─► ring (resume with since=T)
//!                                                        └─► broadcast<Arc<Moment>> ─► one session a socket
//! ```
//!
//! A session starts from a snapshot at T, or from `since`, and sends every moment after it, whole and once.
//! Bounds: the ring by T and bytes, the queue of a session by moments (then last values, then a fresh
//! snapshot), a blocked socket by time. The hub never waits for a client.

pub(crate) mod event;
pub(crate) mod moment;
pub(crate) mod protocol;
pub(crate) mod session;
mod snapshot;
pub(crate) mod subscription;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use model::time::T;
use model::{Batch, Reason, Snapshot};
use parking_lot::{Mutex, RwLock};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::event::Newest;
use self::moment::Moment;
use self::subscription::{Spellings, Subscription};
use crate::config::WebSocket as Config;
use crate::lives::Lives;
use crate::metrics::Metrics;
use crate::view::Labels;

/// Encodes moments and hands them to every session.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) labels: Labels,
    pub(crate) spellings: Spellings,
    pub(crate) metrics: Metrics,
    pub(crate) lives: Lives,
    live: Arc<ArcSwap<Snapshot>>,
    moments: broadcast::Sender<Arc<Moment>>,
    ring: RwLock<Ring>,
    frames: Mutex<SnapshotFrames>,
    open: AtomicUsize,
    opened: AtomicU64,
    /// The last T whose moment, if it had one, is on its way to every session.
    handed_out: AtomicU64,
    dead_letters: [AtomicU64; Reason::ALL.len()],
}

/// Recent moments, oldest first. `floor` is the last T that is *not* in it.
#[derive(Debug, Default)]
struct Ring {
    moments: VecDeque<Arc<Moment>>,
    bytes: usize,
    floor: T,
}

/// Snapshot frames of one snapshot, by subscription.
#[derive(Debug, Default)]
struct SnapshotFrames {
    made: Option<(Instant, Arc<Snapshot>)>,
    frames: Vec<(u64, Arc<str>)>,
}

/// How far the hub fell behind: told now and then, for a replay at full speed does so all the time.
#[derive(Default)]
struct Lag {
    missed: u64,
    told: Option<Instant>,
}

impl Lag {
    const EVERY: std::time::Duration = std::time::Duration::from_secs(30);

    fn tell(&mut self, missed: u64) {
        self.missed += missed;
        if self.told.is_none_or(|told| told.elapsed() >= Self::EVERY) {
            tracing::warn!(
                batches = self.missed,
                "moments come faster than they can be encoded: sockets go on from a fresh snapshot"
            );
            *self = Self { missed: 0, told: Some(Instant::now()) };
        }
    }
}

/// Where a new session starts.
pub(crate) enum Start {
    /// After `T`: the moments missed.
    Resume(Vec<Arc<Moment>>),
    /// `since` is too old (or of another life): start from a snapshot.
    TooOld,
}

impl Hub {
    pub(crate) fn new(config: Config, labels: Labels, metrics: Metrics, live: Arc<ArcSwap<Snapshot>>) -> Self {
        let (moments, _) = broadcast::channel(config.queue_moments.max(2));
        let floor = live.load().t;
        Self {
            spellings: Spellings::of(&labels.zones),
            ring: RwLock::new(Ring { floor, ..Ring::default() }),
            frames: Mutex::default(),
            open: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            handed_out: AtomicU64::new(0),
            dead_letters: Default::default(),
            lives: Lives::of(&live.load()),
            config,
            labels,
            metrics,
            live,
            moments,
        }
    }

    /// Encodes batches until told to stop.
    pub(crate) async fn run(self: Arc<Self>, mut batches: broadcast::Receiver<Arc<Batch>>, stop: CancellationToken) {
        let mut newest = Newest::of(&self.live.load());
        let mut lag = Lag::default();
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = batches.recv() => batch,
            };
            match batch {
                Ok(batch) => {
                    self.publish(&mut newest, &batch);
                    self.handed_out.store(batch.t, Ordering::Release);
                }
                Err(RecvError::Lagged(missed)) => {
                    // Clients start again from a snapshot: it holds what the missed batches said.
                    self.metrics.websocket_missed.inc_by(missed);
                    lag.tell(missed);
                    newest = Newest::of(&self.live.load());
                    self.gap();
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn publish(&self, newest: &mut Newest, batch: &Batch) {
        for letter in &batch.dead_letters {
            if let Some(place) = Reason::ALL.iter().position(|reason| *reason == letter.reason) {
                self.dead_letters[place].fetch_add(1, Ordering::Relaxed);
            }
        }
        if batch.rows() == 0 {
            return;
        }
        self.lives.take(batch);
        let live = self.live.load();
        let moment = Arc::new(Moment::of(&self.spellings, newest, &live, batch));
        self.metrics.websocket_moments.inc();
        if moment.bytes > 0 {
            self.ring.write().push(Arc::clone(&moment), &self.config);
            self.metrics.websocket_resume_bytes.set(i64::try_from(self.ring.read().bytes).unwrap_or(i64::MAX));
            // No receiver is no error: nobody is connected.
            let _ = self.moments.send(moment);
        }
    }

    fn gap(&self) {
        let t = self.live.load().t;
        *self.ring.write() = Ring { floor: t, ..Ring::default() };
        let _ = self.moments.send(Arc::new(Moment::gap(t)));
    }

    /// A receiver of every moment from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Moment>> {
        self.moments.subscribe()
    }

    /// The moments after `since`, if all of them are still here.
    pub(crate) fn resume(&self, since: T) -> Start {
        let ring = self.ring.read();
        let live = self.live.load();
        let newest = ring.moments.back().map_or(ring.floor, |moment| moment.t).max(live.t);
        // What came before a state began was never a moment here.
        if since < ring.floor.max(live.began_t) || since > newest {
            return Start::TooOld;
        }
        Start::Resume(ring.after(since))
    }

    /// The moments after `t` that are in the ring.
    pub(crate) fn after(&self, t: T) -> Vec<Arc<Moment>> {
        self.ring.read().after(t)
    }

    /// The snapshot frame for what `new` has and `old` has not, with its T. A recent one is shared.
    pub(crate) fn snapshot(&self, new: &Subscription, old: Option<&Subscription>, not_before: T) -> (T, Arc<str>) {
        let limit = self.config.snapshot_alerts;
        let encode = |snapshot: &Snapshot| -> Arc<str> {
            snapshot::frame(&self.labels, &self.spellings, snapshot, new, old, limit).into()
        };
        if old.is_some() {
            let live = self.live.load_full();
            return (live.t, encode(&live));
        }
        let print = new.fingerprint();
        let mut cache = self.frames.lock();
        let floor = self.ring.read().floor.max(not_before);
        let fresh = |(at, snapshot): &(Instant, Arc<Snapshot>)| {
            at.elapsed() < self.config.snapshot_reuse.0 && snapshot.t >= floor
        };
        let snapshot = match cache.made.as_ref().filter(|made| fresh(made)) {
            Some((_, snapshot)) => Arc::clone(snapshot),
            None => {
                let live = self.live.load_full();
                *cache = SnapshotFrames { made: Some((Instant::now(), Arc::clone(&live))), frames: Vec::new() };
                live
            }
        };
        if let Some((_, frame)) = cache.frames.iter().find(|(known, _)| *known == print) {
            return (snapshot.t, Arc::clone(frame));
        }
        let frame = encode(&snapshot);
        cache.frames.push((print, Arc::clone(&frame)));
        (snapshot.t, frame)
    }

    /// The T of the current snapshot.
    pub(crate) fn t(&self) -> T {
        self.live.load().t
    }

    /// The last T that every session has been handed: one whose queue is empty afterwards has sent all up to it.
    pub(crate) fn handed_out(&self) -> T {
        self.handed_out.load(Ordering::Acquire)
    }

    /// Takes a place for a socket; `None` when all are taken. Dropping it gives it back.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Seat> {
        let taken = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            (open < self.config.max_sockets).then_some(open + 1)
        });
        taken.ok()?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.metrics.websocket_connections.inc();
        Some(Seat(Arc::clone(self)))
    }

    /// Sockets open now, and opened since the start.
    pub(crate) fn sockets(&self) -> (usize, u64) {
        (self.open.load(Ordering::Acquire), self.opened.load(Ordering::Relaxed))
    }

    /// Dead letters seen since the start, by reason.
    pub(crate) fn dead_letters(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.dead_letters.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// The oldest T that a client can resume from, and the moments kept.
    pub(crate) fn resumable(&self) -> (T, usize) {
        let ring = self.ring.read();
        (ring.floor, ring.moments.len())
    }
}

impl Ring {
    fn push(&mut self, moment: Arc<Moment>, config: &Config) {
        let oldest = moment.t.saturating_sub(config.resume_window.millis());
        self.bytes += moment.bytes;
        self.moments.push_back(moment);
        while let Some(first) = self.moments.front() {
            if first.t >= oldest && self.bytes <= config.resume_bytes {
                break;
            }
            self.bytes -= first.bytes;
            self.floor = first.t;
            self.moments.pop_front();
        }
    }

    fn after(&self, t: T) -> Vec<Arc<Moment>> {
        let from = self.moments.partition_point(|moment| moment.t <= t);
        self.moments.range(from..).map(Arc::clone).collect()
    }
}

/// A socket's place among `max_sockets`.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Hub>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.metrics.websocket_connections.dec();
    }
}
