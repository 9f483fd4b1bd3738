//! The crash harness, in process: lives that are killed at any effect, each with another number of workers and another
//! batching, on the same topics, log, checkpoints and store. By seed, so that a failure replays alone:
//! `OPTIBID_SEED=17 cargo test -p pipeline crash`; `OPTIBID_SEEDS=2000` runs so many.
//!
//! Held at every seed:
//! * a T that is said again is bit-equal to what was said before, whoever says it;
//! * all lives together say exactly what one life without any crash says of the same log, T by T;
//! * every record is accounted for: received = applied + corrected + superseded + duplicates + dead letters.

mod damaged;
mod fuse;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use model::humane::Span;
use model::{Batch, T};
use object_store::memory::InMemory;
use object_store::path::Path;
use parking_lot::Mutex;
use pipeline::binding::memory::Memory;
use pipeline::checkpoint::{self, Store};
use pipeline::handle::Feed;
use pipeline::{BatchQueue, Clock, Durable, Handle, Replay};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::sameness::fill;
use crate::support::{World, within};
use fuse::{Fuse, FusedLog, FusedStore, Now};

const RECORDS: usize = 1_200;

/// A store: what it was told, by T. It keeps what it has, whoever comes; and complains when told otherwise.
#[derive(Clone, Default)]
struct Told {
    batches: Arc<Mutex<BTreeMap<T, Arc<Batch>>>>,
    seed: u64,
}

/// A life's way to the store: a driver that may die.
struct Way {
    told: Told,
    fuse: Fuse,
    acked_t: Arc<AtomicU64>,
}

#[async_trait]
impl BatchQueue for Way {
    fn name(&self) -> &str {
        "told"
    }

    async fn push(&mut self, batch: Arc<Batch>) -> bool {
        let now = self.fuse.effect();
        if now == Now::Die {
            return false;
        }
        let mut batches = self.told.batches.lock();
        if let Some(before) = batches.get(&batch.t) {
            assert_eq!(**before, *batch, "seed {}: T {} is said otherwise", self.told.seed, batch.t);
        }
        batches.insert(batch.t, Arc::clone(&batch));
        self.acked_t.store(batch.t, Ordering::Release);
        now == Now::Do
    }
}

/// What outlives a life.
struct Place {
    clock: Clock,
    log: Memory,
    objects: Arc<InMemory>,
    told: Told,
}

impl Place {
    fn new(seed: u64, clock: Clock) -> Self {
        let told = Told { seed, ..Told::default() };
        Self { clock, log: Memory::default(), objects: Arc::new(InMemory::new()), told }
    }

    /// A life: starts with whatever is there.
    fn live(
        &self,
        replay: &Replay,
        dice: &mut ChaCha8Rng,
        effects: Option<u64>,
    ) -> (World, Fuse, Result<Handle, pipeline::Error>) {
        let mut world = World::new([1, 2, 3, 4][dice.random_range(0..4)], self.clock);
        world.config.max_batch = match self.clock {
            Clock::Event => [64, 700, 8_192][dice.random_range(0..3)],
            // The wall's clock would bind all there is to one T.
            Clock::Wall => [4, 9, 30][dice.random_range(0..3)],
        };
        world.config.event_step = Span::from_millis(3_000);
        world.config.max_open = dice.random_range(1..9);
        world.config.idle_interval = Span::from_millis(20);
        world.names = replay.names();
        let fuse = Fuse::new(effects, dice.random_bool(0.5), &world.shutdown);
        let acked_t = Arc::new(AtomicU64::new(0));
        let way = Way { told: self.told.clone(), fuse: fuse.clone(), acked_t: Arc::clone(&acked_t) };
        let store = FusedStore(Arc::clone(&self.objects), fuse.clone());
        let config = checkpoint::Config {
            interval: Span::from_millis(match self.clock {
                Clock::Event => 20_000,
                Clock::Wall => 5,
            }),
            keep: 2,
            all_every: 3,
            ..checkpoint::Config::default()
        };
        if self.clock == Clock::Wall {
            world.operators.correlations.refresh = Span::from_millis(5);
        }
        let durable = Durable {
            config,
            store: Store { store: Arc::new(store), root: Path::default() },
            written: Box::new(move || acked_t.load(Ordering::Acquire)),
        };
        let log = Box::new(FusedLog(self.log.clone(), fuse.clone()));
        // Starting reads the checkpoint, and blocks for that.
        let start = || world.try_start(Feed::Memory(replay.clone()), vec![Box::new(way)], Some(log), Some(durable));
        let handle = tokio::task::block_in_place(start);
        (world, fuse, handle)
    }
}

