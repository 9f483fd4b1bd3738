//! One change against a 66,630-step book, then the new clearing price: p50, p99 and bytes per step. Then a whole day of two
//! coupled zones with blocks and minimum-income orders: cleared from nothing, and again after a change in every hour.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a bench measures and prints")]

use std::time::Instant;

use clearing::{Block, Config, Day, Kind, MinimumIncome, Order, OrderId, Side, Step, Variable};

const STEPS: u64 = 66_630;
const CHANGES: usize = 200_000;
const HOURS: u16 = 24;
/// As many complex orders as the Iberian day of 2025-06-21 has, and twice and four times as many.
const COMPLEX: [u64; 3] = [46, 92, 184];
const DAYS: usize = 15;

/// A small fixed generator: the same book and changes on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn order(random: &mut Random, id: u64) -> Order {
    let side = if random.below(3) == 0 { Side::Buy } else { Side::Sell };
    // ticks of 0.01 EUR from -20 to 300: about 28,000 levels, some crowded as round prices are
    let tick = if random.below(5) == 0 { random.below(320) * 100 } else { random.below(32_000) };
    let price = (i64::try_from(tick).expect("small") - 2_000) * 10_000;
    let power = i64::try_from(random.below(5_000) + 1).expect("small") * 100;
    let step = Step { interval: 0, price, power, min_power: 0 };
    Order { id: OrderId(id), zone: 0, side, kind: Kind::Steps(vec![step], None) }
}

/// A plain order of one step in an hour of either zone.
fn in_hour(random: &mut Random, id: u64, hour: u16) -> Order {
    let mut order = order(random, id);
    order.zone = u8::from(random.below(4) == 0);
    if let Kind::Steps(steps, _) = &mut order.kind {
        steps[0].interval = hour;
        steps[0].power /= 100;
    }
    order
}

/// A block of some hours (all or nothing; a third linked to the one before, a third in a group of three), or a unit with a
/// start to pay for, a technical minimum and two steps, for the whole day; at prices around those that clear.
fn complex(random: &mut Random, id: u64) -> Order {
    let euro = |random: &mut Random, from: u64, range: u64| {
        i64::try_from(from + random.below(range)).expect("small") * 1_000_000
    };
    let power = i64::try_from(random.below(300) + 20).expect("small") * 1_000;
    let kind = if id.is_multiple_of(2) {
        let first = u16::try_from(random.below(18)).expect("an hour");
        let last = first + 2 + u16::try_from(random.below(4)).expect("some hours");
        Kind::Block(Block {
            periods: (first..=last).map(|hour| (hour, power)).collect(),
            price: euro(random, 70, 60),
            min_acceptance_ratio: 1_000_000,
            exclusive_group: id.is_multiple_of(3).then_some(id / 18),
            parent: (id % 3 == 1).then(|| OrderId(id - 2)),
        })
    } else {
        let price = euro(random, 60, 60);
        let steps = (0..HOURS).flat_map(|interval| {
            let minimum = Step { interval, price: 0, power: power / 3, min_power: power / 3 };
            [minimum, Step { interval, price, power, min_power: 0 }]
        });
        let start = price / 1_000 * (power / 3) * i64::from(HOURS);
        let income = MinimumIncome { fixed: start, variable: Variable::StepPrices };
        Kind::Steps(steps.collect(), Some(income))
    };
    Order { id: OrderId(id), zone: u8::from(random.below(4) == 0), side: Side::Sell, kind }
}

