//! One change against a 66,630-step book, then the new clearing price: p50, p99 and bytes per step.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a bench measures and prints")]

use std::time::Instant;

use clearing::{Config, Day, Kind, Order, OrderId, Side, Step};

const STEPS: u64 = 66_630;
const CHANGES: usize = 200_000;

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
    Ok(())
}
