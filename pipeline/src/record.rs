//! The fanout's side of the log of bindings: what is new is appended, and whoever leads is heard twice a second.
//!
//! A standby takes silence for death. So this instance says that it lives also when nothing closes, when it repeats what
//! is on record already, and while a sink's full queue holds it up ([`Record::meanwhile`]).

use std::pin::pin;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use model::T;

use crate::Error;
use crate::assemble::Closed;
use crate::binding::{Binding, Log};
use crate::clock::now;
use crate::shutdown::Shutdown;

/// The longest silence.
pub(crate) const QUIET: Duration = Duration::from_millis(500);

pub(crate) struct Record {
    log: Option<Box<dyn Log>>,
    /// The last T in the log: what comes up to it is said again and not logged again.
    logged_t: T,
    /// Told the oldest T that a restart may begin with: bindings before it are not needed any more.
    kept_t: Option<Receiver<T>>,
    /// When something was last said.
    said: Instant,
    /// Once stopping there is nothing left to claim.
    shutdown: Shutdown,
}

impl Record {
    pub(crate) fn new(
        log: Option<Box<dyn Log>>,
        logged_t: T,
        kept_t: Option<Receiver<T>>,
        shutdown: &Shutdown,
    ) -> Self {
        Self { log, logged_t, kept_t, said: now(), shutdown: shutdown.clone() }
    }

    /// From here on this instance writes to the log, which holds everything up to `logged_t`.
    pub(crate) fn lead(&mut self, log: Box<dyn Log>, logged_t: T) {
        (self.log, self.logged_t) = (Some(log), logged_t);
    }

    /// Appends what is new. What is not in the log when this fails was never said.
    pub(crate) fn append(&mut self, group: &[Closed]) -> Result<(), Error> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let new = group.iter().filter(|closed| closed.binding.t > self.logged_t && !closed.saved);
        let new: Vec<Binding> = new.map(|closed| closed.binding.clone()).collect();
        if let Some(last) = new.last() {
            log.append(&new)?;
            (self.logged_t, self.said) = (last.t, now());
        }
        if let Some(kept_t) = self.kept_t.as_ref().and_then(|kept| kept.try_iter().last())
            && let Err(error) = log.trim(kept_t)
        {
            tracing::debug!(%error, "old bindings stay for now");
        }
        self.live()
    }

    /// Says that this instance lives if it is time to. Fails once another has taken over.
    pub(crate) fn live(&mut self) -> Result<(), Error> {
        let is_due = self.said.elapsed() >= QUIET && !self.shutdown.is_stopping();
        if let Some(log) = self.log.as_mut().filter(|_| is_due) {
            log.live()?;
            self.said = now();
        }
        Ok(())
    }

    /// Waits for it, however long it takes, and is heard meanwhile.
    pub(crate) async fn meanwhile<R>(&mut self, waits: impl Future<Output = R>) -> Result<R, Error> {
        let mut waits = pin!(waits);
        loop {
            match tokio::time::timeout(QUIET, waits.as_mut()).await {
                Ok(done) => return Ok(done),
                Err(_) => self.live()?,
            }
        }
    }
}
