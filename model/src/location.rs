//! Stable numeric identities of locations and Kafka partitions, and the register of their names.
//!
//! An id is a hash of the name, so every process, restart and worker count agrees on it without
//! talking to the others. The zone is in the id's top 16 bits: operators find a location's zone (time
//! zone, cap, currency) from the id alone. Names travel with the batches (`Batch::names`).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::market::Market;

/// A place that has a price: a zone, hub, area or node. Zone code in the top 16 bits, name hash below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LocationId(pub u64);

impl LocationId {
    /// Id of location `name` in zone `zone` (canonical zone code); the name is taken without case.
    pub fn new(zone: &str, name: &str) -> Self {
        Self(u64::from(zone_code(zone)) << 48 | (hash_without_case(name.trim()) & 0xffff_ffff_ffff))
    }

    /// The zone's 16-bit code: `zone_code` of its canonical name.
    pub fn zone_code(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

/// 16-bit code of a canonical zone name. `Zones` refuses a table in which two collide.
pub fn zone_code(zone: &str) -> u16 {
    (hash_without_case(zone) & 0xffff) as u16
}

/// Hash of the upper-case text. On the path of every record, so short names stay off the heap.
fn hash_without_case(text: &str) -> u64 {
    let mut buffer = [0; 64];
    match buffer.get_mut(..text.len()) {
        Some(short) => {
            short.copy_from_slice(text.as_bytes());
            short.make_ascii_uppercase();
            xxh3_64(short)
        }
        None => xxh3_64(text.to_ascii_uppercase().as_bytes()),
    }
}

/// One price series: a location in a market. The key of everything in the dataflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// Where.
    pub location: LocationId,
    /// In which market.
    pub market: Market,
}

/// A Kafka topic and partition: a hash of `topic/partition`. The source refuses two that collide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId(pub u32);

impl PartitionId {
    /// Id of partition `partition` of `topic`.
    pub fn new(topic: &str, partition: i32) -> Self {
        Self(xxh3_64(format!("{topic}/{partition}").as_bytes()) as u32)
    }
}

/// A location's names, as people write them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LocationName {
    /// The id both names hash to.
    pub id: LocationId,
    /// Canonical zone name, e.g. `NYISO`.
    pub zone: Arc<str>,
    /// Location name inside the zone, e.g. `N.Y.C.`; equal to the zone for the zone's own index.
    pub location: Arc<str>,
}

/// The process-wide register of names behind ids. Only ever grows; bounded by the number of locations.
#[derive(Debug, Default)]
pub struct Names {
    locations: RwLock<HashMap<LocationId, LocationName>>,
    partitions: RwLock<HashMap<PartitionId, (Arc<str>, i32)>>,
}

impl Names {
    /// Registers a location and returns its id, and its name the first time it is seen.
    pub fn location(&self, zone: &str, location: &str) -> (LocationId, Option<LocationName>) {
        let id = LocationId::new(zone, location);
        if self.locations.read().contains_key(&id) {
            return (id, None);
        }
        let name = LocationName { id, zone: zone.into(), location: location.trim().into() };
        let fresh = self.locations.write().insert(id, name.clone()).is_none();
        (id, fresh.then_some(name))
    }

    /// Registers a name that another process announced.
    pub fn learn(&self, name: &LocationName) {
        self.locations.write().entry(name.id).or_insert_with(|| name.clone());
    }

    /// The name behind an id.
    pub fn name(&self, id: LocationId) -> Option<LocationName> {
        self.locations.read().get(&id).cloned()
    }

    /// Every name known.
    pub fn all(&self) -> Vec<LocationName> {
        let mut all: Vec<_> = self.locations.read().values().cloned().collect();
        all.sort();
        all
    }

    /// Registers a partition. `Err` with the other owner's name when two partitions hash alike.
    pub fn partition(&self, topic: &str, partition: i32) -> Result<PartitionId, String> {
        let id = PartitionId::new(topic, partition);
        let mut all = self.partitions.write();
        let owner = all.entry(id).or_insert_with(|| (topic.into(), partition));
        if owner.0.as_ref() == topic && owner.1 == partition { Ok(id) } else { Err(format!("{}/{}", owner.0, owner.1)) }
    }

    /// Topic and partition behind an id.
    pub fn partition_name(&self, id: PartitionId) -> Option<(Arc<str>, i32)> {
        self.partitions.read().get(&id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_the_same_in_any_case_and_keeps_its_zone() {
        assert_eq!(LocationId::new("PJM", "western hub"), LocationId::new("pjm", " WESTERN HUB "));
        assert_ne!(LocationId::new("PJM", "X"), LocationId::new("MISO", "X"));
        assert_eq!(LocationId::new("PJM", "X").zone_code(), zone_code("PJM"));
    }

    #[test]
    fn a_name_is_announced_once() {
        let names = Names::default();
        assert!(names.location("PJM", "PJM").1.is_some());
        assert!(names.location("PJM", "pjm").1.is_none());
    }
}
