//! The incremental merit order against sums over a plain list, after every change.

use clearing::{MeritOrder, OrderId, Rules, Segment, Side, uniform};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Line {
    Step(OrderId, Side, i64, i64),
    Linear(OrderId, Side, i64, i64, i64),
}

/// kW of a line's supply at `price` or less, or of its demand at `price` or more.
fn taken(line: Line, price: i64) -> f64 {
    match line {
        Line::Step(_, Side::Sell, at, power) => f64::from(u8::from(at <= price)) * power as f64,
        Line::Step(_, Side::Buy, at, power) => f64::from(u8::from(at >= price)) * power as f64,
        Line::Linear(_, side, low, high, power) => {
            let risen = (price.clamp(low, high) - low) as f64 / (high - low) as f64;
            power as f64 * if side == Side::Sell { risen } else { 1.0 - risen }
        }
    }
}

fn sum(lines: &[Line], side: Side, price: i64) -> f64 {
    let of = |line: &&Line| matches!(line, Line::Step(_, s, ..) | Line::Linear(_, s, ..) if *s == side);
    lines.iter().filter(of).map(|line| taken(*line, price)).sum()
}

fn enter(merit: &mut MeritOrder, line: Line, add: bool) {
    match line {
        Line::Step(id, side, price, power) if add => merit.add_step(id, side, price, power),
        Line::Step(id, side, price, power) => merit.remove_step(id, side, price, power),
        Line::Linear(id, side, low, high, power) => {
            let (start_price, end_price) = if side == Side::Sell { (low, high) } else { (high, low) };
            let segment = Segment { interval: 0, start_price, end_price, power };
            if add { merit.add_segment(id, side, segment, 0) } else { merit.remove_segment(id, side, segment, 0) }
        }
    }
}

fn line() -> impl Strategy<Value = Line> {
    let side = any::<bool>().prop_map(|sell| if sell { Side::Sell } else { Side::Buy });
    (0_u64..1_000_000, side, -20_i64..60, 1_i64..30, 1_i64..5_000, 0_u8..4).prop_map(
        |(id, side, price, width, power, kind)| match kind {
            0 => Line::Linear(OrderId(id), side, price, price + width, power),
            _ => Line::Step(OrderId(id), side, price, power),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_a_plain_sum(changes in prop::collection::vec((line(), any::<prop::sample::Index>(), 0_u8..3), 1..60)) {
        let mut merit = MeritOrder::default();
        let mut lines: Vec<Line> = Vec::new();
        let rules = Rules { floor: -100, cap: 200, ..Rules::default() };
        for (line, index, kind) in changes {
            if kind == 0 && !lines.is_empty() {
                let gone = lines.swap_remove(index.index(lines.len()));
                enter(&mut merit, gone, false);
            } else {
                lines.push(line);
                enter(&mut merit, line, true);
            }
            let linear = lines.iter().any(|line| matches!(line, Line::Linear(..)));
            let near = if linear { 0.501 } else { 0.0 };
            for price in -25..95 {
                prop_assert!((merit.supply(price) as f64 - sum(&lines, Side::Sell, price)).abs() <= near);
                prop_assert!((merit.demand(price) as f64 - sum(&lines, Side::Buy, price)).abs() <= near);
                prop_assert_eq!(merit.excess(price), merit.supply(price) - merit.demand(price + 1));
            }
            for target in [-7_000, -1, 0, 1, 3_000] {
                let first = (rules.floor..=rules.cap).find(|price| merit.excess(*price) >= target);
                prop_assert_eq!(merit.first_reaching(target, rules.floor, rules.cap), first, "target {}", target);
            }
            for level in merit.levels() {
                prop_assert_eq!(level.supply, merit.supply(level.price));
                prop_assert_eq!(level.demand, merit.demand(level.price));
            }
            let clearing = uniform::clear(&merit, 0, &rules);
            prop_assert_eq!(clearing.sold, clearing.bought);
            let (low, high) = clearing.range;
            let most = (rules.floor..=rules.cap).map(|price| merit.supply(price).min(merit.demand(price))).max();
            prop_assert_eq!(clearing.sold, most.unwrap_or(0), "the greatest volume");
            for price in rules.floor..=rules.cap {
                let clears = merit.excess(price) >= 0 && merit.excess(price - 1) <= 0;
                prop_assert_eq!(clears, (low..=high).contains(&price));
            }
            if let Some(price) = clearing.price {
                let sold = uniform::accepted(&merit, &clearing, Side::Sell).values().sum::<i64>();
                let bought = uniform::accepted(&merit, &clearing, Side::Buy).values().sum::<i64>();
                prop_assert_eq!((sold, bought), (clearing.sold, clearing.bought), "at {}", price);
                prop_assert!(clearing.marginal.is_some());
            }
        }
        // an emptied book is an empty book
        for line in lines {
            enter(&mut merit, line, false);
        }
        prop_assert_eq!((merit.level_count(), merit.step_count(), merit.excess(0)), (0, 0, 0));
    }
}
