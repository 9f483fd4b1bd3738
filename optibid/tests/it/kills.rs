//! `kill -9` of the real program, again and again, while the market goes on: each restart has another number of workers,
//! begins with a checkpoint, and repeats what the world has seen. Afterwards every store holds exactly the bars of a
//! plain recomputation, and every record is accounted for, as if nothing had happened.

use std::time::Duration;

use futures::StreamExt;
use rand::{Rng, SeedableRng};
use tokio_tungstenite::tungstenite::Message;

use crate::program::{Program, eventually};
use crate::stores::{Stores, bar_of_row, clickhouse, compacted, expected, market, same, send, server};

const RECORDS: u64 = 40_000;
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_every_store_equals_the_recomputation() {
    let seed = std::env::var("OPTIBID_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let zones = model::Zones::built_in();
    let stores = Stores::of_the_run("kills").await;
    let more = [
        "operators.bars.correction_horizon=24h",
        "checkpoint.enabled=true",
        // In T, that is, in the market's time: some tens of checkpoints.
        "checkpoint.interval=20s",
        "checkpoint.all_every=4",
        "pipeline.event_step=2s",
        // A checkpoint waits for every store.
        "sinks.history.roll_interval=200ms",
        "sinks.clickhouse.driver.max_delay=100ms",
    ];
    let mut program = Program::start(&["run"], &stores.sets(&more)).await;
    let totals = send(&mut market(&zones), RECORDS, &stores.prefix).await;
    let received = "optibid_pipeline_ticks_total{disposition=\"received\"}";
    let mut begun = 0;
    for kill in 0..KILLS {
        // Somewhere in the middle: after a checkpoint, after so many more records, or in the middle of the repeating.
        let until = f64::from(dice.random_range(0..7_000));
        let checkpoint = if kill == 1 { 1.0 } else { 0.0 };
        eventually("some more records", async || {
            let is_there = program.metric("optibid_pipeline_checkpoint_t").await >= checkpoint;
            (is_there && program.metric(received).await >= until).then_some(())
        })
        .await;
        program.kill();
        program.restart(&[&format!("pipeline.workers={}", dice.random_range(1..4))]).await;
        begun = program.log().matches("beginning where the last life ended").count();
    }
    eventually("every record", async || {
        let health = program.get("/health").await;
        (health["records"]["received"].as_u64()? >= totals.ticks).then_some(())
    })
    .await;
    stores.caught_up(&program).await;
    let expected = expected(&zones, RECORDS);
    stores.hold(&expected).await;
    let query = "SELECT zone, location, market, CAST(arrow_cast(start_time, 'Int64') AS BIGINT) AS start_ms, open, high, \
                 low, close, volume, count FROM bars WHERE granularity = '1m'";
    same("sql", &program.sql(query).await.iter().map(bar_of_row).collect(), &expected);
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
    assert!(begun > 0, "seed {seed}: no life began with a checkpoint:\n{}", program.log());
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Connects as a client does that comes back until it is let in: not while a restart repeats the past.
async fn connect(program: &Program, path: &str) -> Socket {
    let url = format!("ws://127.0.0.1:{}{path}", program.port);
    eventually("the socket", async || tokio_tungstenite::connect_async(&url).await.ok()).await.0
}

/// The next `count` moments: T and frame. Anything that says "start again" fails.
async fn moments(socket: &mut Socket, count: usize) -> Vec<(u64, String)> {
    let mut moments = Vec::new();
    while moments.len() < count {
        let message = tokio::time::timeout(Duration::from_secs(60), socket.next()).await.expect("a message in time");
        let Message::Text(text) = message.expect("the socket stays open").unwrap() else { continue };
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        match frame["type"].as_str().unwrap() {
            "batch" => moments.push((frame["t"].as_u64().unwrap(), text.to_string())),
            "resync" => panic!("the client lost its place: {text}"),
            _ => {}
        }
    }
    moments
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resumes_over_a_kill_sees_every_moment_once() {
    let prefix = format!("resume{}", std::process::id());
    let sets = [
        format!("pipeline.kafka.bootstrap={}", server("KAFKA")),
        format!("pipeline.kafka.prefix={prefix}"),
        "checkpoint.enabled=true".into(),
        "checkpoint.interval=5s".into(),
        "sinks.history.roll_interval=200ms".into(),
        "simulation.enabled=true".into(),
        "simulation.rate=100".into(),
        // Whoever resumes gets every moment, not the last value of each key.
        "api.websocket.conflate_after=100000".into(),
        "api.websocket.queue_moments=100000".into(),
    ];
    let mut program = Program::start(&["run"], &sets).await;
    let mut socket = connect(&program, "/ws/prices?format=batch&channels=prices").await;
    let before = moments(&mut socket, 60).await;
    program.kill();
    program.restart(&[]).await;
    let since = before[before.len() - 1].0;
    let mut socket = connect(&program, &format!("/ws/prices?format=batch&channels=prices&since={since}")).await;
    let after = moments(&mut socket, 60).await;
    assert!(after[0].0 > since, "{} after {since}", after[0].0);
    // Who asks for all of it gets the same, frame by frame: what was said before the kill is what is said now.
    let first = before[0].0;
    let mut socket = connect(&program, &format!("/ws/prices?format=batch&channels=prices&since={first}")).await;
    let seen: Vec<_> = before[1..].iter().chain(&after).cloned().collect();
    let again = moments(&mut socket, seen.len()).await;
    assert_eq!(seen, again);
}
