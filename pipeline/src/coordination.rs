//! What the threads of one process tell each other besides the dataflow: hints, bells and limits.
//!
//! ```text
//! reader ─bell─► binder (each worker) ─ staged, head; bell ─► minter (worker 0) ─ T in the dataflow ─► binders
//!                                                       ▲ bell
//!                        closed (assemble), delivered (fanout)
//! ```
//!
//! Only T itself decides what belongs together, and T travels in the dataflow. Everything here may be late and costs at
//! most an idle interval. Each process of a cluster has its own; what the binders of the others have is told to process 0
//! by `hints`, whose operator is what the minter's bell wakes there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use model::T;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::clock::{Clock, now, wall_ms};
use crate::cluster::Layout;
use crate::mint::Announced;
use crate::shutdown::Shutdown;
use crate::wake::Bell;

/// What a binder has to bind, by its clock: the least clock among the first staged records of its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Head {
    /// Records in this process are still to be staged: a T now would come too early for them.
    Staging,
    /// The broker is known to hold records that may come first.
    Likely(Option<i64>),
    /// The first clock staged; `None` for nothing staged.
    Ready(Option<i64>),
}

/// What one worker has, told to process 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hint {
    pub(crate) worker: usize,
    pub(crate) staged: usize,
    pub(crate) head: Head,
    pub(crate) ended: bool,
}

const NONE: i64 = i64::MAX;
/// The head of records that have no clock and cannot wait for one that has.
pub(crate) const UNCLOCKED: i64 = i64::MAX - 1;

#[derive(Debug)]
struct Share {
    /// Tick rows and other records staged and not bound.
    staged: AtomicUsize,
    head: AtomicI64,
    staging: AtomicBool,
    likely: AtomicBool,
    ended: AtomicBool,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            staged: AtomicUsize::new(0),
            head: AtomicI64::new(NONE),
            // Until the binder has looked once, nobody knows.
            staging: AtomicBool::new(true),
            likely: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }
}

/// What the minter should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Records wait: a T at this clock.
    Data(u64),
    /// The same, but give the broker a moment: something earlier may be on its way.
    DataUnlessEarlier(u64),
    /// No records wait; an empty T at this clock when the idle interval has passed.
    Idle(u64),
    /// Nothing to do until the bell rings.
    Nothing,
    /// Every source has ended and everything is bound.
    Ended,
}

/// Shared by the workers, the fanout and the supervisor of one process.
#[derive(Debug)]
pub(crate) struct Coordination {
    clock: Clock,
    pub(crate) layout: Layout,
    /// Every worker's of the group.
    shares: Vec<Share>,
    /// Rung when the minter should look.
    pub(crate) minter: Arc<Bell>,
    /// Rung when a worker's source has something; those of this process.
    binders: Vec<Arc<Bell>>,
    pub(crate) shutdown: Shutdown,
    minted: AtomicU64,
    closed: AtomicU64,
    last_t: AtomicU64,
    backlog: AtomicUsize,
    finished: AtomicBool,
    failed: AtomicBool,
    /// The first peer that was gone, when nobody had asked to stop.
    peer: Mutex<Option<Error>>,
    /// This process ends because of a failure, its own or a peer's.
    is_broken: AtomicBool,
    /// T's that are repeated because the world has seen them; the minter mints of its own only after the last.
    recorded: Mutex<VecDeque<Announced>>,
    abandoned: AtomicBool,
    stands_by: AtomicBool,
    repeated_t: AtomicU64,
    open: Mutex<VecDeque<(T, Instant)>>,
}

