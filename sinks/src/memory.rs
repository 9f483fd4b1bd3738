//! A store in memory: what tests, examples and the embedded demo write to, and a place to script failures.
//!
//! Keeps the newest batches (by T, bounded) and their sum as a [`Snapshot`]. Behaves like a real store: a batch
//! it has already seen changes nothing, and a failing attempt may or may not have written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use model::snapshot::Limits;
use model::{Batch, Snapshot, T};
use tokio::sync::watch;

use crate::{Error, Sink};

/// What the next attempts do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Script {
    /// Succeed.
    #[default]
    Works,
    /// Fail, transiently, without writing.
    Away,
    /// Write, then fail transiently: the answer got lost.
    Forgetful,
    /// Refuse the data.
    Refuses,
    /// Never answer.
    Hangs,
}

#[derive(Debug)]
struct Held {
    snapshot: Snapshot,
    batches: BTreeMap<T, Arc<Batch>>,
    keep: usize,
    writes: Vec<Vec<T>>,
}

/// The store, shared by the sink that writes it and everybody who looks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Memory {
    held: Arc<Mutex<Held>>,
    script: watch::Sender<Script>,
    attempts: watch::Sender<u64>,
    written: watch::Sender<T>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl Memory {
    /// A store that keeps the newest `keep` batches.
    pub fn new(keep: usize) -> Self {
        let held =
            Held { snapshot: Snapshot::new(Limits::default()), batches: BTreeMap::new(), keep, writes: Vec::new() };
        Self {
            held: Arc::new(Mutex::new(held)),
            script: watch::channel(Script::Works).0,
            attempts: watch::channel(0).0,
            written: watch::channel(0).0,
        }
    }

    /// Sets what attempts do from now on. An attempt that hangs goes on with the new script.
    pub fn script(&self, script: Script) {
        self.script.send_replace(script);
    }

    /// Attempts to write so far, to be waited on.
    pub fn attempts(&self) -> watch::Receiver<u64> {
        self.attempts.subscribe()
    }

    /// Newest T written, to be waited on.
    pub fn written(&self) -> watch::Receiver<T> {
        self.written.subscribe()
    }

    /// Everything kept, oldest first.
    pub fn batches(&self) -> Vec<Arc<Batch>> {
        self.held().batches.values().cloned().collect()
    }

    /// The T's of each successful write, in order.
    pub fn writes(&self) -> Vec<Vec<T>> {
        self.held().writes.clone()
    }

    /// The sum of everything written.
    pub fn snapshot(&self) -> Snapshot {
        self.held().snapshot.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change below leaves the maps whole, so a panic elsewhere does no harm here.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, batches: &[Arc<Batch>]) {
        let mut held = self.held();
        for batch in batches {
            held.snapshot.apply(batch);
            held.batches.insert(batch.t, Arc::clone(batch));
            if held.batches.len() > held.keep {
                held.batches.pop_first();
            }
        }
        held.writes.push(batches.iter().map(|batch| batch.t).collect());
        if held.writes.len() > held.keep {
            held.writes.remove(0);
        }
        let newest = held.snapshot.t;
        drop(held);
        self.written.send_replace(newest);
    }
}

#[async_trait]
impl Sink for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn check(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn held_t(&mut self) -> Result<Option<T>, Error> {
        Ok(Some(self.held().snapshot.t))
    }

    async fn forget(&mut self) -> Result<(), Error> {
        self.held().snapshot = Snapshot::new(Limits::default());
        Ok(())
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.attempts.send_modify(|attempts| *attempts += 1);
        let mut scripts = self.script.subscribe();
        // The sender is ours: waiting on it cannot fail.
        let script = scripts.wait_for(|script| *script != Script::Hangs).await.map(|script| script.clone());
        match script.unwrap_or_default() {
            Script::Works | Script::Hangs => {
                self.store(batches);
                Ok(())
            }
            Script::Away => Err(Error::Scripted("away".to_owned(), true)),
            Script::Forgetful => {
                self.store(batches);
                Err(Error::Scripted("answer lost".to_owned(), true))
            }
            Script::Refuses => Err(Error::Scripted("refused".to_owned(), false)),
        }
    }
}
