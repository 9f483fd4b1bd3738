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
use pipeline::{Clock, Durable, Handle, Replay};

use crate::support::{Kept, World, delivered, eventually, tick, topic, within};

const ZONES: [&str; 3] = ["PJM", "NYISO", "MUMBAI"];

fn now_ms() -> i64 {
    i64::try_from(pipeline::clock::wall_ms()).unwrap()
}

/// An instance on what both share. What it keeps is what it would write to the stores.
fn instance(replay: &Replay, first: &World, objects: &Arc<InMemory>, stands_by: bool) -> (World, Handle) {
    let mut world = World::new(2, Clock::Wall);
    world.names = replay.names();
    world.config.idle_interval = Span::from_millis(20);
    world.config.standby.enabled = stands_by;
    world.config.standby.patience = Span::from_millis(500);
    world.operators.correlations.refresh = Span::from_millis(5);
    let kept = world.kept.clone();
    let durable = Durable {
        config: checkpoint::Config { interval: Span::from_millis(50), keep: 3, ..checkpoint::Config::default() },
        store: Store { store: Arc::clone(objects) as _, root: Path::default() },
        written: Box::new(move || kept.0.lock().last().map_or(0, |batch| batch.t)),
    };
    let log = Box::new(first.log.clone());
    let start = || world.try_start(Feed::Memory(replay.clone()), vec![], Some(log), Some(durable));
    let handle = tokio::task::block_in_place(start).unwrap();
    (world, handle)
}

/// So many records, over some time.
async fn send(replay: &Replay, from: u64, count: u64) {
    for number in from..from + count {
        let zone = ZONES[(number % 3) as usize];
        let mut record = tick(zone, now_ms() - (number % 7) as i64 * 1_000, number as f64);
        record.id = Some((number % 50).to_string());
        record.revision = Some((number / 50) as i64);
        let partition = (number % 2) as i32;
        replay.append(&topic(zone), partition, now_ms(), record.to_json()).unwrap();
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn by_t(kept: &Kept) -> BTreeMap<T, Arc<Batch>> {
    kept.0.lock().iter().map(|batch| (batch.t, Arc::clone(batch))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standby_says_the_rest_with_the_same_ts() {
    let shared = World::new(1, Clock::Wall);
    let (replay, objects) = (Replay::new("optibid", Arc::default()), Arc::new(InMemory::new()));
    let (first, leading) = instance(&replay, &shared, &objects, false);
    send(&replay, 0, 500).await;
    delivered(&leading, 500).await;

    let (second, waiting) = instance(&replay, &shared, &objects, true);
    send(&replay, 500, 500).await;
    delivered(&leading, 1_000).await;
    within("the standby to follow", waiting.await_t(leading.progress().borrow().t)).await;
    assert!(!waiting.is_current() && second.batches().is_empty(), "it keeps what it knows to itself");

    first.shutdown.stop();
    let stopped = Instant::now();
    within("the end of the first", leading.wait()).await.unwrap();
    eventually("the second to lead", || waiting.is_current()).await;
    let took = stopped.elapsed();
    send(&replay, 1_000, 500).await;
    delivered(&waiting, 1_500).await;
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
    let shared = World::new(1, Clock::Wall);
    let (replay, objects) = (Replay::new("optibid", Arc::default()), Arc::new(InMemory::new()));
    let (_first, leading) = instance(&replay, &shared, &objects, false);
    send(&replay, 0, 100).await;
    delivered(&leading, 100).await;
    // As a restart does: no waiting.
    let (second, next) = instance(&replay, &shared, &objects, false);
    let ended = within("the end of the first", leading.wait()).await;
    assert!(ended.is_err_and(|error| error.to_string().contains("another instance")));
    send(&replay, 100, 100).await;
    within("the second", next.await_t(1)).await;
    second.shutdown.stop();
    within("the end of the second", next.wait()).await.unwrap();
}
