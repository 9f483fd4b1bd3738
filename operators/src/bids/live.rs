//! Live bids: of all events of one bid the winner stands, whatever its status.
//!
//! ```sql
//! select distinct on (bid) * from bid_events order by bid, revision desc, partition desc, "offset" desc
//! ```
//! The winner is a maximum over a total order, so late, duplicate and out-of-order events give the same bid. Withdrawn,
//! rejected and expired bids stand too, with that status: whoever clears a market picks those that count.
//!
//! State: the winning event of every bid whose delivery ended less than `retention.minute` before T. A bid older than
//! that is forgotten without a word (its last row stands downstream), and an event for such a delivery is passed over.

use differential_dataflow::{AsCollection, VecCollection};
use model::{BidEvent, LiveBid, PartitionId, T};
use timely::dataflow::StreamVec;

use crate::keyed::{Emit, Machine, Visit, keyed};

/// The winning event of every bid.
pub fn live_bids<'s>(
    config: &crate::Config,
    events: StreamVec<'s, T, BidEvent>,
) -> VecCollection<'s, T, LiveBid, isize> {
    let machine = Live { retention_ms: config.retention.minute.millis_i64() };
    keyed("LiveBids", events, |event| event.bid.clone(), machine).changes.as_collection()
}

struct Live {
    retention_ms: i64,
}

impl Live {
    /// The T at which a bid is forgotten.
    fn forgotten_at(&self, event: &BidEvent) -> T {
        let end_ms = event.delivery_ms.saturating_add(i64::from(event.duration_ms));
        T::try_from(end_ms.saturating_add(self.retention_ms)).unwrap_or(0)
    }
}

impl Machine for Live {
    type Key = String;
    type State = Option<BidEvent>;
    type In = BidEvent;
    type Shared = ();
    type Out = LiveBid;
    type Side = ();

    fn step(
        &mut self,
        visit: Visit<'_, String>,
        winner: &mut Option<BidEvent>,
        input: &mut Vec<BidEvent>,
        out: &mut Emit<LiveBid, ()>,
    ) -> Option<T> {
        if winner.as_ref().is_some_and(|winner| self.forgotten_at(winner) <= visit.t) {
            *winner = None;
        }
        let best = input.drain(..).filter(|event| self.forgotten_at(event) > visit.t).max_by_key(rank);
        if let Some(best) = best
            && winner.as_ref().is_none_or(|winner| rank(winner) < rank(&best))
        {
            out.revise(winner.replace(best.clone()), Some(best));
        }
        winner.as_ref().map(|winner| self.forgotten_at(winner))
    }

    fn is_empty(&self, winner: &Option<BidEvent>) -> bool {
        winner.is_none()
    }
}

/// Highest revision, then the later of partition and offset.
fn rank(event: &BidEvent) -> (i64, PartitionId, i64) {
    (event.revision, event.partition, event.offset)
}
