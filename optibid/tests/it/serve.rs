//! `optibid run` with a changelog, and replicas beside it: whatever they are asked, they answer as the program itself
//! does at the same T; whenever they start, whoever is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::broker::Broker;
use crate::program::{Program, eventually};
use crate::stores::{expected, market, messages, same, send, server, sql_bars};

const RECORDS: u64 = 4_000;
const ADMIN: (&str, &str) = ("X-Admin-Key", "test-admin-key");

/// Where the history lies that the program writes and replicas read.
fn sets(prefix: &str, bootstrap: &str, history: &tempfile::TempDir) -> Vec<String> {
    vec![
        format!("pipeline.kafka.bootstrap={bootstrap}"),
        format!("pipeline.kafka.prefix={prefix}"),
        "pipeline.clock=event".into(),
        "pipeline.event_step=2s".into(),
        "operators.bars.correction_horizon=24h".into(),
        "checkpoint.enabled=true".into(),
        "checkpoint.interval=20s".into(),
        "sinks.kafka.enabled=true".into(),
        format!("sinks.kafka.prefix={prefix}"),
        "sinks.kafka.partitions=3".into(),
        format!("sinks.history.root={}", history.path().display()),
        "sinks.history.roll_interval=200ms".into(),
        "api.admin_key=test-admin-key".into(),
        // In T, which runs fast here.
        "api.websocket.resume_window=24h".into(),
        "api.websocket.conflate_after=100000".into(),
        "api.websocket.queue_moments=100000".into(),
    ]
}

/// What clients ask. Every answer is at one T.
const QUESTIONS: [&str; 14] = [
    "/api/market/zones",
    "/api/market/prices/latest",
    "/api/market/prices/pjm/history?granularity=1m&limit=500",
    "/api/market/prices/nyiso/history?granularity=5m&limit=500",
    "/api/market/prices/mumbai/history?granularity=1h",
    "/api/market/prices/nsw1/history?granularity=1d",
    "/api/analytics/real-time-kpis?time_window=60",
    "/api/analytics/real-time-kpis?time_window=17&market_zones=PJM,NYISO",
    "/api/analytics/anomaly-detection?market_zone=PJM",
    "/api/analytics/anomaly-detection?market_zone=NSW1&granularity=5min&threshold=1.5",
    "/api/analytics/cross-market-analysis",
    "/api/analytics/cross-market-analysis?market_zones=PJM,NYISO&correlation_window=1",
    "/api/analytics/market-analytics?market_zone=PJM&granularity=minute",
    "/api/analytics/market-analytics?market_zone=MUMBAI",
];

const QUERIES: [&str; 6] = [
    "SELECT * FROM bars",
    "SELECT * FROM kpis",
    "SELECT * FROM anomalies",
    "SELECT * FROM correlations",
    "SELECT * FROM rules",
    "SELECT topic, partition, \"offset\", id, event_time, price, disposition, t FROM ticks",
];

const COUNTS: &str = "SELECT (SELECT count(*) FROM bars) AS bars, (SELECT count(*) FROM kpis) AS kpis, \
                      (SELECT count(*) FROM anomalies) AS anomalies, (SELECT count(*) FROM ticks) AS ticks, \
                      (SELECT count(*) FROM correlations) AS correlations, (SELECT count(*) FROM zones) AS zones";

type Rows = Vec<BTreeMap<String, String>>;

/// Every row of a table, in order. A program that goes on from a checkpoint says what has not changed at its own T.
async fn rows(program: &Program, query: &str, with_t: bool) -> Rows {
    let rows = program.sql(query).await.into_iter();
    let mut rows: Rows = rows.map(|row| row.into_iter().filter(|(name, _)| with_t || name != "t").collect()).collect();
    rows.sort();
    rows
}

/// Waits until the replica is where the program is, the program stands still, and the history that both read is written.
async fn caught_up(program: &Program, replica: &Program) {
    eventually("the replica to catch up", async || {
        let t = program.published_t().await;
        for sink in ["changelog", "history"] {
            if program.metric(&format!("optibid_sinks_acked_t{{sink=\"{sink}\"}}")).await < t as f64 {
                return None;
            }
        }
        let (ready, _) = replica.try_get("/readyz").await;
        (ready == 200 && replica.published_t().await == t).then_some(())
    })
    .await;
}

