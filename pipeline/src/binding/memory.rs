//! A log of bindings in memory: for tests, and the double of the crash harness.
//!
//! It outlives the pipeline that writes to it, like a topic does, and fences like one: an instance that has been
//! taken over cannot append. Cheap to clone: all clones of one log share what is in it.

use std::sync::Arc;

use model::T;
use parking_lot::Mutex;

use super::{Binding, Log};
use crate::Error;

#[derive(Debug, Default)]
struct Shared {
    bindings: Vec<Binding>,
    /// The last T that was trimmed away.
    trimmed_t: T,
    /// Counts the instances that took over.
    epoch: u64,
    /// Times that somebody said that it lives.
    beats: u64,
}

/// One instance's way to the log.
#[derive(Debug, Default)]
pub struct Memory {
    shared: Arc<Mutex<Shared>>,
    epoch: u64,
    /// The last T that `follow` returned.
    followed_t: T,
    followed_beats: u64,
}

impl Clone for Memory {
    /// Another instance's way to the same log.
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), epoch: 0, followed_t: 0, followed_beats: 0 }
    }
}

impl Memory {
    /// Every binding that was ever in the log, trimmed or not.
    pub fn bindings(&self) -> Vec<Binding> {
        self.shared.lock().bindings.clone()
    }

    /// Puts bindings into the log as they are.
    pub fn fill(&self, bindings: impl IntoIterator<Item = Binding>) {
        self.shared.lock().bindings.extend(bindings);
    }
}

impl Log for Memory {
    fn follow(&mut self) -> Result<Option<Vec<Binding>>, Error> {
        let shared = self.shared.lock();
        let from = self.followed_t.max(shared.trimmed_t);
        let new: Vec<Binding> = shared.bindings.iter().filter(|binding| binding.t > from).cloned().collect();
        self.followed_t = new.last().map_or(from, |last| last.t);
        let heard = !new.is_empty() || shared.beats > self.followed_beats;
        self.followed_beats = shared.beats;
        Ok(heard.then_some(new))
    }

    fn take_over(&mut self, from: T) -> Result<Vec<Binding>, Error> {
        let mut shared = self.shared.lock();
        shared.epoch += 1;
        self.epoch = shared.epoch;
        let from = from.max(shared.trimmed_t);
        Ok(shared.bindings.iter().filter(|binding| binding.t > from).cloned().collect())
    }

    fn complete_after(&self) -> T {
        self.shared.lock().trimmed_t
    }

    fn append(&mut self, bindings: &[Binding]) -> Result<(), Error> {
        let mut shared = self.shared.lock();
        if shared.epoch != self.epoch {
            return Err(Error::TakenOver);
        }
        shared.bindings.extend_from_slice(bindings);
        Ok(())
    }

    fn live(&mut self) -> Result<(), Error> {
        self.append(&[])?;
        self.shared.lock().beats += 1;
        Ok(())
    }

    fn trim(&mut self, t: T) -> Result<(), Error> {
        let mut shared = self.shared.lock();
        shared.trimmed_t = shared.trimmed_t.max(t);
        Ok(())
    }
}
