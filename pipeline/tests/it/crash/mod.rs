//! The crash harness, in process: lives that are killed or frozen at any effect, each with another number of workers and
//! another batching, on the same topics, log, checkpoints and stores, in bad weather. By seed, so that a failure replays
//! alone: `OPTIBID_SEED=17 cargo test -p pipeline crash`; `OPTIBID_SEEDS=2000` runs so many (`make soak`).
//!
//! What lives meet, each by the seed's dice (`tally` counts that it really happened):
//! * `kill -9` before or after any effect (`fuse`); a life that freezes, is taken over, and goes on (a zombie);
//! * a store that refuses, hangs or does not answer for a while, until its queue is full (`stores`);
//! * a log of bindings that fails for a while, writes and does not answer, or breaks (`log`);
//! * a source that goes away and comes back, and hands out the same records in other chunks (`life`);
//! * a clock that was set back between two lives; both cores busy with something else (`load`).
//!
//! Held at every seed:
//! * a T that is said again is bit-equal to what was said before, whoever says it, zombies too;
//! * all lives together say exactly what one life in good weather says of the same log, T by T, to both stores;
//! * every record is accounted for: received = applied + corrected + superseded + duplicates + dead letters;
//! * T only grows; the newest checkpoint is whole, whatever zombies did; a life that was taken over ends by itself;
//! * with records on time, exactly those are refused as too late that are days too late.

mod damaged;
mod fuse;
mod life;
mod load;
mod log;
mod market;
mod objects;
mod stores;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::dead_letter::Reason;
use model::{Batch, T};
use pipeline::clock::wall_ms;
use pipeline::{Binding, Clock, Error, Log as _, checkpoint};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use fuse::{At, Fate};
use life::{Life, Place, Storm};
use load::Load;
use market::Feed;
use tally::Tally;

/// When a frozen life goes on.
#[derive(Clone, Copy)]
enum Thaw {
    /// While the next one starts.
    Meanwhile,
    /// So long after the next one has started.
    After(Duration),
    AtTheEnd,
}

fn fate(dice: &mut ChaCha8Rng, clock: Clock) -> Fate {
    let most = if clock == Clock::Event { 100 } else { 50 };
    let at = At::Effect(dice.random_range(1..most));
    let is_done = dice.random_bool(0.5);
    match dice.random_range(0..100) {
        0..60 => Fate::Dies { at, is_done },
        60..70 => Fate::Dies { at: At::Manifest, is_done },
        70..85 => Fate::Freezes(at),
        _ => Fate::Freezes(At::Manifest),
    }
}

/// A run: what its lives went through.
struct Run {
    seed: u64,
    dice: ChaCha8Rng,
    place: Place,
    feed: Feed,
    zombies: Vec<Life>,
    tally: Tally,
    /// By hours: then every record comes too late.
    far_back: bool,
}

impl Run {
    fn new(seed: u64, clock: Clock) -> Self {
        let (place, feed) = (Place::new(seed, clock), Feed::open(seed, clock));
        let dice = ChaCha8Rng::seed_from_u64(seed);
        Self { seed, dice, place, feed, zombies: Vec::new(), tally: Tally::default(), far_back: false }
    }