impl Coordination {
    pub(crate) fn new(clock: Clock, layout: Layout, shutdown: Shutdown) -> Self {
        Self {
            clock,
            shares: (0..layout.peers).map(|_| Share::default()).collect(),
            minter: Arc::default(),
            binders: layout.here.clone().map(|_| Arc::default()).collect(),
            layout,
            shutdown,
            minted: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            last_t: AtomicU64::new(0),
            backlog: AtomicUsize::new(0),
            finished: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            peer: Mutex::default(),
            is_broken: AtomicBool::new(false),
            recorded: Mutex::default(),
            stands_by: AtomicBool::new(false),
            repeated_t: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }

    /// Whether T follows the records.
    pub(crate) fn by_event(&self) -> bool {
        self.clock == Clock::Event
    }

    /// The bell of a worker of this process, by its index in the group.
    pub(crate) fn binder(&self, worker: usize) -> &Arc<Bell> {
        &self.binders[worker - self.layout.here.start]
    }

    /// A binder tells what it has, and wakes the minter when that matters.
    pub(crate) fn publish(&self, worker: usize, staged: usize, head: Head, ended: bool) {
        let share = &self.shares[worker];
        let (clock, staging, likely) = match head {
            Head::Staging => (NONE, true, false),
            Head::Likely(clock) => (clock.unwrap_or(NONE), false, true),
            Head::Ready(clock) => (clock.unwrap_or(NONE), false, false),
        };
        share.head.store(clock, Ordering::Release);
        share.staging.store(staging, Ordering::Release);
        share.likely.store(likely, Ordering::Release);
        share.staged.store(staged, Ordering::Release);
        let news = share.ended.swap(ended, Ordering::AcqRel) != ended || staged > 0;
        // With the event clock, a share that has caught up may be what the minter waits for; and whoever tells process 0
        // tells every change.
        if news || self.by_event() || !self.layout.leads() {
            self.minter.ring();
        }
    }

    /// What a worker of this process has told last.
    pub(crate) fn hint(&self, worker: usize) -> Hint {
        let share = &self.shares[worker];
        Hint {
            worker,
            staged: share.staged.load(Ordering::Acquire),
            head: match (share.staging.load(Ordering::Acquire), share.head.load(Ordering::Acquire)) {
                (true, _) => Head::Staging,
                (false, head) => {
                    let clock = (head != NONE).then_some(head);
                    if share.likely.load(Ordering::Acquire) { Head::Likely(clock) } else { Head::Ready(clock) }
                }
            },
            ended: share.ended.load(Ordering::Acquire),
        }
    }

    /// What is to be minted next.
    pub(crate) fn wanted(&self) -> Want {
        let staged: usize = self.shares.iter().map(|share| share.staged.load(Ordering::Acquire)).sum();
        if staged == 0 && self.shares.iter().all(|share| share.ended.load(Ordering::Acquire)) {
            return Want::Ended;
        }
        if !self.by_event() {
            return if staged > 0 { Want::Data(wall_ms()) } else { Want::Idle(wall_ms()) };
        }
        if self.shares.iter().any(|share| share.staging.load(Ordering::Acquire)) {
            return Want::Nothing;
        }
        let head = self.shares.iter().map(|share| share.head.load(Ordering::Acquire)).min().unwrap_or(NONE);
        if head == NONE {
            return Want::Nothing;
        }
        let clock = if head == UNCLOCKED { 0 } else { u64::try_from(head).unwrap_or(0) };
        let likely = self.shares.iter().any(|share| share.likely.load(Ordering::Acquire));
        if likely { Want::DataUnlessEarlier(clock) } else { Want::Data(clock) }
    }

    /// Repeats `recorded`, after what is to be repeated already, before anything else is minted.
    pub(crate) fn repeat(&self, recorded: Vec<Announced>) {
        self.recorded.lock().extend(recorded);
    }

    /// From now until [`Coordination::lead`] nothing is minted but what is repeated.
    pub(crate) fn stand_by(&self) {
        self.stands_by.store(true, Ordering::Release);
    }

    /// This instance leads, after what is to be repeated up to `repeated_t`.
    pub(crate) fn lead(&self, repeated_t: T) {
        self.repeated_t.store(repeated_t, Ordering::Release);
        self.stands_by.store(false, Ordering::Release);
        self.minter.ring();
    }

    /// Whether another instance leads.
    pub(crate) fn stands_by(&self) -> bool {
        self.stands_by.load(Ordering::Acquire)
    }

    /// The last T that the world had seen when this instance began to lead.
    pub(crate) fn repeated_t(&self) -> T {
        self.repeated_t.load(Ordering::Acquire)
    }

    /// Whether there are T's to repeat.
    pub(crate) fn repeats(&self) -> bool {
        !self.recorded.lock().is_empty()
    }

    /// A T on record waits for records that come no more, since the program stops: it is repeated at the next start.
    pub(crate) fn abandon(&self) {
        if !self.abandoned.swap(true, Ordering::AcqRel) {
            self.minter.ring();
        }
    }

    /// Whether a T stays open for good.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// The next T to repeat.
    pub(crate) fn next_recorded(&self) -> Option<Announced> {
        self.recorded.lock().pop_front()
    }

    /// The minter has minted.
    pub(crate) fn minted(&self, t: T) {
        self.open.lock().push_back((t, now()));
        self.last_t.store(t, Ordering::Release);
        self.minted.fetch_add(1, Ordering::AcqRel);
    }

    /// Assemble has closed a minted T; returns when it was minted.
    pub(crate) fn closed(&self, t: T) -> Option<Instant> {
        let minted_at = {
            let mut open = self.open.lock();
            while open.front().is_some_and(|(first, _)| *first < t) {
                open.pop_front();
            }
            open.pop_front_if(|(first, _)| *first == t).map(|(_, at)| at)
        };
        self.closed.fetch_add(1, Ordering::AcqRel);
        self.minter.ring();
        minted_at
    }

    /// T's minted and not closed.
    pub(crate) fn open(&self) -> u64 {
        self.minted.load(Ordering::Acquire).saturating_sub(self.closed.load(Ordering::Acquire))
    }

    /// When the oldest open T was minted.
    pub(crate) fn oldest_open(&self) -> Option<Instant> {
        self.open.lock().front().map(|(_, at)| *at)
    }

    /// The greatest T minted; 0 before the first.
    pub(crate) fn last_t(&self) -> T {
        self.last_t.load(Ordering::Acquire)
    }

    /// Records staged and not bound, of all workers.
    pub(crate) fn staged(&self) -> usize {
        self.shares.iter().map(|share| share.staged.load(Ordering::Acquire)).sum()
    }

    /// A batch is on its way to the fanout.
    pub(crate) fn sent(&self) {
        self.backlog.fetch_add(1, Ordering::AcqRel);
    }

    /// The fanout has delivered a batch.
    pub(crate) fn delivered(&self, max_backlog: usize) {
        if self.backlog.fetch_sub(1, Ordering::AcqRel) >= max_backlog {
            self.minter.ring();
        }
    }

    /// Batches closed and not delivered.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Acquire)
    }

