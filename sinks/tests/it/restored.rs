//! A restart begins with a state at T = C. A store that holds less, because it was wiped, restored from a backup or is
//! new, is given that state; one that holds it is left alone. What an instance that should be gone still says of the
//! time before changes nothing.

use std::sync::Arc;
use std::time::Duration;

use model::Batch;
use sinks::clickhouse::ClickHouse;
use sinks::driver::Limits;
use sinks::history::History;
use sinks::postgres::Postgres;
use sinks::redis::Redis;
use sinks::{Driver, Handle, Memory, Metrics, Sink};

use crate::run::{self, Run};
use crate::{clickhouse, history, postgres, redis, server};

/// Batches before the checkpoint, and those that a store holds that is merely behind.
const SAVED: usize = 80;
const BEHIND: usize = 40;

/// A life that begins with the state after `SAVED` batches and goes on with the rest of the run.
async fn live_on(run: &Run, max_rows: usize, sink: Box<dyn Sink>) -> Handle {
    let limits = Limits { max_rows, drain: model::humane::Span::from_millis(60_000), ..Limits::default() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (handle, driver) = Driver::spawn(sink, limits, &Metrics::unregistered(), async {
        let _ = stopped.await;
    });
    handle.restore(run.state(SAVED)).unwrap();
    for batch in &run.batches[SAVED..] {
        handle.push(Arc::clone(batch)).await.unwrap();
    }
    let written = async { handle.acked().wait_for(|t| *t >= run.last_t()).await.map(|t| *t) };
    tokio::time::timeout(Duration::from_secs(120), written).await.expect("written in time").unwrap();
    drop(stop);
    driver.await.unwrap();
    handle
}

/// What a history that held the first `held` batches has been told in the end: of those after them up to the state only
/// what stands in the state. So what was withdrawn meanwhile still stands there: nobody knows of it any more.
fn as_told(run: &Run, held: usize) -> Run {
    let state = run.state(SAVED);
    let told = |batch: &Arc<Batch>| {
        let mut batch = Batch::clone(batch);
        let t = batch.t;
        batch.bars.retain(|change| state.bars.get(&change.row().key).is_some_and(|(at, _)| *at == t));
        batch.kpis.retain(|change| state.kpis.get(&change.row().key()).is_some_and(|(at, _)| *at == t));
        batch.correlations.retain(|change| state.correlations.get(&change.row().key()).is_some_and(|(at, _)| *at == t));
        batch.bids.retain(|change| state.bids.get(&change.row().bid).is_some_and(|(at, _)| *at == t));
        batch.clearing.retain(|change| state.clearing.get(&change.row().key()).is_some_and(|(at, _)| *at == t));
        batch.awards.retain(|change| state.awards.get(&change.row().key()).is_some_and(|(at, _)| *at == t));
        batch.settlement.retain(|change| state.settlement.get(&change.row().key()).is_some_and(|(at, _)| *at == t));
        batch.pnl.retain(|change| state.pnl.get(&change.row().key()).is_some_and(|(at, _)| *at == t));
        batch.bid_kpis.retain(|change| state.bid_kpis.get(&change.row().key).is_some_and(|(at, _)| *at == t));
        batch.alerts.retain(|alert| state.alerts[&alert.anomaly.id] == *alert);
        Arc::new(batch)
    };
    let (before, gap, after) = (&run.batches[..held], &run.batches[held..SAVED], &run.batches[SAVED..]);
    let batches = before.iter().cloned().chain(gap.iter().map(told)).chain(after.iter().cloned()).collect();
    Run { context: run.context.clone(), batches }
}

#[tokio::test]
async fn a_state_is_told_to_a_store_that_holds_less_and_to_no_other() {
    let run = run::random(91, 120);
    let (state, end) = (run.state(SAVED), run.state(120));
    for held in [0, BEHIND, SAVED, SAVED + 10] {
        let memory = Memory::default();
        memory.clone().write(&run.batches[..held]).await.unwrap();
        let before = memory.writes().len();
        let handle = live_on(&run, 500, Box::new(memory.clone())).await;
        assert_eq!(handle.held_t(), Some(run.batches[..held].last().map_or(0, |batch| batch.t)));
        let told = memory.writes()[before..].concat().iter().any(|t| *t <= state.t);
        assert_eq!(told, held < SAVED, "{held}");
        let stands = memory.snapshot();
        assert_eq!((&stands.bars, &stands.alerts, &stands.kpis), (&end.bars, &end.alerts, &end.kpis), "{held}");
    }
}

#[tokio::test]
async fn redis_holds_what_stands_however_much_it_had_lost() {
    for (seed, held) in [(92, 0), (93, BEHIND), (94, BEHIND)] {
        let (prefix, run) = (server::unique("restored"), run::random(seed, 120));
        let sink = || Redis::new(redis::config(&prefix), run.context.clone()).unwrap();
        if held > 0 {
            sink().write(&run.batches[..held]).await.unwrap();
        }
        let handle = live_on(&run, 500, Box::new(sink())).await;
        assert!(handle.held_t().is_some_and(|t| t < run.batches[SAVED - 1].t));
        let mut connection = redis::connect().await;
        redis::assert_stands(&mut connection, &prefix, &run).await;
        // Nobody brings back what was withdrawn, though no version of it may be left.
        for piece in (Run { context: run.context.clone(), batches: run.batches[..SAVED].to_vec() }).pieces(seed) {
            sink().write(piece).await.unwrap();
        }
        redis::assert_stands(&mut connection, &prefix, &run).await;
        assert_eq!(sink().held_t().await.unwrap(), Some(run.last_t()));
    }
}

#[tokio::test]
async fn a_restored_redis_tells_nobody_what_is_no_news() {
    use futures::StreamExt;
    let (prefix, run) = (server::unique("quiet"), run::random(95, 120));
    let client = ::redis::Client::open(server::address("REDIS")).unwrap();
    let (mut publish, mut messages) = client.get_async_pubsub().await.unwrap().split();
    publish.psubscribe(format!("{prefix}:changes:*")).await.unwrap();
    live_on(&run, 500, Box::new(Redis::new(redis::config(&prefix), run.context.clone()).unwrap())).await;
    let end = format!("{prefix}:changes:end");
    ::redis::cmd("PUBLISH").arg(end).arg("end").query_async::<()>(&mut redis::connect().await).await.unwrap();
    let mut heard = 0;
    while let Some(message) = messages.next().await {
        let payload = message.get_payload::<String>().unwrap();
        if payload == "end" {
            break;
        }
        let value: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert!(value["t"].as_u64().unwrap() > run.batches[SAVED - 1].t, "{payload}");
        heard += 1;
    }
    assert!(heard > 0);
}

#[tokio::test]
async fn postgres_holds_what_stands_however_much_it_had_lost() {
    for (seed, held) in [(96, 0), (97, BEHIND)] {
        let (url, client) = postgres::database("restored", true).await;
        let run = run::random(seed, 120);
        let sink = || Postgres::new(postgres::config(&url), run.context.clone());
        sink().write(&run.batches).await.unwrap();
        client
            .batch_execute("TRUNCATE bars, anomalies, anomaly_life, notices, bids, bid_events, auctions, progress")
            .await
            .unwrap();
        sink().write(&run.batches[..held]).await.unwrap();
        let handle = live_on(&run, 500, Box::new(sink())).await;
        assert!(handle.held_t().is_some_and(|t| t < run.batches[SAVED - 1].t));
        postgres::assert_stands(&client, &as_told(&run, held)).await;
        assert_eq!(sink().held_t().await.unwrap(), Some(run.last_t()));
    }
    let run = run::random(96, 120);
    assert_eq!(as_told(&run, 0).bars(), run.bars(), "a store that was wiped lacks nothing that stands");
}

#[tokio::test]
async fn clickhouse_holds_what_stands_however_much_it_had_lost() {
    let (config, run) = (clickhouse::database("restored").await, run::random(98, 120));
    let client = config.client();
    clickhouse::migrate(&client).await;
    let sink = || ClickHouse::new(config.clone(), run.context.clone());
    // Wiped twice: what it had taken before must not be taken for a repeat.
    for held in [0, 0, BEHIND] {
        sink().write(&run.batches[..held]).await.unwrap();
        live_on(&run, 500, Box::new(sink())).await;
        clickhouse::assert_stands(&client, &as_told(&run, held)).await;
        assert_eq!(sink().held_t().await.unwrap(), Some(run.last_t()));
        let tables: Vec<String> = client
            .query("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")
            .fetch_all()
            .await
            .unwrap();
        for table in tables {
            client.query(&format!("TRUNCATE TABLE {table}")).execute().await.unwrap();
        }
        assert_eq!(sink().held_t().await.unwrap(), Some(0));
    }
}

#[tokio::test]
async fn the_history_holds_what_stands_and_loses_no_file_to_a_state() {
    // A file for each moment, by the old life and for the state: they would have the same names.
    for (held, max_rows) in [(0, 500), (BEHIND, 1)] {
        let (folder, run) = (tempfile::tempdir().unwrap(), run::random(99, 120));
        let sink = || History::new(&history::config(folder.path()), run.context.clone()).unwrap();
        for batch in &run.batches[..held] {
            sink().write(std::slice::from_ref(batch)).await.unwrap();
        }
        live_on(&run, max_rows, Box::new(sink())).await;
        history::assert_stands(folder.path(), &as_told(&run, held));
        assert_eq!(sink().held_t().await.unwrap(), Some(run.last_t()));
    }
}
