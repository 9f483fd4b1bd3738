//! `kill -9` of the real program, again and again, while the market goes on: each restart has another number of workers,
//! begins with a checkpoint, and repeats what the world has seen. Afterwards every store holds exactly the bars of a
//! plain recomputation, and every record is accounted for, as if nothing had happened.
//!
//! By seed, some with more than kills: the broker is killed, too, and comes back; a store is away while the program
//! recovers; or the program is not killed but stopped, another takes over, and the first goes on (a zombie).
//! `OPTIBID_SEED=3` runs one, `OPTIBID_KILLS=100` so many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use simulator::Totals;

use crate::broker::Broker;
use crate::door::{Door, host};
use crate::program::{Program, eventually};
use crate::stores::{Bar, Key, Stores, clickhouse, compacted, expected, market, same, send_to, sql_bars};

const RECORDS: u64 = 4_000;
const RECEIVED: &str = "optibid_pipeline_ticks_total{disposition=\"received\"}";

/// What happens besides kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Nothing,
    Broker,
    Zombie,
    Store,
}

/// What the runs went through.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    kills: usize,
    begun: usize,
    brokers: usize,
    zombies: usize,
    stores: usize,
}

/// A run: the real program on a part of the servers that is its own.
struct Run {
    seed: u64,
    dice: ChaCha8Rng,
    stores: Stores,
    program: Program,
    broker: Option<Broker>,
    /// Before one of the stores.
    door: Door,
    totals: Totals,
    tally: Tally,
}

impl Run {
    async fn start(seed: u64, more: More) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut stores = Stores::of_the_run(&format!("kills{seed}x")).await;
        let broker = (more == More::Broker).then(Broker::start);
        if let Some(broker) = &broker {
            stores.source = broker.address();
        }
        let doors = [&mut stores.redis, &mut stores.postgres, &mut stores.clickhouse];
        let behind: &mut String = doors.into_iter().nth(dice.random_range(0..3)).unwrap();
        let door = Door::to(&host(behind)).await;
        *behind = door.before(behind);
        let sets = stores.durable_sets(&["checkpoint.all_every=4"]);
        let program = Program::start(&["run"], &sets).await;
        let zones = model::Zones::built_in();
        let totals = send_to(&stores.source, &mut market(&zones), RECORDS, &stores.prefix).await;
        Self { seed, dice, stores, program, broker, door, totals, tally: Tally::default() }
    }

    /// Somewhere in the middle: after a checkpoint, after so many more records, or in the middle of the repeating.
    async fn wait_for_some(&mut self, after_checkpoint: bool) {
        let (until, all) = (f64::from(self.dice.random_range(0..1_500)), self.totals.ticks);
        eventually("some more records", async || {
            let t = self.program.metric("optibid_pipeline_checkpoint_t").await;
            let is_there = !after_checkpoint || t > 0.0;
            let is_far = self.program.metric(RECEIVED).await >= until || self.program.accounted().await >= all;
            (is_there && is_far).then_some(())
        })
        .await;
    }

    fn workers(&mut self) -> String {
        format!("pipeline.workers={}", self.dice.random_range(1..4))
    }

    /// Kills the program, and lets it begin again while something else is wrong.
    async fn kill(&mut self, more: More) {
        let workers = self.workers();
        self.tally.kills += 1;
        match (more, &mut self.broker) {
            (More::Broker, Some(broker)) => {
                // The broker dies first, while the program goes on; in some runs it is back before the program dies.
                broker.kill();
                let is_first = self.dice.random_bool(0.5);
                if is_first {
                    broker.revive();
                }
                self.program.kill();
                self.program.spawn_again(&[&workers]);
                if !is_first {
                    broker.revive();
                }
                self.program.answers().await;
                self.tally.brokers += 1;
            }
            (More::Store, _) => {
                self.door.set_open(false);
                self.program.kill();
                self.program.restart(&[&workers]).await;
                eventually("readyz to tell", async || (self.program.try_get("/readyz").await.0 == 503).then_some(()))
                    .await;
                self.door.set_open(true);
                self.tally.stores += 1;
            }
            _ => {
                self.program.kill();
                self.program.restart(&[&workers]).await;
            }
        }
    }

    /// The program is stopped, another takes over, and then the first goes on: it must find out, and end.
    async fn stop_and_go_on(&mut self) {
        self.program.signal("STOP");
        let data = format!("data.dir={}", self.program.dir.path().join("data").display());
        let mut sets = self.program.sets.clone();
        sets.extend([data, self.workers()]);
        let next = Program::start(&["run"], &sets).await;
        let mut zombie = std::mem::replace(&mut self.program, next);
        self.wait_for_some(false).await;
        zombie.signal("CONT");
        let code = zombie.ends().await;
        let log = zombie.log();
        assert!(log.contains("another instance has taken over"), "seed {}: {code:?}:\n{log}", self.seed);
        assert_ne!(code, Some(0), "seed {}: whoever watches it is told", self.seed);
        self.tally.begun += log.matches("beginning where the last life ended").count();
        // The folder with the data is the first one's.
        self.program.keeps = Some(Box::new(zombie));
        self.tally.zombies += 1;
    }

    /// Everything is there, once.
    async fn check(mut self, expected: &BTreeMap<Key, Bar>) -> Tally {
        let (program, stores, totals) = (&self.program, &self.stores, &self.totals);
        program.received(totals.ticks).await;
        stores.caught_up(program).await;
        stores.hold(expected).await;
        stores.agree_on_auctions(program).await;
        stores.agree_on_settlement(program).await;
        same("sql", &sql_bars(program).await, expected);
        let health = program.get("/health").await;
        let count = |name: &str| health["records"][name].as_u64().unwrap_or_else(|| panic!("{name} in {health}"));
        assert_eq!((count("received"), count("lost")), (totals.ticks, 0));
        assert_eq!((count("applied"), count("duplicates")), (totals.applied, totals.duplicates));
        assert_eq!(count("corrected") + count("superseded"), totals.corrected);
        let letters = totals.refused();
        assert_eq!(count("dead_letters"), letters);
        let found = clickhouse(&format!("SELECT count() FROM {}.dead_letters FINAL", stores.prefix)).await;
        assert_eq!(found.trim(), letters.to_string(), "dead letters in ClickHouse");
        assert_eq!(compacted(&stores.changelog, &format!("{}.deadletters", stores.prefix)).len() as u64, letters);
        let ticks = clickhouse(&format!("SELECT count() FROM {}.ticks FINAL", stores.prefix)).await;
        assert_eq!(ticks.trim(), (totals.applied + totals.corrected).to_string(), "ticks in ClickHouse");
        self.tally.begun += program.log().matches("beginning where the last life ended").count();
        self.tally
    }
}

