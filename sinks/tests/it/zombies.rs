//! Two instances write to one store: the one that counts, and one that should be gone and still works off its queue,
//! with older runs, cut otherwise, at the same time. Afterwards the store holds what one alone would have written.

use std::sync::Arc;

use model::Batch;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sinks::clickhouse::ClickHouse;
use sinks::history::History;
use sinks::kafka::Kafka;
use sinks::postgres::Postgres;
use sinks::redis::Redis;
use sinks::{Error, Sink};

use crate::run::{self, Run};
use crate::{clickhouse, history, kafka, postgres, redis, server};

/// Writes the run through both at random, now and then at the same time; the old one lags, and ends somewhere or at
/// last.
async fn interleave(run: &Run, current: &mut dyn Sink, zombie: &mut dyn Sink, seed: u64) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let (news, mut old) = (run.pieces(seed), run.pieces(seed + 100));
    old.truncate(dice.random_range(old.len() / 2..=old.len()));
    let (mut news, mut old) = (news.into_iter(), old.into_iter());
    let (mut next_news, mut next_old) = (news.next(), old.next());
    let mut overtaken = 0;
    while next_news.is_some() || next_old.is_some() {
        // The old one never knows more than the new one.
        let lags = |old: &[Arc<Batch>]| next_news.is_none_or(|news| old[0].t < news[0].t);
        let (writes, both) = (next_old.is_some_and(lags) && dice.random_bool(0.6), dice.random_bool(0.5));
        match (next_news, next_old) {
            (Some(new_piece), Some(old_piece)) if writes && both => {
                let (new, old) = tokio::join!(current.write(new_piece), zombie.write(old_piece));
                new.unwrap();
                old.unwrap();
            }
            (_, Some(old_piece)) if writes => zombie.write(old_piece).await.unwrap(),
            (Some(new_piece), _) => {
                current.write(new_piece).await.unwrap();
                next_news = news.next();
                continue;
            }
            (None, Some(old_piece)) => zombie.write(old_piece).await.unwrap(),
            (None, None) => break,
        }
        overtaken += usize::from(writes);
        if writes && both && next_news.is_some() {
            next_news = news.next();
        }
        next_old = old.next();
    }
    assert!(overtaken > 2, "seed {seed}: the old one wrote next to nothing");
}

#[tokio::test]
async fn postgres_keeps_the_newest() {
    for seed in [81, 82, 83] {
        let (url, client) = postgres::database("zombie", true).await;
        let run = run::random(seed, 120);
        let mut sinks = [(); 2].map(|()| Postgres::new(postgres::config(&url), run.context.clone()));
        let [current, zombie] = &mut sinks;
        interleave(&run, current, zombie, seed).await;
        postgres::assert_stands(&client, &run).await;
        postgres::assert_passed(&client, &run).await;
        assert_eq!(current.held_t().await.unwrap(), Some(run.last_t()));
    }
}

#[tokio::test]
async fn redis_keeps_the_newest() {
    for seed in [84, 85, 86] {
        let (prefix, run) = (server::unique("zombie"), run::random(seed, 120));
        let mut sinks = [(); 2].map(|()| Redis::new(redis::config(&prefix), run.context.clone()).unwrap());
        let [current, zombie] = &mut sinks;
        interleave(&run, current, zombie, seed).await;
        let mut connection = redis::connect().await;
        redis::assert_stands(&mut connection, &prefix, &run).await;
        redis::assert_streams(&mut connection, &prefix, &run).await;
        assert_eq!(current.held_t().await.unwrap(), Some(run.last_t()));
    }
}

#[tokio::test]
async fn clickhouse_keeps_the_newest() {
    let (config, run) = (clickhouse::database("zombie").await, run::random(87, 60));
    let client = config.client();
    clickhouse::migrate(&client).await;
    let mut sinks = [(); 2].map(|()| ClickHouse::new(config.clone(), run.context.clone()));
    let [current, zombie] = &mut sinks;
    interleave(&run, current, zombie, 87).await;
    clickhouse::assert_stands(&client, &run).await;
    clickhouse::assert_passed(&client, &run).await;
    assert_eq!(current.held_t().await.unwrap(), Some(run.last_t()));
}

/// Tries again whatever fails, as the driver does.
struct Insists(Kafka);

#[async_trait::async_trait]
impl Sink for Insists {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn check(&mut self) -> Result<(), Error> {
        self.0.check().await
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        while let Err(error) = self.0.write(batches).await {
            assert!(error.is_transient(), "{error}");
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_changelog_says_everything_once() {
    let (prefix, run) = (server::unique("zombie"), run::random(89, 40));
    let config = sinks::kafka::Config { guarded: true, ..kafka::config(&prefix) };
    let mut sinks = [(); 2].map(|()| Insists(Kafka::new(config.clone(), run.context.clone()).unwrap()));
    let [current, zombie] = &mut sinks;
    current.check().await.unwrap();
    interleave(&run, current, zombie, 89).await;
    kafka::assert_said_once(prefix, &run).await;
}

#[tokio::test]
async fn the_history_keeps_the_newest() {
    let (folder, run) = (tempfile::tempdir().unwrap(), run::random(88, 80));
    let config = sinks::history::Config { compact_files: 4, ..history::config(folder.path()) };
    let mut sinks = [(); 2].map(|()| History::new(&config, run.context.clone()).unwrap());
    let [current, zombie] = &mut sinks;
    interleave(&run, current, zombie, 88).await;
    history::assert_holds(folder.path(), &run);
    assert_eq!(current.held_t().await.unwrap(), Some(run.last_t()));
}
