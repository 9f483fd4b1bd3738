//! Every set of complex orders of small books, cleared by a plain scan: the solver must reach the best welfare.

use clearing::{Block, Config, Day, Kind, MinimumIncome, Order, OrderId, Side, Step, Variable, WHOLE};
use proptest::prelude::*;
use std::collections::BTreeSet;

const EUR: i64 = 1_000_000;

#[derive(Clone, Debug)]
struct Taken {
    /// (side, price, kW): divisible.
    steps: Vec<(Side, i64, i64)>,
    /// Net kW taken whatever the price.
    sure: i64,
}

fn excess(taken: &Taken, price: i64) -> i64 {
    let each = taken.steps.iter().map(|(side, at, power)| match side {
        Side::Sell if *at <= price => *power,
        Side::Buy if *at > price => -power,
        _ => 0,
    });
    taken.sure + each.sum::<i64>()
}

/// Price by the midpoint rule, or none when the interval cannot balance.
fn clear(taken: &Taken, floor: i64, cap: i64) -> Option<i64> {
    let mut prices: BTreeSet<i64> = taken.steps.iter().map(|step| step.1).collect();
    prices.extend([floor, cap]);
    let first = |target: i64| prices.iter().copied().find(|price| excess(taken, *price) >= target);
    let low = first(0)?;
    let high = if excess(taken, low) > 0 { low } else { first(1).unwrap_or(cap) };
    let price = match (low == floor, high == cap) {
        (true, false) => low,
        (false, true) => high,
        _ => low + (high - low) / 2,
    };
    (excess(taken, floor - 1) <= 0).then_some(price)
}

/// What an order takes in an interval: its sure kW at their worth, and the rest as steps.
fn split(order: &Order, interval: u16) -> (i64, i64, Vec<(i64, i64)>) {
    match &order.kind {
        Kind::Block(block) => {
            let power = block.periods.iter().find(|period| period.0 == interval).map_or(0, |period| period.1);
            (power, power * block.price, Vec::new())
        }
        Kind::Steps(steps, _) => {
            let mut here: Vec<&Step> = steps.iter().filter(|step| step.interval == interval).collect();
            here.sort_by_key(|step| if order.side == Side::Sell { step.price } else { -step.price });
            let min: i64 = here.iter().map(|step| step.min_power).sum();
            let (mut left, mut worth, mut rest) = (min, 0, Vec::new());
            for step in here {
                let sure = left.min(step.power);
                left -= sure;
                worth += sure * step.price;
                if step.power > sure {
                    rest.push((step.price, step.power - sure));
                }
            }
            (min, worth, rest)
        }
        Kind::Linear(_) => unreachable!("not in these books"),
    }
}

fn in_money(side: Side, at: i64, price: i64) -> bool {
    if side == Side::Sell { at <= price } else { at >= price }
}

/// Surplus of an accepted order at prices, EUR/1e6 × kW, without any fixed term.
fn surplus(order: &Order, prices: &[i64]) -> i128 {
    let each = (0..prices.len()).map(|interval| {
        let price = prices[interval];
        let (sure, worth, rest) = split(order, interval as u16);
        let sign = if order.side == Side::Sell { 1 } else { -1 };
        let mut sum = i128::from(sign * (price * sure - worth));
        for (at, power) in rest {
            if in_money(order.side, at, price) {
                sum += i128::from(sign * (price - at) * power);
            }
        }
        sum
    });
    each.sum()
}

fn fixed(order: &Order) -> i128 {
    match &order.kind {
        Kind::Steps(_, Some(income)) => i128::from(income.fixed) * 1_000,
        _ => 0,
    }
}

fn welfare_fixed(order: &Order) -> i128 {
    match &order.kind {
        Kind::Steps(_, Some(MinimumIncome { variable: Variable::StepPrices, .. })) => fixed(order),
        _ => 0,
    }
}

fn loses(order: &Order, chosen: &[&Order], prices: &[i64]) -> bool {
    match &order.kind {
        Kind::Steps(_, Some(MinimumIncome { variable: Variable::PerEnergy(variable), .. })) => {
            let each = (0..prices.len()).map(|interval| {
                let price = prices[interval];
                let (sure, _, rest) = split(order, interval as u16);
                let taken = rest.iter().filter(|(at, _)| if price >= *variable { *at < price } else { *at <= price });
                i128::from(price - variable) * i128::from(sure + taken.map(|step| step.1).sum::<i64>())
            });
            each.sum::<i128>() < fixed(order)
        }
        _ => family(order, chosen, prices) < 0,
    }
}

fn family(order: &Order, chosen: &[&Order], prices: &[i64]) -> i128 {
    let children = chosen.iter().filter(|other| parent(other) == Some(order.id));
    surplus(order, prices) - fixed(order) + children.map(|child| family(child, chosen, prices)).sum::<i128>()
}

fn parent(order: &Order) -> Option<OrderId> {
    if let Kind::Block(block) = &order.kind { block.parent } else { None }
}

fn group(order: &Order) -> Option<u64> {
    if let Kind::Block(block) = &order.kind { block.exclusive_group } else { None }
}

