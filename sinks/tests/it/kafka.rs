//! The changelog: the newest value of each key is what stands, markers come after what they mark.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::AlertState;
use model::money::price;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sinks::Sink;
use sinks::kafka::{Config, Kafka};

use crate::run::{self, Run};
use crate::{oracle, server};

struct Record {
    key: String,
    value: Option<serde_json::Value>,
    t: u64,
    header_names: Vec<String>,
}

fn config(prefix: &str) -> Config {
    Config {
        enabled: true,
        bootstrap_servers: server::address("KAFKA"),
        prefix: prefix.to_owned(),
        partitions: 2,
        ..Config::default()
    }
}

/// Everything in a topic, partition by partition.
fn read(servers: &str, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let patience = Duration::from_secs(20);
    let metadata = consumer.fetch_metadata(Some(topic), patience).unwrap();
    let mut records = Vec::new();
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), patience).unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition.id(), Offset::Offset(low)).unwrap();
        consumer.assign(&assignment).unwrap();
        let mut next = low;
        while next < high {
            let message = consumer.poll(patience).expect("the broker answers").unwrap();
            next = message.offset() + 1;
            let headers = message.headers().unwrap();
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            records.push(Record {
                key: text(message.key()),
                value: message.payload().map(|payload| serde_json::from_slice(payload).unwrap()),
                t: text(headers.iter().find(|header| header.key == "t").unwrap().value).parse().unwrap(),
                header_names: headers.iter().map(|header| header.key.to_owned()).collect(),
            });
        }
    }
    records
}

/// What compaction leaves: key → newest value, without tombstones.
fn compacted(records: Vec<Record>) -> BTreeMap<String, (u64, serde_json::Value)> {
    let mut newest = BTreeMap::new();
    for record in records {
        match record.value {
            Some(value) => newest.insert(record.key, (record.t, value)),
            None => newest.remove(&record.key),
        };
    }
    newest
}

async fn assert_holds(servers: String, prefix: String, run: &Run) {
    let topics = ["bars", "kpis", "anomalies", "correlations", "bids", "moments"]
        .map(|table| format!("{prefix}.changelog.{table}"));
    let letters = format!("{prefix}.deadletters");
    let ([bars, kpis, anomalies, correlations, bids, moments], letters) =
        tokio::task::spawn_blocking(move || (topics.map(|topic| read(&servers, &topic)), read(&servers, &letters)))
            .await
            .unwrap();
    let place = |row: &serde_json::Value| {
        ["zone", "location", "market"].map(|name| row[name].as_str().unwrap().to_owned()).join("|")
    };
    let found = compacted(bars).into_values().map(|(t, row)| {
        format!("{}|{}|{t}|{}", place(&row), row["granularity"].as_str().unwrap(), row["close"].as_f64().unwrap())
    });
    let expected = run.standing_bars().into_iter().map(|(t, row)| {
        format!("{}|{}|{t}|{}", run.place(row.key.series), row.key.granularity.as_str(), price(row.bar.close))
    });
    oracle::assert_same("bars", &found.collect(), &expected.collect());
    let found = compacted(kpis).into_values().map(|(t, row)| {
        let change = oracle::text(row["change_percent"].as_f64());
        format!(
            "{}|{}|{t}|{}|{change}|{}",
            place(&row),
            row["window_min"],
            row["last"].as_f64().unwrap(),
            row["volume"].as_f64().unwrap()
        )
    });
    oracle::assert_same("kpis", &found.collect(), &run.kpis());
    let found: BTreeSet<String> = compacted(anomalies).into_keys().collect();
    let standing = run.last_alerts().into_iter().filter(|alert| alert.state != AlertState::Withdrawn);
    oracle::assert_same("alerts", &found, &standing.map(|alert| format!("{:016x}", alert.anomaly.id)).collect());
    assert_eq!(compacted(correlations).len(), run.standing_correlations().len());
    let found = compacted(bids)
        .into_iter()
        .map(|(bid, (t, row))| format!("{bid}|{t}|{}|{}", row["organisation"].as_str().unwrap(), row["revision"]));
    oracle::assert_same("bids", &found.collect(), &run.bids());
    let last = moments.last().unwrap();
    assert_eq!((last.t, last.value.as_ref().unwrap()["t"].as_u64()), (run.last_t(), Some(run.last_t())));
    assert!(letters.iter().all(|letter| letter.header_names == ["t", "topic", "partition", "offset", "row", "reason"]));
    let found = compacted(letters).into_values().map(|(t, letter)| {
        let bytes = letter["bytes"].as_str().unwrap();
        assert_eq!(bytes, "AJ+SlnsK");
        format!(
            "{}|{}|{}|{t}|{}|009f92967b0a",
            letter["topic"].as_str().unwrap(),
            letter["partition"],
            letter["offset"],
            letter["reason"].as_str().unwrap()
        )
    });
    oracle::assert_same("dead letters", &found.collect(), &run.dead_letters());
}

#[tokio::test]
async fn a_compacted_topic_is_the_table() {
    let (run, prefix) = (run::random(41, 120), server::unique("changelog"));
    let mut sink = Kafka::new(config(&prefix), run.context.clone()).unwrap();
    sink.check().await.unwrap();
    sink.check().await.unwrap();
    run.write_roughly(&mut sink, 41).await;
    assert_holds(server::address("KAFKA"), prefix, &run).await;
}

#[tokio::test]
async fn it_works_on_the_embedded_broker_without_making_topics() {
    let broker: rdkafka::mocking::MockCluster<'_, _> = rdkafka::mocking::MockCluster::new(1).unwrap();
    let (run, prefix) = (run::random(42, 40), server::unique("mock"));
    for table in ["bars", "kpis", "anomalies", "correlations", "bids", "moments"] {
        broker.create_topic(&format!("{prefix}.changelog.{table}"), 1, 1).unwrap();
    }
    broker.create_topic(&format!("{prefix}.deadletters"), 1, 1).unwrap();
    let config = Config {
        bootstrap_servers: broker.bootstrap_servers(),
        create_topics: false,
        prefix: prefix.clone(),
        ..Config::default()
    };
    let mut sink = Kafka::new(config, run.context.clone()).unwrap();
    sink.check().await.unwrap();
    for piece in run.pieces(42) {
        sink.write(piece).await.unwrap();
    }
    assert_holds(broker.bootstrap_servers(), prefix, &run).await;
}

#[tokio::test]
async fn a_broker_that_is_away_is_an_error_that_passes() {
    let run = run::random(43, 3);
    let mut config = Config { bootstrap_servers: "127.0.0.1:1".to_owned(), create_topics: false, ..Config::default() };
    config.driver.write_timeout = model::humane::Span::from_millis(1_000);
    let mut sink = Kafka::new(config, run.context.clone()).unwrap();
    let error = sink.write(&run.batches).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}
