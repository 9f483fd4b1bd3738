//! How the search holds up on other days: the Iberian book with demand and complex orders moved at random, and with
//! the complex orders doubled and tripled. Prints nodes, gap and time per day.
//!
//! `cargo run -p auction --example stress [FOLDER] [NODE BUDGET]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints and reads clocks")]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clearing::{Day, Kind, Order, OrderId, Refusal, Side};
use support::Orders;

struct Random(u64);

impl Random {
    /// About `value`, ± `percent`.
    fn about(&mut self, value: i64, percent: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = i64::try_from((self.0 >> 33) % (20 * percent + 1)).expect("small")
            - i64::try_from(10 * percent).expect("small");
        value + value / 1_000 * part
    }
}

/// The orders moved, complex ones so many times. Flows decided elsewhere stay as they are.
fn moved(orders: &Orders, random: &mut Random, copies: u64) -> Orders {
    let mut all = Vec::new();
    let demand = random.about(1_000_000, 12);
    for order in &orders.orders {
        if orders.flows.contains(&order.id) {
            all.push(order.clone());
            continue;
        }
        for copy in 0..if order.is_complex() { copies } else { 1 } {
            let mut order = order.clone();
            move_one(&mut order, demand, random);
            // Numbers are hashes: these are free, and the same in every run.
            order.id = OrderId(order.id.0.wrapping_add(copy));
            if let Kind::Block(block) = &mut order.kind {
                block.exclusive_group = block.exclusive_group.map(|group| group.wrapping_add(copy));
            }
            all.push(order);
        }
    }
    Orders { orders: all, ..orders.clone() }
}

fn move_one(order: &mut Order, demand: i64, random: &mut Random) {
    let is_complex = order.is_complex();
    match &mut order.kind {
        Kind::Steps(steps, income) => {
            for step in steps.iter_mut() {
                if order.side == Side::Buy {
                    step.power = (step.power * demand / 1_000_000).max(1);
                } else if is_complex && step.price > 10_000_000 {
                    step.price = random.about(step.price, 4);
                }
            }
            if let Some(income) = income {
                income.fixed = random.about(income.fixed, 15);
            }
        }
        Kind::Block(block) => block.price = random.about(block.price, 15),
        Kind::Linear(_) => {}
    }
}

/// One plain order changes in one hour: its component is searched again, 23 of 24 tables are kept.
fn change_one(day: &mut Day, orders: &Orders) -> Result<Duration, Refusal> {
    let mut plain = orders.orders.iter().filter(|order| !order.is_complex() && !orders.flows.contains(&order.id));
    let mut order = plain.next().expect("plain orders").clone();
    if let Kind::Steps(steps, _) = &mut order.kind {
        steps.truncate(1);
    }
    day.withdraw(order.id)?;
    day.clear();
    day.put(order)?;
    let started = Instant::now();
    day.clear();
    Ok(started.elapsed())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("../shared/data/omie".into()));
    let mut orders = Orders::read(&folder);
    if let Some(budget) = std::env::args().nth(2) {
        orders.config.node_budget = budget.parse()?;
    }
    let mut random = Random(11);
    for copies in [1, 2, 3] {
        let mut times = Vec::new();
        for day_number in 0..20 {
            let orders = moved(&orders, &mut random, copies);
            let mut day = orders.day();
            let started = Instant::now();
            day.clear();
            let took = started.elapsed();
            let component =
                day.components().max_by_key(|component| component.intervals.len()).expect("complex orders").clone();
            let gap = (component.bound - component.welfare) as f64 / 1e6;
            let again = change_one(&mut day, &orders)?;
            println!(
                "complex x{copies} day {day_number:>2}: {:>3} accepted, {:>6} nodes, gap {gap:>9.2} EUR, {:>7.0} ms, one change {:>6.0} ms",
                component.accepted.len(),
                component.nodes,
                took.as_secs_f64() * 1e3,
                again.as_secs_f64() * 1e3
            );
            times.push(took);
        }
        times.sort_unstable();
        println!("complex x{copies}: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
    }
    Ok(())
}
