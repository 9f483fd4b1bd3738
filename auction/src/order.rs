//! A bid as an order of the day's book.

use clearing::{Block, Interval, Kind, MinimumIncome, Order, OrderId, Segment, Step, Variable};
use model::{BidKind, LiveBid, Side};
use xxhash_rust::xxh3::xxh3_64;

use crate::intervals::Intervals;

/// The number that a bid has in the day, by its name.
pub fn order_id(bid: &str) -> OrderId {
    OrderId(xxh3_64(bid.as_bytes()))
}

/// The order behind a bid of the zone with this number. Steps off the grid of the day, which decoding refuses, are not in it.
pub(crate) fn order(bid: &LiveBid, zone: u8, intervals: &Intervals) -> Order {
    let steps = || bid.steps.iter().filter_map(|step| Some((intervals.at(step.start_ms)?, step)));
    let step = |(interval, step): (Interval, &model::Step)| Step {
        interval,
        price: step.price_micros,
        power: step.power_kw,
        min_power: step.min_power_kw,
    };
    let segment = |(interval, step): (Interval, &model::Step)| Segment {
        interval,
        start_price: step.price_micros,
        end_price: step.end_price_micros,
        power: step.power_kw,
    };
    let kind = match &bid.kind {
        BidKind::Block { min_acceptance_ppm, parent, exclusive_group } => Kind::Block(Block {
            periods: steps().map(|(interval, step)| (interval, step.power_kw)).collect(),
            price: bid.steps.first().map_or(0, |step| step.price_micros),
            min_acceptance_ratio: *min_acceptance_ppm,
            // A group is its organisation's own affair.
            exclusive_group: exclusive_group
                .as_ref()
                .map(|group| xxh3_64(format!("{}|{group}", bid.organisation).as_bytes())),
            parent: parent.as_deref().map(order_id),
        }),
        BidKind::MinimumIncome { fixed_micros, variable_micros } => {
            let variable = variable_micros.map_or(Variable::StepPrices, Variable::PerEnergy);
            let income = MinimumIncome { fixed: *fixed_micros, variable };
            Kind::Steps(steps().map(step).collect(), Some(income))
        }
        BidKind::Curve | BidKind::Capacity { .. } if bid.steps.iter().any(model::Step::is_linear) => {
            Kind::Linear(steps().map(segment).collect())
        }
        BidKind::Curve | BidKind::Capacity { .. } => Kind::Steps(steps().map(step).collect(), None),
    };
    let side = match bid.side {
        Side::Buy => clearing::Side::Buy,
        Side::Sell => clearing::Side::Sell,
    };
    Order { id: order_id(&bid.bid), zone, side, kind }
}
