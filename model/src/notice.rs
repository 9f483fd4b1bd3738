//! Notices: what a person or the market says rather than a price. They pass through the dataflow
//! unchanged, so that every consumer sees them in order with everything else.

use serde::{Deserialize, Serialize};

use crate::output::Severity;

/// A message for the traders of a zone: an operator's broadcast, a market event, a bidding notification.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Notice {
    /// Unique id (uuid text, or `topic/partition/offset` when the sender gave none).
    pub id: String,
    /// Canonical zone, or `*` for everybody.
    pub zone: String,
    /// `market_alert`, `market_event` or `bidding`.
    pub class: String,
    /// The sender's own type, e.g. `price_spike`.
    pub alert_type: String,
    /// Text for people.
    pub message: String,
    /// How much it matters.
    pub severity: Severity,
    /// When it happened, UTC ms.
    pub event_ms: i64,
}
