//! The orders of a day in a shape that can be changed at will, the rules of the day included.

#[path = "../../tests/it/files.rs"]
mod files;

use std::collections::BTreeSet;
use std::path::Path;

use clearing::{Config, Day, Order, OrderId};
use model::BidKind;

/// What a day is cleared from.
#[derive(Clone)]
pub(crate) struct Orders {
    /// Shape and rules of the day.
    pub(crate) config: Config,
    /// Everything but capacities.
    pub(crate) orders: Vec<Order>,
    /// Those among them that are flows decided elsewhere, not the bid of a unit.
    pub(crate) flows: BTreeSet<OrderId>,
    /// From the first zone to the second and back, by interval, kW.
    pub(crate) capacities: Vec<[i64; 2]>,
}

impl Orders {
    /// From the files of a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let bids = files::bids(folder);
        let book = files::book(&bids);
        let mut capacities = vec![[0; 2]; book.intervals().count()];
        for bid in bids.iter().filter(|bid| matches!(bid.kind, BidKind::Capacity { .. })) {
            for step in &bid.steps {
                let interval = book.intervals().at(step.start_ms).expect("an interval of the day");
                capacities[usize::from(interval)][book.zone_of(bid)] += step.power_kw;
            }
        }
        let is_flow = |id: &OrderId| book.bid(*id).is_some_and(|bid| bid.asset.is_none());
        Self {
            config: book.day().config().clone(),
            orders: book.day().orders().values().cloned().collect(),
            flows: book.day().orders().keys().copied().filter(is_flow).collect(),
            capacities,
        }
    }

    /// The day, not yet cleared.
    pub(crate) fn day(&self) -> Day {
        let mut day = Day::new(self.config.clone());
        for order in &self.orders {
            day.put(order.clone()).expect("a valid order");
        }
        for (interval, capacity) in (0..).zip(&self.capacities) {
            day.set_capacity(interval, *capacity);
        }
        day
    }
}
