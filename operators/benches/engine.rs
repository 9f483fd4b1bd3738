//! In-engine speed: generated ticks through the operators, no I/O. `cargo bench -p operators`.
//!
//! 20 zones, 5 s disorder, each batch at its own T with the outputs waited for before the next (no pipelining), so
//! that a figure is what a live pipeline can sustain at that batch size. `bars` is OHLCV and VWAP a minute with a
//! checksum, to stand beside other engines; `graph` is everything: bars, roll-ups, key figures, alerts, correlations.
//! The event clock runs at `TICKS_PER_SECOND`. Arguments: number of ticks a line (default 2,000,000).
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench measures time and prints")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use differential_dataflow::VecCollection;
use model::{Bar, BarRow, Market, PartitionId, T, Tick, Zones};
use operators::bars::Minutes;
use operators::{Config, Inputs, build};
use support::count;
use timely::dataflow::operators::{Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};

const TICKS_PER_SECOND: u64 = 20_000;
const DISORDER_MS: u64 = 5_000;
const START_MS: u64 = 1_760_000_000_000;

#[derive(Clone, Copy, PartialEq)]
enum What {
    Bars,
    Graph,
}

fn main() -> Result<(), String> {
    let ticks = support::numbers()?.first().copied().unwrap_or(2_000_000);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{ticks} ticks a line, 20 zones, {DISORDER_MS} ms disorder, {TICKS_PER_SECOND} ticks/s of event time; {cores} cores"
    );
    println!(
        "{:>6} {:>7} {:>7} {:>12} {:>14} {:>9} {:>16}",
        "what", "workers", "batch", "ticks/s", "µs CPU/tick", "changes", "checksum"
    );
    for what in [What::Bars, What::Graph] {
        for workers in [1, 2] {
            for batch in [100, 1_000, 10_000] {
                line(what, workers, batch, ticks);
            }
        }
    }
    state_size();
    Ok(())
}

fn line(what: What, workers: usize, batch: u64, ticks: u64) {
    let (changes, checksum) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicI64::new(0)));
    let totals = (changes.clone(), checksum.clone());
    let cpu = cpu_seconds();
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let zones = Zones::built_in();
        let config = Config { tick_rows: false, ..Config::default() };
        let mut input = InputHandle::new();
        let (mut bids, mut meters, mut rules) = (InputHandle::new(), InputHandle::new(), InputHandle::new());
        let probe = ProbeHandle::new();
        worker.dataflow::<T, _, _>(|scope| {
            let ticks = input.to_stream(scope);
            let (bids, meters, rules) = (bids.to_stream(scope), meters.to_stream(scope), rules.to_stream(scope));
            match what {
                What::Bars => sum_bars(operators::bars::bars(&config, ticks, None).bars, &totals, &probe),
                What::Graph => {
                    let out = build(&config, &zones, Inputs { ticks, bids, meters, rules, durable: None });
                    sum_bars(out.bars, &totals, &probe);
                    count(out.kpis.inner, &totals.0, &probe);
                    count(out.anomalies.inner, &totals.0, &probe);
                    count(out.correlations.inner, &totals.0, &probe);
                    count(out.counts, &totals.0, &probe);
                }
            }
        });
        let mut made = Generator::new(&zones, worker.index(), worker.peers());
        let start = Instant::now();
        let mut making = 0.0;
        for number in 0..ticks / batch {
            let t = START_MS + (number + 1) * batch * 1000 / TICKS_PER_SECOND;
            let from = Instant::now();
            let mut records = made.batch(t, batch);
            making += from.elapsed().as_secs_f64();
            input.advance_to(t);
            bids.advance_to(t);
            meters.advance_to(t);
            rules.advance_to(t);
            input.send_batch(&mut records);
            input.advance_to(t + 1);
            bids.advance_to(t + 1);
            meters.advance_to(t + 1);
            rules.advance_to(t + 1);
            worker.step_or_park_while(None, || probe.less_than(&(t + 1)));
        }
        start.elapsed().as_secs_f64() - making
    });
    let seconds = guards.expect("timely starts").join().into_iter().map(|time| time.expect("a worker ends well"));
    let seconds = seconds.fold(0.0, f64::max);
    println!(
        "{:>6} {workers:>7} {batch:>7} {:>12.0} {:>14.3} {:>9} {:>16x}",
        if what == What::Bars { "bars" } else { "graph" },
        ticks as f64 / seconds,
        (cpu_seconds() - cpu) * 1e6 / ticks as f64,
        changes.load(Ordering::Relaxed),
        checksum.load(Ordering::Relaxed)
    );
}

