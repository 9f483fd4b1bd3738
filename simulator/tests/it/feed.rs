//! The producer and the feed against librdkafka's in-process broker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use model::wire::{Decoded, Decoder, Limits, Origin, TopicKind};
use model::{Names, PartitionId};
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use simulator::feed::{self, Options};
use simulator::generator::Settings;
use simulator::producer::{self, Delivered};
use simulator::{Error, Expected, Generator, Lag, Producer, Replay, Scenario, Speed, Totals};
use tokio::sync::watch;

use crate::data::{ZONES, at, excerpt, whole};

const PARTITIONS: i32 = 2;

fn broker(topics: &[&str]) -> MockCluster<'static, DefaultProducerContext> {
    let broker = MockCluster::new(1).unwrap();
    for topic in topics {
        broker.create_topic(topic, PARTITIONS, 1).unwrap();
    }
    broker
}

fn options(servers: &str) -> producer::Options {
    producer::Options::new(servers, "optibid")
}

/// (topic, partition, offset, Kafka's timestamp, payload) of everything in the topics, partition by partition.
type Read = (String, i32, i64, i64, Vec<u8>);

fn read_all(servers: &str, topics: &[&str]) -> Vec<Read> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "test").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut assignment = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..PARTITIONS {
            assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&assignment).unwrap();
    let (mut read, mut ended) = (Vec::new(), 0);
    while ended < assignment.count() {
        match consumer.poll(Duration::from_secs(20)).expect("the broker answers") {
            Ok(message) => read.push((
                message.topic().to_owned(),
                message.partition(),
                message.offset(),
                message.timestamp().to_millis().unwrap(),
                message.payload().unwrap_or_default().to_vec(),
            )),
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
        }
    }
    read.sort();
    read
}

fn decode(read: &[Read]) -> Decoded {
    let decoder = Decoder { zones: ZONES.clone(), names: Arc::new(Names::default()), limits: Limits::default() };
    let mut out = Decoded::default();
    for (topic, partition, offset, timestamp_ms, payload) in read {
        let origin = Origin {
            topic: topic.as_str().into(),
            partition: *partition,
            partition_id: PartitionId::new(topic, *partition),
            offset: *offset,
            timestamp_ms: *timestamp_ms,
        };
        decoder.decode(TopicKind::of("optibid", topic).unwrap(), &origin, payload, &mut out);
    }
    out
}

fn nobody_stops() -> watch::Receiver<bool> {
    watch::channel(false).1
}

fn generator(scenario: &str, rate: f64) -> Generator {
    let settings = Settings {
        seed: 42,
        start_ms: at("2025-11-18T00:00:00Z"),
        rate,
        zones: vec!["PJM".into(), "SA1".into()],
        scenario: Scenario { hubs: 0, ..Scenario::preset(scenario).unwrap() },
        stamp_published: true,
    };
    Generator::new(settings, &ZONES).unwrap()
}

const SIMULATED: [&str; 4] = ["optibid.ticks.pjm", "optibid.ticks.sa1", "optibid.bids", "optibid.notices"];