    /// No more T's, and every T is closed: the workers leave.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.shutdown.stop();
        self.binders.iter().for_each(|bell| bell.ring());
    }

    /// A process of the group is gone. Nobody can go on without it; while stopping that is how it ends.
    pub(crate) fn peer_gone(&self, index: usize, address: &str, why: &str) {
        if self.is_finished() {
            return;
        }
        if self.shutdown.is_stopping() {
            tracing::info!(peer = index, "a process of this group has left");
            return self.finish();
        }
        tracing::error!(
            peer = index,
            address,
            why,
            "a process of this group is gone: this one ends, and all begin again together"
        );
        let (address, why) = (address.to_owned(), format!("it is gone: {why}"));
        self.peer.lock().get_or_insert(Error::Peer { index, address, why });
        self.is_broken.store(true, Ordering::Release);
        self.finish();
    }

    /// A process of the group has ended in order. With process 0 everything ends; others take it along, if nobody stops.
    pub(crate) fn peer_left(&self, index: usize, address: &str) {
        if index == 0 {
            tracing::info!("process 0 has ended: so does this one");
            self.shutdown.stop();
            self.finish();
        } else if self.layout.leads() {
            self.peer_gone(index, address, "it was asked to stop");
        }
    }

    /// Whether this process ends because of a failure: then it leaves without a farewell.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// The peer that ended this process, if one did.
    pub(crate) fn lost_peer(&self) -> Option<Error> {
        self.peer.lock().take()
    }

    /// A worker died: the others cannot go on.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.is_broken.store(true, Ordering::Release);
        self.finish();
    }

    /// Whether the workers should leave.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Whether a worker died.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(clock: Clock) -> Coordination {
        Coordination::new(clock, Layout { here: 0..2, peers: 2 }, Shutdown::new())
    }

    #[test]
    fn the_event_clock_waits_for_every_worker_and_takes_the_least_head() {
        let shared = two(Clock::Event);
        assert_eq!(shared.wanted(), Want::Nothing, "nobody has looked yet");
        shared.publish(0, 5, Head::Ready(Some(700)), false);
        assert_eq!(shared.wanted(), Want::Nothing, "worker 1 has not looked yet");
        shared.publish(1, 0, Head::Ready(None), false);
        assert_eq!(shared.wanted(), Want::Data(700));
        shared.publish(1, 1, Head::Ready(Some(600)), false);
        assert_eq!(shared.wanted(), Want::Data(600));
        shared.publish(1, 1, Head::Ready(Some(UNCLOCKED)), false);
        assert_eq!(shared.wanted(), Want::Data(700), "records without a clock do not hold up or hurry others");
        shared.publish(0, 0, Head::Ready(None), false);
        assert_eq!(shared.wanted(), Want::Data(0));
        shared.publish(1, 1, Head::Ready(Some(600)), false);
        shared.publish(0, 5, Head::Likely(Some(700)), false);
        assert_eq!(shared.wanted(), Want::DataUnlessEarlier(600));
        shared.publish(1, 0, Head::Staging, false);
        assert_eq!(shared.wanted(), Want::Nothing);
    }

    #[test]
    fn the_end_is_when_all_have_ended_and_nothing_is_staged() {
        let shared = two(Clock::Wall);
        assert!(matches!(shared.wanted(), Want::Idle(_)));
        shared.publish(0, 0, Head::Ready(None), true);
        shared.publish(1, 3, Head::Ready(Some(1)), true);
        assert!(matches!(shared.wanted(), Want::Data(_)));
        shared.publish(1, 0, Head::Ready(None), true);
        assert_eq!(shared.wanted(), Want::Ended);
    }

    #[test]
    fn open_t_s_are_counted() {
        let shared = two(Clock::Wall);
        shared.minted(10);
        shared.minted(12);
        assert_eq!((shared.open(), shared.last_t()), (2, 12));
        assert!(shared.closed(10).is_some());
        assert_eq!(shared.open(), 1);
        assert!(shared.oldest_open().is_some());
    }
}