    /// Lives, until one has said everything.
    async fn lives(&mut self) {
        let lives = self.dice.random_range(1..5);
        let mut thaw = None;
        for number in 0.. {
            let is_last = number >= lives;
            let fate = if is_last { Fate::Lives } else { fate(&mut self.dice, self.place.clock) };
            if number > 0 && self.place.clock == Clock::Wall && self.dice.random_bool(0.15) {
                self.set_clock_back();
            }
            let is_busy = self.place.clock == Clock::Wall && self.dice.random_bool(0.06);
            let load = is_busy.then(Load::start);
            self.tally.under_load += u64::from(load.is_some());
            let storm = Storm::draw(&mut self.dice);
            self.check_checkpoints().await;
            if let Some(Thaw::Meanwhile) = thaw {
                self.zombies.iter().for_each(|zombie| zombie.fuse.thaw());
            }
            let life = self.place.live(&self.feed.replay, &mut self.dice, fate, storm).await;
            if let Some(Thaw::After(pause)) = thaw.take() {
                let fuses: Vec<_> = self.zombies.iter().map(|zombie| zombie.fuse.clone()).collect();
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    fuses.iter().for_each(fuse::Fuse::thaw);
                });
            }
            self.tally.lives += 1;
            self.tally.restored += u64::from(life.handle.begun_t() > 0);
            if !life.ends_or_freezes(self.seed).await {
                self.zombies.push(life);
                let pause = Duration::from_millis(self.dice.random_range(0..8));
                thaw = Some([Thaw::Meanwhile, Thaw::After(pause), Thaw::AtTheEnd][self.dice.random_range(0..3)]);
                continue;
            }
            if self.ended(life).await {
                break;
            }
        }
    }

    /// What a life was. Returns whether it has said everything.
    async fn ended(&mut self, life: Life) -> bool {
        let (is_killed, fuse, log) = (life.fuse.is_blown(), life.fuse.clone(), Arc::clone(&life.log));
        let away = Arc::clone(&life.away);
        let end = life.end(self.seed).await;
        self.tally.met(&fuse, &log, &away);
        self.tally.ended(&end);
        self.tally.killed += u64::from(is_killed);
        let is_broken = log.broke.load(std::sync::atomic::Ordering::Acquire);
        if !is_killed && !is_broken {
            end.result.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        }
        // A queue that stays full at the end is given up: the next life brings what was in it.
        let is_told = self.untold().is_none();
        self.tally.given_up += u64::from(!is_killed && !is_broken && !is_told);
        !is_killed && !is_broken && is_told
    }

    /// What the store that goes away was not told. Moments in which nothing is for stores it is told in company only.
    fn untold(&self) -> Option<T> {
        let shop = self.place.shop.batches();
        let said = self.place.told.batches();
        said.into_iter().find(|(t, batch)| batch.rows() > 0 && !shop.contains_key(t)).map(|(t, _)| t)
    }

    /// A life has been, with a clock that was ahead: it bound one T and said nothing.
    fn set_clock_back(&mut self) {
        let hours = self.dice.random_bool(0.15);
        let ahead_ms = if hours { 3_600_000 } else { self.dice.random_range(5..100) };
        let last = self.place.log.bindings().iter().map(|binding| binding.t).max().unwrap_or(0);
        let mut log = self.place.log.clone();
        log.take_over(0).expect("memory always answers");
        log.fill([Binding { t: last.max(wall_ms()) + ahead_ms, ..Binding::default() }]);
        self.far_back |= hours;
        self.tally.clocks_set_back += 1;
    }

    /// The newest checkpoint is whole.
    async fn check_checkpoints(&mut self) {
        let store = self.place.store();
        let found = checkpoint::list(&store).await.unwrap();
        let Some(newest) = found.first() else { return };
        let manifest = newest.manifest.as_ref().unwrap_or_else(|wrong| panic!("seed {}: {wrong}", self.seed));
        let work = operators::Config::default();
        let read = checkpoint::verify(&store, manifest, &work).await;
        read.unwrap_or_else(|wrong| panic!("seed {}: the newest checkpoint, {}: {wrong}", self.seed, newest.t));
        self.tally.merged += u64::from(manifest.files.iter().any(|file| file.path.contains("merged-")));
    }

    /// Zombies go on and end by themselves.
    async fn bury(&mut self) {
        for zombie in std::mem::take(&mut self.zombies) {
            zombie.fuse.thaw();
            let (fuse, log, away) = (zombie.fuse.clone(), Arc::clone(&zombie.log), Arc::clone(&zombie.away));
            let end = zombie.end(self.seed).await;
            self.tally.met(&fuse, &log, &away);
            self.tally.ended(&end);
            self.tally.zombies += 1;
            let is_broken = log.broke.load(std::sync::atomic::Ordering::Acquire);
            match end.result.as_ref().map_err(|error| &**error) {
                Ok(()) => {}
                Err(Error::TakenOver) => self.tally.fenced += 1,
                Err(_) if is_broken => {}
                Err(error) => panic!("seed {}: a zombie: {error}", self.seed),
            }
        }
    }

    /// All lives together say what one says in good weather.
    async fn check(mut self) -> Tally {
        let (seed, place) = (self.seed, &self.place);
        for told in [&place.told, &place.shop] {
            assert_eq!(told.wrong(), None, "seed {seed}");
        }
        let said = place.told.batches();
        let mut counts = model::batch::Counts::default();
        said.values().for_each(|batch| counts.add(&batch.counts));
        assert_eq!(counts.received as usize, self.feed.records, "seed {seed}: {counts:?}");
        assert!(counts.balanced(), "seed {seed}: {counts:?}");
        let mut last = 0;
        let mut seen = BTreeSet::new();
        for t in place.log.bindings().iter().map(|binding| binding.t) {
            assert!(t > last || seen.contains(&t), "seed {seed}: T {t} after {last}");
            seen.insert(t);
            last = last.max(t);
        }
        let oracle = place.oracle();
        let life = oracle.live(&self.feed.replay, &mut self.dice, Fate::Lives, Storm::default()).await;
        let end = life.end(seed).await;
        end.result.unwrap_or_else(|error| panic!("seed {seed}: the oracle: {error}"));
        // Time goes on: after the last T on record an oracle may say more.
        let mut whole = oracle.told.batches();
        whole.retain(|t, _| *t <= last);
        same(seed, &said, &whole);
        let shop = place.shop.batches();
        assert_eq!(self.untold(), None, "seed {seed}: the store that goes away was never told");
        shop.iter().for_each(|(t, batch)| assert_eq!(Some(batch), said.get(t), "seed {seed}: T {t}"));
        let late = |reason: Reason| matches!(reason, Reason::TooOld | Reason::Sealed);
        let refused = said.values().flat_map(|batch| &batch.dead_letters).filter(|letter| late(letter.reason));
        let refused: BTreeSet<market::Place> =
            refused.map(|letter| (Arc::clone(&letter.topic), letter.partition, letter.offset)).collect();
        if place.clock == Clock::Wall && !self.far_back {
            assert_eq!(refused, self.feed.late().await, "seed {seed}: too late");
        }
        self.tally
    }
}

