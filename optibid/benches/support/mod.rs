//! What the benches of the whole program share: the program, the market, probes of latency.

#![allow(dead_code, reason = "each bench takes what it needs")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt;
use model::wire::{TopicKind, WireTick};
use simulator::{Generator, Producer, Simulation, Speed, feed, producer};
use tokio_tungstenite::tungstenite::Message;

pub(crate) fn server(name: &str) -> String {
    std::env::var(format!("OPTIBID_TEST_{name}")).unwrap_or_else(|_| panic!("run this through `make bench`"))
}

/// The program, and its port.
pub(crate) struct Program {
    child: Child,
    command: Command,
    port: u16,
}

impl Program {
    /// With settings over those of every bench.
    pub(crate) fn start(prefix: &str, clock: &str, stores: bool, more: &[&str]) -> Self {
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
        for set in sets.iter().map(String::as_str).chain(more.iter().copied()) {
            command.args(["--set", set]);
        }
        Self { child: command.spawn().unwrap(), command, port }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same again.
    pub(crate) fn restart(&mut self) {
        self.child = self.command.spawn().unwrap();
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        match reqwest::get(&url).await {
            Ok(response) => response.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Whether it is the one to ask.
    pub(crate) async fn is_ready(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.port);
        reqwest::get(&url).await.is_ok_and(|response| response.status().is_success())
    }

    /// Ticks that are accounted for, of all lives.
    pub(crate) async fn received_in_all(&self) -> u64 {
        let url = format!("http://127.0.0.1:{}/health", self.port);
        let Ok(response) = reqwest::get(&url).await else { return 0 };
        let health: serde_json::Value = response.json().await.unwrap_or_default();
        health["records"]["received"].as_u64().unwrap_or(0)
    }

    /// User and system seconds so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        self.mib("VmRSS")
    }

    /// The most that was ever resident.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.mib("VmHWM")
    }

    fn mib(&self, what: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok()).unwrap_or(0.0)
}

/// Rows that wait for any store.
pub(crate) fn queued(metrics: &str) -> f64 {
    let rows = |line: &str| line.strip_prefix("optibid_sinks_queue_rows{")?.rsplit(' ').next()?.parse::<f64>().ok();
    metrics.lines().filter_map(rows).sum()
}

pub(crate) fn market(rate: f64, start_ms: i64, stamp: bool) -> Generator {
    let zones = model::Zones::built_in();
    let names = ["PJM", "CAISO", "ERCOT", "NYISO", "MISO", "ISONE", "NSW1", "VIC1"];
    let zones_named = names.map(str::to_owned).to_vec();
    let simulation = Simulation { scenario: "calm".into(), rate, zones: zones_named, ..Simulation::default() };
    let mut settings = simulation.settings(start_ms, &zones).unwrap();
    settings.stamp_published = stamp;
    Generator::new(settings, &zones).unwrap()
}

pub(crate) async fn send(
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

/// Milliseconds from a tick handed to the producer to its price on a WebSocket, sorted; and MiB resident, every 10 s.
pub(crate) struct Probes {
    pub(crate) latencies: Vec<f64>,
    pub(crate) resident: Vec<f64>,
}

/// The value that this share is not above.
pub(crate) fn share(sorted: &[f64], share: f64) -> f64 {
    sorted.get(((sorted.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(f64::NAN)
}

/// A tick every 10 ms in a zone of its own, while `rate` ticks/s flow in other zones.
pub(crate) async fn probe(program: &Program, prefix: &str, rate: f64, lasts: Duration) -> Probes {
    let url = format!("ws://127.0.0.1:{}/api/ws/ws/market/spp", program.port);
    let mut socket = loop {
        match tokio_tungstenite::connect_async(&url).await {
            Ok((socket, _)) => break socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let load = tokio::spawn({
        let prefix = prefix.to_owned();
        async move { send(&prefix, market(rate, now_ms, false), None, Speed::Times(1.0), stopped).await }
    });
    // The price is the probe's number, so its frame can be told.
    let (sent, mut arrived) = (std::sync::Arc::new(std::sync::Mutex::new(Vec::new())), Vec::new());
    let probes = tokio::spawn({
        let (sent, prefix) = (sent.clone(), prefix.to_owned());
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
    while started.elapsed() < lasts {
        if started.elapsed() >= next {
            resident.push(program.resident_mib());
            next += Duration::from_secs(10);
        }
        let Ok(message) = tokio::time::timeout(Duration::from_secs(1), socket.next()).await else { continue };
        let Message::Text(text) = message.expect("the socket stays open").unwrap() else { continue };
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
    let all = (arrived.len(), sent.lock().unwrap().len());
    let mut latencies = arrived.split_off(arrived.len().min(500));
    assert!(!latencies.is_empty(), "of {} probes {} arrived", all.1, all.0);
    latencies.sort_by(f64::total_cmp);
    Probes { latencies, resident }
}
