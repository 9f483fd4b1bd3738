//! Random inserts, amendments, withdrawals, flows and capacities: after each, the book cleared step by step equals the
//! same book cleared from scratch (entered in the opposite order), and the invariants of a clearing hold.

use clearing::{Block, Config, Day, Kind, MinimumIncome, Order, OrderId, Segment, Side, Step, Variable};
use proptest::prelude::*;

const EUR: i64 = 1_000_000;
pub(crate) const INTERVALS: u16 = 4;

#[derive(Clone, Debug)]
enum Change {
    Put(Order),
    Withdraw(u64),
    Import(u16, u8, i64),
    Capacity(u16, i64, i64),
}

fn kind(sell: bool) -> impl Strategy<Value = Kind> {
    let step = (0..INTERVALS, -5_i64..40, 1_i64..40_000, 0_i64..10);
    let steps = |mav: bool| {
        prop::collection::vec(step.clone(), 1..5).prop_map(move |steps| {
            let step = |(interval, price, power, min): (u16, i64, i64, i64)| {
                let min_power = if mav { (min - 6).max(0) * power / 4 } else { 0 };
                Step { interval, price: price * EUR, power, min_power }
            };
            steps.into_iter().map(step).collect::<Vec<_>>()
        })
    };
    let linear = (0..INTERVALS, -5_i64..40, 1_i64..20, 1_i64..40_000).prop_map(move |(interval, low, width, power)| {
        let (low, high) = (low * EUR, (low + width) * EUR);
        let (start_price, end_price) = if sell { (low, high) } else { (high, low) };
        Kind::Linear(vec![Segment { interval, start_price, end_price, power }])
    });
    let block = (
        0..INTERVALS,
        1..INTERVALS,
        -5_i64..40,
        1_i64..20_000,
        0_usize..3,
        prop::option::of(0_u64..2),
        prop::option::of(0_u64..24),
    )
        .prop_map(|(from, count, price, power, ratio, exclusive_group, parent)| {
            let periods = (from..(from + count).min(INTERVALS)).map(|interval| (interval, power)).collect();
            Kind::Block(Block {
                periods,
                price: price * EUR,
                min_acceptance_ratio: [1_000_000, 1_000_000, 400_000][ratio],
                exclusive_group,
                parent: parent.map(OrderId),
            })
        });
    let income = (steps(true), 0_i64..500, prop::option::of(0_i64..20)).prop_map(move |(steps, fixed, variable)| {
        let variable = variable.map_or(Variable::StepPrices, |price| Variable::PerEnergy(price * EUR));
        Kind::Steps(steps, sell.then_some(MinimumIncome { fixed: fixed * EUR, variable }))
    });
    prop_oneof![
        4 => steps(false).prop_map(|steps| Kind::Steps(steps, None)),
        1 => steps(true).prop_map(|steps| Kind::Steps(steps, None)),
        2 => linear,
        2 => block,
        1 => income,
    ]
}

pub(crate) fn order() -> impl Strategy<Value = Order> {
    (0_u64..24, 0_u8..2, any::<bool>()).prop_flat_map(|(id, zone, sell)| {
        kind(sell).prop_map(move |kind| {
            let side = if sell { Side::Sell } else { Side::Buy };
            Order { id: OrderId(id), zone, side, kind }
        })
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => order().prop_map(Change::Put),
        2 => (0_u64..24).prop_map(Change::Withdraw),
        1 => (0..INTERVALS, 0_u8..2, -9_000_i64..9_000).prop_map(|(at, zone, kw)| Change::Import(at, zone, kw)),
        1 => (0..INTERVALS, 0_i64..30_000, 0_i64..30_000).prop_map(|(at, there, back)| Change::Capacity(at, there, back)),
    ]
}

pub(crate) fn config() -> Config {
    Config { zones: 2, node_budget: 400, ..Config::hours(INTERVALS) }
}

fn invariants(day: &Day) -> Result<(), TestCaseError> {
    for component in day.components() {
        prop_assert!(component.bound >= component.welfare);
        for accepted in &component.accepted {
            let parent = day
                .orders()
                .values()
                .any(|order| matches!(&order.kind, Kind::Block(block) if block.parent == Some(accepted.order)));
            prop_assert!(parent || accepted.margin >= 0, "{accepted:?} is paradoxically accepted");
        }
    }
    for interval in 0..INTERVALS {
        let result = day.result(interval);
        for zone in 0..2_u8 {
            let clearing = &result.zones[usize::from(zone)];
            prop_assert_eq!(clearing.sold + clearing.import, clearing.bought);
            let sum = |side| day.accepted(interval, zone, side).values().sum::<i64>();
            if let Some(price) = clearing.price {
                prop_assert_eq!(sum(Side::Sell), clearing.sold, "interval {} zone {}", interval, zone);
                prop_assert_eq!(sum(Side::Buy), clearing.bought, "interval {} zone {}", interval, zone);
                prop_assert!((day.config().rules.floor..=day.config().rules.cap).contains(&price));
                let accepted = [day.accepted(interval, zone, Side::Buy), day.accepted(interval, zone, Side::Sell)];
                for order in day.orders().values().filter(|order| order.zone == zone && !order.is_complex()) {
                    let Kind::Steps(steps, _) = &order.kind else { continue };
                    let here = steps.iter().filter(|step| step.interval == interval);
                    let better = |at: i64| if order.side == Side::Sell { at < price } else { at > price };
                    let least: i64 = here.clone().filter(|step| better(step.price)).map(|step| step.power).sum();
                    let most: i64 =
                        here.filter(|step| better(step.price) || step.price == price).map(|s| s.power).sum();
                    let got = accepted[order.side as usize].get(&order.id).copied().unwrap_or(0);
                    prop_assert!((least..=most).contains(&got), "{order:?} got {got} of {least}..={most}");
                }
            }
        }
        let (there, back) = (result.zones[0].price, result.zones[1].price);
        if let (true, Some(there), Some(back)) = (result.congested, there, back) {
            let uphill = if back > there { result.flow >= 0 } else { result.flow <= 0 };
            prop_assert!(uphill, "the flow goes to the higher price");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn step_by_step_equals_from_scratch(changes in prop::collection::vec(change(), 1..40)) {
        let mut day = Day::new(config());
        let mut flows: Vec<Change> = Vec::new();
        for change in changes {
            match change.clone() {
                Change::Put(order) => {
                    let _ = day.put(order);
                }
                Change::Withdraw(id) => {
                    let _ = day.withdraw(OrderId(id));
                }
                Change::Import(interval, zone, kw) => day.set_import(interval, zone, kw),
                Change::Capacity(interval, there, back) => day.set_capacity(interval, [there, back]),
            }
            if matches!(change, Change::Import(..) | Change::Capacity(..)) {
                flows.push(change);
            }
            day.clear();
            let mut scratch = Day::new(config());
            for order in day.orders().values().rev() {
                scratch.put(order.clone()).expect("it is in the other book");
            }
            for flow in &flows {
                match *flow {
                    Change::Import(interval, zone, kw) => scratch.set_import(interval, zone, kw),
                    Change::Capacity(interval, there, back) => scratch.set_capacity(interval, [there, back]),
                    _ => {}
                }
            }
            scratch.clear();
            for interval in 0..INTERVALS {
                prop_assert_eq!(day.result(interval), scratch.result(interval));
            }
            prop_assert_eq!(day.components().collect::<Vec<_>>(), scratch.components().collect::<Vec<_>>());
            invariants(&day)?;
        }
    }
}
