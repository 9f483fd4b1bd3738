//! What the log of a series is saved as: a minute with every record that stands in it.
//!
//! A minute is said whole, so a later one replaces an earlier, and one without records takes back what was there.
//! Records are put back through the same door as new ones: the log has one way in.

use model::{LocationId, Market, PartitionId, SeriesKey, Tick};
use serde::{Deserialize, Serialize};

/// Every record that stands of one minute of a series: the winner of each identity, cancellations included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SavedMinute {
    /// Location and market.
    pub series: SeriesKey,
    /// Start of the minute, UTC ms.
    pub start_ms: i64,
    /// Its records, in no order; none when all have moved elsewhere.
    pub records: Vec<SavedTick>,
}

/// A record that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SavedTick {
    /// Event time or interval start, UTC ms.
    pub event_ms: i64,
    /// Price, micros.
    pub price_micros: i64,
    /// Volume, kWh.
    pub volume_kwh: i64,
    /// Identity.
    pub id: u64,
    /// Revision.
    pub revision: i64,
    /// Offset in its partition.
    pub offset: i64,
    /// Registered id of its partition.
    pub partition: u32,
    /// The record withdraws its identity.
    pub cancelled: bool,
}

impl SavedTick {
    /// The record again, without what only matters on its first way through.
    pub(super) fn tick(&self, series: SeriesKey) -> Tick {
        let (location, market): (LocationId, Market) = (series.location, series.market);
        Tick {
            location,
            market,
            event_ms: self.event_ms,
            duration_ms: 0,
            price_micros: self.price_micros,
            volume_kwh: self.volume_kwh,
            id: self.id,
            revision: self.revision,
            cancelled: self.cancelled,
            partition: PartitionId(self.partition),
            offset: self.offset,
            extra: None,
        }
    }
}
