//! A price observation: one tick of a continuous stream, or the value of one delivery interval.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::location::{LocationId, PartitionId, SeriesKey};
use crate::market::Market;

/// A decoded tick. Small and `Copy`-free on purpose: the rare parts live in `extra`.
///
/// Identity is `(location, market, id)`. Of all records with one identity the *winner* counts: the one
/// with the highest `revision`, and among equals the smallest `(partition, offset)`. That is a total
/// order, so the winner does not depend on arrival. A winner with `cancelled` withdraws the tick.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tick {
    /// Where.
    pub location: LocationId,
    /// In which market.
    pub market: Market,
    /// UTC ms of the tick, or of the *start* of its interval.
    pub event_ms: i64,
    /// Interval length in ms; 0 for a tick of a continuous stream.
    pub duration_ms: u32,
    /// Price in 10⁻⁶ currency per MWh.
    pub price_micros: i64,
    /// Volume in kWh; 0 where the source has none.
    pub volume_kwh: i64,
    /// Hash of the record's id. Without an id: of the interval (interval prices) or of partition and offset (ticks).
    pub id: u64,
    /// Higher replaces lower. Without one on the wire: 0 for ticks, the offset for interval prices, so the later record wins.
    pub revision: i64,
    /// This revision withdraws the tick.
    pub cancelled: bool,
    /// Kafka partition it came from.
    pub partition: PartitionId,
    /// Kafka offset it came from; rows of one columnar message share it.
    pub offset: i64,
    /// Components, source and id text, where the record has them.
    pub extra: Option<Box<TickExtra>>,
}

impl Tick {
    /// The series it belongs to.
    pub fn series(&self) -> SeriesKey {
        SeriesKey { location: self.location, market: self.market }
    }

    /// Sorts records of one identity: the greatest is the winner.
    pub fn rank(&self) -> (i64, std::cmp::Reverse<(PartitionId, i64)>) {
        (self.revision, std::cmp::Reverse((self.partition, self.offset)))
    }
}

/// The parts of a tick that the dataflow carries but does not compute with.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TickExtra {
    /// The record's id as text.
    pub id: Option<Arc<str>>,
    /// Who published it, e.g. `nyiso`.
    pub source: Option<Arc<str>>,
    /// Currency as sent, where it differs from the zone's own this is a dead letter, so it is only kept for history.
    pub currency: Option<crate::market::Currency>,
    /// LMP energy component, micros.
    pub energy_micros: Option<i64>,
    /// LMP congestion component, micros; positive raises the price (LMP = energy + congestion + losses).
    pub congestion_micros: Option<i64>,
    /// LMP loss component, micros.
    pub loss_micros: Option<i64>,
}

/// What became of a record that reached its bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// First record of its identity, counted in the bar.
    Applied,
    /// Replaced an earlier revision (or withdrew it, if `cancelled`).
    Corrected,
    /// A lower revision that came after a higher one: kept for the record, changes nothing.
    Superseded,
}

impl Disposition {
    /// Name in tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Corrected => "corrected",
            Self::Superseded => "superseded",
        }
    }
}

/// A tick and what became of it. Duplicates are only counted, refusals are dead letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TickRow {
    /// The record.
    pub tick: Tick,
    /// What it did.
    pub disposition: Disposition,
}