type Totals = (Arc<AtomicU64>, Arc<AtomicI64>);

/// Counts bar changes and sums up open, high, low, close, volume and VWAP of the minute bars that stand.
fn sum_bars(bars: VecCollection<'_, T, BarRow, isize>, totals: &Totals, probe: &ProbeHandle<T>) {
    let totals = totals.clone();
    bars.inner
        .inspect_core(move |event| {
            let Ok((_, rows)) = event else { return };
            totals.0.fetch_add(rows.len() as u64, Ordering::Relaxed);
            let minutes = rows.iter().filter(|(row, _, _)| row.key.granularity == model::time::Granularity::M1);
            let sum =
                minutes.fold(0_i64, |sum, (row, _, diff)| sum.wrapping_add(digest(row).wrapping_mul(*diff as i64)));
            totals.1.fetch_add(sum, Ordering::Relaxed);
        })
        .probe_with(probe);
}

fn digest(row: &BarRow) -> i64 {
    let Bar { open, high, low, close, sum_volume_kwh, .. } = row.bar;
    let parts = [open, high, low, close, sum_volume_kwh, row.bar.vwap().unwrap_or(0), row.key.start_ms];
    parts.into_iter().fold(row.key.series.location.0 as i64, |sum, part| sum.wrapping_mul(31).wrapping_add(part))
}

/// Random walks in 20 zones. Every worker makes its share: the same ticks whatever the number of workers.
struct Generator {
    ticks: Vec<Tick>,
    random: u64,
    made: u64,
    index: u64,
    peers: u64,
}

impl Generator {
    fn new(zones: &Zones, index: usize, peers: usize) -> Self {
        let tick = |zone: &Arc<model::Zone>| Tick {
            location: zone.index(),
            market: Market::Continuous,
            event_ms: 0,
            duration_ms: 0,
            price_micros: 40_000_000,
            volume_kwh: 0,
            id: 0,
            revision: 0,
            cancelled: false,
            partition: PartitionId::new(&zone.code, 0),
            offset: 0,
            extra: None,
        };
        let ticks = zones.iter().take(20).map(tick).collect();
        Self { ticks, random: 0x9e37_79b9_7f4a_7c15, made: 0, index: index as u64, peers: peers as u64 }
    }

    fn batch(&mut self, t: T, count: u64) -> Vec<Tick> {
        let mut records = Vec::with_capacity((count / self.peers + 1) as usize);
        for _ in 0..count {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let random = self.random;
            let zone = (random >> 8) as usize % self.ticks.len();
            let tick = &mut self.ticks[zone];
            tick.price_micros += ((random >> 20) % 2_001) as i64 * 100 - 100_000;
            tick.volume_kwh = ((random >> 40) % 1_000) as i64;
            tick.event_ms = (t - (random >> 50) % DISORDER_MS) as i64;
            tick.offset += 1;
            tick.id = random;
            self.made += 1;
            if zone as u64 % self.peers == self.index {
                records.push(tick.clone());
            }
        }
        records
    }
}

/// Bytes of the bars operator's own state per tick and per bar, with the default horizon.
fn state_size() {
    let zones = Zones::built_in();
    let mut made = Generator::new(&zones, 0, 1);
    made.ticks.truncate(1);
    let mut minutes = Minutes::default();
    let (per_minute, open) = (1_000_u64, 16_u64);
    let mut bars = 0_u64;
    for minute in 0..3 * open {
        let t = START_MS / 60_000 * 60_000 + (minute + 1) * 60_000;
        for tick in made.batch(t, per_minute) {
            minutes.apply(&tick);
        }
        minutes.tell(|_, old, new| bars += u64::from(old.is_none() && new.is_some()));
        minutes.seal((t - open * 60_000) as i64);
    }
    let ticks = per_minute * open;
    let bytes = minutes.bytes() as u64;
    println!(
        "state of one tick stream with {ticks} open ticks in {open} minutes: {bytes} bytes, {} a tick, {} an open bar; sealed bars: 0",
        bytes / ticks,
        bytes / open
    );
    let windows = 1440 * operators::kpi::BYTES_PER_MINUTE;
    println!(
        "state of its key figures: {windows} bytes for a day of minutes, {} a bar",
        operators::kpi::BYTES_PER_MINUTE
    );
}

/// CPU time of this process, user and system, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
