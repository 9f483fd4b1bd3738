//! Redis holds what stands, whatever pieces the run comes in and however often.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use model::AlertState;
use model::money::{price, volume_mwh};
use redis::AsyncCommands;
use redis::streams::StreamRangeReply;
use sinks::Sink;
use sinks::redis::{Config, Redis};

use crate::run::{self, Run};
use crate::{oracle, server};

pub(crate) type Connection = redis::aio::MultiplexedConnection;

pub(crate) fn config(prefix: &str) -> Config {
    Config {
        enabled: true,
        url: model::humane::Secret::new(server::address("REDIS")),
        prefix: prefix.to_owned(),
        ..Config::default()
    }
}

pub(crate) async fn connect() -> Connection {
    // The crate's own patience is half a second: too little for a machine that runs every test at once.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let client = redis::Client::open(server::address("REDIS")).unwrap();
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

async fn written(test: &str, seed: u64) -> (Run, String, Connection) {
    let (run, prefix) = (run::random(seed, 120), server::unique(test));
    let mut sink = Redis::new(config(&prefix), run.context.clone()).unwrap();
    sink.check().await.unwrap();
    run.write_roughly(&mut sink, seed).await;
    (run, prefix, connect().await)
}

async fn hashes(connection: &mut Connection, pattern: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let keys: Vec<String> = connection.keys(pattern).await.unwrap();
    let mut found = BTreeMap::new();
    for key in keys {
        let fields: BTreeMap<String, String> = connection.hgetall(&key).await.unwrap();
        if !fields.contains_key("removed") {
            found.insert(key, fields);
        }
    }
    found
}

/// What stands: prices, key figures, correlations and boards.
pub(crate) async fn assert_stands(redis: &mut Connection, prefix: &str, run: &Run) {
    assert_prices(redis, prefix, run).await;
    assert_figures(redis, prefix, run).await;
    assert_boards(redis, prefix, run).await;
}

async fn assert_prices(redis: &mut Connection, prefix: &str, run: &Run) {
    let found = hashes(redis, &format!("{prefix}:price:*")).await;
    let expected = run.latest();
    assert!(expected.len() > 3);
    let lines =
        |key: &str, t: &str, close: &str, volume: &str, count: &str| format!("{key} {t} {close} {volume} {count}");
    let found: BTreeSet<String> = found
        .iter()
        .map(|(key, fields)| lines(key, &fields["version"], &fields["price"], &fields["volume"], &fields["count"]))
        .collect();
    let expected = expected
        .iter()
        .map(|(place, (t, row))| {
            let key = format!("{prefix}:price:{}", place.replace('|', ":"));
            let (close, volume) = (price(row.bar.close).to_string(), volume_mwh(row.bar.sum_volume_kwh).to_string());
            lines(&key, &t.to_string(), &close, &volume, &row.bar.count.to_string())
        })
        .collect();
    oracle::assert_same("prices", &found, &expected);
    let series: BTreeSet<String> = redis.smembers(format!("{prefix}:series")).await.unwrap();
    assert!(run.latest().keys().all(|place| series.contains(&place.replace('|', ":"))));
}

async fn assert_figures(redis: &mut Connection, prefix: &str, run: &Run) {
    let kpis = hashes(redis, &format!("{prefix}:kpi:*")).await;
    let found = kpis.into_iter().map(|(key, fields)| {
        let place = key.strip_prefix(&format!("{prefix}:kpi:")).unwrap().rsplit_once(':').unwrap().0.replace(':', "|");
        let change = fields.get("change_percent").map_or("", String::as_str);
        format!(
            "{place}|{}|{}|{}|{change}|{}",
            fields["window_min"], fields["version"], fields["last"], fields["volume"]
        )
    });
    oracle::assert_same("kpis", &found.collect(), &run.kpis());
    let correlations = hashes(redis, &format!("{prefix}:correlation:*")).await;
    let found = correlations.into_values().map(|fields| {
        let place = |suffix: &str| {
            ["zone", "location", "market"].map(|name| fields[&format!("{name}_{suffix}")].clone()).join("|")
        };
        let r = fields.get("r").map_or("", String::as_str);
        format!("{}|{}|{}|{}|{r}", place("a"), place("b"), fields["window_min"], fields["version"])
    });
    oracle::assert_same("correlations", &found.collect(), &run.correlations());
}

async fn assert_boards(redis: &mut Connection, prefix: &str, run: &Run) {
    let alerts: BTreeMap<String, String> = redis.hgetall(format!("{prefix}:alerts:current")).await.unwrap();
    let found = alerts.into_iter().map(|(id, json)| {
        let row: serde_json::Value = serde_json::from_str(&json).unwrap();
        format!("{id} {} {} {}", row["state"].as_str().unwrap(), row["revision"], row["value"].as_f64().unwrap())
    });
    let standing = run.last_alerts().into_iter().filter(|alert| alert.state != AlertState::Withdrawn);
    let expected = standing.map(|alert| {
        format!("{:016x} {} {} {}", alert.anomaly.id, alert.state.as_str(), alert.revision, price(alert.anomaly.value))
    });
    oracle::assert_same("alerts", &found.collect(), &expected.collect());
    let bids: BTreeMap<String, String> = redis.hgetall(format!("{prefix}:bids")).await.unwrap();
    let found = bids.into_iter().map(|(id, json)| {
        let row: serde_json::Value = serde_json::from_str(&json).unwrap();
        format!("{id} {} {}", row["organisation"].as_str().unwrap(), row["revision"])
    });
    let expected =
        run.standing_bids().into_iter().map(|(_, bid)| format!("{} {} {}", bid.bid, bid.organisation, bid.revision));
    oracle::assert_same("bids", &found.collect(), &expected.collect());
    let clearing: BTreeMap<String, String> = redis.hgetall(format!("{prefix}:clearing")).await.unwrap();
    let found = clearing.into_iter().map(|(id, json)| {
        let row: serde_json::Value = serde_json::from_str(&json).unwrap();
        format!("{id} {} {}", oracle::text(row["price"].as_f64()), oracle::text(row["best_buy"].as_f64()))
    });
    let expected = run.standing_clearing().into_iter().map(|(_, row)| {
        let place = run.place(row.series).replace('|', ":");
        let (price_of, best) = (row.price_micros.map(price), row.best_buy_micros.map(price));
        format!("{place}:{} {} {}", row.start_ms, oracle::text(price_of), oracle::text(best))
    });
    oracle::assert_same("clearing", &found.collect(), &expected.collect());
}

#[tokio::test]
async fn what_stands_is_what_the_run_says() {
    for seed in 1..4 {
        let (run, prefix, mut redis) = written("stands", seed).await;
        assert_stands(&mut redis, &prefix, &run).await;
    }
}

#[tokio::test]
async fn boards_forget_what_is_past_retention_and_do_not_take_it_back() {
    let (run, prefix) = (run::random(4, 120), server::unique("retention"));
    let retention_ms = 20 * 60_000;
    let config = Config { retention: model::humane::Span::from_millis(retention_ms as u64), ..config(&prefix) };
    let mut sink = Redis::new(config, run.context.clone()).unwrap();
    run.write_roughly(&mut sink, 4).await;
    let found: BTreeSet<String> = connect().await.hkeys(format!("{prefix}:alerts:current")).await.unwrap();
    let horizon = run.last_t() as i64 - retention_ms;
    let current = run.last_alerts().into_iter().filter(|alert| alert.state != AlertState::Withdrawn);
    let (expected, old): (Vec<_>, Vec<_>) = current.partition(|alert| alert.anomaly.start_ms >= horizon);
    assert!(!old.is_empty());
    oracle::assert_same("alerts", &found, &expected.iter().map(|alert| format!("{:016x}", alert.anomaly.id)).collect());
}

/// Streams hold every change of a minute bar, every step of alerts and every notice once.
pub(crate) async fn assert_streams(redis: &mut Connection, prefix: &str, run: &Run) {
    let mut found = 0;
    let keys: Vec<String> = redis.keys(format!("{prefix}:history:*")).await.unwrap();
    for key in keys {
        let entries: StreamRangeReply = redis.xrange_all(&key).await.unwrap();
        found += entries.ids.len();
    }
    let minutes = |batch: &std::sync::Arc<model::Batch>| {
        batch.bars.iter().filter(|bar| bar.row().key.granularity == model::Granularity::M1).count()
    };
    assert_eq!(found, run.batches.iter().map(minutes).sum::<usize>());
    let alerts: StreamRangeReply = redis.xrange_all(format!("{prefix}:alerts")).await.unwrap();
    let expected: usize = run.batches.iter().map(|batch| batch.alerts.len() + batch.notices.len()).sum();
    assert_eq!(alerts.ids.len(), expected);
    assert!(alerts.ids.iter().any(|entry| entry.contains_key("message")));
}

#[tokio::test]
async fn streams_hold_every_change_once_and_are_capped() {
    let (run, prefix, mut redis) = written("streams", 5).await;
    assert_streams(&mut redis, &prefix, &run).await;
    let expected: usize = run.batches.iter().map(|batch| batch.alerts.len() + batch.notices.len()).sum();

    let prefix = server::unique("capped");
    let mut sink = Redis::new(Config { stream_entries: 10, ..config(&prefix) }, run.context.clone()).unwrap();
    for chunk in 0..20 {
        // The same run, each time a day later: far more entries than are kept.
        let later = |batch: &std::sync::Arc<model::Batch>| {
            std::sync::Arc::new(model::Batch { t: batch.t + chunk * 86_400_000, ..model::Batch::clone(batch) })
        };
        sink.write(&run.batches.iter().map(later).collect::<Vec<_>>()).await.unwrap();
    }
    let kept: usize = redis.xlen(format!("{prefix}:alerts")).await.unwrap();
    // Redis trims whole blocks of 100 entries.
    assert!((10..=200).contains(&kept), "{kept} entries of {} kept", 20 * expected);
}

#[tokio::test]
async fn subscribers_hear_each_moment_once() {
    let (run, prefix) = (run::random(6, 60), server::unique("channel"));
    let (mut publish, mut messages) =
        redis::Client::open(server::address("REDIS")).unwrap().get_async_pubsub().await.unwrap().split();
    publish.psubscribe(format!("{prefix}:changes:*")).await.unwrap();
    let mut sink = Redis::new(config(&prefix), run.context.clone()).unwrap();
    run.write_roughly(&mut sink, 6).await;
    let end: () = connect().await.publish(format!("{prefix}:changes:end"), "end").await.unwrap();
    let _: () = end;
    let (mut seen, mut alerts) = (BTreeSet::new(), 0);
    while let Some(message) = messages.next().await {
        let (channel, payload) = (message.get_channel_name().to_owned(), message.get_payload::<String>().unwrap());
        if payload == "end" {
            break;
        }
        let value: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert!(seen.insert((channel.clone(), value["t"].as_u64().unwrap())), "{channel} twice at {}", value["t"]);
        if channel.contains(":alerts:") {
            alerts += value["rows"].as_array().unwrap().len();
        }
    }
    assert_eq!(alerts, run.batches.iter().map(|batch| batch.alerts.len()).sum::<usize>());
    assert!(seen.iter().any(|(channel, _)| channel == &format!("{prefix}:changes:prices:PJM")));
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let (run, prefix) = (run::random(7, 20), server::unique("reconnect"));
    // A database that no other test uses tells the sink's connection from the others.
    let url = format!("{}/9", server::address("REDIS").trim_end_matches("/0"));
    let config = Config { url: model::humane::Secret::new(url), ..config(&prefix) };
    let mut sink = Redis::new(config, run.context.clone()).unwrap();
    sink.write(&run.batches[..10]).await.unwrap();
    let mut redis = connect().await;
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.unwrap();
    let (mut killed, ours) = (0, clients.lines().filter(|line| line.contains(" db=9 ")));
    for client in ours {
        let id = client.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap();
        killed += redis::cmd("CLIENT").arg(&["KILL", "ID", id]).query_async::<usize>(&mut redis).await.unwrap();
    }
    assert_eq!(killed, 1);
    let mut failures = 0;
    while let Err(error) = sink.write(&run.batches[10..]).await {
        assert!(error.is_transient(), "{error}");
        failures += 1;
        assert!(failures < 20, "never connects again: {error}");
    }
    redis::cmd("SELECT").arg(9).query_async::<()>(&mut redis).await.unwrap();
    let t: u64 = redis.hget(format!("{prefix}:progress"), "run").await.unwrap();
    assert_eq!(t, run.last_t());
}
