//! The JSON forms of ticks, bids and notices, and what is wrong with a tick that cannot be read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::dead_letter::Reason;
use crate::location::Names;
use crate::market::{Currency, Market};
use crate::money;
use crate::tick::Tick;

use super::decode::Refusal;

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
        serde_json::to_vec(self).expect("a struct of numbers and text always serialises")
    }

    /// The full form of a decoded tick: what a dead letter keeps of it.
    pub fn of(tick: &Tick, names: &Names) -> Self {
        let name = names.name(tick.location);
        let extra = tick.extra.as_deref();
        let price = |micros: Option<i64>| micros.map(money::price);
        Self {
            v: 1,
            market_zone: name.as_ref().map_or_else(String::new, |name| name.zone.to_string()),
            location: name.map(|name| name.location.to_string()),
            market: Some(tick.market),
            timestamp: Timestamp::Millis(tick.event_ms),
            duration_ms: Some(tick.duration_ms),
            price: money::price(tick.price_micros),
            volume: Some(money::volume_mwh(tick.volume_kwh)),
            currency: extra.and_then(|extra| extra.currency),
            energy: price(extra.and_then(|extra| extra.energy_micros)),
            congestion: price(extra.and_then(|extra| extra.congestion_micros)),
            loss: price(extra.and_then(|extra| extra.loss_micros)),
            id: extra.and_then(|extra| extra.id.as_deref()).map(str::to_owned),
            revision: Some(tick.revision),
            cancelled: tick.cancelled,
            source: extra.and_then(|extra| extra.source.as_deref()).map(str::to_owned),
            published: None,
        }
    }
}

/// A tick as it is read: borrowed text, otherwise field for field a [`WireTick`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTick<'a> {
    #[serde(default = "one")]
    pub(super) v: u32,
    #[serde(borrow)]
    pub(super) market_zone: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) location: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) market: Option<Market>,
    #[serde(borrow)]
    pub(super) timestamp: RawTimestamp<'a>,
    #[serde(default)]
    pub(super) duration_ms: Option<u32>,
    pub(super) price: f64,
    #[serde(default)]
    pub(super) volume: Option<f64>,
    #[serde(default)]
    pub(super) currency: Option<Currency>,
    #[serde(default)]
    pub(super) energy: Option<f64>,
    #[serde(default)]
    pub(super) congestion: Option<f64>,
    #[serde(default)]
    pub(super) loss: Option<f64>,
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) revision: Option<i64>,
    #[serde(default)]
    pub(super) cancelled: bool,
    #[serde(borrow, default)]
    pub(super) source: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) published: Option<RawTimestamp<'a>>,
}

/// A [`Timestamp`] with borrowed text. Not `untagged`: serde would buffer every value of the hot path first.
#[derive(Debug)]
pub(super) enum RawTimestamp<'a> {
    Millis(i64),
    Text(Cow<'a, str>),
}

impl RawTimestamp<'_> {
    pub(super) fn millis(&self) -> Option<i64> {
        match self {
            Self::Millis(ms) => Some(*ms),
            Self::Text(text) => crate::time::parse_instant(text),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawTimestamp<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = RawTimestamp<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an RFC 3339 instant or UTC milliseconds")
            }
            fn visit_i64<E: serde::de::Error>(self, ms: i64) -> Result<Self::Value, E> {
                Ok(RawTimestamp::Millis(ms))
            }
            fn visit_u64<E: serde::de::Error>(self, ms: u64) -> Result<Self::Value, E> {
                Ok(RawTimestamp::Millis(i64::try_from(ms).unwrap_or(i64::MAX)))
            }
            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(RawTimestamp::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawTimestamp::Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Says what is wrong with a tick message that the fast pass refused.
pub(super) fn diagnose_tick(bytes: &[u8], error: &serde_json::Error) -> Refusal {
    let detail = format!("read JSON: {error}");
    let Ok(text) = std::str::from_utf8(bytes) else {
        return (Reason::Malformed, "neither UTF-8 JSON nor an Arrow stream".into());
    };
    let value: serde_json::Value = match serde_json::from_str(text) {
        Ok(value) => value,
        // JSON has no NaN or Infinity, but some writers emit them: if that is all, the price is what is bad.
        Err(_) => match serde_json::from_str(
            &text.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null"),
        ) {
            Ok(value) => value,
            Err(_) => return (Reason::Malformed, detail),
        },
    };
    let Some(fields) = value.as_object() else { return (Reason::Malformed, detail) };
    match fields.get("price") {
        None => return (Reason::BadPrice, "price is missing".into()),
        Some(price) if !price.is_number() => return (Reason::BadPrice, "price is not a number".into()),
        _ => {}
    }
    match fields.get("timestamp") {
        None => return (Reason::BadTime, "timestamp is missing".into()),
        Some(at) if !at.is_string() && !at.is_i64() => {
            return (Reason::BadTime, "timestamp is neither text nor whole milliseconds".into());
        }
        _ => {}
    }
    match fields.get("volume") {
        Some(volume) if !volume.is_number() && !volume.is_null() => {
            (Reason::BadVolume, "volume is not a number".into())
        }
        _ => (Reason::Malformed, detail),
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
    /// The unit behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// Zone, any alias.
    pub market_zone: String,
    /// Location inside the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Market.
    pub market: Market,
    /// Start of the (first) delivery interval.
    pub delivery: Timestamp,
    /// Length of each delivery interval; the market's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// Buy or sell.
    pub side: crate::bid::Side,
    /// What is asked of its acceptance; nothing when absent.
    #[serde(default, skip_serializing_if = "WireKind::is_curve")]
    pub kind: WireKind,
    /// Steps: price (currency per MWh) and power (MW).
    pub steps: Vec<WireStep>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When it was published; Kafka's timestamp when absent. Replays of the past set it, so that the event clock can follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
}

/// What is asked of the acceptance of a bid, on the wire: `"curve"`, `{"block":{"min_acceptance_ratio":1}}`,
/// `{"minimum_income":{"fixed":1000}}`, `{"capacity":{"to":"MIBEL-PT"}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WireKind {
    /// Each step on its own.
    #[default]
    Curve,
    /// Each step on its own, if the income reaches a minimum.
    MinimumIncome {
        /// Fixed term, currency.
        fixed: f64,
        /// Variable term, currency per accepted MWh; absent: the steps' own prices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variable: Option<f64>,
    },
    /// All steps at one ratio.
    Block {
        /// Smallest ratio other than 0; 1 is all-or-none.
        min_acceptance_ratio: f64,
        /// The block that this one hangs on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<String>,
        /// At most one block of a group is accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exclusive_group: Option<String>,
    },
    /// Transmission capacity instead of energy.
    Capacity {
        /// The zone it leads to, any alias.
        to: String,
    },
}

impl WireKind {
    fn is_curve(&self) -> bool {
        *self == Self::Curve
    }
}

/// One step of a bid curve on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireStep {
    /// Start of its delivery interval; the bid's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Timestamp>,
    /// Currency per MWh; of a piece of a linear curve at its first kW.
    pub price: f64,
    /// The price at its last kW; the same when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_price: Option<f64>,
    /// MW.
    pub power: f64,
    /// Smallest MW that may be accepted of it; 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_power: Option<f64>,
}

impl WireStep {
    /// A divisible step at one price, in the bid's own interval.
    pub fn flat(price: f64, power: f64) -> Self {
        Self { delivery: None, price, end_price: None, power, min_power: None }
    }
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

pub(super) fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
pub(super) fn is_one(v: &u32) -> bool {
    *v == 1
}
