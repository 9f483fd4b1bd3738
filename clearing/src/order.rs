//! Orders as the market takes them, in integers.
//!
//! Price: micro-currency per MWh. Power: kW. Money: micro-currency. Ratio: parts per million.
//! An order belongs to one zone and touches one or more delivery intervals of one day. Identity is a number;
//! every tie in this crate is broken by it, so that results never depend on the order of arrival.
//!
//! *Plain* orders (steps without a minimum, linear segments) clear by the merit order alone. *Complex* orders
//! (blocks, minimum quantity, minimum income) need a yes or no for the whole order: see [`crate::complex`].

use std::fmt;

/// Identity of an order; also the last tie-break everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// Index of a bidding zone: 0, or 0 and 1 when two zones are coupled.
pub type Zone = u8;

/// Index of a delivery interval of the day, from 0.
pub type Interval = u16;

/// Buy or sell. `Buy < Sell`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Demand: wants a price at or below its limit.
    Buy,
    /// Supply: wants a price at or above its limit.
    Sell,
}

/// One step of a stepwise curve: `power` more kW at `price`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// Delivery interval.
    pub interval: Interval,
    /// Limit, micro-currency per MWh.
    pub price: i64,
    /// Quantity of this step alone (not cumulative), kW, > 0.
    pub power: i64,
    /// Minimum acceptable quantity (MAV), kW, 0..=power; 0 means divisible.
    ///
    /// Within one order and interval the minimums add up: the order takes at least that much there, or nothing.
    pub min_power: i64,
}

/// A straight piece of a curve: from 0 kW at `start_price` to `power` kW at `end_price`.
///
/// A sell segment rises (`start_price < end_price`); a buy segment gains quantity as the price falls
/// (`start_price > end_price`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// Delivery interval.
    pub interval: Interval,
    /// Price at which the first kW is taken.
    pub start_price: i64,
    /// Price at which all of `power` is taken.
    pub end_price: i64,
    /// Quantity of this segment alone, kW, > 0.
    pub power: i64,
}

/// A block: several intervals at one price, one acceptance ratio for all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// (interval, kW), each interval once.
    pub periods: Vec<(Interval, i64)>,
    /// Limit against the volume-weighted mean price, micro-currency per MWh.
    pub price: i64,
    /// Smallest acceptance ratio other than 0, ppm; 1,000,000 is all-or-none.
    pub min_acceptance_ratio: u32,
    /// Blocks of one group: the sum of their ratios is at most 1 (here: at most one is accepted).
    pub exclusive_group: Option<u64>,
    /// Accepted only if this block is accepted, and never at a higher ratio.
    pub parent: Option<OrderId>,
}

/// What a minimum-income order must earn beyond its fixed term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// Classic minimum income (MIC): this price for each accepted MWh; the fixed term is no part of the welfare.
    PerEnergy(i64),
    /// Scalable complex order (SCO): the accepted steps at their own prices; the fixed term is a cost in the welfare.
    StepPrices,
}

/// Minimum-income condition over all steps of an order: income >= fixed + variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MinimumIncome {
    /// Fixed term, micro-currency for the day.
    pub fixed: i64,
    /// Variable term.
    pub variable: Variable,
}

/// What the order offers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Stepwise curves, one or more intervals, with an optional minimum-income condition (sell only).
    Steps(Vec<Step>, Option<MinimumIncome>),
    /// Linear curves, one or more intervals.
    Linear(Vec<Segment>),
    /// Block order.
    Block(Block),
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    /// Identity.
    pub id: OrderId,
    /// Bidding zone.
    pub zone: Zone,
    /// Buy or sell.
    pub side: Side,
    /// What it offers.
    pub kind: Kind,
}