async fn run(seed: u64, expected: Arc<BTreeMap<Key, Bar>>) -> Tally {
    let more = [More::Nothing, More::Zombie, More::Store, More::Broker, More::Nothing][(seed % 5) as usize];
    let started = Instant::now();
    let mut run = Run::start(seed, more).await;
    let kills = run.dice.random_range(2..5);
    let special = run.dice.random_range(0..kills);
    for kill in 0..kills {
        run.wait_for_some(kill == 1).await;
        match more {
            More::Zombie if kill == special => run.stop_and_go_on().await,
            _ => run.kill(if kill == special { more } else { More::Nothing }).await,
        }
    }
    let tally = run.check(&expected).await;
    println!("seed {seed}: {more:?}, {tally:?}, {:.1} s", started.elapsed().as_secs_f64());
    tally
}

/// Each on a thread of its own.
fn on_a_thread(seed: u64, expected: Arc<BTreeMap<Key, Bar>>) -> tokio::task::JoinHandle<Tally> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(run(seed, expected)))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_every_store_equals_the_recomputation() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let expected = Arc::new(expected(&model::Zones::built_in(), RECORDS));
    let seeds = match number("OPTIBID_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("OPTIBID_KILLS").unwrap_or(5),
    };
    let (count, started) = (seeds.end - seeds.start, Instant::now());
    // Two at a time: much of a run is waiting for servers.
    let runs = futures::stream::iter(seeds.map(|seed| on_a_thread(seed, Arc::clone(&expected))));
    let tallies: Vec<_> = runs.buffer_unordered(2).collect().await;
    let mut all = Tally::default();
    for tally in tallies.into_iter().map(Result::unwrap) {
        all.kills += tally.kills;
        all.begun += tally.begun;
        all.brokers += tally.brokers;
        all.zombies += tally.zombies;
        all.stores += tally.stores;
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    println!("{count} seeds, real processes, {rate:.3} seeds/s: {all:?}");
    if count >= 5 {
        let least = [all.begun, all.brokers, all.zombies, all.stores].into_iter().min();
        assert!(least > Some(0), "everything was tried: {all:?}");
    }
}
