//! The changelog: the newest value of each key is what stands, markers come after what they mark.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use model::AlertState;
use model::money::price;
use rand::Rng;
use rand_chacha::rand_core::SeedableRng;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
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

pub(crate) fn config(prefix: &str) -> Config {
    Config {
        enabled: true,
        bootstrap_servers: server::address("KAFKA"),
        prefix: prefix.to_owned(),
        partitions: 2,
        ..Config::default()
    }
}

/// Everything in a topic that is committed, partition by partition; nothing where it was never made.
fn read(servers: &str, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let patience = Duration::from_secs(20);
    let metadata = consumer.fetch_metadata(Some(topic), patience).unwrap();
    let mut records = Vec::new();
    for partition in metadata.topics()[0].partitions() {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        consumer.assign(&assignment).unwrap();
        loop {
            let message = match consumer.poll(patience).expect("the broker answers") {
                Err(KafkaError::PartitionEOF(_)) => break,
                message => message.unwrap(),
            };
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

/// Waits until every decided transaction can be read. The broker answers a commit once it is decided and marks the
/// partitions afterwards; until then `read_committed` ends before it.
fn wait_for_markers(servers: &str, prefix: &str) {
    let consumer = |isolation: &str| -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("group.id", "reader").set("isolation.level", isolation);
        config.create().unwrap()
    };
    let (committed, all) = (consumer("read_committed"), consumer("read_uncommitted"));
    let patience = Duration::from_secs(20);
    let deadline = Instant::now() + patience;
    for topic in topics(prefix) {
        let metadata = all.fetch_metadata(Some(&topic), patience).unwrap();
        for partition in metadata.topics()[0].partitions() {
            let end = |of: &BaseConsumer| of.fetch_watermarks(&topic, partition.id(), patience).unwrap().1;
            while end(&committed) < end(&all) {
                assert!(Instant::now() < deadline, "{topic}/{}: a transaction stays open", partition.id());
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Every topic of the changelog, by name.
fn topics(prefix: &str) -> Vec<String> {
    let tables = [
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
        "names",
        "rules",
        "withdrawn",
        "notices",
        "ticks",
    ];
    let tables = tables.map(|table| format!("{prefix}.changelog.{table}"));
    tables.into_iter().chain([format!("{prefix}.deadletters"), format!("{prefix}.changelog.moments")]).collect()
}

/// How many committed messages there are, all told, and that none is there twice: a key changes once at one T.
fn count_once(servers: &str, prefix: &str) -> usize {
    let mut messages = 0;
    for topic in topics(prefix) {
        let records = read(servers, &topic);
        // Of ticks there may be several messages at one T.
        if !topic.ends_with(".ticks") {
            let keys: BTreeSet<(u64, &str)> = records.iter().map(|record| (record.t, record.key.as_str())).collect();
            assert_eq!(keys.len(), records.len(), "{topic}: a message is there twice");
        }
        messages += records.len();
    }
    messages
}

/// The T's of all markers, which must strictly increase.
fn markers(servers: &str, prefix: &str) -> Vec<u64> {
    let markers: Vec<u64> =
        read(servers, &format!("{prefix}.changelog.moments")).into_iter().map(|record| record.t).collect();
    assert!(markers.is_sorted_by(|a, b| a < b), "{markers:?}");
    markers
}

/// The changelog holds what one instance alone would have written, each message once, in order.
pub(crate) async fn assert_said_once(prefix: String, run: &Run) {
    assert_holds(server::address("KAFKA"), prefix.clone(), run).await;
    blocking(move |servers| {
        count_once(servers, &prefix);
        markers(servers, &prefix);
    })
    .await;
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
    let ([bars, kpis, anomalies, correlations, bids, moments], letters) = tokio::task::spawn_blocking(move || {
        wait_for_markers(&servers, &prefix);
        (topics.map(|topic| read(&servers, &topic)), read(&servers, &letters))
    })
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
    for topic in topics(&prefix) {
        broker.create_topic(&topic, 1, 1).unwrap();
    }
    let config = Config {
        bootstrap_servers: broker.bootstrap_servers(),
        create_topics: false,
        transactions: false,
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

async fn blocking<R: Send + 'static>(read: impl FnOnce(&str) -> R + Send + 'static) -> R {
    tokio::task::spawn_blocking(move || read(&server::address("KAFKA"))).await.unwrap()
}

#[tokio::test]
async fn what_was_not_committed_is_never_seen() {
    let (run, prefix) = (run::random(44, 60), server::unique("torn"));
    let (before, after) = run.batches.split_at(30);
    let mut sink = Kafka::new(config(&prefix), run.context.clone()).unwrap();
    sink.check().await.unwrap();
    sink.write(before).await.unwrap();
    let seen = {
        let prefix = prefix.clone();
        blocking(move |servers| {
            wait_for_markers(servers, &prefix);
            (count_once(servers, &prefix), markers(servers, &prefix))
        })
        .await
    };
    drop(sink);
    // An instance that dies between its messages and its commit, as the broker sees it: rows and the marker are written.
    let torn: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", server::address("KAFKA"))
        .set("transactional.id", format!("{prefix}.changelog"))
        .set("transaction.timeout.ms", "600000")
        .create()
        .unwrap();
    let t = after[0].t.to_string();
    let topics = [format!("{prefix}.changelog.bars"), format!("{prefix}.changelog.moments")];
    let dying = torn.clone();
    tokio::task::spawn_blocking(move || {
        dying.init_transactions(Duration::from_secs(20)).unwrap();
        dying.begin_transaction().unwrap();
        for topic in &topics {
            let headers = OwnedHeaders::new().insert(Header { key: "t", value: Some(&t) });
            let record = FutureRecord::to(topic).key("torn").payload("{\"t\":18446744073709551615}").headers(headers);
            let sent = dying.send_result(record).unwrap();
            futures::executor::block_on(sent).unwrap().unwrap();
        }
    })
    .await
    .unwrap();
    let again = {
        let prefix = prefix.clone();
        blocking(move |servers| (count_once(servers, &prefix), markers(servers, &prefix))).await
    };
    assert_eq!(seen, again, "nothing of an open transaction is visible");

    // Who takes over ends it, repeats what the pipeline repeats, and goes on.
    let mut sink = Kafka::new(config(&prefix), run.context.clone()).unwrap();
    sink.check().await.unwrap();
    sink.write(&run.batches[..40]).await.unwrap();
    sink.write(&run.batches[20..]).await.unwrap();
    assert_holds(server::address("KAFKA"), prefix.clone(), &run).await;
    let last = blocking(move |servers| {
        count_once(servers, &prefix);
        markers(servers, &prefix)
    })
    .await;
    assert_eq!(last, [run.batches[29].t, run.batches[39].t, run.batches[59].t]);
}

#[tokio::test]
async fn an_older_instance_is_refused_for_good_and_disturbs_nobody() {
    let (run, prefix) = (run::random(45, 40), server::unique("fenced"));
    let sink = || Kafka::new(config(&prefix), run.context.clone()).unwrap();
    let (mut older, mut newer) = (sink(), sink());
    older.check().await.unwrap();
    older.write(&run.batches[..10]).await.unwrap();
    newer.check().await.unwrap();
    older.write(&run.batches[..15]).await.expect("a check takes nothing over");
    newer.write(&run.batches[..20]).await.unwrap();
    for _ in 0..3 {
        let error = older.write(&run.batches[..30]).await.unwrap_err();
        assert!(!error.is_transient() && error.to_string().contains("another instance has taken"), "{error}");
        newer.write(&run.batches[..25]).await.unwrap();
    }
    newer.write(&run.batches).await.unwrap();
    assert_holds(server::address("KAFKA"), prefix.clone(), &run).await;
    let markers = blocking(move |servers| {
        count_once(servers, &prefix);
        markers(servers, &prefix)
    })
    .await;
    assert_eq!(markers, [10, 15, 20, 25, 40].map(|end| run.batches[end - 1].t));
}

#[tokio::test]
async fn given_up_writes_and_restarts_repeat_no_message() {
    let (run, prefix) = (run::random(46, 150), server::unique("cancelled"));
    let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(46);
    let new = || Kafka::new(config(&prefix), run.context.clone()).unwrap();
    let mut sink = new();
    sink.check().await.unwrap();
    for (index, piece) in run.pieces(46).into_iter().enumerate() {
        // Given up somewhere in the middle, then asked for again, as the driver does; now and then by a new instance.
        // (One that is given up while it takes over may take over after its successor: then it is the newer one.)
        let mut may_change = index > 0;
        loop {
            let patience = Duration::from_millis(dice.random_range(0..30));
            match tokio::time::timeout(patience, sink.write(piece)).await {
                Ok(written) => break written.unwrap(),
                Err(_) if may_change && dice.random_bool(0.2) => (sink, may_change) = (new(), false),
                Err(_) => {}
            }
        }
        if index % 5 == 4 {
            sink = new();
            sink.write(piece).await.unwrap();
        }
    }
    sink.write(&run.batches).await.unwrap();
    assert_holds(server::address("KAFKA"), prefix.clone(), &run).await;
    let seen = blocking(move |servers| (count_once(servers, &prefix), markers(servers, &prefix).len())).await;
    assert!(seen.0 > 1_000, "{seen:?}");
    assert_eq!(seen.1, run.pieces(46).len(), "every piece was written once");
}

#[tokio::test]
async fn a_run_larger_than_librdkafkas_queue_is_one_transaction() {
    let (run, prefix) = (run::random(47, 80), server::unique("large"));
    let mut config = config(&prefix);
    config.properties.insert("queue.buffering.max.messages".to_owned(), "50".to_owned());
    let mut sink = Kafka::new(config, run.context.clone()).unwrap();
    sink.check().await.unwrap();
    sink.write(&run.batches).await.unwrap();
    assert_holds(server::address("KAFKA"), prefix.clone(), &run).await;
    assert_eq!(blocking(move |servers| markers(servers, &prefix)).await, [run.last_t()]);
}