/// Best welfare over all sets, EUR/1e6 × kW.
fn best(orders: &[Order], intervals: usize, floor: i64, cap: i64) -> i128 {
    let complex: Vec<&Order> = orders.iter().filter(|order| order.is_complex()).collect();
    let mut best = i128::MIN;
    for set in 0_u32..1 << complex.len() {
        let chosen: Vec<&Order> =
            complex.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, order)| *order).collect();
        let held = |id: OrderId| chosen.iter().any(|order| order.id == id);
        let orphan = chosen.iter().filter_map(|order| parent(order)).any(|id| !held(id));
        let groups: Vec<u64> = chosen.iter().filter_map(|order| group(order)).collect();
        if orphan || groups.iter().collect::<BTreeSet<_>>().len() < groups.len() {
            continue;
        }
        let mut prices = Vec::new();
        let mut welfare = 0_i128;
        for interval in 0..intervals {
            let mut taken = Taken { steps: Vec::new(), sure: 0 };
            let mut plain = Vec::new();
            for order in orders.iter().filter(|order| !order.is_complex()) {
                plain.extend(split(order, interval as u16).2.into_iter().map(|(at, power)| (order.side, at, power)));
            }
            for order in &chosen {
                let (sure, _, rest) = split(order, interval as u16);
                taken.sure += if order.side == Side::Sell { sure } else { -sure };
                taken.steps.extend(rest.into_iter().map(|(at, power)| (order.side, at, power)));
            }
            taken.steps.extend(plain.iter().copied());
            let Some(price) = clear(&taken, floor, cap) else { break };
            prices.push(price);
            for (side, at, power) in plain {
                if in_money(side, at, price) {
                    welfare += i128::from((price - at).abs()) * i128::from(power);
                }
            }
        }
        if prices.len() < intervals || chosen.iter().any(|order| loses(order, &chosen, &prices)) {
            continue;
        }
        welfare += chosen.iter().map(|order| surplus(order, &prices) - welfare_fixed(order)).sum::<i128>();
        best = best.max(welfare);
    }
    best
}

fn plain(id: u64) -> impl Strategy<Value = Order> {
    let step = (0_u16..2, -3_i64..20, 1_i64..30);
    (any::<bool>(), prop::collection::vec(step, 1..4)).prop_map(move |(sell, steps)| {
        let steps = steps.into_iter().map(|(interval, price, power)| Step {
            interval,
            price: price * EUR,
            power: power * 1_000,
            min_power: 0,
        });
        let side = if sell { Side::Sell } else { Side::Buy };
        Order { id: OrderId(id), zone: 0, side, kind: Kind::Steps(steps.collect(), None) }
    })
}

fn block(id: u64) -> impl Strategy<Value = Order> {
    let terms = (prop::option::of(0_u64..2), prop::option::of(100_u64..106));
    (any::<bool>(), -3_i64..20, 0_i64..20, 1_i64..20, terms).prop_map(
        move |(sell, price, first, second, (group, parent))| {
            let mut periods = vec![(1, second * 1_000)];
            if first > 0 {
                periods.push((0, first * 1_000));
            }
            // links point to lower ids: no circles
            let parent = parent.filter(|parent| *parent < id).map(OrderId);
            let block = Block {
                periods,
                price: price * EUR,
                min_acceptance_ratio: WHOLE,
                exclusive_group: if parent.is_none() { group } else { None },
                parent,
            };
            let side = if sell { Side::Sell } else { Side::Buy };
            Order { id: OrderId(id), zone: 0, side, kind: Kind::Block(block) }
        },
    )
}

fn income(id: u64) -> impl Strategy<Value = Order> {
    let step = (0_i64..15, 1_i64..20, 0_i64..3);
    (prop::collection::vec(step, 2..5), 0_i64..200, any::<bool>(), 0_i64..12).prop_map(
        move |(steps, fixed, scalable, variable)| {
            let steps = steps.into_iter().enumerate().map(|(at, (price, power, min))| Step {
                interval: (at % 2) as u16,
                price: price * EUR,
                power: power * 1_000,
                min_power: (min - 1).max(0) * power * 500,
            });
            let variable = if scalable { Variable::StepPrices } else { Variable::PerEnergy(variable * EUR) };
            let income = MinimumIncome { fixed: fixed * EUR, variable };
            Order { id: OrderId(id), zone: 0, side: Side::Sell, kind: Kind::Steps(steps.collect(), Some(income)) }
        },
    )
}

fn book() -> impl Strategy<Value = Vec<Order>> {
    let plains: Vec<_> = (0..8).map(plain).collect();
    let blocks: Vec<_> = (100..105).map(block).collect();
    let incomes: Vec<_> = (105..108).map(income).collect();
    (plains, blocks, incomes, any::<u8>()).prop_map(|(plains, blocks, incomes, keep)| {
        let complex = blocks.into_iter().chain(incomes).enumerate();
        let kept = complex.filter(|(at, _)| keep >> at & 1 == 1 || *at == 0).map(|(_, order)| order);
        plains.into_iter().chain(kept).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_search_reaches_the_best_welfare(orders in book()) {
        let mut day = Day::new(Config::hours(2));
        for order in &orders {
            day.put(order.clone()).expect("a valid order");
        }
        day.clear();
        let rules = day.config().rules;
        let intervals: BTreeSet<u16> = day.components().flat_map(|component| component.intervals.clone()).collect();
        let reached: i128 = day.components().map(|component| component.welfare).sum();
        prop_assert!(day.components().all(|component| component.bound == component.welfare), "search not complete");
        // intervals without complex orders are not part of a component's welfare
        let kept: Vec<Order> = orders.iter().cloned().map(|mut order| {
            if let Kind::Steps(steps, None) = &mut order.kind {
                steps.retain(|step| intervals.contains(&step.interval));
            }
            order
        }).collect();
        let expected = best(&kept, 2, rules.floor, rules.cap);
        prop_assert_eq!(reached, expected.div_euclid(1_000));
    }
}
