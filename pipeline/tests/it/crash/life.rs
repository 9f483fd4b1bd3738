//! A life: one start of the pipeline on whatever is there, with what is to become of it and the weather that it meets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::humane::Span;
use object_store::memory::InMemory;
use object_store::path::Path;
use pipeline::Feed;
use pipeline::binding::memory::Memory;
use pipeline::checkpoint::{self, Store};
use pipeline::{Clock, Durable, Error, Handle, Replay, Shutdown};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinHandle;

use super::fuse::{Fate, Fuse};
use super::log::{FusedLog, Weather};
use super::objects::FusedStore;
use super::stores::{Away, Kind, Outage, Queue, Shop, Told, Way};
use crate::support::{World, within};

/// Rows that the queue of the store that goes away holds: a few moments.
const QUEUE: usize = 150;

/// What outlives a life.
pub(super) struct Place {
    pub(super) seed: u64,
    pub(super) clock: Clock,
    /// How long bars take corrections: the same for all lives, or they would not say the same.
    horizon: Span,
    pub(super) log: Memory,
    pub(super) objects: Arc<InMemory>,
    pub(super) told: Told,
    pub(super) shop: Told,
}

/// What a life meets.
#[derive(Default)]
pub(super) struct Storm {
    pub(super) outage: Option<Outage>,
    pub(super) log: Weather,
    /// The source goes away and comes back so many times.
    pub(super) source: u64,
}

impl Storm {
    /// One life in two meets nothing.
    pub(super) fn draw(dice: &mut ChaCha8Rng) -> Self {
        let kind = [Kind::Refuses, Kind::Hangs, Kind::Forgets][dice.random_range(0..3)];
        let lasts = Duration::from_millis(dice.random_range(3..25));
        let outage = Outage { after: dice.random_range(0..6), kind, lasts };
        let (seed, source) = (dice.random(), dice.random_range(1..4));
        Self {
            outage: dice.random_bool(0.25).then_some(outage),
            log: if dice.random_bool(0.25) { Weather::bad(seed) } else { Weather::default() },
            source: if dice.random_bool(0.2) { source } else { 0 },
        }
    }
}

impl Place {
    pub(super) fn new(seed: u64, clock: Clock) -> Self {
        // With the shorter one bars become final within a run, and checkpoints write them.
        let is_short = clock == Clock::Event && seed.is_multiple_of(2);
        let horizon = Span::from_millis(if is_short { 15_000 } else { 15 * 60_000 });
        let (log, objects, told, shop) = Default::default();
        Self { seed, clock, horizon, log, objects, told, shop }
    }

    /// The same, with nothing in it but the bindings.
    pub(super) fn oracle(&self) -> Self {
        let oracle = Self { horizon: self.horizon, ..Self::new(self.seed, self.clock) };
        oracle.log.fill(self.log.bindings());
        oracle
    }

    /// Every checkpoint there is.
    pub(super) fn store(&self) -> Store {
        Store { store: Arc::clone(&self.objects) as _, root: Path::default() }
    }

    fn world(&self, replay: &Replay, dice: &mut ChaCha8Rng) -> World {
        let mut world = World::new([1, 2, 3, 4][dice.random_range(0..4)], self.clock);
        world.config.max_batch = match self.clock {
            Clock::Event => [64, 700, 8_192][dice.random_range(0..3)],
            // The wall's clock would bind all there is to one T.
            Clock::Wall => [9, 30, 90][dice.random_range(0..3)],
        };
        world.config.event_step = Span::from_millis(10_000);
        world.config.max_open = dice.random_range(1..9);
        world.config.idle_interval = Span::from_millis(20);
        world.operators.bars.correction_horizon = self.horizon;
        if self.clock == Clock::Wall {
            world.operators.correlations.refresh = Span::from_millis(5);
        }
        world.names = replay.names();
        world
    }

