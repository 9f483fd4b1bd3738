//! A follower on the real broker: its state is that of the batches themselves, row by row and T by T, at every moment
//! it shows; whenever it starts, and whatever happens to the writer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::snapshot::Limits;
use model::{Batch, BidEvent, Names, PartitionId, Snapshot, T};
use sinks::kafka::{Audience, Config, FollowMetrics, Follower, Kafka, Status};
use sinks::{Context, Sink};

use crate::run::{self, Run};
use crate::server;

fn config(prefix: &str) -> Config {
    Config {
        enabled: true,
        bootstrap_servers: server::address("KAFKA"),
        prefix: prefix.to_owned(),
        partitions: 3,
        ..Config::default()
    }
}

type Shown = Arc<Mutex<Vec<(Snapshot, Batch)>>>;

struct Watcher {
    shown: Shown,
    stop: Arc<AtomicBool>,
}

impl Audience for Watcher {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn show(&mut self, live: &Snapshot, moment: Batch) {
        self.shown.lock().unwrap().push((live.clone(), moment));
    }
}

/// A follower in a thread of its own, with names of its own.
struct Replica {
    shown: Shown,
    status: Arc<Status>,
    names: Arc<Names>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Replica {
    fn start(config: Config, run: &Run, limits: Limits) -> Self {
        let names = Arc::new(Names::default());
        let context = Context { names: Arc::clone(&names), zones: run.context.zones.clone() };
        let metrics = FollowMetrics::new(&prometheus::Registry::new()).unwrap();
        let follower = Follower::new(config, context, limits, metrics);
        let (shown, status, stop) = (Shown::default(), follower.status(), Arc::new(AtomicBool::new(false)));
        let mut watcher = Watcher { shown: Arc::clone(&shown), stop: Arc::clone(&stop) };
        let thread = std::thread::spawn(move || follower.run(&mut watcher));
        Self { shown, status, names, stop, thread: Some(thread) }
    }

    fn t(&self) -> T {
        self.shown.lock().unwrap().last().map_or(0, |(live, _)| live.t)
    }

    async fn reach(&self, t: T) {
        let start = Instant::now();
        // It shows the moment before it says that it is there.
        while self.t() < t || !self.status.is_current() {
            assert!(start.elapsed() < Duration::from_secs(60), "at {}, not {t}: {:?}", self.t(), self.status.health(0));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the follower died");
        }
    }
}

/// The state at each T, from the batches themselves.
fn states(run: &Run, limits: Limits) -> BTreeMap<T, Snapshot> {
    let mut state = Snapshot::new(limits);
    let steps = run.batches.iter().map(|batch| {
        state.apply(batch);
        (batch.t, state.clone())
    });
    steps.collect()
}

/// What the changelog does not hold of a bid.
fn comparable(state: &Snapshot) -> Snapshot {
    let mut state = state.clone();
    let bids = state.bids.iter().map(|(key, (t, bid))| {
        let bid = BidEvent { partition: PartitionId::default(), offset: -1, ..BidEvent::clone(bid) };
        (key.clone(), (*t, bid.into()))
    });
    state.bids = bids.collect();
    state
}

#[track_caller]
fn assert_same(found: &Snapshot, expected: &Snapshot) {
    let (found, expected) = (comparable(found), comparable(expected));
    assert_eq!(found.t, expected.t);
    assert_eq!(found.names, expected.names, "names at {}", found.t);
    assert_eq!(found.bars, expected.bars, "bars at {}", found.t);
    // When a removal made a minute the latest, only the state that saw it knows.
    assert_eq!(latest(&found), latest(&expected), "latest at {}", found.t);
    assert_eq!(found.kpis, expected.kpis, "kpis at {}", found.t);
    assert_eq!(found.alerts, expected.alerts, "alerts at {}", found.t);
    assert_eq!(found.correlations, expected.correlations, "correlations at {}", found.t);
    assert_eq!(found.bids, expected.bids, "bids at {}", found.t);
    assert_eq!(found.clearing, expected.clearing, "clearing at {}", found.t);
    assert_eq!(found.awards, expected.awards, "awards at {}", found.t);
    assert_eq!(found.settlement, expected.settlement, "settlement at {}", found.t);
    assert_eq!(found.pnl, expected.pnl, "pnl at {}", found.t);
    assert_eq!(found.bid_kpis, expected.bid_kpis, "key figures of bids at {}", found.t);
    assert_eq!(found.rules, expected.rules, "rules at {}", found.t);
    assert_eq!(found.notices, expected.notices, "notices at {}", found.t);
    assert_eq!(found.counts, expected.counts, "counts at {}", found.t);
    assert_eq!(ticks(&found), ticks(&expected), "ticks at {}", found.t);
}

fn latest(state: &Snapshot) -> Vec<model::BarRow> {
    state.latest.values().map(|(_, row)| *row).collect()
}

fn ticks(state: &Snapshot) -> Vec<(T, Vec<model::TickRow>)> {
    let sorted = state.ticks.iter().map(|(t, rows)| {
        let mut rows = rows.to_vec();
        rows.sort();
        (*t, rows)
    });
    sorted.collect()
}

/// Every moment shown is whole, comes after the one before, and brings the state before it to its own.
fn assert_moments(shown: &Shown, states: &BTreeMap<T, Snapshot>) -> usize {
    let shown = shown.lock().unwrap();
    let mut followed: Option<Snapshot> = None;
    for (live, moment) in shown.iter() {
        assert_eq!(live.t, moment.t);
        assert_same(live, &states[&live.t]);
        match &mut followed {
            // The first one tells the prices of a state that was just loaded.
            None => {
                assert_eq!(moment.bars.iter().map(|change| *change.row()).collect::<Vec<_>>(), latest(live));
                followed = Some(live.clone());
            }
            Some(before) => {
                assert!(moment.t > before.t, "{} after {}", moment.t, before.t);
                before.apply(moment);
                let plain = |state: &Snapshot| {
                    let bars: Vec<_> = state.bars.values().map(|(_, row)| *row).collect();
                    let kpis: Vec<_> = state.kpis.values().map(|(_, row)| *row).collect();
                    (bars, kpis, state.alerts.clone(), state.counts)
                };
                assert_eq!(plain(before), plain(live), "the moment {} is not whole", moment.t);
            }
        }
    }
    shown.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_moment_its_state_is_that_of_the_batches() {
    let (run, prefix, limits) = (run::random(51, 200), server::unique("follow"), Limits::default());
    let states = states(&run, limits);
    // One that is there before anything else: no topics, no broker's word.
    let early = Replica::start(config(&prefix), &run, limits);
    assert!(!early.status.is_current());
    let mut sink = Kafka::new(config(&prefix), run.context.clone()).unwrap();
    sink.check().await.unwrap();
    let pieces = run.pieces(51);
    let (first, rest) = pieces.split_at(pieces.len() / 2);
    for piece in first {
        sink.write(piece).await.unwrap();
        // So that it sees most moments one by one.
        early.reach(piece[piece.len() - 1].t).await;
    }
    // One that comes in the middle; and the writer is another one from here on.
    let late = Replica::start(config(&prefix), &run, limits);
    sink = Kafka::new(config(&prefix), run.context.clone()).unwrap();
    sink.write(first[first.len() - 1]).await.unwrap();
    for piece in rest {
        sink.write(piece).await.unwrap();
    }
    let end = Replica::start(config(&prefix), &run, limits);
    for replica in [&early, &late, &end] {
        replica.reach(run.last_t()).await;
        assert_eq!(replica.names.all(), run.context.names.all());
    }
    assert_eq!(assert_moments(&early.shown, &states), pieces.len(), "every run is one moment");
    assert!(assert_moments(&late.shown, &states) > 0);
    assert_eq!(assert_moments(&end.shown, &states), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_state_would_forget_is_not_loaded_but_for_the_latest_price() {
    let (run, prefix) = (run::random(52, 150), server::unique("limits"));
    let limits = Limits { minute_ms: 20 * 60_000, ticks: 40, notices: 3, ..Limits::default() };
    let mut sink = Kafka::new(config(&prefix), run.context.clone()).unwrap();
    sink.check().await.unwrap();
    for piece in run.pieces(52) {
        sink.write(piece).await.unwrap();
    }
    let replica = Replica::start(config(&prefix), &run, limits);
    replica.reach(run.last_t()).await;
    let mut expected = Snapshot::new(limits);
    expected.apply_all(run.batches.iter().map(Arc::as_ref));
    let (found, _) = replica.shown.lock().unwrap()[0].clone();
    let all: Snapshot = states(&run, Limits::default()).remove(&run.last_t()).unwrap();
    assert!(expected.bars.len() < all.bars.len(), "something is forgotten");
    assert_eq!(found.bars, expected.bars);
    assert_eq!(latest(&found), latest(&all));
    assert_eq!((ticks(&found), found.notices), (ticks(&expected), expected.notices));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_it_says_so_and_tries_on() {
    let run = run::random(53, 1);
    let config = Config { bootstrap_servers: "127.0.0.1:1".to_owned(), ..Config::default() };
    let replica = Replica::start(config, &run, Limits::default());
    let start = Instant::now();
    while !replica.status.health(0).detail.contains("does not answer") {
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", replica.status.health(0));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(replica.status.health(0).state, model::health::ServiceState::Down);
}
