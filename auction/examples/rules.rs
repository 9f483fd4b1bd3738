//! What each rule about the Iberian book is worth: exact hours and mean absolute error on the twelve official prices of
//! Spain, and hours with the published flow to Portugal. The table in docs/adr/0008-clearing.md is this output.
//!
//! `cargo run -p auction --example rules [FOLDER]`

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints and reads clocks")]

mod support;

#[path = "../tests/it/published.rs"]
mod published;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clearing::{Gap, Interval, Kind, Order, Variable};
use support::Orders;

/// What is cleared, and what it is held against.
struct Files {
    orders: Orders,
    prices: Vec<(Interval, [i64; 2])>,
    flows: Vec<(Interval, i64)>,
}

/// Clears the changed orders, prints a line, gives back how many prices of Spain are exact.
fn score(files: &Files, name: &str, change: impl Fn(&mut Orders)) -> usize {
    let mut orders = files.orders.clone();
    change(&mut orders);
    let mut day = orders.day();
    let started = Instant::now();
    day.clear();
    let took = started.elapsed();
    let error =
        |(hour, [spain, _]): &(Interval, [i64; 2])| (day.result(*hour).zones[0].price.unwrap_or(0) - spain).abs();
    let errors: Vec<i64> = files.prices.iter().map(error).collect();
    let exact = errors.iter().filter(|error| **error <= 10_000).count();
    let mean = errors.iter().sum::<i64>() as f64 / 1e6 / errors.len() as f64;
    let flows = files.flows.iter().filter(|(hour, flow)| (day.result(*hour).flow - flow).abs() <= 100).count();
    let gap: i128 = day.components().map(|component| component.bound - component.welfare).sum();
    let nodes: u64 = day.components().map(|component| component.nodes).sum();
    println!(
        "| {name} | {exact} of {} | {mean:.2} | {flows} of {} | {nodes} | {:.2} | {:.0} |",
        errors.len(),
        files.flows.len(),
        gap as f64 / 1e6,
        took.as_secs_f64() * 1e3
    );
    exact
}

/// A copy of the folder in which the borders with Portugal (2) and France (3) have each other's code.
fn exchanged(folder: &Path) -> std::io::Result<tempfile::TempDir> {
    let copy = tempfile::tempdir()?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let mut bytes = fs::read(entry.path())?;
        if entry.file_name().to_string_lossy().starts_with("capacidad_inter") {
            for row in bytes.split_mut(|byte| *byte == b'\n') {
                if let Some([border]) = row.split_mut(|byte| *byte == b';').nth(2) {
                    *border = match *border {
                        b'2' => b'3',
                        b'3' => b'2',
                        other => other,
                    };
                }
            }
        }
        fs::write(copy.path().join(entry.file_name()), bytes)?;
    }
    Ok(copy)
}

fn is_plain(order: &Order) -> bool {
    !order.is_complex()
}

fn is_block(order: &Order) -> bool {
    matches!(order.kind, Kind::Block(_))
}

fn without_flows(orders: &mut Orders) {
    let flows = std::mem::take(&mut orders.flows);
    orders.orders.retain(|order| !flows.contains(&order.id));
}

/// Complex orders as if their steps were plain; blocks have none.
fn without_conditions(orders: &mut Orders) {
    orders.orders.retain(|order| !is_block(order));
    for order in &mut orders.orders {
        if let Kind::Steps(steps, income) = &mut order.kind {
            *income = None;
            steps.iter_mut().for_each(|step| step.min_power = 0);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("../shared/data/omie".into()));
    let files =
        Files { orders: Orders::read(&folder), prices: published::prices(&folder), flows: published::flows(&folder) };
    println!("| rule | exact | MAE EUR/MWh | flow | nodes | gap EUR | ms |\n|---|---|---|---|---|---|---|");
    score(&files, "simple orders alone, all steps of complex ones in, no flows", |orders| {
        without_flows(orders);
        without_conditions(orders);
    });
    score(&files, "simple orders alone, all steps of complex ones in, France as published", without_conditions);
    score(&files, "plain orders alone, France as published", |orders| orders.orders.retain(is_plain));
    score(&files, "+ blocks", |orders| orders.orders.retain(|order| is_plain(order) || is_block(order)));
    score(&files, "+ blocks, classic minimum income (income >= fixed term)", |orders| {
        orders.config.node_budget = 300;
        for order in &mut orders.orders {
            if let Kind::Steps(_, Some(income)) = &mut order.kind {
                income.variable = Variable::PerEnergy(0);
            }
        }
    });
    score(&files, "scalable, but a MAV without a fixed term decides per hour", |orders| {
        for order in &mut orders.orders {
            if let Kind::Steps(_, income) = &mut order.kind {
                *income = income.filter(|income| income.fixed > 0);
            }
        }
    });
    score(&files, "scalable, MAV ignored", |orders| {
        for order in &mut orders.orders {
            if let Kind::Steps(steps, _) = &mut order.kind {
                steps.iter_mut().for_each(|step| step.min_power = 0);
            }
        }
    });
    score(&files, "scalable, exclusive groups ignored", |orders| {
        for order in &mut orders.orders {
            if let Kind::Block(block) = &mut order.kind {
                block.exclusive_group = None;
            }
        }
    });
    score(&files, "scalable, no flow over the French border", without_flows);
    let other = Orders::read(exchanged(&folder)?.path());
    score(&files, "scalable, border 2 taken for France and 3 for Portugal", |orders| orders.clone_from(&other));
    score(&files, "scalable, one zone (no limit towards Portugal)", |orders| {
        orders.capacities.fill([99_000_000; 2]);
    });
    for (name, gap) in [("lower", Gap::Lower), ("upper", Gap::Upper)] {
        score(&files, &format!("scalable, gap rule {name}"), |orders| orders.config.rules.gap = gap);
    }
    let exact = score(&files, "**kept: scalable complex orders, blocks, groups, coupling, midpoint**", |_| {});
    assert_eq!(exact, 12);
    Ok(())
}
