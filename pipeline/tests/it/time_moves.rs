//! Time without data: idle T's close, and what lies in the past expires.

use model::Change;
use model::humane::Span;
use pipeline::Clock;
use pipeline::Feed;

use crate::support::{START_MS, World, delivered, tick, topic, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_data_time_still_closes() {
    for workers in [1, 3] {
        let mut world = World::new(workers, Clock::Wall);
        world.config.idle_interval = Span::from_millis(10);
        let before = pipeline::clock::wall_ms();
        let handle = world.start(Feed::Memory(world.replay()));
        assert!(within("four idle moments", handle.wait_for(|p| p.batches >= 4 && p.delivered_t == p.t)).await);
        let batches = world.batches();
        // The first may hold what the operators start with: built-in rules.
        assert!(batches[1..4].iter().all(|batch| batch.is_empty()));
        assert!(batches.iter().all(|batch| batch.t >= before));
        assert!(batches.windows(2).all(|pair| pair[1].t >= pair[0].t + 10), "no more often than asked");
        within("the end", handle.stop()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_zone_expires_when_another_moves_time() {
    let world = World::new(2, Clock::Event);
    let replay = world.replay();
    let handle = world.start(Feed::Memory(replay.clone()));
    replay.append(&topic("PJM"), 0, START_MS, tick("PJM", START_MS, 31.0).to_json()).unwrap();
    assert!(delivered(&handle, 1).await);
    assert!(handle.await_t(START_MS as u64).await);
    let pjm = world.zones.get("PJM").unwrap().index();
    let windows = |handle: &pipeline::Handle| {
        let snapshot = handle.snapshot.load();
        snapshot.kpis.keys().filter(|(series, _)| series.location == pjm).map(|(_, window)| *window).collect::<Vec<_>>()
    };
    assert!(windows(&handle).contains(&5), "{:?}", windows(&handle));
    let later = START_MS + 10 * 60_000;
    replay.append(&topic("NYISO"), 0, later, tick("NYISO", later, 42.0).to_json()).unwrap();
    assert!(delivered(&handle, 2).await);
    assert!(!windows(&handle).contains(&5), "the five-minute window is empty: {:?}", windows(&handle));
    assert!(windows(&handle).contains(&60));
    let removed = world.batches().iter().flat_map(|b| b.kpis.clone()).any(|change| match change {
        Change::Remove(kpi) => kpi.series.location == pjm && kpi.window_min == 5,
        Change::Put(_) => false,
    });
    assert!(removed, "the withdrawal is in a batch");
    within("the end", handle.stop()).await.unwrap();
}