/// Clears a day of 66,630 steps with this many complex orders, then again and again with a change in every hour.
fn whole_day(complex_orders: u64) -> Result<(), clearing::Refusal> {
    let mut random = Random(complex_orders);
    let mut day = Day::new(Config { zones: 2, ..Config::hours(HOURS) });
    for hour in 0..HOURS {
        day.set_capacity(hour, [2_000_000, 2_000_000]);
    }
    for id in 0..complex_orders {
        day.put(complex(&mut random, id))?;
    }
    let plain =
        |random: &mut Random, id: u64| in_hour(random, id, u16::try_from(id % u64::from(HOURS)).expect("an hour"));
    for id in complex_orders..STEPS {
        day.put(plain(&mut random, id))?;
    }
    let mut times = Vec::new();
    let (mut nodes, mut gap) = (0, 0_i128);
    for again in 0..=DAYS {
        let started = Instant::now();
        if again > 0 {
            for hour in 0..u64::from(HOURS) {
                let id =
                    complex_orders.next_multiple_of(u64::from(HOURS)) + hour + u64::from(HOURS) * random.below(1_000);
                day.put(plain(&mut random, id))?;
            }
        }
        let cleared = day.clear();
        times.push(started.elapsed().as_secs_f64() * 1e3);
        assert_eq!(cleared.len(), usize::from(HOURS), "every hour is cleared");
        nodes = nodes.max(day.components().map(|part| part.nodes).sum::<u64>());
        gap = gap.max(day.components().map(|part| part.bound - part.welfare).sum());
    }
    let accepted: usize = day.components().map(|part| part.accepted.len()).sum();
    let first = times.remove(0);
    times.sort_unstable_by(f64::total_cmp);
    println!(
        "whole day, {complex_orders:>3} complex orders ({accepted} accepted): first {first:.0} ms, again p50 {:.0} ms, worst {:.0} ms; at \
         most {nodes} nodes, welfare within {:.2} EUR of the bound",
        times[times.len() / 2],
        times[times.len() - 1],
        gap as f64 / 1e6
    );
    Ok(())
}

/// Resident memory of this process, bytes (Linux).
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

fn main() -> Result<(), clearing::Refusal> {
    let mut random = Random(7);
    let mut day = Day::new(Config::hours(1));
    let before = resident();
    for id in 0..STEPS {
        day.put(order(&mut random, id))?;
    }
    day.clear();
    let merit = day.merit(0, 0);
    println!(
        "{} steps, {} levels, {:.1} bytes a step in the merit order",
        merit.step_count(),
        merit.level_count(),
        merit.bytes() as f64 / merit.step_count() as f64
    );
    println!(
        "{:.0} bytes a step resident, one order a step, orders included",
        (resident() - before) as f64 / STEPS as f64
    );
    let mut kinds = [const { Vec::new() }; 3];
    let (mut live, mut spare): (Vec<u64>, Vec<u64>) = ((0..STEPS).collect(), Vec::new());
    let mut priced = 0_i128;
    for _ in 0..CHANGES {
        let at = usize::try_from(random.below(live.len() as u64)).expect("an index");
        let (kind, id) = match (random.below(3), spare.pop()) {
            (0, Some(id)) => (0, id),
            (0, None) => (1, live[at]),
            (1, kept) => {
                spare.extend(kept);
                (1, live[at])
            }
            (_, kept) => {
                spare.extend(kept);
                (2, live.swap_remove(at))
            }
        };
        let change = order(&mut random, id);
        let started = Instant::now();
        if kind == 2 {
            day.withdraw(change.id)?;
        } else {
            day.put(change.clone())?;
        }
        day.clear();
        priced += i128::from(day.result(0).zones[0].price.unwrap_or(0));
        kinds[kind].push(started.elapsed().as_nanos());
        match kind {
            0 => live.push(id),
            2 => spare.push(id),
            _ => {}
        }
    }
    for (name, times) in ["insert", "amend", "withdraw"].iter().zip(&mut kinds) {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() * share / 1000).min(times.len() - 1)] as f64 / 1e3;
        println!(
            "{name:<8} {:>7} changes: p50 {:.2} us, p99 {:.2} us, p99.9 {:.2} us",
            times.len(),
            at(500),
            at(990),
            at(999)
        );
    }
    println!("checksum {priced}");
    COMPLEX.into_iter().try_for_each(whole_day)
}