/// Why an order cannot be in the book. Names the rule, the value and the bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Zone outside the day's zones.
    UnknownZone(Zone),
    /// Interval outside the day.
    UnknownInterval(Interval),
    /// Price outside [floor, cap]: (price, floor, cap).
    PriceOutsideCap(i64, i64, i64),
    /// Power not positive or above 2^40 kW.
    BadPower(i64),
    /// MAV outside 0..=power: (mav, power).
    BadMinimum(i64, i64),
    /// A linear segment that does not rise for sell, or fall for buy: (start, end).
    BadSegment(i64, i64),
    /// Acceptance ratio outside 1..=1,000,000 ppm.
    BadRatio(u32),
    /// An interval twice in one block.
    RepeatedInterval(Interval),
    /// Minimum income on a buy order, or a negative fixed term.
    BadIncome(i64),
    /// Nothing offered.
    Empty,
    /// No such order.
    UnknownOrder(OrderId),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownZone(zone) => write!(f, "zone {zone} is not in the auction"),
            Self::UnknownInterval(interval) => write!(f, "interval {interval} is not in the delivery day"),
            Self::PriceOutsideCap(price, floor, cap) => write!(f, "price {price} is outside {floor}..={cap}"),
            Self::BadPower(power) => write!(f, "power {power} kW is not in 1..=2^40"),
            Self::BadMinimum(min, power) => write!(f, "minimum quantity {min} kW is outside 0..={power}"),
            Self::BadSegment(start, end) => write!(f, "segment from {start} to {end} is not monotone for its side"),
            Self::BadRatio(ratio) => write!(f, "minimum acceptance ratio {ratio} ppm is outside 1..=1000000"),
            Self::RepeatedInterval(interval) => write!(f, "interval {interval} occurs twice in the block"),
            Self::BadIncome(fixed) => write!(f, "minimum income with fixed term {fixed} on this order"),
            Self::Empty => write!(f, "the order offers nothing"),
            Self::UnknownOrder(id) => write!(f, "order {} is not in the book", id.0),
        }
    }
}

impl std::error::Error for Refusal {}

/// Acceptance of everything, ppm.
pub const WHOLE: u32 = 1_000_000;

impl Order {
    /// Whether the order needs a yes or no for the whole of it (block, minimum income, minimum quantity).
    #[must_use]
    pub fn is_complex(&self) -> bool {
        match &self.kind {
            Kind::Steps(steps, income) => income.is_some() || steps.iter().any(|step| step.min_power > 0),
            Kind::Linear(_) => false,
            Kind::Block(_) => true,
        }
    }

    /// Intervals touched, ascending, each once.
    #[must_use]
    pub fn intervals(&self) -> Vec<Interval> {
        let mut all: Vec<Interval> = match &self.kind {
            Kind::Steps(steps, _) => steps.iter().map(|step| step.interval).collect(),
            Kind::Linear(segments) => segments.iter().map(|segment| segment.interval).collect(),
            Kind::Block(block) => block.periods.iter().map(|period| period.0).collect(),
        };
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Check against the shape of the day. Nothing is changed when refused.
    ///
    /// # Errors
    /// The first [`Refusal`] in the order zone, emptiness, then line by line.
    pub fn check(&self, zones: Zone, intervals: Interval, floor: i64, cap: i64) -> Result<(), Refusal> {
        let price = |price: i64| {
            if (floor..=cap).contains(&price) { Ok(()) } else { Err(Refusal::PriceOutsideCap(price, floor, cap)) }
        };
        let power = |power: i64| if (1..=1 << 40).contains(&power) { Ok(()) } else { Err(Refusal::BadPower(power)) };
        let interval =
            |interval: Interval| if interval < intervals { Ok(()) } else { Err(Refusal::UnknownInterval(interval)) };
        if self.zone >= zones {
            return Err(Refusal::UnknownZone(self.zone));
        }
        if self.intervals().is_empty() {
            return Err(Refusal::Empty);
        }
        match &self.kind {
            Kind::Steps(steps, income) => {
                for step in steps {
                    interval(step.interval)?;
                    price(step.price)?;
                    power(step.power)?;
                    if !(0..=step.power).contains(&step.min_power) {
                        return Err(Refusal::BadMinimum(step.min_power, step.power));
                    }
                }
                match income {
                    Some(income) if self.side == Side::Buy || income.fixed < 0 => Err(Refusal::BadIncome(income.fixed)),
                    _ => Ok(()),
                }
            }
            Kind::Linear(segments) => {
                for segment in segments {
                    interval(segment.interval)?;
                    price(segment.start_price)?;
                    price(segment.end_price)?;
                    power(segment.power)?;
                    let rises = segment.start_price < segment.end_price;
                    if segment.start_price == segment.end_price || rises != (self.side == Side::Sell) {
                        return Err(Refusal::BadSegment(segment.start_price, segment.end_price));
                    }
                }
                Ok(())
            }
            Kind::Block(block) => {
                price(block.price)?;
                if !(1..=WHOLE).contains(&block.min_acceptance_ratio) {
                    return Err(Refusal::BadRatio(block.min_acceptance_ratio));
                }
                for (at, period) in block.periods.iter().enumerate() {
                    interval(period.0)?;
                    power(period.1)?;
                    if block.periods[..at].iter().any(|earlier| earlier.0 == period.0) {
                        return Err(Refusal::RepeatedInterval(period.0));
                    }
                }
                Ok(())
            }
        }
    }
}
