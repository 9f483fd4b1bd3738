//! The minter: decides when the next T is due and announces it. Worker 0 mints, for the whole cluster.
//!
//! A T is due when records wait and `interval` has passed since the last, or without records every
//! `idle_interval` (wall clock). It is held back while too many T's are open or too many batches wait for
//! delivery: that is how a full sink slows the source.
//!
//! The minter never lets go of its capability: an empty frontier would let every update dated in the future
//! (expiry of windows) happen at once. At the end the workers drop the dataflow instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::T;
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

type Output<'a> = OutputBuilderSession<'a, T, CapacityContainerBuilder<Vec<T>>>;

/// The stream of T's, on worker 0.
pub(crate) fn mint<'s>(scope: Scope<'s, T>, config: &Config, shared: &Arc<Coordination>) -> StreamVec<'s, T, T> {
    source::<T, CapacityContainerBuilder<Vec<T>>, _, _>(scope, "Mint", |capability, info| {
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
}

impl Minter {
    fn run(&mut self, output: &mut Output<'_>) {
        self.shared.minter.answer();
        let blocked = self.shared.open() >= self.max_open || self.shared.backlog() >= self.max_backlog;
        if self.shared.shutdown.is_stopping() || blocked {
            return;
        }
        let now = now();
        let Some((due, clock_ms)) = self.due(now) else { return };
        if now < due {
            self.wake_at(due, now);
            return;
        }
        let t = clock::next(self.shared.last_t(), clock_ms);
        self.capability.downgrade(&t);
        output.session(&self.capability).give(t);
        self.capability.downgrade(&(t + 1));
        self.shared.minted(t);
        self.last = Some(now);
        self.wake_at(now + self.idle_interval, now);
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
