//! Two stores: one that always answers at once, and one behind a real driver that goes away, hangs, or does what it is
//! told and does not answer. Both keep what they were told by T, and notice when they are told otherwise.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use model::{Batch, T};
use parking_lot::Mutex;
use pipeline::BatchQueue;
use sinks::Sink;
use tokio::time::Instant;

use super::fuse::{Fuse, Now, What};

/// What a store was told, by T. It keeps what it has, whoever comes.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    batches: BTreeMap<T, Arc<Batch>>,
    /// Something was said otherwise than before.
    wrong: Option<String>,
}

impl Told {
    fn tell(&self, batch: &Arc<Batch>) {
        let inner = &mut *self.0.lock();
        match inner.batches.get(&batch.t) {
            Some(before) if **before != **batch => {
                let wrong = format!("T {} is said otherwise: {}", batch.t, difference(before, batch));
                inner.wrong.get_or_insert(wrong);
            }
            Some(_) => {}
            None => {
                inner.batches.insert(batch.t, Arc::clone(batch));
            }
        }
    }

    pub(crate) fn batches(&self) -> BTreeMap<T, Arc<Batch>> {
        self.0.lock().batches.clone()
    }

    pub(crate) fn wrong(&self) -> Option<String> {
        self.0.lock().wrong.clone()
    }

    fn last_t(&self) -> T {
        self.0.lock().batches.last_key_value().map_or(0, |(t, _)| *t)
    }
}

/// Where two batches differ, list by list.
pub(crate) fn difference(one: &Batch, other: &Batch) -> String {
    let lists = |batch: &Batch| match serde_json::to_value(batch).expect("a batch is JSON") {
        serde_json::Value::Object(lists) => lists,
        other => panic!("a batch is an object: {other}"),
    };
    let (one, other) = (lists(one), lists(other));
    let mut told = String::new();
    for (name, list) in one.iter().filter(|(name, list)| other.get(*name) != Some(list)) {
        let rows = |list: &serde_json::Value| list.as_array().cloned().unwrap_or_else(|| vec![list.clone()]);
        let (ours, theirs) = (rows(list), rows(&other[name]));
        let only = |these: &[serde_json::Value], those: &[serde_json::Value]| {
            these.iter().filter(|row| !those.contains(row)).take(3).map(ToString::to_string).collect::<Vec<_>>()
        };
        let (ours, theirs) = (only(&ours, &theirs), only(&theirs, &ours));
        told += &format!("\n{name}: {ours:?}\n  but then {theirs:?}");
    }
    told
}

/// A life's way to the store that always answers.
pub(crate) struct Way {
    pub(crate) told: Told,
    pub(crate) fuse: Fuse,
    pub(crate) acked_t: Arc<AtomicU64>,
}

#[async_trait]
impl BatchQueue for Way {
    fn name(&self) -> &str {
        "told"
    }

    async fn push(&mut self, batch: Arc<Batch>) -> bool {
        let now = self.fuse.effect(What::Write).await;
        if now == Now::Die {
            return false;
        }
        self.told.tell(&batch);
        self.acked_t.store(batch.t, Ordering::Release);
        now == Now::Do
    }
}

/// What is wrong with a store while it is away.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Refuses,
    Hangs,
    /// It writes and does not answer.
    Forgets,
}

/// From its `after`-th write on, for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) after: u64,
    pub(crate) kind: Kind,
    pub(crate) lasts: Duration,
}

/// What happened while the store was away.
#[derive(Debug, Default)]
pub(crate) struct Away {
    /// Attempts that failed.
    pub(crate) failed: AtomicU64,
    /// It was away, its queue was full.
    pub(crate) full: AtomicU64,
    /// It was away, and the other store was told more.
    pub(crate) went_on: AtomicU64,
}

/// The store that goes away. Behind a [`sinks::Driver`].
pub(crate) struct Shop {
    pub(crate) told: Told,
    pub(crate) other: Told,
    pub(crate) fuse: Fuse,
    pub(crate) outage: Option<Outage>,
    pub(crate) away: Arc<Away>,
    /// The driver's handle, once there is one.
    pub(crate) handle: Arc<OnceLock<(sinks::Handle, usize)>>,
    writes: u64,
    until: Option<Instant>,
    began_t: T,
}

fn failed(what: &str) -> sinks::Error {
    sinks::Error::Scripted(what.to_owned(), true)
}

impl Shop {
    pub(crate) fn new(told: Told, other: Told, fuse: Fuse, outage: Option<Outage>, away: Arc<Away>) -> Self {
        Self { told, other, fuse, outage, away, handle: Arc::default(), writes: 0, until: None, began_t: 0 }
    }

    /// What is wrong just now.
    fn weather(&mut self) -> Option<(Kind, Instant)> {
        let outage = self.outage?;
        let now = Instant::now();
        let until = *self.until.get_or_insert_with(|| now + outage.lasts);
        if self.began_t == 0 {
            self.began_t = self.other.last_t();
        }
        if now < until {
            return Some((outage.kind, until));
        }
        // It is back: what was it like?
        self.outage = None;
        let is_full = self.handle.get().is_some_and(|(handle, room)| handle.queued_rows() * 10 >= room * 9);
        self.away.full.fetch_add(u64::from(is_full), Ordering::Relaxed);
        self.away.went_on.fetch_add(u64::from(self.other.last_t() > self.began_t), Ordering::Relaxed);
        None
    }
}

#[async_trait]
impl Sink for Shop {
    fn name(&self) -> &'static str {
        "shop"
    }

    async fn check(&mut self) -> Result<(), sinks::Error> {
        Ok(())
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), sinks::Error> {
        self.writes += 1;
        let is_due = self.outage.is_some_and(|outage| self.writes > outage.after);
        let weather = if is_due { self.weather() } else { None };
        self.away.failed.fetch_add(u64::from(weather.is_some()), Ordering::Relaxed);
        let forgets = match weather {
            Some((Kind::Refuses, _)) => return Err(failed("away")),
            Some((Kind::Hangs, until)) => {
                tokio::time::sleep_until(until).await;
                return Err(failed("the connection broke"));
            }
            Some((Kind::Forgets, _)) => true,
            None => false,
        };
        let now = self.fuse.effect(What::Write).await;
        // Killed in the middle of a run: half of it is there.
        let done = match now {
            Now::Do => batches,
            Now::DoAndDie => &batches[..batches.len().div_ceil(2)],
            Now::Die => &[],
        };
        done.iter().for_each(|batch| self.told.tell(batch));
        // Nobody listens to the dead: what they are answered only keeps their queue from holding up their end.
        if forgets && now == Now::Do { Err(failed("no answer")) } else { Ok(()) }
    }
}

/// The queue of a driver.
pub(crate) struct Queue(pub(crate) sinks::Handle);

#[async_trait]
impl BatchQueue for Queue {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn push(&mut self, batch: Arc<Batch>) -> bool {
        self.0.push(batch).await.is_ok()
    }
}
