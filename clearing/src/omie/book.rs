//! Rows to orders, capacities and fixed flows.

use crate::day::{Config, Day};
use crate::omie::{Border, Detail, Header, IDS_PER_ORDER, PORTUGAL, SPAIN};
use crate::order::{Block, Interval, Kind, MinimumIncome, Order, OrderId, Step, Variable};
use std::collections::{BTreeMap, BTreeSet};

/// Orders of the book, ids as in [`IDS_PER_ORDER`], ascending. `zones` by unit; a unit not in it is Portuguese if its
/// border code is 2. Rows without a header, or of an older version, and steps without power are left out.
#[must_use]
pub fn orders(headers: &[Header], details: &[Detail], zones: &BTreeMap<String, u8>) -> Vec<Order> {
    let mut latest: BTreeMap<u64, &Header> = BTreeMap::new();
    for header in headers {
        let held = latest.entry(header.order).or_insert(header);
        if header.version > held.version {
            *held = header;
        }
    }
    let mut steps: BTreeMap<(u64, u8), Vec<&Detail>> = BTreeMap::new();
    for detail in details.iter().filter(|detail| detail.power > 0) {
        if latest.get(&detail.order).is_some_and(|header| header.version == detail.version) {
            steps.entry((detail.order, detail.block)).or_default().push(detail);
        }
    }
    let interval = |detail: &Detail| Interval::from(detail.period - 1);
    let order = |((number, block), details): ((u64, u8), Vec<&Detail>)| {
        let header = latest[&number];
        let home = if header.border == 2 { PORTUGAL } else { SPAIN };
        let kind = if block == 0 {
            let steps = details.iter().map(|detail| Step {
                interval: interval(detail),
                price: detail.price,
                power: detail.power,
                min_power: detail.min_power,
            });
            let scalable = header.fixed > 0 || details.iter().any(|detail| detail.min_power > 0);
            let income = MinimumIncome { fixed: header.fixed, variable: Variable::StepPrices };
            Kind::Steps(steps.collect(), scalable.then_some(income))
        } else {
            let group = details[0].group;
            Kind::Block(Block {
                periods: details.iter().map(|detail| (interval(detail), detail.power)).collect(),
                price: details[0].price,
                min_acceptance_ratio: details[0].min_ratio.max(1),
                exclusive_group: (group > 0).then_some(number * IDS_PER_ORDER + u64::from(group)),
                parent: None,
            })
        };
        Order {
            id: OrderId(number * IDS_PER_ORDER + u64::from(block)),
            zone: zones.get(&header.unit).copied().unwrap_or(home),
            side: header.side,
            kind,
        }
    };
    steps.into_iter().map(order).collect()
}

/// Put the published flows and capacities into a coupled day (see the module for which border is what).
pub fn set_borders(day: &mut Day, borders: &[Border], headers: &[Header]) {
    let in_book: BTreeSet<u8> = headers.iter().map(|header| header.border).collect();
    let mut imports: BTreeMap<u16, i64> = BTreeMap::new();
    for border in borders {
        let interval = border.period.saturating_sub(1);
        if usize::from(interval) >= day.config().durations_ms.len() {
            continue;
        }
        if border.border == 2 {
            day.set_capacity(interval, [border.export_capacity, -border.import_capacity]);
        } else if !in_book.contains(&border.border) {
            *imports.entry(interval).or_insert(0) -= border.import + border.export;
        }
    }
    for (interval, import) in imports {
        day.set_import(interval, SPAIN, import);
    }
}

/// A coupled day with European price limits: up to 25 periods are hours, more are quarter hours.
#[must_use]
pub fn config(periods: u16) -> Config {
    let duration = if periods <= 25 { 3_600_000 } else { 900_000 };
    Config { zones: 2, durations_ms: vec![duration; usize::from(periods)], ..Config::hours(0) }
}
