//! Bid events: the wire's view of a bid's life, and the live bid they add up to. Clearing comes on top.

use serde::{Deserialize, Serialize};

use crate::location::SeriesKey;

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Demand.
    Buy,
    /// Supply.
    Sell,
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

/// One step of a bid's curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step {
    /// Limit price, micros per MWh.
    pub price_micros: i64,
    /// Power offered at that price, kW.
    pub power_kw: i64,
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
    /// Location and market.
    pub series: SeriesKey,
    /// Start of the delivery interval, UTC ms.
    pub delivery_ms: i64,
    /// Length of the delivery interval, ms.
    pub duration_ms: u32,
    /// Buy or sell.
    pub side: Side,
    /// Stepwise curve: price ascending for sell, descending for buy.
    pub steps: Vec<Step>,
    /// When it happened, UTC ms.
    pub event_ms: i64,
    /// Kafka partition it came from.
    pub partition: crate::location::PartitionId,
    /// Kafka offset it came from.
    pub offset: i64,
}

/// A bid as it stands: its winning event.
pub type LiveBid = BidEvent;
