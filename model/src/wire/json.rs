//! JSON forms. (Encoding and decoding bodies follow in the next commit; the shapes are final.)

use serde::{Deserialize, Serialize};

use crate::market::{Currency, Market};

/// A tick on the wire. Only `market_zone`, `price` and `timestamp` are required:
/// `{"market_zone":"pjm","price":52.5,"volume":1000,"timestamp":"2025-11-18T10:00:00Z"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireTick {
    /// Format version; 1 when absent. A newer one is a dead letter.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub v: u32,
    /// Zone, any alias, any case.
    pub market_zone: String,
    /// Location inside the zone; the zone's own index when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Market; `CONTINUOUS` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub market: Option<Market>,
    /// RFC 3339 (no offset: UTC), or a number of UTC milliseconds: the tick, or the *start* of its interval.
    pub timestamp: Timestamp,
    /// Interval length in ms; the market's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// Price, currency per MWh.
    pub price: f64,
    /// Volume, MWh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<f64>,
    /// Currency; must be the zone's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// LMP energy component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<f64>,
    /// LMP congestion component (LMP = energy + congestion + loss).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub congestion: Option<f64>,
    /// LMP loss component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Record id, unique within location and market.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Revision, ≥ 0; higher replaces lower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// This revision withdraws the record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// Who published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it was published; Kafka's timestamp when absent. Replays of the past set it, so that the event clock can follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
}

/// An instant on the wire: RFC 3339 text or UTC milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Timestamp {
    /// UTC milliseconds.
    Millis(i64),
    /// RFC 3339.
    Text(String),
}

impl Timestamp {
    /// UTC milliseconds; `None` for text that is no instant.
    pub fn millis(&self) -> Option<i64> {
        match self {
            Self::Millis(ms) => Some(*ms),
            Self::Text(text) => crate::time::parse_instant(text),
        }
    }
}

impl WireTick {
    /// The minimal tick: zone, time, price and volume (MWh).
    pub fn minimal(zone: &str, event_ms: i64, price: f64, volume: f64) -> Self {
        Self {
            v: 1,
            market_zone: zone.to_owned(),
            location: None,
            market: None,
            timestamp: Timestamp::Millis(event_ms),
            duration_ms: None,
            price,
            volume: Some(volume),
            currency: None,
            energy: None,
            congestion: None,
            loss: None,
            id: None,
            revision: None,
            cancelled: false,
            source: None,
            published: None,
        }
    }

    /// JSON bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A bid event on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireBid {
    /// Format version; 1 when absent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub v: u32,
    /// Bid id.
    pub bid: String,
    /// Revision, ≥ 0.
    #[serde(default)]
    pub revision: i64,
    /// What happened.
    pub status: crate::bid::BidStatus,
    /// Whose bid.
    pub organisation: String,
    /// Zone, any alias.
    pub market_zone: String,
    /// Location inside the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Market.
    pub market: Market,
    /// Start of the delivery interval.
    pub delivery: Timestamp,
    /// Length of the delivery interval; the market's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// Buy or sell.
    pub side: crate::bid::Side,
    /// Steps: price (currency per MWh) and power (MW).
    pub steps: Vec<WireStep>,
    /// When it happened.
    pub timestamp: Timestamp,
}

/// One step of a bid curve on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireStep {
    /// Currency per MWh.
    pub price: f64,
    /// MW.
    pub power: f64,
}

/// A notice on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireNotice {
    /// Format version; 1 when absent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub v: u32,
    /// Id; made from topic, partition and offset when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Zone, any alias, or `*`.
    pub market_zone: String,
    /// `market_alert` (when absent), `market_event` or `bidding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The sender's own type, e.g. `price_spike`.
    pub alert_type: String,
    /// Text for people.
    pub message: String,
    /// `info` (when absent), `warning` or `critical`; clients also say `low`, `medium`, `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// When it happened; Kafka's timestamp when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_one(v: &u32) -> bool {
    *v == 1
}
