//! What bids were before the history has it, or where there is none: the versions that this process saw.
//!
//! The state holds each bid as it stands, the history what has been written. A version that was overtaken between the two
//! would be in neither for that while: it is kept here, among the newest `MAX_STEPS` steps of all bids together.

use std::collections::{HashMap, VecDeque};

use model::time::T;
use model::{Batch, LiveBid, Snapshot};
use parking_lot::Mutex;

/// Steps of all versions together; a step is 40 bytes.
const MAX_STEPS: usize = 500_000;

/// Versions by bid. Of one that is forgotten the oldest versions go first.
#[derive(Debug, Default)]
pub(crate) struct Lives(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    versions: HashMap<String, VecDeque<(T, LiveBid)>>,
    /// Whose version came when, oldest first.
    order: VecDeque<String>,
    steps: usize,
}

impl Lives {
    /// Begins with the versions that stand.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let lives = Self::default();
        let mut standing: Vec<&(T, LiveBid)> = snapshot.bids.values().collect();
        standing.sort_by_key(|(t, _)| *t);
        let mut kept = lives.0.lock();
        standing.into_iter().for_each(|(t, bid)| kept.push(*t, bid, MAX_STEPS));
        drop(kept);
        lives
    }

    /// Keeps what is new in a batch.
    pub(crate) fn take(&self, batch: &Batch) {
        if batch.bids.is_empty() {
            return;
        }
        let mut kept = self.0.lock();
        for bid in batch.bids.iter().filter_map(model::Change::put) {
            kept.push(batch.t, bid, MAX_STEPS);
        }
    }

    /// The versions of a bid that are here, oldest first.
    pub(crate) fn of_bid(&self, bid: &str) -> Vec<(T, LiveBid)> {
        self.0.lock().versions.get(bid).into_iter().flatten().cloned().collect()
    }
}

impl Kept {
    fn push(&mut self, t: T, bid: &LiveBid, max_steps: usize) {
        let versions = self.versions.entry(bid.bid.clone()).or_default();
        // The state at the start may hold what the first batches bring.
        if versions.back().is_some_and(|(known_t, _)| *known_t >= t) {
            return;
        }
        versions.push_back((t, bid.clone()));
        self.order.push_back(bid.bid.clone());
        self.steps += weight(bid);
        while self.steps > max_steps {
            let Some(oldest) = self.order.pop_front() else { return };
            let Some(versions) = self.versions.get_mut(&oldest) else { continue };
            self.steps -= versions.pop_front().map_or(0, |(_, gone)| weight(&gone));
            if versions.is_empty() {
                self.versions.remove(&oldest);
            }
        }
    }
}

/// Names and the like weigh about ten steps.
fn weight(bid: &LiveBid) -> usize {
    bid.steps.len() + 10
}

#[cfg(test)]
mod tests {
    use model::{BidEvent, BidKind, BidStatus, LocationId, Market, SeriesKey, Side, Step};

    use super::*;

    fn version(bid: &str, revision: i64) -> LiveBid {
        LiveBid::new(BidEvent {
            bid: bid.to_owned(),
            revision,
            status: BidStatus::Submitted,
            organisation: "o".to_owned(),
            asset: None,
            series: SeriesKey { location: LocationId(1), market: Market::DayAheadHourly },
            delivery_ms: 0,
            duration_ms: 3_600_000,
            side: Side::Sell,
            kind: BidKind::Curve,
            steps: vec![Step::flat(0, 1, 1)],
            event_ms: 0,
            partition: model::PartitionId(0),
            offset: 0,
        })
    }

    #[test]
    fn the_oldest_versions_make_room() {
        let mut kept = Kept::default();
        // Each weighs 11.
        for t in 1..=4 {
            kept.push(t, &version(if t % 2 == 0 { "a" } else { "b" }, t as i64), 33);
        }
        let of = |bid: &str| kept.versions[bid].iter().map(|(t, _)| *t).collect::<Vec<_>>();
        assert_eq!((of("b"), of("a"), kept.steps), (vec![3], vec![2, 4], 33));
        kept.push(4, &version("a", 4), 33);
        assert_eq!(kept.order.len(), 3, "a repeat is not kept again");
        kept.push(5, &version("c", 5), 11);
        assert_eq!((kept.versions.len(), kept.steps), (1, 11));
    }
}