#[tokio::test]
async fn publish_waits_for_the_broker_and_keeps_a_key_in_its_partition() {
    let broker = broker(&["optibid.notices"]);
    let producer = Producer::new(&options(&broker.bootstrap_servers())).unwrap();
    let topic = producer.topic(TopicKind::Notices, "PJM");
    let mut offsets: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for n in 0..10 {
        let Delivered { partition, offset } = producer.publish(&topic, "PJM", format!("{n}").as_bytes()).await.unwrap();
        offsets.entry(partition).or_default().push(offset);
    }
    assert_eq!(offsets.into_values().collect::<Vec<_>>(), [(0..10).collect::<Vec<_>>()]);
    let stats = producer.stats();
    assert_eq!((stats.sent, stats.delivered, stats.failed, stats.in_flight_bytes), (10, 10, 0, 0));
    let payloads: Vec<_> =
        read_all(&broker.bootstrap_servers(), &["optibid.notices"]).into_iter().map(|read| read.4).collect();
    assert_eq!(payloads, (0..10).map(|n| format!("{n}").into_bytes()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_that_cannot_arrive_is_an_error() {
    let mut unreachable = self::options("127.0.0.1:1");
    unreachable.client.insert("message.timeout.ms".into(), "200".into());
    let producer = Producer::new(&unreachable).unwrap();
    let error = producer.publish("optibid.bids", "b", b"{}").await.unwrap_err();
    assert!(matches!(error, Error::Publish { transient: true, .. }) && error.is_transient(), "{error}");
    assert_eq!((producer.stats().failed, producer.stats().in_flight_bytes), (1, 0));
    assert!(producer.stats().last_error.unwrap().starts_with("optibid.bids: "));
    let options = Options { speed: Speed::Max, ..Options::default() };
    let mut market = generator("calm", 1000.0);
    let run = feed::simulate(&mut market, Some(10), &producer, &options, None, nobody_stops());
    assert!(run.await.unwrap_err().is_transient(), "a feed does not lose messages silently");
    let mut too_long = self::options("127.0.0.1:1");
    too_long.client.insert("message.max.bytes".into(), "1000".into());
    let error = Producer::new(&too_long).unwrap().publish("optibid.bids", "b", &[0; 2000]).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    too_long.client.insert("no.such.option".into(), "1".into());
    assert!(Producer::new(&too_long).unwrap_err().to_string().contains("no.such.option"));
}

#[tokio::test]
async fn a_made_up_market_arrives_as_its_truth_says() {
    for columnar_rows in [0, 50] {
        let broker = broker(&SIMULATED);
        let producer = Producer::new(&options(&broker.bootstrap_servers())).unwrap();
        let options = Options { speed: Speed::Max, columnar_rows, ..Options::default() };
        let mut log = Vec::new();
        let mut market = generator("faults", 500.0);
        let run = feed::simulate(&mut market, Some(20_000), &producer, &options, Some(&mut log), nobody_stops());
        let (sent, totals) = run.await.unwrap();
        assert_eq!(sent.records, 20_000);
        assert_eq!(sent.messages == sent.records, columnar_rows == 0);
        let lines: Vec<serde_json::Value> = log
            .split(|byte| *byte == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 20_000);
        let read = read_all(&broker.bootstrap_servers(), &SIMULATED);
        assert_eq!(read.len() as u64, sent.messages);
        let found = decode(&read);
        assert_eq!((found.received, found.refused), (totals.ticks, totals.refused()));
        assert_eq!((found.bids.len() as u64, found.notices.len() as u64), (totals.bids, totals.notices));
        let mut reasons = BTreeMap::new();
        for letter in &found.dead_letters {
            *reasons.entry(letter.reason).or_default() += 1;
        }
        assert_eq!(reasons, totals.dead_letters);
        // The same ticks as a generator of the same seed makes, whatever the form of the message.
        let mut truth = Totals::default();
        let mut prices = Vec::new();
        for message in generator("faults", 500.0).take(20_000) {
            truth.add(&message);
            let line = message.truth_line();
            if matches!(line.truth.expected, Expected::Applied | Expected::Corrected | Expected::Duplicate) {
                prices.push((line.event_ms.unwrap(), model::money::price_micros(line.price.unwrap()).unwrap()));
            }
        }
        assert_eq!(truth, totals);
        let mut found: Vec<_> = found.ticks.iter().map(|tick| (tick.event_ms, tick.price_micros)).collect();
        prices.sort_unstable();
        found.sort_unstable();
        assert!(found == prices);
    }
}

#[tokio::test]
async fn a_replay_arrives_in_order() {
    let topics = ["optibid.ticks.nyiso", "optibid.ticks.sa1", "optibid.ticks.nsw1"];
    let broker = broker(&topics);
    let producer = Producer::new(&options(&broker.bootstrap_servers())).unwrap();
    let files = ["nyiso_realtime_zone.csv", "nyiso_pal.csv", "aemo_dispatchprice_2024.csv"].map(excerpt);
    let replay = Replay::open(&files, &ZONES).unwrap();
    let expected = replay.records();
    let options = Options { speed: Speed::Times(1e9), ..Options::default() };
    let sent = feed::replay(replay, &producer, &options, nobody_stops()).await.unwrap();
    assert_eq!((sent.records, sent.messages), (expected, expected));
    let found = decode(&read_all(&broker.bootstrap_servers(), &topics));
    assert_eq!((found.ticks.len() as u64, found.dead_letters.len()), (expected, 0), "{:?}", found.dead_letters);
    let mut last = BTreeMap::new();
    for tick in &found.ticks {
        assert!(last.insert(tick.series(), tick.event_ms).unwrap_or(i64::MIN) < tick.event_ms);
    }
}

#[tokio::test]
async fn bids_of_a_replay_arrive_as_json_beside_columnar_prices() {
    let topics = ["optibid.ticks.mibel-es", "optibid.ticks.mibel-pt", "optibid.bids"];
    let broker = broker(&topics);
    let producer = Producer::new(&options(&broker.bootstrap_servers())).unwrap();
    let replay = Replay::open(&[whole("omie")], &ZONES).unwrap();
    let (records, bids) = (replay.records(), replay.bids());
    let options = Options { speed: Speed::Max, columnar_rows: 50, ..Options::default() };
    let sent = feed::replay(replay, &producer, &options, nobody_stops()).await.unwrap();
    assert_eq!((sent.records, sent.bids, sent.messages), (records, bids, bids + 2), "one message of ticks a zone");
    let found = decode(&read_all(&broker.bootstrap_servers(), &topics));
    let numbers = (found.bids.len() as u64, found.ticks.len() as u64, found.dead_letters.len());
    assert_eq!(numbers, (bids, records - bids, 0), "{:?}", found.dead_letters);
}

#[tokio::test]
async fn a_full_queue_is_waited_out() {
    let broker = broker(&SIMULATED);
    let mut small = options(&broker.bootstrap_servers());
    small.client.insert("queue.buffering.max.messages".into(), "20".into());
    let producer = Producer::new(&small).unwrap();
    let options = Options { speed: Speed::Max, ..Options::default() };
    let mut market = generator("calm", 1000.0);
    let run = feed::simulate(&mut market, Some(2_000), &producer, &options, None, nobody_stops());
    run.await.unwrap();
    let stats = producer.stats();
    assert_eq!((stats.delivered, stats.failed), (2_000, 0));
    assert!(stats.queue_full > 0);
}

#[tokio::test]
async fn a_reader_that_lags_is_waited_for() {
    let broker = broker(&SIMULATED);
    let mut paced = options(&broker.bootstrap_servers());
    // The reader does not move for its first thousand questions, then it has read everything. What it is asked at that
    // moment shows how far the producer went without it.
    let producer: Arc<OnceLock<Producer>> = Arc::default();
    let (asked, unread) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
    let consumed = {
        let (producer, asked, unread) = (Arc::clone(&producer), Arc::clone(&asked), Arc::clone(&unread));
        move |_: &str, _: i32| {
            if asked.fetch_add(1, Ordering::Relaxed) < 1_000 {
                return -1;
            }
            let stats = producer.get().unwrap().stats();
            unread.lock().unwrap().get_or_insert((stats.sent, stats.lag_waits));
            i64::MAX
        }
    };
    paced.lag = Some(Lag { consumed: Arc::new(consumed), max_unread_bytes: 20_000 });
    let producer = producer.get_or_init(|| Producer::new(&paced).unwrap());
    let options = Options { speed: Speed::Max, ..Options::default() };
    let mut market = generator("calm", 1000.0);
    let run = feed::simulate(&mut market, Some(5_000), producer, &options, None, nobody_stops());
    run.await.unwrap();
    let (sent, waits) = unread.lock().unwrap().expect("the reader was asked");
    // About 200 bytes a message, two zones and the bids, and 64 messages between two looks.
    assert!((100..1_000).contains(&sent) && waits > 0, "{sent} {waits}");
    assert_eq!(producer.stats().delivered, 5_000);
}

#[tokio::test]
async fn a_feed_stops_when_told() {
    let broker = broker(&SIMULATED);
    let producer = Producer::new(&options(&broker.bootstrap_servers())).unwrap();
    let (stop, stopped) = watch::channel(false);
    let (options, mut endless) = (Options::default(), generator("calm", 0.001));
    // One tick in a quarter of an hour: it can only end by being stopped.
    let run = feed::simulate(&mut endless, None, &producer, &options, None, stopped);
    let (result, ()) = tokio::join!(run, async { stop.send(true).unwrap() });
    assert_eq!(result.unwrap().0.records, 1);
}