    /// Starts with whatever is there.
    pub(super) async fn live(&self, replay: &Replay, dice: &mut ChaCha8Rng, fate: Fate, storm: Storm) -> Life {
        let world = self.world(replay, dice);
        let fuse = Fuse::new(fate, &world.shutdown);
        let (acked_t, away, log_weather) = (Arc::new(AtomicU64::new(0)), Arc::<Away>::default(), Arc::new(storm.log));
        let way = Way { told: self.told.clone(), fuse: fuse.clone(), acked_t: Arc::clone(&acked_t) };
        let shop = Shop::new(self.shop.clone(), self.told.clone(), fuse.clone(), storm.outage, Arc::clone(&away));
        let shared = Arc::clone(&shop.handle);
        let limits = sinks::driver::Limits {
            queue_rows: QUEUE,
            max_rows: 40,
            write_timeout: Span::from_millis(20),
            retry_min: Span::from_millis(1),
            retry_max: Span::from_millis(2),
            drain: Span::from_millis(10_000),
            ..sinks::driver::Limits::DEFAULT
        };
        let metrics = sinks::Metrics::new(&prometheus::Registry::new()).unwrap();
        let drained = Shutdown::new();
        let (handle, driver) = sinks::Driver::spawn(Box::new(shop), limits, &metrics, drained.stopping());
        let _ = shared.set((handle.clone(), QUEUE));
        let config = checkpoint::Config {
            interval: Span::from_millis(if self.clock == Clock::Event { 20_000 } else { 5 }),
            keep: 3,
            all_every: 3,
            bar_files: [2, 24][dice.random_range(0..2)],
            ..checkpoint::Config::default()
        };
        let durable = Durable {
            config,
            store: Store {
                store: Arc::new(FusedStore(Arc::clone(&self.objects), fuse.clone())),
                root: Path::default(),
            },
            written: {
                let handle = handle.clone();
                Box::new(move || acked_t.load(Ordering::Acquire).min(handle.acked_t()))
            },
        };
        let log = Box::new(FusedLog { log: self.log.clone(), fuse: fuse.clone(), weather: Arc::clone(&log_weather) });
        let feed = Feed::Memory(replay.in_chunks_of([1, 7, 256][dice.random_range(0..3)]));
        // Starting reads the checkpoint, and blocks for that.
        let start = || world.try_start(feed, vec![Box::new(way), Box::new(Queue(handle))], Some(log), Some(durable));
        let handle = tokio::task::block_in_place(start);
        let handle = handle.unwrap_or_else(|error| panic!("seed {}: a start: {error}", self.seed));
        let weathering = tokio::spawn(interrupt(replay.clone(), storm.source));
        Life { fuse, handle, driver, drained, log: log_weather, away, weathering, _world: world }
    }
}

/// Takes the source away and gives it back. Returns how often.
async fn interrupt(replay: Replay, times: u64) -> u64 {
    for n in 0..times {
        tokio::time::sleep(Duration::from_millis(n)).await;
        replay.set_away(true);
        tokio::time::sleep(Duration::from_millis(3)).await;
        replay.set_away(false);
    }
    times
}

/// A life that has begun.
pub(super) struct Life {
    pub(super) fuse: Fuse,
    pub(super) handle: Handle,
    pub(super) log: Arc<Weather>,
    pub(super) away: Arc<Away>,
    driver: JoinHandle<()>,
    drained: Shutdown,
    weathering: JoinHandle<u64>,
    _world: World,
}

/// How a life ended.
pub(super) struct End {
    pub(super) result: Result<(), Arc<Error>>,
    /// How often the source was away.
    pub(super) source: u64,
}

impl Life {
    /// Waits for the end; `false` when the life freezes before.
    pub(super) async fn ends_or_freezes(&self, seed: u64) -> bool {
        let ended = async {
            tokio::select! {
                _ = self.handle.wait() => true,
                () = self.fuse.frozen() => false,
            }
        };
        within(&format!("seed {seed}: the end of a life"), ended).await
    }

    /// Waits for the end of everything that belongs to it.
    pub(super) async fn end(self, seed: u64) -> End {
        let result = within(&format!("seed {seed}: the end of a life"), self.handle.wait()).await;
        let source = self.weathering.await.unwrap();
        if self.fuse.is_blown() {
            self.driver.abort();
        }
        self.drained.stop();
        if let Err(error) = within(&format!("seed {seed}: the end of a driver"), self.driver).await {
            assert!(error.is_cancelled(), "seed {seed}: {error}");
        }
        End { result, source }
    }
}
