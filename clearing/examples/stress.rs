//! How the search holds up on other days: the Iberian book with demand and complex orders moved at random, and with
//! the complex orders doubled. Prints nodes, gap and time per day.
//!
//! `cargo run --release --example stress [FOLDER] [NODE BUDGET]`

use clearing::omie;
use clearing::{Day, Kind, Order, OrderId, Side};
use std::{fs, path::PathBuf, time::Instant};

struct Random(u64);

impl Random {
    /// About 1 within ± `percent`.
    fn about(&mut self, value: i64, percent: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = i64::try_from((self.0 >> 33) % (20 * percent + 1)).expect("small")
            - i64::try_from(10 * percent).expect("small");
        value + value / 1_000 * part
    }
}

fn moved(orders: &[Order], random: &mut Random, copies: u64) -> Vec<Order> {
    let mut all = Vec::new();
    let demand = random.about(1_000_000, 12);
    for order in orders {
        for copy in 0..if order.is_complex() { copies } else { 1 } {
            let mut order = order.clone();
            let complex = order.is_complex();
            order.id = OrderId(order.id.0 + copy * 10_000_000_000);
            match &mut order.kind {
                Kind::Steps(steps, income) => {
                    for step in steps.iter_mut() {
                        if order.side == Side::Buy {
                            step.power = (step.power * demand / 1_000_000).max(1);
                        } else if complex && step.price > 10_000_000 {
                            step.price = random.about(step.price, 4);
                        }
                    }
                    if let Some(income) = income {
                        income.fixed = random.about(income.fixed, 15);
                    }
                }
                Kind::Block(block) => {
                    block.price = random.about(block.price, 15);
                    block.exclusive_group = block.exclusive_group.map(|group| group + copy * 10_000_000_000);
                }
                Kind::Linear(_) => {}
            }
            all.push(order);
        }
    }
    all
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("../shared/data/omie".into()));
    let budget = std::env::args().nth(2).map(|text| text.parse()).transpose()?;
    let bytes = |name: &str| fs::read(folder.join(name));
    let headers = omie::headers(&bytes("CAB_20250621.1")?).rows;
    let details = omie::details(&bytes("DET_20250621.1")?, 24).rows;
    let zones = omie::zones(&bytes("participants_bidding_zones.csv")?);
    let borders = omie::borders(&bytes("capacidad_inter_pbc_20250621.1")?).rows;
    let orders = omie::orders(&headers, &details, &zones);
    let mut random = Random(11);
    for copies in [1, 2, 3] {
        let mut times = Vec::new();
        for day_number in 0..20 {
            let mut config = omie::config(24);
            config.node_budget = budget.unwrap_or(config.node_budget);
            let mut day = Day::new(config);
            for order in moved(&orders, &mut random, copies) {
                day.put(order)?;
            }
            omie::set_borders(&mut day, &borders, &headers);
            let started = Instant::now();
            day.clear();
            let took = started.elapsed();
            let component =
                day.components().max_by_key(|component| component.intervals.len()).expect("complex orders").clone();
            let gap = (component.bound - component.welfare) as f64 / 1e6;
            // one plain order changes in one hour: its component is searched again, 23 of 24 tables are kept
            let (id, order) = day.orders().iter().find(|(_, order)| !order.is_complex()).expect("plain orders");
            let (id, mut order) = (*id, order.clone());
            if let Kind::Steps(steps, _) = &mut order.kind {
                steps.truncate(1);
            }
            day.withdraw(id)?;
            day.clear();
            day.put(order)?;
            let started = Instant::now();
            day.clear();
            let again = started.elapsed();
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
