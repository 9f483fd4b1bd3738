//! Two instances compute side by side, one says it. When that one goes, the other says the rest, with the same T's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::humane::Span;
use model::{Batch, T};
use object_store::memory::InMemory;
use object_store::path::Path;
use pipeline::Feed;
use pipeline::checkpoint::{self, Store};
use pipeline::{BatchQueue, Clock, Durable, Handle, Replay};
use tokio::sync::Semaphore;

use crate::support::{Gate, Kept, World, delivered, eventually, tick, topic, within};

const ZONES: [&str; 3] = ["PJM", "NYISO", "MUMBAI"];

fn now_ms() -> i64 {
    i64::try_from(pipeline::clock::wall_ms()).unwrap()
}

/// What the two have in common: the market, the log, the checkpoints.
struct Site {
    log: pipeline::binding::memory::Memory,
    replay: Replay,
    objects: Arc<InMemory>,
    patience: Span,
}

impl Site {
    fn new(patience: Duration) -> Self {
        let replay = Replay::new("optibid", Arc::default());
        Self { log: Default::default(), replay, objects: Arc::default(), patience: Span(patience) }
    }

    /// An instance. What it keeps is what it would write to the stores.
    fn instance(&self, stands_by: bool, queues: Vec<Box<dyn BatchQueue>>) -> (World, Handle) {
        let mut world = World::new(2, Clock::Wall);
        world.names = self.replay.names();
        world.config.idle_interval = Span::from_millis(20);
        world.config.standby.enabled = stands_by;
        world.config.standby.patience = self.patience;
        world.operators.correlations.refresh = Span::from_millis(5);
        let kept = world.kept.clone();
        let durable = Durable {
            config: checkpoint::Config { interval: Span::from_millis(50), keep: 3, ..checkpoint::Config::default() },
            store: Store { store: Arc::clone(&self.objects) as _, root: Path::default() },
            written: Box::new(move || kept.0.lock().last().map_or(0, |batch| batch.t)),
        };
        let log = Box::new(self.log.clone());
        let start = || world.try_start(Feed::Memory(self.replay.clone()), queues, Some(log), Some(durable));
        let handle = tokio::task::block_in_place(start).unwrap();
        (world, handle)
    }

    fn append(&self, number: u64) {
        let zone = ZONES[(number % 3) as usize];
        let mut record = tick(zone, now_ms() - (number % 7) as i64 * 1_000, number as f64);
        record.id = Some((number % 50).to_string());
        record.revision = Some((number / 50) as i64);
        let partition = (number % 2) as i32;
        self.replay.append(&topic(zone), partition, now_ms(), record.to_json()).unwrap();
    }

    /// The records from `from` to `to`, a few at a time: whoever leads has many T's to say.
    async fn send(&self, leads: &Handle, from: u64, to: u64) {
        for start in (from..to).step_by(20) {
            let end = to.min(start + 20);
            (start..end).for_each(|number| self.append(number));
            delivered(leads, end).await;
        }
    }
}

fn by_t(kept: &Kept) -> BTreeMap<T, Arc<Batch>> {
    kept.0.lock().iter().map(|batch| (batch.t, Arc::clone(batch))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standby_says_the_rest_with_the_same_ts() {
    let site = Site::new(Duration::from_millis(800));
    let (first, leading) = site.instance(false, vec![]);
    site.send(&leading, 0, 500).await;

    let (second, waiting) = site.instance(true, vec![]);
    site.send(&leading, 500, 1_000).await;
    within("the standby to follow", waiting.await_t(leading.progress().borrow().t)).await;
    assert!(!waiting.is_current() && second.batches().is_empty(), "it keeps what it knows to itself");

    first.shutdown.stop();
    let stopped = Instant::now();
    within("the end of the first", leading.wait()).await.unwrap();
    eventually("the second to lead", || waiting.is_current()).await;
    let took = stopped.elapsed();
    site.send(&waiting, 1_000, 1_500).await;
    assert!(took < Duration::from_secs(5), "{took:?}");

    let (before, after) = (by_t(&first.kept), by_t(&second.kept));
    let both = before.iter().filter_map(|(t, batch)| Some((batch, after.get(t)?)));
    let mut seen_twice = 0;
    for (one, other) in both {
        assert_eq!(one, other, "what both say of one T");
        seen_twice += 1;
    }
    println!("{} and {} batches, {seen_twice} said by both, taken over after {took:?}", before.len(), after.len());
    let mut all = before;
    all.extend(after);
    let mut counts = model::batch::Counts::default();
    all.values().for_each(|batch| counts.add(&batch.counts));
    assert_eq!(counts.received, 1_500, "no T is left out between the two: {counts:?}");
    assert!(counts.balanced(), "{counts:?}");
    second.shutdown.stop();
    within("the end of the second", waiting.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_taken_over_while_it_lives_ends() {
    let site = Site::new(Duration::from_millis(800));
    let (_first, leading) = site.instance(false, vec![]);
    site.send(&leading, 0, 100).await;
    // As a restart does: no waiting.
    let (second, next) = site.instance(false, vec![]);
    let ended = within("the end of the first", leading.wait()).await;
    assert!(ended.is_err_and(|error| error.to_string().contains("another instance")));
    site.send(&next, 100, 200).await;
    second.shutdown.stop();
    within("the end of the second", next.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_a_full_queue_holds_up_is_not_taken_over() {
    let patience = Duration::from_millis(1_500);
    let site = Site::new(patience);
    let permits = Arc::new(Semaphore::new(1));
    let (first, leading) = site.instance(false, vec![Box::new(Gate(Arc::clone(&permits)))]);
    let (second, waiting) = site.instance(true, vec![]);
    (0..100).for_each(|number| site.append(number));
    within("a batch that waits for the queue", leading.wait_for(|progress| progress.t > progress.delivered_t)).await;
    let (held_up, until) = (leading.progress().borrow().delivered_t, Instant::now() + patience * 2);
    eventually("more than the other's patience", || Instant::now() >= until).await;
    assert_eq!(leading.progress().borrow().delivered_t, held_up, "nobody has taken anything from the queue");
    assert!(!waiting.is_current(), "the standby has taken over from one that lives");
    // The store is back.
    permits.add_permits(Semaphore::MAX_PERMITS / 2);
    site.send(&leading, 100, 200).await;
    for (world, handle) in [(first, leading), (second, waiting)] {
        world.shutdown.stop();
        within("the end", handle.wait()).await.unwrap();
    }
}
