//! What the generator hands out: a message to send, when, and the truth about it.

use std::sync::Arc;

use model::wire::json::Timestamp;
use model::wire::{TopicKind, WireBid, WireNotice, WireTick};
use model::{Market, Reason};
use serde::Serialize;

/// A message to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// When to send it, UTC ms of simulated time.
    pub at_ms: i64,
    /// Which kind of topic it belongs to.
    pub kind: TopicKind,
    /// Canonical zone: names the topic of ticks.
    pub zone: Arc<str>,
    /// Key: the location of a tick, the id of a bid, the zone of a notice.
    pub key: Arc<str>,
    /// What it says.
    pub body: Body,
    /// What a correct reader makes of it.
    pub truth: Truth,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A tick.
    Tick(WireTick),
    /// A bid event.
    Bid(WireBid),
    /// A notice.
    Notice(WireNotice),
    /// Damaged bytes.
    Raw(Vec<u8>),
}

/// What a correct reader makes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Place in the stream, from 0.
    pub sequence: u64,
    /// What was done to it on purpose.
    pub fault: Option<Fault>,
    /// What must become of it.
    pub expected: Expected,
}

/// What was done to a message on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Sent late.
    Late,
    /// A second copy.
    Duplicate,
    /// A correction of an earlier tick.
    Corrected,
    /// A cancellation of an earlier tick.
    Cancelled,
    /// Damaged.
    Corrupt,
    /// Dated in the future.
    Future,
}

/// What must become of a message. A reader may in addition refuse what comes after its own correction horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// A tick that counts.
    Applied,
    /// A tick that replaces or withdraws an earlier one.
    Corrected,
    /// A tick that is there already.
    Duplicate,
    /// A tick that must be refused, for this reason.
    DeadLetter(Reason),
    /// A bid event.
    Bid,
    /// A notice.
    Notice,
}

impl Body {
    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Tick(tick) => tick.to_json(),
            // Both are plain structs of numbers and text: encoding them cannot fail.
            Self::Bid(bid) => serde_json::to_vec(bid).unwrap_or_default(),
            Self::Notice(notice) => serde_json::to_vec(notice).unwrap_or_default(),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// One line of the truth log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TruthLine<'a> {
    /// When it was sent, UTC ms of simulated time.
    pub at_ms: i64,
    /// Canonical zone.
    pub zone: &'a str,
    /// Key of the message.
    pub key: &'a str,
    /// Market of a tick that can be read.
    pub market: Option<Market>,
    /// Event time of a tick that can be read, UTC ms.
    pub event_ms: Option<i64>,
    /// Its id.
    pub id: Option<&'a str>,
    /// Its revision.
    pub revision: Option<i64>,
    /// Its price.
    pub price: Option<f64>,
    /// Its volume, MWh.
    pub volume: Option<f64>,
    /// Place, fault and what must become of it.
    #[serde(flatten)]
    pub truth: Truth,
}

impl Message {
    /// The message's line for the truth log.
    pub fn truth_line(&self) -> TruthLine<'_> {
        let tick = if let Body::Tick(tick) = &self.body { Some(tick) } else { None };
        TruthLine {
            at_ms: self.at_ms,
            zone: &self.zone,
            key: &self.key,
            market: tick.map(|tick| tick.market.unwrap_or(Market::Continuous)),
            event_ms: tick.and_then(|tick| Timestamp::millis(&tick.timestamp)),
            id: tick.and_then(|tick| tick.id.as_deref()),
            revision: tick.and_then(|tick| tick.revision),
            price: tick.map(|tick| tick.price),
            volume: tick.and_then(|tick| tick.volume),
            truth: self.truth,
        }
    }
}