fn replay(seed: u64) -> Replay {
    let replay = Replay::new("optibid", Arc::default());
    fill(&replay, seed, RECORDS);
    replay
}

/// What the lives of a run went through.
#[derive(Clone, Copy, Debug, Default)]
struct Lives {
    lives: u64,
    killed: u64,
    /// Began with a checkpoint.
    restored: u64,
}

async fn run(seed: u64, clock: Clock) -> Lives {
    let mut lived = Lives::default();
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let place = Place::new(seed, clock);
    let replay = replay(seed);
    let lives = dice.random_range(1..5);
    for life in 0..=lives {
        // With the wall's clock there are few T's: a chunk of records is bound to one.
        let most = if clock == Clock::Event { 80 } else { 14 };
        let effects = (life < lives).then(|| dice.random_range(1..most));
        let (_world, fuse, handle) = place.live(&replay, &mut dice, effects);
        let handle = handle.unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        let ended = within(&format!("seed {seed}: the end of life {life}"), handle.wait()).await;
        lived.lives += 1;
        lived.killed += u64::from(fuse.is_blown());
        lived.restored += u64::from(handle.begun_t() > 0);
        if !fuse.is_blown() {
            ended.unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        }
        if !fuse.is_blown() && life < lives {
            break;
        }
    }
    let said = place.told.batches.lock().clone();
    let mut counts = model::batch::Counts::default();
    said.values().for_each(|batch| counts.add(&batch.counts));
    assert_eq!(counts.received as usize, RECORDS, "seed {seed}: {counts:?}");
    assert!(counts.balanced(), "seed {seed}: {counts:?}");

    // One life without a crash and without a checkpoint, on the same record of T's.
    let oracle = Place::new(seed, clock);
    oracle.log.fill(place.log.bindings());
    let (_world, _, handle) = oracle.live(&replay, &mut dice, None);
    let handle = handle.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    if let Ok(ended) = tokio::time::timeout(std::time::Duration::from_secs(20), handle.wait()).await {
        ended.unwrap();
    } else {
        panic!("seed {seed}: the oracle hangs: {:?} {:?}", handle.health(), handle.positions());
    }
    let whole = oracle.told.batches.lock().clone();
    // Which T's without any change are told is a matter of pace.
    for (t, batch) in said.iter().filter(|(_, batch)| !batch.is_empty()) {
        let other = whole.get(t).unwrap_or_else(|| panic!("seed {seed}: T {t} is said by nobody else"));
        assert_eq!(batch, other, "seed {seed}: T {t}");
    }
    let missing = whole.iter().find(|(t, batch)| !said.contains_key(t) && !batch.is_empty());
    assert!(missing.is_none(), "seed {seed}: nobody said {missing:?}");
    lived
}

async fn seeds(clock: Clock, few: u64) {
    if let Ok(one) = std::env::var("OPTIBID_SEED") {
        run(one.parse().expect("OPTIBID_SEED is a number"), clock).await;
        return;
    }
    let count = std::env::var("OPTIBID_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few);
    let started = Instant::now();
    let mut all = Lives::default();
    for seed in 0..count {
        let lived = run(seed, clock).await;
        all.lives += lived.lives;
        all.killed += lived.killed;
        all.restored += lived.restored;
    }
    let each = started.elapsed().as_secs_f64() / count as f64;
    println!("{count} seeds, {clock:?} clock: {all:?}, {:.1} seeds/s", 1.0 / each);
    assert!(all.killed * 2 > count && all.restored * 20 > count, "the harness does what it says: {all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_with_the_event_clock_nothing_is_lost_or_said_otherwise() {
    seeds(Clock::Event, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_with_the_wall_clock_nothing_is_lost_or_said_otherwise() {
    seeds(Clock::Wall, 140).await;
}
