//! What each rule about the Iberian book is worth: exact hours and mean absolute error on the twelve official prices of
//! both zones, and hours with the published flow to Portugal. The table in NOTES.md is this output.
//!
//! `cargo run --release --example rules [FOLDER]`

use clearing::omie::{self, Border, PORTUGAL, SPAIN};
use clearing::{Day, Gap, Kind, MinimumIncome, Order, Variable};
use std::{fs, path::PathBuf, time::Instant};

struct Files {
    headers: Vec<omie::Header>,
    borders: Vec<Border>,
    official: Vec<omie::Official>,
    orders: Vec<Order>,
}

struct Score {
    exact: usize,
    error: f64,
    flows: usize,
}

fn score(files: &Files, name: &str, change: impl Fn(&mut Vec<Order>, &mut Vec<Border>, &mut Day)) -> Score {
    let mut day = Day::new(omie::config(24));
    let (mut orders, mut borders) = (files.orders.clone(), files.borders.clone());
    change(&mut orders, &mut borders, &mut day);
    for order in orders {
        day.put(order).expect("a valid order");
    }
    omie::set_borders(&mut day, &borders, &files.headers);
    let started = Instant::now();
    day.clear();
    let took = started.elapsed();
    let mut score = Score { exact: 0, error: 0.0, flows: 0 };
    for row in &files.official {
        for (zone, official) in [(SPAIN, row.spain), (PORTUGAL, row.portugal)] {
            let price = day.result(row.period - 1).zones[usize::from(zone)].price.unwrap_or(0);
            let error = (price - official).abs();
            if zone == SPAIN {
                score.exact += usize::from(error <= 10_000);
                score.error += error as f64 / 1e6 / files.official.len() as f64;
            }
        }
    }
    for row in files.borders.iter().filter(|row| row.border == 2) {
        score.flows += usize::from((day.result(row.period - 1).flow - row.import - row.export).abs() <= 100);
    }
    let gap: i128 = day.components().map(|component| component.bound - component.welfare).sum();
    let nodes: u64 = day.components().map(|component| component.nodes).sum();
    println!(
        "| {name} | {} of 12 | {:.2} | {} of 24 | {nodes} | {:.2} | {:.0} |",
        score.exact,
        score.error,
        score.flows,
        gap as f64 / 1e6,
        took.as_secs_f64() * 1e3
    );
    score
}

#[expect(clippy::too_many_lines, reason = "a report, read from top to bottom")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("../shared/data/omie".into()));
    let bytes = |name: &str| fs::read(folder.join(name));
    let headers = omie::headers(&bytes("CAB_20250621.1")?).rows;
    let details = omie::details(&bytes("DET_20250621.1")?, 24).rows;
    let zones = omie::zones(&bytes("participants_bidding_zones.csv")?);
    let files = Files {
        orders: omie::orders(&headers, &details, &zones),
        borders: omie::borders(&bytes("capacidad_inter_pbc_20250621.1")?).rows,
        official: omie::official(&bytes("marginalpdbc_20250621_hours_1_to_12.1")?).rows,
        headers,
    };
    println!("| rule | exact | MAE EUR/MWh | flow | nodes | gap EUR | ms |\n|---|---|---|---|---|---|---|");
    let plain = |order: &Order| !order.is_complex();
    let block = |order: &Order| matches!(order.kind, Kind::Block(_));
    let drop_borders = |borders: &mut Vec<Border>| borders.retain(|border| border.border == 2);
    score(&files, "simple orders alone, all steps of complex ones in, no flows", |orders, borders, _| {
        drop_borders(borders);
        orders.retain(|order| !block(order));
        for order in orders {
            if let Kind::Steps(steps, income) = &mut order.kind {
                *income = None;
                steps.iter_mut().for_each(|step| step.min_power = 0);
            }
        }
    });
    score(&files, "simple orders alone, all steps of complex ones in, France as published", |orders, _, _| {
        orders.retain(|order| !block(order));
        for order in orders {
            if let Kind::Steps(steps, income) = &mut order.kind {
                *income = None;
                steps.iter_mut().for_each(|step| step.min_power = 0);
            }
        }
    });
    score(&files, "plain orders alone, France as published", |orders, _, _| orders.retain(plain));
    score(&files, "+ blocks", |orders, _, _| orders.retain(|order| plain(order) || block(order)));
    let income = |variable: Variable| {
        move |orders: &mut Vec<Order>, _: &mut Vec<Border>, day: &mut Day| {
            let mut config = day.config().clone();
            config.node_budget = 300;
            *day = Day::new(config);
            for order in orders {
                if let Kind::Steps(_, Some(income)) = &mut order.kind {
                    *income = MinimumIncome { variable, ..*income };
                }
            }
        }
    };
    score(&files, "+ blocks, classic minimum income (income >= fixed term)", income(Variable::PerEnergy(0)));
    score(&files, "scalable, but a MAV without a fixed term decides per hour", |orders, _, _| {
        for order in orders {
            if let Kind::Steps(_, income) = &mut order.kind {
                *income = income.filter(|income| income.fixed > 0);
            }
        }
    });
    score(&files, "scalable, MAV ignored", |orders, _, _| {
        for order in orders {
            if let Kind::Steps(steps, _) = &mut order.kind {
                steps.iter_mut().for_each(|step| step.min_power = 0);
            }
        }
    });
    score(&files, "scalable, exclusive groups ignored", |orders, _, _| {
        for order in orders {
            if let Kind::Block(block) = &mut order.kind {
                block.exclusive_group = None;
            }
        }
    });
    score(&files, "scalable, no flow over the French border", |_, borders, _| drop_borders(borders));
    score(&files, "scalable, border 2 taken for France and 3 for Portugal", |_, borders, _| {
        for border in borders {
            border.border =
                [border.border, 3, 2][usize::from(border.border == 2) + 2 * usize::from(border.border == 3)];
        }
    });
    score(&files, "scalable, one zone (no limit towards Portugal)", |_, borders, _| {
        for border in borders.iter_mut().filter(|border| border.border == 2) {
            (border.import_capacity, border.export_capacity) = (-99_000_000, 99_000_000);
        }
    });
    for (name, gap) in [("lower", Gap::Lower), ("upper", Gap::Upper)] {
        score(&files, &format!("scalable, gap rule {name}"), |_, _, day| {
            let mut config = day.config().clone();
            config.rules.gap = gap;
            *day = Day::new(config);
        });
    }
    let kept = score(&files, "**kept: scalable complex orders, blocks, groups, coupling, midpoint**", |_, _, _| {});
    assert_eq!(kept.exact, 12);
    Ok(())
}
