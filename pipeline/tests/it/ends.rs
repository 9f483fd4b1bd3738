//! Ends: asked for under load, by a finite feed, and with a sink that never takes anything.

use std::sync::Arc;
use std::time::Instant;

use pipeline::Clock;
use pipeline::Feed;
use tokio::sync::Semaphore;

use crate::support::{Gate, PROMPT, World, delivered, tick, topic, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_under_load_loses_nothing_that_was_bound() {
    for workers in [1, 2, 4] {
        let mut world = World::new(workers, Clock::Wall);
        world.config.max_batch = 100;
        let replay = world.replay();
        let now = pipeline::clock::wall_ms() as i64;
        for n in 0..60_000 {
            replay.append(&topic("PJM"), n % 4, now, tick("PJM", now - 1, 30.0).to_json()).unwrap();
        }
        let handle = world.start(Feed::Memory(replay));
        assert!(delivered(&handle, 2_000).await);
        let asked = Instant::now();
        within("the end", handle.stop()).await.unwrap();
        assert!(asked.elapsed() < PROMPT, "took {:?}", asked.elapsed());
        assert!(world.received() >= 2_000);
        assert_eq!(world.received(), world.bound(), "{workers} workers");
        assert_eq!(handle.snapshot.load().counts.received, world.bound());
        assert_eq!(handle.progress().borrow().delivered_t, handle.progress().borrow().t);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_never_takes_anything_does_not_keep_it_from_ending() {
    let mut world = World::new(2, Clock::Wall);
    (world.config.max_batch, world.config.max_open, world.config.max_backlog) = (100, 2, 2);
    let replay = world.replay();
    let now = pipeline::clock::wall_ms() as i64;
    for n in 0..20_000 {
        replay.append(&topic("PJM"), n % 4, now, tick("PJM", now - 1, 30.0).to_json()).unwrap();
    }
    let gate = Arc::new(Semaphore::new(0));
    let handle = world.start_with(Feed::Memory(replay), vec![Box::new(Gate(gate))]);
    assert!(within("the first batch", handle.wait_for(|progress| progress.batches >= 1)).await);
    let asked = Instant::now();
    within("the end", handle.stop()).await.unwrap();
    assert!(asked.elapsed() < PROMPT, "took {:?}", asked.elapsed());
    // The first queue has everything; only the stuck one was given up.
    assert_eq!(world.received(), world.bound());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_ends_ends_the_pipeline() {
    for workers in [1, 3] {
        let world = World::new(workers, Clock::Wall);
        let replay = world.replay();
        let now = pipeline::clock::wall_ms() as i64;
        let handle = world.start(Feed::Memory(replay.clone()));
        for n in 0..5_000 {
            replay.append(&topic("PJM"), n % 3, now, tick("PJM", now - 1, 30.0).to_json()).unwrap();
        }
        replay.finish();
        within("the end", handle.wait()).await.unwrap();
        assert_eq!((world.received(), world.bound()), (5_000, 5_000));
        assert!(!handle.await_received(5_001).await, "nothing more will come");
    }
}
