//! The whole program against real servers: throughput, latency, memory. `make bench` starts the servers and runs it.
//!
//! * throughput: JSON ticks waiting on a real broker → dataflow → four real stores and the embedded history, until
//!   every store has written the last T; per second, and per second of the program's own CPU time (its "core").
//! * latency: a tick every 10 ms in a zone of its own, stamped when it is handed to the producer, until its price
//!   arrives on a WebSocket, while 20,000 ticks/s flow in other zones.
//! * memory: resident memory while that goes on (`OPTIBID_BENCH_MINUTES`, default 10), bars taking corrections for 2 min.
//!
//! The servers share the machine's cores with the program: read the figures as lower bounds.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a bench measures and prints")]

mod support;

use std::time::{Duration, Instant};

use simulator::Speed;
use support::{Probes, Program, market, probe, queued, send, share, value};

const RECORDS: u64 = 1_000_000;
const RATE: f64 = 20_000.0;

async fn throughput() {
    let prefix = format!("throughput{}", std::process::id());
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let start_ms = model::time::parse_instant("2026-03-03T09:00:00Z").unwrap();
    // Some of the records are bids.
    let ticks = send(&prefix, market(5_000.0, start_ms, true), Some(RECORDS), Speed::Max, stop).await as f64;
    let program = Program::start(&prefix, "event", true, &[]);
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
    // Ticks are kept until their minute is final: with two minutes for corrections the run is long after the first of them.
    let program = Program::start(&prefix, "wall", false, &["operators.bars.correction_horizon=2m"]);
    let Probes { latencies, resident } = probe(&program, &prefix, RATE, Duration::from_secs_f64(minutes * 60.0)).await;
    println!(
        "latency: tick produced → WebSocket frame at {RATE:.0} ticks/s, {} probes: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms",
        latencies.len(),
        share(&latencies, 0.5),
        share(&latencies, 0.99),
        share(&latencies, 0.999)
    );
    // Medians: merging files of the history takes a few hundred MiB for a moment.
    let (middle, last) = (resident.len() / 3, resident.len() * 2 / 3);
    let median = |of: &[f64]| {
        let mut sorted = of.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    };
    println!(
        "memory: median of the middle third of {minutes} minutes {:.0} MiB, of the last {:.0} MiB; at most {:.0} MiB",
        median(&resident[middle..last]),
        median(&resident[last..]),
        resident.iter().copied().fold(f64::NAN, f64::max)
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
