//! The bytes on Kafka, in and out. Decoding is total: whatever the bytes, the result is records or dead letters.
//!
//! A tick message is JSON (an object, version in `v`, 1 when absent) or an Arrow IPC stream (a batch of
//! ticks in one message). Bids, meter readings, rules and notices are JSON. Every field is documented at [`WireTick`] and
//! its siblings; producers of ours build those structs and encode them here.

pub mod bid;
#[cfg(test)]
mod bid_tests;
pub mod columnar;
pub mod decode;
pub mod json;
pub mod meter;
#[cfg(test)]
mod tests;

pub use decode::{Decoded, Decoder, Limits, Origin};
pub use json::{WireBid, WireKind, WireNotice, WireStep, WireTick};
pub use meter::WireMeter;

/// What a topic carries; the last part of the topic's name says which (`<prefix>.ticks.<zone>`, `<prefix>.bids` …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicKind {
    /// Price ticks of one zone.
    Ticks,
    /// Bid events.
    Bids,
    /// Meter readings.
    Meters,
    /// Alert rules, compacted, keyed by rule name.
    Rules,
    /// Notices.
    Notices,
}

impl TopicKind {
    /// Kind of `topic` under `prefix` (e.g. `optibid`): `None` for a topic that is not ours to read.
    pub fn of(prefix: &str, topic: &str) -> Option<Self> {
        let rest = topic.strip_prefix(prefix)?.strip_prefix('.')?;
        Some(match rest {
            "bids" => Self::Bids,
            "meters" => Self::Meters,
            "rules" => Self::Rules,
            "notices" => Self::Notices,
            _ if rest.starts_with("ticks.") => Self::Ticks,
            _ => return None,
        })
    }

    /// The topic for a zone's ticks: `<prefix>.ticks.<zone code in lower case>`.
    pub fn ticks_topic(prefix: &str, zone: &str) -> String {
        format!("{prefix}.ticks.{}", zone.to_ascii_lowercase())
    }
}
