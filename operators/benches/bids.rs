//! In-engine speed of the market of bids: generated bid events through the whole graph, no I/O. `cargo bench --workspace --bench bids`.
//!
//! A quarter-hour day of one zone, 96 intervals, 1,000,000 live bids of one step, before the gate. First the book is filled; then
//! bids are amended (8 of 10 events), withdrawn (1) and entered (1), each batch at its own T with the outputs waited for before
//! the next (no pipelining): live bids, clearing of every interval touched, and key figures. What changed is counted in
//! `changes`. Arguments: number of events a line (default 300,000), number of live bids.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench measures time and prints")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::bid::{BidKind, BidStatus, Side, Step};
use model::{BidEvent, LocationId, Market, PartitionId, SeriesKey, T, Zones};
use operators::{Config, Inputs, build};
use support::count;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::{InputHandle, ProbeHandle};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ZONE: &str = "MIBEL-ES";
const INTERVALS: u64 = 96;
const INTERVAL_MS: i64 = 900_000;
/// 2026-03-02T23:00:00Z, where a day of delivery begins; bids come the evening before its gate.
const DAY_MS: i64 = 1_772_492_400_000;
const START_MS: u64 = DAY_MS as u64 - 30 * 3_600_000;
const FILL: u64 = 20_000;

fn main() -> Result<(), String> {
    let numbers = support::numbers()?;
    let number = |at: usize, otherwise| numbers.get(at).copied().unwrap_or(otherwise);
    let (events, bids) = (number(0, 300_000), number(1, 1_000_000).max(INTERVALS));
    println!("{bids} live bids of one step, {INTERVALS} intervals, {events} events a line, one worker");
    let totals = Arc::new(AtomicU64::new(0));
    let into = Arc::clone(&totals);
    timely::execute_directly(move |worker| {
        let zones = Zones::built_in();
        let config = Config { tick_rows: false, ..Config::default() };
        let (mut ticks, mut meters, mut rules) = (InputHandle::new(), InputHandle::new(), InputHandle::new());
        let mut input = InputHandle::<T, CapacityContainerBuilder<Vec<BidEvent>>>::new();
        let probe = ProbeHandle::new();
        worker.dataflow::<T, _, _>(|scope| {
            let (ticks, meters, rules) = (ticks.to_stream(scope), meters.to_stream(scope), rules.to_stream(scope));
            let bids = input.to_stream(scope);
            let out = build(&config, &zones, Inputs { ticks, bids, meters, rules, durable: None });
            count(out.bids.inner, &into, &probe);
            count(out.clearing.inner, &into, &probe);
            count(out.awards.inner, &into, &probe);
            count(out.bid_kpis.inner, &into, &probe);
        });
        let mut market = Generator::new(zones.get(ZONE).expect("a built-in zone").index());
        let (before, mut t) = (resident_bytes(), START_MS);
        let mut run = |events: u64, batch: u64, make: &mut dyn FnMut(T) -> BidEvent| {
            let (start, mut making) = (Instant::now(), 0.0);
            totals.store(0, Ordering::Relaxed);
            for _ in 0..events / batch {
                t += 50;
                let from = Instant::now();
                let mut records: Vec<BidEvent> = (0..batch).map(|_| make(t)).collect();
                making += from.elapsed().as_secs_f64();
                ticks.advance_to(t);
                meters.advance_to(t);
                rules.advance_to(t);
                input.advance_to(t);
                input.send_batch(&mut records);
                ticks.advance_to(t + 1);
                meters.advance_to(t + 1);
                rules.advance_to(t + 1);
                input.advance_to(t + 1);
                worker.step_or_park_while(None, || probe.less_than(&(t + 1)));
            }
            let done = (events / batch * batch) as f64;
            (done / (start.elapsed().as_secs_f64() - making), totals.load(Ordering::Relaxed))
        };
        let fill = run(bids, FILL.min(bids), &mut |t| market.enter(t));
        let steps = market.live;
        let bytes = resident_bytes().saturating_sub(before);
        println!("{:>8} {:>9} {:>20} {:>10}", "what", "events a T", "events/s on a core", "changes");
        println!("{:>8} {:>9} {:>20.0} {:>10}", "fill", FILL.min(bids), fill.0, fill.1);
        for batch in [100, 1_000, 10_000] {
            let mixed = run(events, batch, &mut |t| market.event(t));
            println!("{:>8} {batch:>9} {:>20.0} {:>10}", "mixed", mixed.0, mixed.1);
        }
        println!(
            "resident: {} bytes a live step after the fill ({} MiB for {steps} steps); state of the key figures: {} bytes a key",
            bytes / steps.max(1),
            bytes >> 20,
            operators::bid_kpis::BYTES_PER_KEY
        );
    });
    Ok(())
}

/// Bids to buy and to sell in every interval, at prices that cross.
struct Generator {
    series: SeriesKey,
    /// Revision of each bid; `None` once it is withdrawn.
    revisions: Vec<Option<i64>>,
    live: u64,
    random: u64,
    offset: i64,
}

impl Generator {
    fn new(location: LocationId) -> Self {
        let series = SeriesKey { location, market: Market::DayAhead15Min };
        Self { series, revisions: Vec::new(), live: 0, random: 0x9e37_79b9_7f4a_7c15, offset: 0 }
    }

    fn dice(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 8
    }

    /// A new bid.
    fn enter(&mut self, t: T) -> BidEvent {
        self.revisions.push(Some(0));
        self.live += 1;
        self.say(self.revisions.len() - 1, 0, BidStatus::Submitted, t)
    }

    /// Eight of ten are amended, one is withdrawn, one is new.
    fn event(&mut self, t: T) -> BidEvent {
        let dice = self.dice() % 10;
        if dice == 0 {
            return self.enter(t);
        }
        let number = loop {
            let number = self.dice() as usize % self.revisions.len();
            if self.revisions[number].is_some() {
                break number;
            }
        };
        let revision = self.revisions[number].unwrap_or(0) + 1;
        if dice == 1 {
            self.revisions[number] = None;
            self.live -= 1;
            return self.say(number, revision, BidStatus::Withdrawn, t);
        }
        self.revisions[number] = Some(revision);
        self.say(number, revision, BidStatus::Amended, t)
    }

    fn say(&mut self, number: usize, revision: i64, status: BidStatus, t: T) -> BidEvent {
        self.offset += 1;
        let start_ms = DAY_MS + (number as u64 % INTERVALS) as i64 * INTERVAL_MS;
        let (price_cents, power) = ((self.dice() % 10_000) as i64, (self.dice() % 100) as i64 + 1);
        BidEvent {
            bid: format!("bid-{number}"),
            revision,
            status,
            organisation: format!("org-{}", number / INTERVALS as usize % 50),
            asset: None,
            series: self.series,
            delivery_ms: start_ms,
            duration_ms: INTERVAL_MS as u32,
            side: if (number / INTERVALS as usize).is_multiple_of(2) { Side::Sell } else { Side::Buy },
            kind: BidKind::Curve,
            steps: vec![Step::flat(start_ms, price_cents * 10_000, power * 100)],
            event_ms: t as i64,
            partition: PartitionId::default(),
            offset: self.offset,
        }
    }
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}
