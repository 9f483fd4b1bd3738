//! The whole program against real servers: throughput, latency, memory. `make bench` starts the servers and runs it.
//!
//! * throughput: JSON ticks waiting on a real broker → dataflow → four real stores and the embedded history, until
//!   every store has written the last T; per second, and per second of the program's own CPU time (its "core").
//! * latency: a tick every 10 ms in a zone of its own, stamped when it is handed to the producer, until its price
//!   arrives on a WebSocket, while 20,000 ticks/s flow in other zones.
//! * memory: resident memory while that goes on (`OPTIBID_BENCH_MINUTES`, default 10).
//!
//! The servers share the machine's cores with the program: read the figures as lower bounds.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a bench measures and prints")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt;
use model::wire::{TopicKind, WireTick};
use simulator::{Generator, Producer, Simulation, Speed, feed, producer};
use tokio_tungstenite::tungstenite::Message;

const RECORDS: u64 = 1_000_000;
const RATE: f64 = 20_000.0;

fn server(name: &str) -> String {
    std::env::var(format!("OPTIBID_TEST_{name}")).unwrap_or_else(|_| panic!("run this through `make bench`"))
}

struct Program(Child, u16);

impl Program {
    fn start(prefix: &str, clock: &str, stores: bool) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = std::env::temp_dir().join(prefix);
        let mut sets = vec![
            format!("data.dir={}", data.display()),
            format!("api.listen=127.0.0.1:{port}"),
            "sql.pgwire.enabled=false".into(),
            format!("pipeline.kafka.bootstrap={}", server("KAFKA")),
            format!("pipeline.kafka.prefix={prefix}"),
            format!("pipeline.clock={clock}"),
            "operators.bars.correction_horizon=1h".into(),
            "pipeline.log.filter=warn".into(),
        ];
        if stores {
            sets.extend([
                "sinks.redis.enabled=true".into(),
                format!("sinks.redis.url={}", server("REDIS")),
                format!("sinks.redis.prefix={prefix}"),
                "sinks.postgres.enabled=true".into(),
                format!("sinks.postgres.url={}", server("POSTGRES")),
                "sinks.clickhouse.enabled=true".into(),
                format!("sinks.clickhouse.url={}", server("CLICKHOUSE")),
                format!("sinks.clickhouse.database={prefix}"),
                "sinks.kafka.enabled=true".into(),
                format!("sinks.kafka.prefix={prefix}"),
            ]);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_optibid"));
        command.arg("run").stdin(Stdio::null());
        sets.iter().for_each(|set| {
            command.args(["--set", set]);
        });
        Self(command.spawn().unwrap(), port)
    }

    async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.1);
        match reqwest::get(&url).await {
            Ok(response) => response.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// User and system seconds so far.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn value(metrics: &str, series: &str) -> f64 {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0.0)
}

/// Rows that wait for any store.
fn queued(metrics: &str) -> f64 {
    let rows = |line: &str| line.strip_prefix("optibid_sinks_queue_rows{")?.rsplit(' ').next()?.parse::<f64>().ok();
    metrics.lines().filter_map(rows).sum()
}

fn market(rate: f64, start_ms: i64, stamp: bool) -> Generator {
    let zones = model::Zones::built_in();
    let names = ["PJM", "CAISO", "ERCOT", "NYISO", "MISO", "ISONE", "NSW1", "VIC1"];
    let zones_named = names.map(str::to_owned).to_vec();
    let simulation = Simulation { scenario: "calm".into(), rate, zones: zones_named, ..Simulation::default() };
    let mut settings = simulation.settings(start_ms, &zones).unwrap();
    settings.stamp_published = stamp;
    Generator::new(settings, &zones).unwrap()
}

async fn send(
    prefix: &str,
    mut generator: Generator,
    records: Option<u64>,
    speed: Speed,
    stop: tokio::sync::watch::Receiver<bool>,
) -> u64 {
    let producer = Producer::new(&producer::Options::new(&server("KAFKA"), prefix)).unwrap();
    let options = feed::Options { speed, ..feed::Options::default() };
    feed::simulate(&mut generator, records, &producer, &options, None, stop).await.unwrap().1.ticks
}

