//! The rules of a zone's auctions: gate closure, tick sizes, limits, and which zones clear together. Data: part of the
//! zone table.

use std::fmt;

use chrono::{Days, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::market::Market;
use crate::time::{local_to_utc_ms, to_utc};
use crate::zones::PriceLimit;

/// The rules of one market in one zone. A market without an entry has none: no gate, no ticks, the zone's price limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auction {
    /// Which market.
    pub market: Market,
    /// Zones of one group clear together, as far as capacity between them allows; the zone alone when absent.
    #[serde(default)]
    pub group: Option<String>,
    /// Whose days are days of delivery, and whose clock closes the gate; the zone's own when absent.
    #[serde(default)]
    pub timezone: Option<Tz>,
    /// When bids for a day of delivery must be in.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// Prices are multiples of this, currency per MWh.
    #[serde(default)]
    pub price_tick: Option<f64>,
    /// Quantities are multiples of this, MW.
    #[serde(default)]
    pub power_tick: Option<f64>,
    /// Limits of bid prices, where they are not the zone's.
    #[serde(default)]
    pub limits: Vec<PriceLimit>,
    /// How what was not delivered as awarded is settled; at the zone's real-time price, without a penalty, when absent.
    #[serde(default)]
    pub imbalance: Option<Imbalance>,
}

/// The rule of imbalance settlement of an auction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imbalance {
    /// The market whose price is the real-time price; the zone's own, unless that is a day-ahead market, when absent.
    #[serde(default)]
    pub market: Option<Market>,
    /// Imbalance that costs no penalty, percent of the schedule.
    #[serde(default)]
    pub tolerance_percent: f64,
    /// The penalty, percent of the value at the real-time price of what exceeds the tolerance.
    #[serde(default)]
    pub penalty_percent: f64,
}

impl Imbalance {
    /// Tolerance and penalty in ppm.
    pub fn ppm(&self) -> (i64, i64) {
        let ppm = |percent: f64| (percent * 10_000.0).round() as i64;
        (ppm(self.tolerance_percent), ppm(self.penalty_percent))
    }

    /// Whether both percentages are within 0 and 10,000.
    pub fn is_possible(&self) -> bool {
        [self.tolerance_percent, self.penalty_percent].iter().all(|percent| (0.0..=10_000.0).contains(percent))
    }
}

/// A gate closure: `time` (local) on the `days_before`-th day before delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// 1: the day before.
    pub days_before: u32,
    /// Local time of day.
    pub time: NaiveTime,
}

impl Gate {
    /// The gate of the day that `delivery_ms` is in, UTC ms.
    pub fn closes_ms(&self, delivery_ms: i64, tz: Tz) -> Option<i64> {
        let day = to_utc(delivery_ms)?.with_timezone(&tz).date_naive();
        let date = day.checked_sub_days(Days::new(u64::from(self.days_before)))?;
        local_to_utc_ms(date.and_time(self.time), tz, false)
    }
}

/// A rule of the field that a bid can break. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BidRule {
    /// Revision ≥ 0, and the next of its bid where that is known.
    Revision,
    /// Something is offered, and not more steps than a bid may have.
    Steps,
    /// A price is a number within ±10⁹ currency per MWh.
    Price,
    /// Prices are within the market's floor and cap on the day of delivery.
    PriceLimit,
    /// Prices are multiples of the market's price tick.
    PriceTick,
    /// Quantities are above 0 and within 10⁹ MW.
    Quantity,
    /// Quantities are multiples of the market's quantity tick.
    QuantityTick,
    /// A minimum quantity is within 0 and the step's.
    MinimumQuantity,
    /// Within an interval prices ascend to sell and descend to buy.
    MonotoneCurve,
    /// A linear curve is linear throughout, and its pieces rise to sell and fall to buy.
    LinearCurve,
    /// A delivery interval is one of the market's, on its grid in the local day.
    DeliveryInterval,
    /// All intervals lie in one local day.
    DeliveryDay,
    /// A block has one step in each of its intervals, all at one price.
    Block,
    /// A minimum acceptance ratio is above 0 and at most 1.
    AcceptanceRatio,
    /// A minimum-income condition is on a curve to sell, with a fixed term ≥ 0.
    MinimumIncome,
    /// Transmission capacity leads to another zone of the same group.
    Capacity,
    /// Bids come before the gate closes.
    GateClosure,
    /// What an asset offers in an interval is within its capacity.
    AssetCapacity,
}

impl BidRule {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revision => "revision",
            Self::Steps => "steps",
            Self::Price => "price",
            Self::PriceLimit => "price_limit",
            Self::PriceTick => "price_tick",
            Self::Quantity => "quantity",
            Self::QuantityTick => "quantity_tick",
            Self::MinimumQuantity => "minimum_quantity",
            Self::MonotoneCurve => "monotone_curve",
            Self::LinearCurve => "linear_curve",
            Self::DeliveryInterval => "delivery_interval",
            Self::DeliveryDay => "delivery_day",
            Self::Block => "block",
            Self::AcceptanceRatio => "acceptance_ratio",
            Self::MinimumIncome => "minimum_income",
            Self::Capacity => "capacity",
            Self::GateClosure => "gate_closure",
            Self::AssetCapacity => "asset_capacity",
        }
    }
}

/// A rule that a bid breaks: the rule, the value, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The rule.
    pub rule: BidRule,
    /// What the bid says.
    pub value: String,
    /// What it may say.
    pub bound: String,
}

impl Broken {
    /// A rule, a value, a bound.
    pub fn new(rule: BidRule, value: impl fmt::Display, bound: impl fmt::Display) -> Self {
        Self { rule, value: value.to_string(), bound: bound.to_string() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; allowed: {}", self.rule.as_str(), self.value, self.bound)
    }
}

impl std::error::Error for Broken {}
