//! Two coupled zones: a book with fewer complex orders never reaches more welfare. Whatever is feasible without an
//! order is feasible with it rejected, so a search that is complete must find at least that.

use crate::histories::{INTERVALS, config, order};
use clearing::{Config, Day, Kind, MinimumIncome, Order, OrderId, Side, Step, Variable, WHOLE};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// An order that is never accepted and connects all intervals: every book is one component.
fn tie() -> Order {
    let step = |interval| Step { interval, price: 3_999_000_000, power: 1, min_power: 0 };
    let income = MinimumIncome { fixed: 1_000_000_000_000, variable: Variable::StepPrices };
    let kind = Kind::Steps((0..INTERVALS).map(step).collect(), Some(income));
    Order { id: OrderId(1_000), zone: 0, side: Side::Sell, kind }
}

fn welfare<'a>(orders: impl Iterator<Item = &'a Order>, capacity: [i64; 2]) -> (i128, i128) {
    let mut day = Day::new(Config { node_budget: 50_000, ..config() });
    for order in orders {
        day.put(order.clone()).expect("a valid order");
    }
    day.put(tie()).expect("a valid order");
    for interval in 0..INTERVALS {
        day.set_capacity(interval, capacity);
    }
    day.clear();
    let component = day.components().next().expect("one component");
    assert_eq!(component.intervals.len(), usize::from(INTERVALS));
    (component.welfare, component.bound)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fewer_complex_orders_never_reach_more(
        orders in prop::collection::vec(order(), 8..24),
        capacity in (0_i64..20_000, 0_i64..20_000),
    ) {
        let mut book: BTreeMap<OrderId, Order> = BTreeMap::new();
        for mut order in orders {
            if let Kind::Block(block) = &mut order.kind {
                block.min_acceptance_ratio = WHOLE;
            }
            if order.check(2, INTERVALS, -500_000_000, 4_000_000_000).is_ok() {
                book.insert(order.id, order);
            }
        }
        let complex: Vec<OrderId> = book.values().filter(|o| o.is_complex()).map(|o| o.id).take(7).collect();
        book.retain(|id, order| !order.is_complex() || complex.contains(id));
        let capacity = [capacity.0, capacity.1];
        let (all, bound) = welfare(book.values(), capacity);
        prop_assert!(bound - all <= 1_000, "search not complete: {} of {}", all, bound);
        for set in 0_u32..1 << complex.len() {
            let kept = |order: &&Order| match complex.iter().position(|id| *id == order.id) {
                Some(at) => set >> at & 1 == 1,
                None => true,
            };
            let (fewer, _) = welfare(book.values().filter(kept), capacity);
            // linear orders are traded in whole kW: their welfare is known to a kW in each interval
            prop_assert!(fewer <= all + 1_000, "{} with set {:b}, {} with all", fewer, set, all);
        }
    }
}
