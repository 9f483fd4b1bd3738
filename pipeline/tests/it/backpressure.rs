//! A queue that is full stops the source; nothing is dropped, and memory stays bounded.

use std::sync::Arc;

use model::health::ServiceState;
use pipeline::Clock;
use pipeline::{Feed, Handle};
use tokio::sync::Semaphore;

use crate::support::{Gate, START_MS, World, eventually, tick, topic, within};

const RECORDS: u64 = 100_000;

fn read(handle: &Handle) -> u64 {
    handle.positions().values().map(|offset| offset.unsigned_abs()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_queue_stops_the_source_and_loses_nothing() {
    let mut world = World::new(2, Clock::Wall);
    (world.config.max_batch, world.config.max_open, world.config.max_backlog) = (200, 2, 3);
    let replay = world.replay();
    let now = pipeline::clock::wall_ms() as i64;
    for n in 0..RECORDS {
        let bytes = tick("PJM", now - (n % 1_000) as i64, 30.0).to_json();
        replay.append(&topic("PJM"), (n % 4) as i32, now, bytes).unwrap();
    }
    let gate = Arc::new(Semaphore::new(2));
    let handle = world.start_with(Feed::Memory(replay.clone()), vec![Box::new(Gate(Arc::clone(&gate)))]);
    let dataflow = |handle: &Handle| handle.health().into_iter().find(|row| row.name == "dataflow").unwrap();
    eventually("the dataflow to say that it waits", || dataflow(&handle).state == ServiceState::Degraded).await;
    assert!(dataflow(&handle).detail.contains("full queue"), "{}", dataflow(&handle).detail);

    // Two T's went through the gate; at most these may be anywhere between the source and the gate: open T's, the
    // channel (twice the backlog), one in the fanout and one in assemble, and what is staged for the next.
    let most = 2 + 2 + 2 * 3 + 2 + 1;
    let chunk = 256;
    let bound = most * 2 * (200 + chunk);
    assert!(read(&handle) <= bound, "{} read, at most {bound}", read(&handle));
    assert!(bound < RECORDS / 2, "the test proves something");
    // It still closes nothing more, however long one waits.
    assert!(
        !tokio::time::timeout(std::time::Duration::from_millis(200), handle.await_received(bound + 1))
            .await
            .unwrap_or(false)
    );
    assert!(read(&handle) <= bound);

    gate.add_permits(1 << 20);
    replay.finish();
    within("the end of the replay", handle.wait()).await.unwrap();
    assert_eq!((world.received(), world.bound()), (RECORDS, RECORDS));
    assert!(handle.snapshot.load().counts.balanced());
    assert!(START_MS < now);
}