/// The replica answers as the program does.
async fn answers_like(program: &Program, replica: &Program, with_t: bool) {
    caught_up(program, replica).await;
    for question in QUESTIONS {
        let (mut expected, mut found) = (program.get(question).await, replica.get(question).await);
        if !with_t {
            [&mut expected, &mut found].into_iter().for_each(without_row_t);
        }
        assert_eq!(found, expected, "{question}");
    }
    for query in QUERIES {
        let (found, expected) = (rows(replica, query, with_t).await, rows(program, query, with_t).await);
        let (a, b): (BTreeSet<_>, BTreeSet<_>) = (found.iter().collect(), expected.iter().collect());
        let (more, fewer): (Vec<_>, Vec<_>) = (a.difference(&b).take(3).collect(), b.difference(&a).take(3).collect());
        assert!(
            found == expected,
            "{query}: {} rows, not {}; only here {more:?}, only there {fewer:?}",
            found.len(),
            expected.len()
        );
    }
    assert_eq!(replica.sql(COUNTS).await, program.sql(COUNTS).await);
    let records = |health: &Value| health["records"].clone();
    assert_eq!(records(&replica.get("/health").await), records(&program.get("/health").await));
}

/// Leaves out the T's of rows, deep down; the answer's own stays.
fn without_row_t(answer: &mut Value) {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("t");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    match answer {
        Value::Object(fields) => fields.values_mut().for_each(strip),
        other => strip(other),
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(replica: &Program, path: &str) -> Socket {
    let url = format!("ws://127.0.0.1:{}{path}", replica.port);
    eventually("the socket", async || tokio_tungstenite::connect_async(&url).await.ok()).await.0
}

/// Every moment up to `t`: T and frame. Whatever says "start again" fails.
async fn moments_until(socket: &mut Socket, t: u64) -> Vec<(u64, Value)> {
    let mut moments: Vec<(u64, Value)> = Vec::new();
    while moments.last().is_none_or(|(last, _)| *last < t) {
        let message = tokio::time::timeout(Duration::from_secs(60), socket.next()).await;
        let Ok(message) = message else { panic!("no moment up to {t}: {:?}", moments.last().map(|(t, _)| t)) };
        let Message::Text(text) = message.expect("the socket stays open").unwrap() else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        match frame["type"].as_str().unwrap() {
            "batch" => {
                let at = frame["t"].as_u64().unwrap();
                assert!(moments.last().is_none_or(|(last, _)| *last < at), "{at} comes again");
                moments.push((at, frame));
            }
            "resync" => panic!("the client lost its place: {text}"),
            // A moment without prices is none for this client: time goes on all the same.
            "heartbeat" if frame["t"].as_u64().is_some_and(|at| at >= t) => break,
            _ => {}
        }
    }
    moments
}

/// Last price of each series, from the events of moments.
fn prices(moments: &[(u64, Value)]) -> BTreeMap<String, f64> {
    let events = moments.iter().flat_map(|(_, frame)| frame["events"].as_array().unwrap());
    let updates = events.filter(|event| event["type"] == "price_update");
    let key = |event: &Value| ["zone", "location", "market"].map(|name| event[name].to_string()).join("|");
    updates.map(|event| (key(event), event["price"].as_f64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_answer_as_the_program_does() {
    let (prefix, history) = (format!("serve{}", std::process::id()), tempfile::tempdir().unwrap());
    let sets = sets(&prefix, &server("KAFKA"), &history);
    // One before there is anything to follow: up, but not ready, and no place for sockets.
    let mut early = Program::start(&["serve"], &sets).await;
    let (status, text) = early.try_get("/readyz").await;
    assert!(status == 503 && text.contains("changelog"), "{status} {text}");
    let url = format!("ws://127.0.0.1:{}/ws/prices", early.port);
    assert!(tokio_tungstenite::connect_async(&url).await.is_err());

    let mut program = Program::start(&["run"], &sets).await;
    let mut market = market(&model::Zones::built_in());
    let mut sent = send(&mut market, RECORDS, &prefix).await.ticks;
    program.received(sent).await;
    caught_up(&program, &early).await;
    // One after it.
    let late = Program::start(&["serve"], &sets).await;
    answers_like(&program, &late, true).await;
    answers_like(&program, &early, true).await;

    // A client of a replica sees whole moments, from where it was on; also one that was at the program before.
    let since = late.published_t().await;
    let path = "/ws/prices?format=batch&channels=prices";
    let mut fresh = connect(&late, path).await;
    let mut resumed = connect(&late, &format!("{path}&since={since}")).await;
    sent += send(&mut market, RECORDS, &prefix).await.ticks;
    program.received(sent).await;
    caught_up(&program, &late).await;
    let end = late.published_t().await;
    let (fresh, resumed) = (moments_until(&mut fresh, end).await, moments_until(&mut resumed, end).await);
    assert!(resumed.len() > 5 && resumed[0].0 > since, "{} moments", resumed.len());
    assert_eq!(prices(&fresh), prices(&resumed));
    let latest = program.get("/api/market/prices/latest").await.to_string();
    for (series, price) in prices(&resumed) {
        assert!(latest.contains(&price.to_string()), "{series}: {price} is not among {latest}");
    }
    // The same moments again for who asks for them; a T that no replica's stream has begins anew.
    let mut again = connect(&late, &format!("{path}&since={since}")).await;
    assert_eq!(moments_until(&mut again, end).await, resumed);

    // kill -9 of the program, in the middle of things; and of a replica.
    sent += send(&mut market, RECORDS, &prefix).await.ticks;
    let half = sent as f64 - RECORDS as f64 / 2.0;
    eventually("some of it", async || {
        let received = program.metric("optibid_pipeline_ticks_total{disposition=\"received\"}").await;
        (received >= half).then_some(())
    })
    .await;
    program.kill();
    early.kill();
    // The replica that lives answers on.
    assert_eq!(late.try_get("/api/market/prices/latest").await.0, 200);
    let before = late.published_t().await;
    let mut socket = connect(&late, &format!("{path}&since={before}")).await;
    program.restart(&["pipeline.workers=2"]).await;
    early.restart(&[]).await;
    sent += send(&mut market, RECORDS, &prefix).await.ticks;
    program.received(sent).await;
    answers_like(&program, &late, false).await;
    answers_like(&program, &early, false).await;
    let over_the_kill = moments_until(&mut socket, late.published_t().await).await;
    // How many moments these are is a matter of the machine's pace.
    assert!(over_the_kill.first().is_some_and(|first| first.0 > before), "{} moments", over_the_kill.len());

    // The stores of the replica are those of the recomputation, and the changelog has every message once.
    let expected = expected(&model::Zones::built_in(), 4 * RECORDS);
    same("replica", &sql_bars(&late).await, &expected);
    no_gap_and_no_double(&server("KAFKA"), &prefix);

    // What clients publish goes through Kafka and comes back as a moment, at every replica.
    let soon = chrono::DateTime::from_timestamp_millis(late.published_t().await as i64 + 30_000).unwrap().to_rfc3339();
    let body = serde_json::json!({"market_zone": "PJM", "price": 1234.5, "timestamp": soon});
    let (status, text) = late.post("/api/ws/broadcast/price", &body, &[ADMIN]).await;
    assert_eq!(status, 200, "{text}");
    for replica in [&late, &early] {
        eventually("the price", async || {
            replica.get("/api/market/prices/latest?zone=pjm").await.to_string().contains("1234.5").then_some(())
        })
        .await;
    }
}

/// Markers' T's strictly increase, and no row's message is there twice.
fn no_gap_and_no_double(bootstrap: &str, prefix: &str) {
    let marker = |value: Option<Vec<u8>>| serde_json::from_slice::<Value>(&value.unwrap()).unwrap();
    let markers = messages(bootstrap, &format!("{prefix}.changelog.moments"));
    let markers: Vec<Value> = markers.into_iter().map(|(_, _, value)| marker(value)).collect();
    for pair in markers.windows(2) {
        assert!(pair[0]["t"].as_u64() < pair[1]["first_t"].as_u64(), "{} then {}", pair[0], pair[1]);
    }
    for table in ["bars", "kpis", "anomalies", "correlations"] {
        let mut seen = BTreeSet::new();
        for (_, key, value) in messages(bootstrap, &format!("{prefix}.changelog.{table}")) {
            // A tombstone carries its t in the header alone.
            let Some(value) = value else { continue };
            let row: Value = serde_json::from_slice(&value).unwrap();
            assert!(seen.insert((key.clone(), row["t"].to_string())), "{table}: {key} twice at {}", row["t"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_in_the_middle_leaves_no_gap_and_no_double() {
    let (prefix, history) = (format!("torn{}", std::process::id()), tempfile::tempdir().unwrap());
    let mut broker = Broker::start();
    let mut own = sets(&prefix, &server("KAFKA"), &history);
    // The market's broker stays; the changelog's goes and comes back.
    own.push(format!("sinks.kafka.bootstrap_servers={}", broker.address()));
    own.push("sinks.kafka.driver.write_timeout=5s".into());
    let program = Program::start(&["run"], &own).await;
    let replica = Program::start(&["serve"], &own).await;
    let mut market = market(&model::Zones::built_in());
    let mut sent = send(&mut market, RECORDS, &prefix).await.ticks;
    program.received(sent).await;
    caught_up(&program, &replica).await;
    for _ in 0..2 {
        sent += send(&mut market, RECORDS, &prefix).await.ticks;
        broker.kill();
        eventually("the replica to say so", async || {
            let health = replica.get("/health").await;
            let service = health["services"].as_array()?.iter().find(|service| service["name"] == "changelog")?;
            service["detail"].as_str()?.contains("does not answer").then_some(())
        })
        .await;
        // It goes on with what it has.
        assert_eq!(replica.try_get("/readyz").await.0, 200);
        assert_eq!(replica.try_get("/api/market/prices/latest").await.0, 200);
        broker.revive();
        program.received(sent).await;
        answers_like(&program, &replica, true).await;
    }
    no_gap_and_no_double(&broker.address(), &prefix);
}