/// Which T's without any change are told is a matter of pace.
fn same(seed: u64, said: &BTreeMap<T, Arc<Batch>>, whole: &BTreeMap<T, Arc<Batch>>) {
    for (t, batch) in said.iter().filter(|(_, batch)| !batch.is_empty()) {
        let other = whole.get(t).unwrap_or_else(|| panic!("seed {seed}: T {t} is said by nobody else"));
        assert!(batch == other, "seed {seed}: T {t}: {}", stores::difference(batch, other));
    }
    let missing = whole.iter().find(|(t, batch)| !said.contains_key(t) && !batch.is_empty());
    assert!(missing.is_none(), "seed {seed}: nobody said {missing:?}");
}

async fn run(seed: u64, clock: Clock) -> Tally {
    let mut run = Run::new(seed, clock);
    run.lives().await;
    run.bury().await;
    run.check_checkpoints().await;
    run.check().await
}

/// Runs the seeds, on every core one after the other: a life waits more than it works.
fn seeds(clock: Clock, few: u64, except: &[&str]) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(one) = number("OPTIBID_SEED") {
        println!("{:?}", runtime().block_on(run(one, clock)));
        return;
    }
    let count = number("OPTIBID_SEEDS").unwrap_or(few);
    let (started, told, next) = (Instant::now(), Mutex::new(Instant::now()), AtomicU64::new(0));
    let lane = || {
        let (runtime, mut tally) = (runtime(), Tally::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return tally;
            }
            match catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(seed, clock)))) {
                Ok(of_one) => tally.add(of_one),
                Err(failure) => {
                    // No other lane begins anything after a seed that fails.
                    next.store(count, Ordering::Relaxed);
                    resume_unwind(failure);
                }
            }
            let mut told = told.lock().unwrap();
            if told.elapsed() > Duration::from_secs(60) {
                *told = Instant::now();
                println!("{clock:?} clock: {seed} of {count} seeds");
            }
        }
    };
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes: Vec<_> = (0..cores).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().for_each(|lane| all.add(lane.join().expect("every seed holds")));
    });
    let rate = count as f64 / started.elapsed().as_secs_f64();
    println!("{count} seeds, {clock:?} clock, {rate:.1} seeds/s: {all:?}");
    all.assert_all(count, except);
}

#[test]
fn killed_anywhere_with_the_event_clock_nothing_is_lost_or_said_otherwise() {
    seeds(Clock::Event, 40, &["clocks set back", "under load", "given up", "full queues"]);
}

#[test]
fn killed_anywhere_with_the_wall_clock_nothing_is_lost_or_said_otherwise() {
    seeds(Clock::Wall, 160, &["merged", "given up"]);
}
