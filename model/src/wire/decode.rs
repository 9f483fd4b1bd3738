//! Bytes to records. (Body follows in the next commit; the shapes are final.)

use std::sync::Arc;

use crate::bid::BidEvent;
use crate::dead_letter::DeadLetter;
use crate::location::{LocationName, Names, PartitionId};
use crate::notice::Notice;
use crate::rule::Rule;
use crate::tick::Tick;
use crate::zones::Zones;

use super::TopicKind;

/// Where a message comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Registered id of topic and partition.
    pub partition_id: PartitionId,
    /// Offset.
    pub offset: i64,
    /// Kafka's timestamp, UTC ms.
    pub timestamp_ms: i64,
}

/// Bounds that decoding enforces.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest message in bytes.
    pub max_bytes: usize,
    /// How far an event time may lie ahead of publication, ms.
    pub max_ahead_ms: i64,
    /// The same for day-ahead markets, ms.
    pub day_ahead_max_ahead_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_ahead_ms: 60_000, day_ahead_max_ahead_ms: 48 * crate::time::HOUR_MS }
    }
}

/// Everything a run of messages decoded to. Reused between runs: `clear` keeps the capacity.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Ticks.
    pub ticks: Vec<Tick>,
    /// Bid events.
    pub bids: Vec<BidEvent>,
    /// Rules, with where they came from (partition, offset).
    pub rules: Vec<(Rule, PartitionId, i64)>,
    /// Notices.
    pub notices: Vec<Notice>,
    /// Names seen for the first time in this process.
    pub names: Vec<LocationName>,
    /// Refused records.
    pub dead_letters: Vec<DeadLetter>,
    /// Tick records read: rows, not messages; refused ones included.
    pub received: u64,
    /// Refused tick records among `dead_letters`.
    pub refused: u64,
    /// What the event clock may advance to: the greatest min(event time, publication time); `i64::MIN` for none.
    pub clock_ms: i64,
}

impl Decoded {
    /// Empties it for reuse.
    pub fn clear(&mut self) {
        self.ticks.clear();
        self.bids.clear();
        self.rules.clear();
        self.notices.clear();
        self.names.clear();
        self.dead_letters.clear();
        (self.received, self.refused, self.clock_ms) = (0, 0, i64::MIN);
    }
}

/// Decodes messages of every topic. One per worker; holds no state between messages.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Zone table.
    pub zones: Zones,
    /// Register of names.
    pub names: Arc<Names>,
    /// Bounds.
    pub limits: Limits,
}

impl Decoder {
    /// Decodes one message onto `out`. Never fails: what cannot be read becomes a dead letter.
    pub fn decode(&self, kind: TopicKind, origin: &Origin, bytes: &[u8], out: &mut Decoded) {
        let _ = (kind, origin, bytes, out);
    }
}
