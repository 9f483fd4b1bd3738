//! The minter: decides when the next T is due and announces it. Worker 0 mints, for the whole cluster.
//!
//! A T is due when records wait and `interval` has passed since the last, or without records every
//! `idle_interval` (wall clock). It is held back while too many T's are open or too many batches wait for
//! delivery: that is how a full sink slows the source.
//!
//! After a restart the minter first repeats the T's on record, each with the offsets that it binds (`binding`), as fast
//! as they close. Moments at which state is saved are minted at whole multiples of `Barriers::interval_ms`.
//!
//! The minter never lets go of its capability: an empty frontier would let every update dated in the future
//! (expiry of windows) happen at once. At the end the workers drop the dataflow instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::T;
use operators::keyed::Barrier;
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::{OutputBuilderSession, source};
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::Activator;

use crate::clock::{self, now};
use crate::config::Config;
use crate::coordination::{Coordination, Want};

/// How long records that the broker is known to hold may keep the event clock waiting.
const PATIENCE: Duration = Duration::from_millis(500);

/// A T that every worker binds its records to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announced {
    pub(crate) t: T,
    pub(crate) binds: Binds,
    /// State is saved after this T.
    pub(crate) barrier: Option<Barrier>,
    /// Nothing is on record after this T: from now on a T takes what is staged.
    pub(crate) leads: bool,
}

impl Announced {
    fn staged(t: T, barrier: Option<Barrier>) -> Self {
        Self { t, binds: Binds::Staged, barrier, leads: true }
    }
}

/// What a T takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Binds {
    /// What is staged.
    Staged,
    /// What was saved before the program ended: the state up to and with this T.
    Saved,
    /// The records up to these offsets of topics and partitions.
    Recorded(Arc<[(Arc<str>, i32, i64)]>),
}

type Container = CapacityContainerBuilder<Vec<Announced>>;
type Output<'a> = OutputBuilderSession<'a, T, Container>;

/// The stream of T's, on worker 0.
pub(crate) fn mint<'s>(
    scope: Scope<'s, T>,
    config: &Config,
    barriers: Option<Barriers>,
    shared: &Arc<Coordination>,
) -> StreamVec<'s, T, Announced> {
    source::<T, Container, _, _>(scope, "Mint", |capability, info| {
        let mut minter = (scope.index() == 0).then(|| {
            let path = info.address.to_vec();
            shared.minter.connect(scope.worker().sync_activator_for(path));
            Minter {
                capability,
                activator: scope.activator_for(info.address),
                shared: Arc::clone(shared),
                interval: config.interval.0,
                idle_interval: config.idle_interval.0,
                max_open: config.max_open as u64,
                max_backlog: config.max_backlog,
                last: None,
                waiting: None,
                armed: None,
                barriers,
                told_clock: false,
            }
        });
        move |output: &mut Output<'_>| {
            if let Some(minter) = &mut minter {
                minter.run(output);
            }
        }
    })
}

struct Minter {
    capability: Capability<T>,
    activator: Activator,
    shared: Arc<Coordination>,
    interval: Duration,
    idle_interval: Duration,
    max_open: u64,
    max_backlog: usize,
    /// When the last T was minted.
    last: Option<Instant>,
    /// Since when something earlier has been likely.
    waiting: Option<Instant>,
    /// When a timer will wake us.
    armed: Option<Instant>,
    barriers: Option<Barriers>,
    /// The system's clock was found behind T, and that was said.
    told_clock: bool,
}

/// When state is saved.
#[derive(Clone, Debug)]
pub(crate) struct Barriers {
    /// At whole multiples of this in T.
    pub(crate) interval_ms: u64,
    /// Every so many barriers everything is saved, changed or not.
    pub(crate) all_every: u64,
    /// Whether the state of the last barrier is safe: until then the next waits.
    pub(crate) is_free: Arc<AtomicBool>,
    /// Barriers so far.
    pub(crate) count: u64,
    /// Names what this life saves.
    pub(crate) life: u64,
}

