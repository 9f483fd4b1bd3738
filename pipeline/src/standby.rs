//! A standby: computes beside the instance that leads, from the same topics and the same bindings, and keeps what it says
//! to itself until the other has been silent for a while. Then it fences, reads the rest, and leads with the same T's.
//!
//! ```text
//! follow the log ─► T's on record, as they come ─► minter ─► … ─► fanout: held back from the stores
//!       │ silent for `patience`                                        │ dropped, when the leading instance
//!       ▼                                                              │ has a manifest of that T
//! take over (fence, read the rest) ─► one T of our own ─► fanout: what was held goes to the stores, then goes on as always
//! ```
//!
//! A manifest says that every store has written up to its T. So what is held is what a store may lack, and no more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use model::humane::Span;
use model::{Batch, Names, T};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::binding::{Binding, Log};
use crate::checkpoint::{self, Store};
use crate::clock::now;
use crate::coordination::Coordination;
use crate::mint::{Announced, Binds};
use crate::recovery::recorded;

const LOOK: Duration = Duration::from_millis(10);
/// How often the newest manifest is asked for.
const MANIFESTS: Duration = Duration::from_secs(2);

/// The `[pipeline.standby]` section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether this instance waits for another to go before it leads. Needs checkpoints.
    pub enabled: bool,
    /// So long without a word, and the other is taken for gone. An instance binds at least every `idle_interval`, and
    /// says twice a second that it lives when there is nothing to bind.
    pub patience: Span,
    /// Batches held back before the standby lets the other get ahead.
    pub max_held: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: false, patience: Span::from_millis(1_500), max_held: 200_000 }
    }
}

/// What the fanout of a standby is told.
pub(crate) enum Word {
    /// Every store has written up to this T.
    Written(T),
    /// This instance leads: the log is its own, and holds everything up to this T.
    Lead(Box<dyn Log>, T),
}

/// Batches that the stores may lack.
pub(crate) struct Held {
    pub(crate) batches: VecDeque<Arc<Batch>>,
    pub(crate) limit: usize,
}

/// The thread that follows and takes over.
pub(crate) struct Standby {
    pub(crate) config: Config,
    pub(crate) log: Box<dyn Log>,
    pub(crate) store: Option<Store>,
    pub(crate) shared: Arc<Coordination>,
    pub(crate) names: Arc<Names>,
    /// The last T announced.
    pub(crate) last_t: T,
    pub(crate) fanout: Sender<Word>,
}

impl Standby {
    /// Follows until the program stops, or this instance leads.
    pub(crate) fn run(self) {
        let shared = Arc::clone(&self.shared);
        if let Err(error) = self.follow() {
            tracing::error!(%error, "standing by has failed");
            shared.fail();
        }
    }

    fn follow(mut self) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut heard, mut asked, mut written_t) = (now(), now(), 0);
        tracing::info!(last_t = self.last_t, "standing by");
        while !self.shared.shutdown.is_stopping() {
            if let Some(new) = self.log.follow()? {
                heard = now();
                self.announce(new);
            }
            if heard.elapsed() >= self.config.patience.0 {
                return self.lead();
            }
            if let Some(store) = self.store.as_ref().filter(|_| asked.elapsed() >= MANIFESTS) {
                asked = now();
                let newest = runtime.block_on(checkpoint::list(store));
                let newest = newest.ok().and_then(|all| all.into_iter().find(|found| found.manifest.is_ok()));
                if let Some(newest) = newest.filter(|newest| newest.t > written_t) {
                    written_t = newest.t;
                    let _ = self.fanout.send(Word::Written(written_t));
                }
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn announce(&mut self, bindings: Vec<Binding>) {
        // A group that was written twice is announced once.
        for binding in bindings {
            if binding.t > self.last_t {
                self.last_t = binding.t;
                self.shared.repeat(vec![recorded(&binding, &self.names)]);
            }
        }
        self.shared.minter.ring();
    }

    fn lead(mut self) -> Result<(), Error> {
        let started = now();
        let rest = self.log.take_over(self.last_t)?;
        self.announce(rest);
        let last_t = self.last_t;
        let _ = self.fanout.send(Word::Lead(self.log, last_t));
        // A T of our own, with nothing in it: from here on a T takes what is staged.
        let first = Announced { t: last_t + 1, binds: Binds::Recorded(Arc::from([])), barrier: None, leads: true };
        self.shared.repeat(vec![first]);
        self.shared.lead(last_t);
        tracing::info!(last_t, took_ms = started.elapsed().as_millis(), "the other is silent: this instance leads");
        Ok(())
    }
}
