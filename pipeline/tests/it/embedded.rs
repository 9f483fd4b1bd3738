//! The embedded broker end to end: bytes in through Kafka's protocol, batches out.

use std::sync::Arc;
use std::time::Duration;

use model::Reason;
use model::health::ServiceState;
use pipeline::{Clock, Embedded};
use pipeline::{Feed, Handle};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use tokio::sync::Semaphore;

use crate::support::{Gate, World, delivered, eventually, tick, topic, within};

type Client = ThreadedProducer<rdkafka::producer::DefaultProducerContext>;

fn producer(broker: &Embedded) -> Client {
    ClientConfig::new().set("bootstrap.servers", broker.bootstrap_servers()).set("linger.ms", "1").create().unwrap()
}

fn send(producer: &Client, topic: &str, partition: i32, bytes: &[u8]) {
    let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(bytes);
    loop {
        match producer.send(record) {
            Ok(()) => return,
            // Its queue is full: it empties as the broker answers.
            Err((rdkafka::error::KafkaError::MessageProduction(_), back)) => {
                record = back;
                producer.flush(Duration::from_secs(20)).unwrap();
            }
            Err((error, _)) => panic!("{error}"),
        }
    }
}

fn now() -> i64 {
    pipeline::clock::wall_ms() as i64
}

fn state(handle: &Handle) -> ServiceState {
    handle.health().into_iter().find(|row| row.name == "kafka").unwrap().state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_arrive_and_bad_bytes_become_dead_letters() {
    let world = World::new(2, Clock::Wall);
    let broker = Embedded::start(&world.config, &world.zones).unwrap();
    let producer = producer(&broker);
    let handle = world.start(Feed::Embedded(broker));
    for n in 0..1_000 {
        send(&producer, &topic("PJM"), n % 2, &tick("PJM", now(), f64::from(n)).to_json());
    }
    let minimal = br#"{"market_zone":"pjm","price":52.5,"volume":1000,"timestamp":"2025-11-18T10:00:00Z"}"#;
    send(&producer, &topic("PJM"), 0, minimal);
    send(&producer, &topic("NYISO"), 1, b"{\"market_zone\":");
    send(&producer, &topic("NYISO"), 1, &tick("ATLANTIS", now(), 1.0).to_json());
    send(&producer, "optibid.rules", 0, b"no rule");
    assert!(delivered(&handle, 1_003).await);
    let letters = |world: &World| world.batches().iter().flat_map(|b| b.dead_letters.clone()).collect::<Vec<_>>();
    eventually("the refused rule", || letters(&world).iter().any(|letter| &*letter.topic == "optibid.rules")).await;
    let letters = letters(&world);
    let find = |topic: &str, offset| letters.iter().find(|l| *l.topic == *topic && l.offset == offset).unwrap();
    let corrupt = find(&topic("NYISO"), 0);
    assert_eq!((corrupt.partition, corrupt.reason), (1, Reason::Malformed));
    assert_eq!(corrupt.bytes, b"{\"market_zone\":");
    assert_eq!(find(&topic("NYISO"), 1).reason, Reason::UnknownZone);
    assert_eq!(find("optibid.rules", 0).bytes, b"no rule");
    assert_eq!((state(&handle), handle.records_lost()), (ServiceState::Up, 0));
    assert_eq!(handle.positions()[&(topic("PJM").into(), 1)], 500);
    let counts = handle.snapshot.load().counts;
    assert!(counts.balanced() && counts.received == 1_003, "{counts:?}");
    within("the end", handle.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_while_running_is_read_from_its_start() {
    let mut world = World::new(2, Clock::Wall);
    world.config.kafka.start = pipeline::config::Start::Latest;
    let broker = Embedded::empty().unwrap();
    broker.create_topic(&topic("PJM"), 2).unwrap();
    broker.create_topic("elsewhere.ticks.pjm", 1).unwrap();
    let producer = producer(&broker);
    send(&producer, &topic("PJM"), 0, &tick("PJM", now(), 1.0).to_json());
    producer.flush(Duration::from_secs(20)).unwrap();
    let handle = world.start(Feed::Embedded(broker.clone()));
    eventually("the first topic", || handle.positions().len() == 2).await;
    assert_eq!(handle.positions()[&(topic("PJM").into(), 0)], 1, "latest: what was there is not read");
    broker.create_topic(&topic("MISO"), 3).unwrap();
    for partition in 0..3 {
        send(&producer, &topic("MISO"), partition, &tick("MISO", now(), 2.0).to_json());
    }
    send(&producer, "elsewhere.ticks.pjm", 0, &tick("PJM", now(), 1.0).to_json());
    assert!(delivered(&handle, 3).await);
    assert_eq!(handle.positions().len(), 5, "nothing from elsewhere: {:?}", handle.positions());
    within("the end", handle.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_forgets_is_reported_as_lost() {
    let mut world = World::new(1, Clock::Wall);
    (world.config.max_batch, world.config.max_open, world.config.max_backlog) = (100, 1, 1);
    world.config.kafka.queue_chunks = 1;
    // A consumer that holds next to nothing itself, so that it really lags.
    for (key, value) in
        [("queued.max.messages.kbytes", "64"), ("queued.min.messages", "1"), ("fetch.message.max.bytes", "65536")]
    {
        world.config.kafka.options.0.insert(key.into(), value.into());
    }
    let broker = Embedded::empty().unwrap();
    broker.create_topic(&topic("PJM"), 1).unwrap();
    let producer = producer(&broker);
    let gate = Arc::new(Semaphore::new(0));
    let handle = world.start_with(Feed::Embedded(broker), vec![Box::new(Gate(Arc::clone(&gate)))]);
    // 12 MB where the broker keeps 5 MiB, while the sink is stuck.
    let sent = 12_000;
    let mut record = tick("PJM", now(), 1.0);
    record.source = Some("x".repeat(800));
    let bytes = record.to_json();
    for _ in 0..sent {
        send(&producer, &topic("PJM"), 0, &bytes);
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    gate.add_permits(1 << 20);
    eventually("every record read or known as lost", || world.received() + handle.records_lost() == sent).await;
    assert!(handle.records_lost() > 0);
    let losses = handle.losses();
    assert!(losses.iter().all(|loss| *loss.topic == *topic("PJM") && loss.from < loss.to), "{losses:?}");
    assert_eq!(losses.iter().map(|loss| loss.records()).sum::<u64>(), handle.records_lost());
    assert_eq!(state(&handle), ServiceState::Degraded);
    within("the end", handle.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_shown_and_does_not_keep_it_from_ending() {
    let mut world = World::new(2, Clock::Wall);
    world.config.kafka.bootstrap = "127.0.0.1:1".to_owned();
    let handle = world.start(Feed::Kafka);
    let down = || handle.health().iter().any(|row| row.name == "kafka" && row.detail.contains("does not answer"));
    eventually("health to say so", down).await;
    assert_eq!(state(&handle), ServiceState::Down);
    within("the end", handle.stop()).await.unwrap();
}