impl Barriers {
    /// The barrier that is due before a T at `clock_ms`, after T `last`.
    fn due(&mut self, last: T, clock_ms: u64) -> Option<(T, Barrier)> {
        let at = clock_ms / self.interval_ms * self.interval_ms;
        // The very first T of all comes from the records, and is no good moment: there is nothing to save.
        if last == 0 || at <= last || !self.is_free.swap(false, Ordering::AcqRel) {
            return None;
        }
        let all = self.count.is_multiple_of(self.all_every.max(1));
        self.count += 1;
        Some((at, Barrier { all, life: self.life }))
    }
}

impl Minter {
    fn run(&mut self, output: &mut Output<'_>) {
        self.shared.minter.answer();
        let blocked = self.shared.open() >= self.max_open || self.shared.backlog() >= self.max_backlog;
        if self.shared.shutdown.is_stopping() || blocked {
            return;
        }
        if let Some(recorded) = self.shared.next_recorded() {
            self.announce(recorded, output);
            // Whoever is woken by the closing of T would be late: as many as may be open are announced at once.
            self.activator.activate();
            return;
        }
        if self.shared.stands_by() {
            return;
        }
        let now = now();
        let Some((due, clock_ms)) = self.due(now) else { return };
        if now < due {
            self.wake_at(due, now);
            return;
        }
        let last = self.shared.last_t();
        self.watch_clock(last, clock_ms);
        if let Some((t, barrier)) = self.barriers.as_mut().and_then(|barriers| barriers.due(last, clock_ms)) {
            self.announce(Announced::staged(t, Some(barrier)), output);
            self.activator.activate();
            return;
        }
        self.announce(Announced::staged(clock::next(last, clock_ms), None), output);
        self.last = Some(now);
        self.wake_at(now + self.idle_interval, now);
    }

    fn announce(&mut self, announced: Announced, output: &mut Output<'_>) {
        let t = announced.t;
        self.capability.downgrade(&t);
        output.session(&self.capability).give(announced);
        self.capability.downgrade(&(t + 1));
        self.shared.minted(t);
    }

    /// A clock that was set back does no harm: T goes on by a millisecond a moment until the clock has caught up. But
    /// windows expire late meanwhile, so somebody should know.
    fn watch_clock(&mut self, last: T, clock_ms: u64) {
        let behind_ms = last.saturating_sub(clock_ms);
        if self.shared.by_event() || behind_ms < 1_000 {
            self.told_clock = false;
        } else if !self.told_clock {
            self.told_clock = true;
            tracing::warn!(behind_ms, t = last, "the system's clock is behind the last moment: was it set back?");
        }
    }

    /// When the next T is due, and at which clock; `None` until the bell rings.
    fn due(&mut self, now: Instant) -> Option<(Instant, u64)> {
        let after = |last: Option<Instant>, pause| last.map_or(now, |last| last + pause);
        match self.shared.wanted() {
            Want::Data(clock) => {
                self.waiting = None;
                Some((after(self.last, self.interval), clock))
            }
            Want::DataUnlessEarlier(clock) => {
                // Patience is had once, not for every T: a broker may never hand over what it seems to hold
                // (transaction markers count as records).
                let since = *self.waiting.get_or_insert(now);
                Some((after(self.last, self.interval).max(since + PATIENCE), clock))
            }
            Want::Idle(clock) => Some((after(self.last, self.idle_interval), clock)),
            Want::Nothing => None,
            Want::Ended => {
                self.shared.shutdown.stop();
                None
            }
        }
    }

    /// Arms a timer, unless an earlier one will wake us anyway.
    fn wake_at(&mut self, at: Instant, now: Instant) {
        if self.armed.is_some_and(|armed| armed > now && armed <= at) {
            return;
        }
        self.armed = Some(at);
        self.activator.activate_after(at - now);
    }
}
