//! Bid events: the wire's view of a bid's life, and the live bid they add up to. Clearing comes on top.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::location::{LocationId, SeriesKey};

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Demand.
    Buy,
    /// Supply.
    Sell,
}

impl Side {
    /// Name in tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

/// What happened to a bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BidStatus {
    /// Entered.
    Submitted,
    /// Changed.
    Amended,
    /// Taken back by its owner.
    Withdrawn,
    /// Accepted by the market.
    Accepted,
    /// Refused by the market.
    Rejected,
    /// Past its gate without a result.
    Expired,
}

impl BidStatus {
    /// Name in tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Amended => "amended",
            Self::Withdrawn => "withdrawn",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// One step of a bid's curve in one delivery interval, or one even piece of a linear curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step {
    /// Start of the delivery interval, UTC ms.
    pub start_ms: i64,
    /// Limit price, micros per MWh; of a piece of a linear curve the price of its first kW.
    pub price_micros: i64,
    /// Price of its last kW; equal to `price_micros` but for a piece of a linear curve.
    pub end_price_micros: i64,
    /// Power offered by this step alone, kW.
    pub power_kw: i64,
    /// Smallest power that may be accepted of it (MAV), kW; 0 when divisible.
    pub min_power_kw: i64,
}

impl Step {
    /// A divisible step at one price.
    pub fn flat(start_ms: i64, price_micros: i64, power_kw: i64) -> Self {
        Self { start_ms, price_micros, end_price_micros: price_micros, power_kw, min_power_kw: 0 }
    }

    /// A piece of a linear curve.
    pub fn is_linear(&self) -> bool {
        self.price_micros != self.end_price_micros
    }
}

/// What is asked of the acceptance of a bid's steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BidKind {
    /// Each step on its own.
    #[default]
    Curve,
    /// Each step on its own, if the income of all of them reaches a minimum (sell only).
    MinimumIncome {
        /// Fixed term, micro-currency.
        fixed_micros: i64,
        /// Variable term, micro-currency per accepted MWh (MIC); `None`: the steps' own prices (scalable complex order).
        variable_micros: Option<i64>,
    },
    /// All steps, one an interval, all at one price and one acceptance ratio.
    Block {
        /// Smallest ratio other than 0, ppm; 1,000,000 is all-or-none.
        min_acceptance_ppm: u32,
        /// The bid without which this one is not accepted, nor at a higher ratio (linked block).
        parent: Option<String>,
        /// At most one block of a group is accepted.
        exclusive_group: Option<String>,
    },
    /// Not energy: transmission capacity to another zone of the group, offered by whoever runs the lines. Its steps say
    /// how much; their prices say nothing.
    Capacity {
        /// The zone it leads to.
        to: LocationId,
    },
}

impl BidKind {
    /// Name in tables and messages.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Curve => "curve",
            Self::MinimumIncome { .. } => "minimum_income",
            Self::Block { .. } => "block",
            Self::Capacity { .. } => "capacity",
        }
    }
}

/// One event in the life of a bid. Of all events of one bid the highest `revision` stands (ties: the later offset).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BidEvent {
    /// Bid id, unique in the market.
    pub bid: String,
    /// Higher replaces lower.
    pub revision: i64,
    /// What happened.
    pub status: BidStatus,
    /// Whose bid.
    pub organisation: String,
    /// The unit behind it, where it is one.
    pub asset: Option<String>,
    /// Location and market.
    pub series: SeriesKey,
    /// Start of its first delivery interval, UTC ms.
    pub delivery_ms: i64,
    /// Length of each delivery interval, ms.
    pub duration_ms: u32,
    /// Buy or sell.
    pub side: Side,
    /// What is asked of its acceptance.
    pub kind: BidKind,
    /// By interval, then price ascending for sell, descending for buy.
    pub steps: Vec<Step>,
    /// When it happened, UTC ms.
    pub event_ms: i64,
    /// Kafka partition it came from.
    pub partition: crate::location::PartitionId,
    /// Kafka offset it came from.
    pub offset: i64,
}

impl BidEvent {
    /// Whether it counts in the book: what was withdrawn, rejected or has expired does not.
    pub fn is_live(&self) -> bool {
        matches!(self.status, BidStatus::Submitted | BidStatus::Amended | BidStatus::Accepted)
    }

    /// End of its last delivery interval, UTC ms.
    pub fn delivery_end_ms(&self) -> i64 {
        let last = self.steps.iter().map(|step| step.start_ms).max().unwrap_or(self.delivery_ms);
        last.saturating_add(i64::from(self.duration_ms))
    }
}

/// A bid as it stands: its winning event. Shared, because everything that follows from bids holds it: the book, the state, the
/// stores' queues.
pub type LiveBid = Arc<BidEvent>;
