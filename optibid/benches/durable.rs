//! What durability costs, and how long a restart takes. `make bench` starts the servers and runs it.
//!
//! * cost: the same million ticks through the dataflow and into the history, with and without checkpoints, in turns.
//! * latency: tick produced → WebSocket frame, with and without bindings in the log, in turns.
//! * takeover: `kill -9` of the instance that leads, until the one that stands by answers with what is current, in turns.
//! * recovery: a state of ten million bars (`OPTIBID_BENCH_BARS`), made by the program itself from ticks of 7,000 series;
//!   then more ticks wait, the program is killed, and the clock runs until it has read them all.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a bench measures and prints")]

mod support;

use std::time::{Duration, Instant};

use model::wire::json::Timestamp;
use model::wire::{TopicKind, WireTick};
use simulator::{Producer, Speed, producer};
use support::{Probes, Program, market, probe, send, server, share, value};

const RECORDS: u64 = 1_000_000;
const PAIRS: usize = 3;
const RECEIVED: &str = "optibid_pipeline_ticks_total{disposition=\"received\"}";
const DURABLE: &str = "checkpoint.enabled=true";

/// The value in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Waits until the program has accounted for so many ticks.
async fn received(program: &Program, ticks: f64) -> String {
    loop {
        let metrics = program.metrics().await;
        if value(&metrics, RECEIVED) >= ticks {
            return metrics;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ticks a second, and checkpoints written.
async fn throughput(turn: usize, durable: bool) -> (f64, f64) {
    let prefix = format!("cost{}x{turn}{durable}", std::process::id());
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let start_ms = model::time::parse_instant("2026-03-03T09:00:00Z").unwrap();
    let ticks = send(&prefix, market(5_000.0, start_ms, true), Some(RECORDS), Speed::Max, stop).await as f64;
    // A checkpoint every 10 s of the market's time, which passes tens of times faster than the wall's.
    let more = [format!("checkpoint.enabled={durable}"), "checkpoint.interval=10s".to_owned()];
    let program = Program::start(&prefix, "event", false, &[&more[0], &more[1], "sinks.history.roll_interval=200ms"]);
    received(&program, 1.0).await;
    let started = Instant::now();
    let metrics = received(&program, ticks).await;
    let checkpoints = value(&metrics, "optibid_pipeline_checkpoint_seconds_count");
    (ticks / started.elapsed().as_secs_f64(), checkpoints)
}

async fn cost() {
    let (mut with, mut without, mut checkpoints) = (Vec::new(), Vec::new(), 0.0);
    for turn in 0..PAIRS {
        without.push(throughput(turn, false).await.0);
        let (rate, count) = throughput(turn, true).await;
        with.push(rate);
        checkpoints += count;
    }
    let (with, without) = (median(with), median(without));
    println!(
        "checkpoints: {without:.0} ticks/s without, {with:.0} with ({:.0} checkpoints a run): {:.1} % slower; medians of {PAIRS} runs each, in turns",
        checkpoints / PAIRS as f64,
        (1.0 - with / without) * 100.0
    );
}

async fn latency() {
    const RATE: f64 = 2_000.0;
    let lasts = Duration::from_secs(30);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for turn in 0..PAIRS {
        for (durable, all) in [(false, &mut without), (true, &mut with)] {
            let prefix = format!("bindings{}x{turn}{durable}", std::process::id());
            let program = Program::start(&prefix, "wall", false, &[&format!("checkpoint.enabled={durable}")]);
            let Probes { latencies, .. } = probe(&program, &prefix, RATE, lasts).await;
            all.push((share(&latencies, 0.5), share(&latencies, 0.99)));
        }
    }
    let of = |all: &[(f64, f64)], pick: fn(&(f64, f64)) -> f64| median(all.iter().map(pick).collect());
    let (p50, p99) = (|all: &[(f64, f64)]| of(all, |pair| pair.0), |all: &[(f64, f64)]| of(all, |pair| pair.1));
    println!(
        "bindings: tick → frame at {RATE:.0} ticks/s: p50 {:.1} ms, p99 {:.1} ms without; p50 {:.1} ms, p99 {:.1} ms with: {:.1} ms more at p50, {:.1} ms at p99; medians of {PAIRS} turns of {} s",
        p50(&without),
        p99(&without),
        p50(&with),
        p99(&with),
        p50(&with) - p50(&without),
        p99(&with) - p99(&without),
        lasts.as_secs()
    );
}

async fn takeover() {
    const RATE: f64 = 2_000.0;
    let mut all = Vec::new();
    for turn in 0..PAIRS {
        let prefix = format!("takeover{}x{turn}", std::process::id());
        let sets = [DURABLE, "checkpoint.interval=5s"];
        let mut leader = Program::start(&prefix, "wall", false, &sets);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let now_ms = i64::try_from(pipeline::clock::wall_ms()).unwrap();
        let load = tokio::spawn({
            let prefix = prefix.clone();
            async move { send(&prefix, market(RATE, now_ms, false), None, Speed::Times(1.0), stopped).await }
        });
        while value(&leader.metrics().await, "optibid_pipeline_checkpoint_t") == 0.0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let standby = Program::start(&prefix, "wall", false, &[&sets[..], &["pipeline.standby.enabled=true"]].concat());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(leader.is_ready().await && !standby.is_ready().await);
        leader.kill();
        let killed = Instant::now();
        while !standby.is_ready().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        all.push(killed.elapsed().as_secs_f64());
        stop.send_replace(true);
        load.await.unwrap();
    }
    println!(
        "takeover: at {RATE:.0} ticks/s, kill -9 → the standby leads and is current: median {:.2} s of {all:.2?} (1.5 s of it patience)",
        median(all.clone())
    );
}

/// One tick a minute of each of `series` locations over eight zones.
struct Many {
    producer: Producer,
    series: Vec<(String, String, String)>,
    start_ms: i64,
}

impl Many {
    fn new(prefix: &str, series: usize, start_ms: i64) -> Self {
        const ZONES: [&str; 8] = ["PJM", "CAISO", "ERCOT", "NYISO", "MISO", "ISONE", "NSW1", "VIC1"];
        let producer = Producer::new(&producer::Options::new(&server("KAFKA"), prefix)).unwrap();
        let series = (0..series)
            .map(|n| {
                let zone = ZONES[n % ZONES.len()];
                (zone.to_owned(), format!("NODE{n:05}"), producer.topic(TopicKind::Ticks, zone))
            })
            .collect();
        Self { producer, series, start_ms }
    }

    /// Sends minutes; returns the ticks.
    async fn send(&self, minutes: std::ops::Range<i64>) -> u64 {
        let before = self.producer.stats().sent;
        for minute in minutes {
            for (n, (zone, location, topic)) in self.series.iter().enumerate() {
                let at = self.start_ms + minute * 60_000 + n as i64 * 60_000 / self.series.len() as i64;
                let mut tick = WireTick::minimal(zone, at, 30.0 + (minute * 31 + n as i64) as f64 % 50.0, 1.0);
                tick.location = Some(location.clone());
                tick.published = Some(Timestamp::Millis(at));
                self.producer.send(topic, location, &tick.to_json()).await.unwrap();
            }
        }
        self.producer.flush(Duration::from_secs(600)).await.unwrap();
        self.producer.stats().sent - before
    }
}

async fn recovery() {
    const SERIES: usize = 7_000;
    /// Ticks that wait when the program begins again.
    const WAITING_MINUTES: i64 = 60;
    let bars = std::env::var("OPTIBID_BENCH_BARS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_000.0);
    // Each minute bar has its part in wider ones: 1 + 1/5 + 1/15 + 1/60 + 1/1440.
    let minutes = (bars / (SERIES as f64 * 1.284)).ceil() as i64;
    let prefix = format!("recovery{}", std::process::id());
    let start_ms = model::time::parse_instant("2026-03-03T00:00:00Z").unwrap();
    let many = Many::new(&prefix, SERIES, start_ms);
    let mut ticks = many.send(0..minutes).await;
    let more = [
        DURABLE,
        "checkpoint.interval=10m",
        "operators.bars.correction_horizon=15m",
        "operators.tick_rows=false",
        "sinks.history.roll_interval=200ms",
    ];
    let mut program = Program::start(&prefix, "event", false, &more);
    received(&program, 1.0).await;
    let started = Instant::now();
    received(&program, ticks as f64).await;
    let making = started.elapsed().as_secs_f64();
    // The last checkpoint is being written.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (steady, peak) = (program.resident_mib(), program.peak_mib());
    println!(
        "recovery: state made from {ticks} ticks of {SERIES} series in {making:.0} s = {:.0} ticks/s; {steady:.0} MiB resident, {peak:.0} MiB at most",
        ticks as f64 / making
    );
    program.kill();
    ticks += many.send(minutes..minutes + WAITING_MINUTES).await;
    let begun = Instant::now();
    program.restart();
    let (mut answers, mut says) = (f64::NAN, f64::NAN);
    let again = loop {
        let metrics = program.metrics().await;
        let again = value(&metrics, RECEIVED);
        if answers.is_nan() && !metrics.is_empty() {
            answers = begun.elapsed().as_secs_f64();
        }
        if says.is_nan() && again > 0.0 {
            says = begun.elapsed().as_secs_f64();
        }
        if again > 0.0 && program.received_in_all().await >= ticks {
            break again;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let all = begun.elapsed().as_secs_f64();
    println!(
        "recovery: after kill -9: answers after {answers:.1} s, first moment after {says:.1} s, caught up after {all:.1} s ({again:.0} ticks since the checkpoint, {:.0} ticks/s); {:.0} MiB at most, {:.2} × before",
        again / (all - says),
        program.peak_mib(),
        program.peak_mib() / steady
    );
}

#[tokio::main]
async fn main() {
    // `cargo bench --bench durable -- recovery` runs one of them.
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.starts_with("--") || wanted == name;
    if is_wanted("cost") {
        cost().await;
    }
    if is_wanted("latency") {
        latency().await;
    }
    if is_wanted("takeover") {
        takeover().await;
    }
    if is_wanted("recovery") {
        recovery().await;
    }
}