async fn throughput() {
    let prefix = format!("throughput{}", std::process::id());
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let start_ms = model::time::parse_instant("2026-03-03T09:00:00Z").unwrap();
    // Some of the records are bids.
    let ticks = send(&prefix, market(5_000.0, start_ms, true), Some(RECORDS), Speed::Max, stop).await as f64;
    let program = Program::start(&prefix, "event", true);
    let received = "optibid_pipeline_ticks_total{disposition=\"received\"}";
    while value(&program.metrics().await, received) == 0.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (started, cpu) = (Instant::now(), program.cpu_seconds());
    let mut in_dataflow = None;
    loop {
        let metrics = program.metrics().await;
        let read = value(&metrics, received) >= ticks;
        if read && in_dataflow.is_none() {
            in_dataflow = Some(started.elapsed().as_secs_f64());
        }
        if read && queued(&metrics) == 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), program.cpu_seconds() - cpu);
    println!(
        "throughput: {ticks} JSON ticks: through the dataflow in {:.1} s, in all stores after {seconds:.1} s = {:.0} ticks/s; \
         {:.0} ticks/s per core of the program",
        in_dataflow.unwrap_or(seconds),
        ticks / seconds,
        ticks / cpu
    );
}

async fn latency_and_memory() {
    let prefix = format!("latency{}", std::process::id());
    let minutes = std::env::var("OPTIBID_BENCH_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let program = Program::start(&prefix, "wall", false);
    let url = format!("ws://127.0.0.1:{}/api/ws/ws/market/spp", program.1);
    let mut socket = loop {
        match tokio_tungstenite::connect_async(&url).await {
            Ok((socket, _)) => break socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let load = tokio::spawn({
        let prefix = prefix.clone();
        async move { send(&prefix, market(RATE, now_ms, false), None, Speed::Times(1.0), stopped).await }
    });
    // The price is the probe's number, so its frame can be told.
    let (sent, mut arrived) = (std::sync::Arc::new(std::sync::Mutex::new(Vec::new())), Vec::new());
    let probes = tokio::spawn({
        let (sent, prefix) = (sent.clone(), prefix.clone());
        async move {
            let options = producer::Options {
                linger: model::humane::Span::from_millis(0),
                ..producer::Options::new(&server("KAFKA"), &prefix)
            };
            let producer = Producer::new(&options).unwrap();
            let topic = producer.topic(TopicKind::Ticks, "spp");
            let mut every = tokio::time::interval(Duration::from_millis(10));
            for number in 1u32.. {
                every.tick().await;
                let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
                let tick = WireTick::minimal("spp", at, f64::from(number), 1.0).to_json();
                sent.lock().unwrap().push(Instant::now());
                let _ = producer.send(&topic, "SPP", &tick).await;
            }
        }
    });
    let (started, mut resident, mut next) = (Instant::now(), Vec::new(), Duration::ZERO);
    while started.elapsed() < Duration::from_secs_f64(minutes * 60.0) {
        if started.elapsed() >= next {
            resident.push(program.resident_mib());
            next += Duration::from_secs(10);
        }
        let Ok(Some(Ok(Message::Text(text)))) = tokio::time::timeout(Duration::from_secs(1), socket.next()).await
        else {
            continue;
        };
        let now = Instant::now();
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        if frame["type"] == "price_update"
            && let Some(number) = frame["price"].as_f64().or_else(|| frame["data"]["price"].as_f64())
            && number >= 1.0
            && let Some(at) = sent.lock().unwrap().get(number as usize - 1)
        {
            arrived.push((now - *at).as_secs_f64() * 1000.0);
        }
    }
    probes.abort();
    stop.send_replace(true);
    let _ = load.await;
    // The first seconds hold connections being made.
    let mut latencies = arrived.split_off(arrived.len().min(500));
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies.get(((latencies.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(f64::NAN);
    println!(
        "latency: tick produced → WebSocket frame at {RATE:.0} ticks/s, {} probes: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(0.999)
    );
    let third = resident.len() / 3;
    println!(
        "memory: {:.0} MiB after a third of {minutes} minutes, {:.0} MiB at the end",
        resident.get(third).copied().unwrap_or(f64::NAN),
        resident.last().copied().unwrap_or(f64::NAN)
    );
}

#[tokio::main]
async fn main() {
    // `cargo bench --bench whole -- throughput` runs one of them.
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted != "latency" {
        throughput().await;
    }
    if wanted != "throughput" {
        latency_and_memory().await;
    }
}
