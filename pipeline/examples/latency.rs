//! Tick in → batch published, inside one process: p50, p99, p99.9.
//!
//! `cargo run --release -p pipeline --example latency -- [ticks per second] [seconds] [workers] [embedded]`
//! feeds from memory, or through the embedded broker with `embedded`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints and reads clocks")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::wire::{TopicKind, WireTick};
use model::{Batch, Names, PartitionId, Zones};
use parking_lot::Mutex;
use pipeline::{BatchQueue, Config, Embedded, Metrics, Replay, Shutdown};
use pipeline::{Feed, Parts, Pipeline};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, ThreadedProducer};

const ZONES: usize = 20;

#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<Vec<(PartitionId, i64, Instant)>>>);

#[async_trait]
impl BatchQueue for Arrivals {
    fn name(&self) -> &str {
        "arrivals"
    }

    async fn push(&mut self, batch: Arc<Batch>) -> bool {
        let now = Instant::now();
        let rows = batch.ticks.iter().map(|row| (row.tick.partition, row.tick.offset, now));
        self.0.lock().extend(rows);
        true
    }
}

enum Into {
    Memory(Replay),
    Broker(ThreadedProducer<rdkafka::producer::DefaultProducerContext>),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (rate, seconds, workers) = (number(20_000)?, number(10)?, number(0)?);
    let embedded = arguments.next().is_some();
    let config = Config { workers: usize::try_from(workers)?, ..Config::default() };
    let (zones, names) = (Zones::built_in(), Arc::new(Names::default()));
    let (feed, into) = if embedded {
        let broker = Embedded::start(&config, &zones)?;
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", broker.bootstrap_servers()).set("linger.ms", "1");
        (Feed::Embedded(broker), Into::Broker(client.create()?))
    } else {
        let replay = Replay::new("optibid", Arc::clone(&names));
        (Feed::Memory(replay.clone()), Into::Memory(replay))
    };
    let arrivals = Arrivals::default();
    let parts = Parts {
        feed,
        queues: vec![Box::new(arrivals.clone())],
        log: None,
        durable: None,
        begin: None,
        stage: Default::default(),
        written: None,
        limits: model::snapshot::Limits::default(),
        metrics: Metrics::new(&prometheus::Registry::new())?,
    };
    let threads = config.worker_threads();
    let operators = operators::Config::default();
    let handle = Pipeline::start(config, operators, zones.clone(), names, parts, &Shutdown::new())?;
    let topics: Vec<String> =
        zones.iter().take(ZONES).map(|zone| TopicKind::ticks_topic("optibid", &zone.code)).collect();
    let codes: Vec<String> = zones.iter().take(ZONES).map(|zone| zone.code.clone()).collect();
    let sent = feed_at(rate, seconds, &into, &topics, &codes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        handle.await_received(sent.len() as u64).await;
        handle.stop().await
    })?;
    report(&sent, &arrivals, rate, threads);
    Ok(())
}

type Sent = HashMap<(PartitionId, i64), Instant>;

/// Sends at an even rate and remembers when; offsets count from 0 in each partition.
fn feed_at(
    rate: u64,
    seconds: u64,
    into: &Into,
    topics: &[String],
    codes: &[String],
) -> Result<Sent, Box<dyn std::error::Error>> {
    let mut sent = Sent::new();
    let mut offsets: HashMap<PartitionId, i64> = HashMap::new();
    let started = Instant::now();
    for n in 0..rate * seconds {
        let due = started + Duration::from_nanos(n * 1_000_000_000 / rate);
        while Instant::now() < due {
            std::thread::sleep(Duration::from_micros(200));
        }
        let which = usize::try_from(n)? % topics.len();
        let partition = i32::try_from(n / topics.len() as u64 % 2)?;
        let at = i64::try_from(pipeline::clock::wall_ms())?;
        let bytes = WireTick::minimal(&codes[which], at, 30.0 + (n % 100) as f64 / 10.0, 1.0).to_json();
        let id = PartitionId::new(&topics[which], partition);
        let offset = offsets.entry(id).or_default();
        sent.insert((id, *offset), Instant::now());
        *offset += 1;
        match into {
            Into::Memory(replay) => drop(replay.append(&topics[which], partition, at, bytes)?),
            Into::Broker(producer) => producer
                .send(BaseRecord::<(), [u8]>::to(&topics[which]).partition(partition).payload(&bytes))
                .map_err(|(error, _)| error)?,
        }
    }
    Ok(sent)
}

fn report(sent: &Sent, arrivals: &Arrivals, rate: u64, threads: usize) {
    let arrivals = arrivals.0.lock();
    let mut micros: Vec<u128> =
        arrivals.iter().filter_map(|(id, offset, at)| Some((*at - *sent.get(&(*id, *offset))?).as_micros())).collect();
    micros.sort_unstable();
    let at = |share: f64| micros.get((micros.len() as f64 * share) as usize).map_or(0.0, |us| *us as f64 / 1_000.0);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!(
        "{} ticks at {rate}/s, {threads} workers, {cores} cores: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        micros.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999)
    );
}
