//! Waking a parked worker from another thread, once for many reasons.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use timely::scheduling::SyncActivator;

/// A bell for one operator: ringing it wakes the operator's worker and schedules it.
///
/// Rings between two answers are one wake-up, so ringing for every record costs an atomic swap. The operator
/// answers first and looks at its inputs then, so that no ring is lost.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    activator: OnceLock<SyncActivator>,
}

impl Bell {
    /// Connects the bell to its operator. Rings from before count: the operator is scheduled at once.
    pub(crate) fn connect(&self, activator: SyncActivator) {
        // A worker that is gone needs no waking.
        let _ = activator.activate();
        let _ = self.activator.set(activator);
    }

    /// Wakes the operator, unless it has been and has not answered yet.
    pub fn ring(&self) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        match self.activator.get() {
            Some(activator) => drop(activator.activate()),
            // Not connected yet: do not swallow the next ring.
            None => self.rung.store(false, Ordering::Release),
        }
    }

    /// The operator runs: rings from now on schedule it again.
    pub(crate) fn answer(&self) {
        self.rung.store(false, Ordering::Release);
    }
}
