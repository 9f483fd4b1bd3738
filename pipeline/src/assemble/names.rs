//! Names travel with the batch that uses them first, whichever worker met them first.

use std::collections::HashSet;
use std::sync::Arc;

use model::{Batch, LocationId, LocationName, Names};

use crate::bind::Bound;

/// Which names have been announced. Bound: the number of locations.
pub(super) struct Announcer {
    names: Arc<Names>,
    announced: HashSet<LocationId>,
}

impl Announcer {
    /// `announced` are those that an earlier life announced.
    pub(super) fn new(names: Arc<Names>, announced: HashSet<LocationId>) -> Self {
        Self { names, announced }
    }

    /// Learns the names that a worker met; in a cluster it may be in another process.
    pub(super) fn learn(&self, bound: &Bound) {
        bound.names.iter().for_each(|name| self.names.learn(name));
        for (topic, partition) in &bound.partitions {
            if let Err(other) = self.names.partition(topic, *partition) {
                tracing::error!(%topic, partition, other, "a partition's id collides with another's");
            }
        }
    }

    /// Every name met so far.
    pub(super) fn known(&self) -> &Names {
        &self.names
    }

    /// The names that `batch` uses and no batch before did, by id.
    pub(super) fn announce(&mut self, batch: &Batch) -> Vec<LocationName> {
        let ticks = batch.ticks.iter().map(|row| row.tick.location);
        let bars = batch.bars.iter().map(|change| change.row().key.series.location);
        let bids = batch.bids.iter().map(|change| change.row().series.location);
        let mut fresh = Vec::new();
        let mut before = None;
        for id in ticks.chain(bars).chain(bids) {
            // Rows are sorted by series: neighbours share their location.
            if before.replace(id) == Some(id) || self.announced.contains(&id) {
                continue;
            }
            if let Some(name) = self.names.name(id) {
                self.announced.insert(id);
                fresh.push(name);
            }
        }
        fresh.sort_unstable();
        fresh
    }
}
