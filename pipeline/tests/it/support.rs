//! A pipeline under test: where it reads from, what came out, and how to wait for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::wire::{TopicKind, WireTick};
use model::{Batch, Names, Zones};
use parking_lot::Mutex;
use pipeline::binding::memory::Memory;
use pipeline::{BatchQueue, Clock, Config, Durable, Error, Log, Metrics, Replay, Shutdown};
use pipeline::{Feed, Handle, Parts, Pipeline};

/// Nothing here takes this long, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Ending takes at most two seconds; a machine busy with other tests may need a little longer.
pub(crate) const PROMPT: Duration = Duration::from_secs(5);

/// 2025-11-18T00:00:00Z.
pub(crate) const START_MS: i64 = 1_763_424_000_000;

/// Keeps every batch.
#[derive(Clone, Default)]
pub(crate) struct Kept(pub(crate) Arc<Mutex<Vec<Arc<Batch>>>>);

#[async_trait]
impl BatchQueue for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    async fn push(&mut self, batch: Arc<Batch>) -> bool {
        self.0.lock().push(batch);
        true
    }
}

/// A queue that takes a batch for every permit it is given.
pub(crate) struct Gate(pub(crate) Arc<tokio::sync::Semaphore>);

#[async_trait]
impl BatchQueue for Gate {
    fn name(&self) -> &str {
        "gate"
    }

    async fn push(&mut self, _batch: Arc<Batch>) -> bool {
        self.0.acquire().await.expect("never closed").forget();
        true
    }
}

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) operators: operators::Config,
    pub(crate) zones: Zones,
    pub(crate) names: Arc<Names>,
    pub(crate) kept: Kept,
    pub(crate) log: Memory,
    pub(crate) shutdown: Shutdown,
}

impl World {
    pub(crate) fn new(workers: usize, clock: Clock) -> Self {
        let mut config = Config { workers, clock, ..Config::default() };
        config.kafka.discovery_interval = model::humane::Span::from_millis(50);
        Self {
            config,
            operators: operators::Config::default(),
            zones: Zones::built_in(),
            names: Arc::default(),
            kept: Kept::default(),
            log: Memory::default(),
            shutdown: Shutdown::new(),
        }
    }

    pub(crate) fn replay(&self) -> Replay {
        Replay::new("optibid", Arc::clone(&self.names))
    }

    pub(crate) fn start(&self, feed: Feed) -> Handle {
        self.start_with(feed, vec![])
    }

    pub(crate) fn start_with(&self, feed: Feed, more: Vec<Box<dyn BatchQueue>>) -> Handle {
        self.try_start(feed, more, Some(Box::new(self.log.clone())), None).unwrap()
    }

    pub(crate) fn try_start(
        &self,
        feed: Feed,
        more: Vec<Box<dyn BatchQueue>>,
        log: Option<Box<dyn Log>>,
        durable: Option<Durable>,
    ) -> Result<Handle, Error> {
        if std::env::var_os("RUST_LOG").is_some() {
            // The second test of a run finds it installed.
            let _ = pipeline::telemetry::init(&self.config.log);
        }
        let mut queues: Vec<Box<dyn BatchQueue>> = vec![Box::new(self.kept.clone())];
        queues.extend(more);
        let parts = Parts {
            feed,
            queues,
            log,
            durable,
            begin: None,
            stage: Default::default(),
            written: None,
            limits: model::snapshot::Limits::default(),
            metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
        };
        let (config, operators) = (self.config.clone(), self.operators.clone());
        Pipeline::start(config, operators, self.zones.clone(), Arc::clone(&self.names), parts, &self.shutdown)
    }

    pub(crate) fn batches(&self) -> Vec<Arc<Batch>> {
        self.kept.0.lock().clone()
    }

    /// Tick records accounted for in what was delivered.
    pub(crate) fn received(&self) -> u64 {
        self.batches().iter().map(|batch| batch.counts.received).sum()
    }

    /// Offsets bound, of all partitions (which start at 0).
    pub(crate) fn bound(&self) -> u64 {
        let mut last = std::collections::BTreeMap::new();
        self.log.bindings().iter().for_each(|binding| last.extend(binding.offsets.clone()));
        last.values().map(|offset| offset.unsigned_abs()).sum()
    }
}

/// Waits until `n` tick records have been delivered to every queue.
pub(crate) async fn delivered(handle: &Handle, n: u64) -> bool {
    let all = handle.wait_for(|p| p.counts.received >= n && p.delivered_t == p.t);
    within(&format!("{n} tick records"), all).await
}

/// Fails the test instead of hanging.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Waits for something that nobody announces.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) fn topic(zone: &str) -> String {
    TopicKind::ticks_topic("optibid", zone)
}

/// A tick published when it happened.
pub(crate) fn tick(zone: &str, event_ms: i64, price: f64) -> WireTick {
    let mut tick = WireTick::minimal(zone, event_ms, price, 1.0);
    tick.published = Some(model::wire::json::Timestamp::Millis(event_ms));
    tick
}
