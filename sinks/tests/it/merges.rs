//! ClickHouse merges when it likes, and runs come in whatever pieces and order: no merge brings back what was
//! withdrawn or revised, and nothing counts twice. `OPTIMIZE … FINAL` at random points does what merges do in time.

use std::collections::BTreeMap;
use std::sync::Arc;

use clickhouse::Client;
use model::{Batch, T};
use rand::Rng;
use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sinks::Sink;
use sinks::clickhouse::ClickHouse;

use crate::clickhouse::{assert_passed, assert_stands, assert_views, database, lines, migrate};
use crate::run::{self, Run};

const TABLES: [&str; 17] = [
    "ticks",
    "bars",
    "kpis",
    "anomalies",
    "correlations",
    "bids",
    "clearing",
    "awards",
    "settlement",
    "pnl",
    "bid_kpis",
    "notices",
    "dead_letters",
    "progress",
    "prices_hourly",
    "prices_daily",
    "anomaly_life",
];

async fn optimize(client: &Client, table: &str) {
    client.query(&format!("OPTIMIZE TABLE {table} FINAL")).execute().await.unwrap();
}

#[tokio::test]
async fn no_merge_brings_back_what_was_withdrawn_or_revised() {
    for seed in [71, 72, 73] {
        let (config, run) = (database("merges").await, run::random(seed, 60));
        let client = config.client();
        migrate(&client).await;
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        // Three lives, each of which cuts the run anew; and no order at all.
        let mut pieces: Vec<_> = (0..3).flat_map(|life| run.pieces(10 * seed + life)).collect();
        pieces.shuffle(&mut dice);
        let mut sinks = [(); 2].map(|()| ClickHouse::new(config.clone(), run.context.clone()));
        let mut written: BTreeMap<T, Arc<Batch>> = BTreeMap::new();
        for piece in pieces {
            let sink = sinks.choose_mut(&mut dice).unwrap();
            for _ in 0..dice.random_range(1..3) {
                sink.write(piece).await.unwrap();
            }
            written.extend(piece.iter().map(|batch| (batch.t, Arc::clone(batch))));
            if dice.random_bool(0.4) {
                for table in TABLES.choose_multiple(&mut dice, 4) {
                    optimize(&client, table).await;
                }
            }
            if written.len() > run.batches.len() / 2 && dice.random_bool(0.3) {
                let so_far = Run { context: run.context.clone(), batches: written.values().cloned().collect() };
                assert_stands(&client, &so_far).await;
            }
        }
        assert_eq!(written.len(), run.batches.len());
        assert_stands(&client, &run).await;
        assert_passed(&client, &run).await;
        for table in TABLES {
            optimize(&client, table).await;
        }
        assert_stands(&client, &run).await;
        assert_passed(&client, &run).await;
        // Now that all is merged, what is there counts once without FINAL as well.
        for (rows, expected) in [
            ("ticks", run.ticks().len()),
            ("bars WHERE NOT removed", run.bars().len()),
            ("anomaly_life", run.alert_life().len()),
            ("notices", run.notices().len()),
            ("dead_letters", run.dead_letters().len()),
        ] {
            let count: u64 = client.query(&format!("SELECT count() FROM {rows}")).fetch_one().await.unwrap();
            assert_eq!(count as usize, expected, "seed {seed}: {rows}");
        }
    }
}

#[tokio::test]
async fn an_insert_that_ended_before_the_views_had_it_is_made_good_when_it_is_repeated() {
    let (config, run) = (database("halfway").await, run::random(74, 40));
    let client = config.client();
    migrate(&client).await;
    let mut sink = ClickHouse::new(config, run.context.clone());
    // The view's table takes nothing, as if the server had been killed at that point: the table has the rows by then.
    let broken = "ALTER TABLE prices_hourly ADD CONSTRAINT broken CHECK start_time < '2000-01-01'";
    client.query(broken).execute().await.unwrap();
    // A server refuses the insert for that; the engine as it is embedded in tests keeps silent. It is repeated anyway.
    let _ = sink.write(&run.batches).await;
    let bars: u64 = client.query("SELECT count() FROM bars").fetch_one().await.unwrap();
    let hours: u64 = client.query("SELECT count() FROM prices_hourly").fetch_one().await.unwrap();
    assert!(bars > 0 && hours == 0, "{bars} bars and {hours} hours: the attempt did not end between the two");
    client.query("ALTER TABLE prices_hourly DROP CONSTRAINT broken").execute().await.unwrap();
    sink.write(&run.batches).await.unwrap();
    assert_views(&client, &run).await;
    assert_stands(&client, &run).await;
    assert_eq!(lines(&client, "SELECT toString(count()) FROM bars").await, [bars.to_string()].into());
}
