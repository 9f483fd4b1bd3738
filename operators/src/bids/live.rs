//! Live bids: of all events of one bid the winner stands, whatever its status.
//!
//! ```sql
//! select distinct on (bid) * from bid_events order by bid, revision desc, partition desc, "offset" desc
//! ```
//! The winner is a maximum over a total order, so late, duplicate and out-of-order events give the same bid. Withdrawn,
//! rejected and expired bids stand too, with that status: whoever clears a market picks those that count.
//!
//! State: the winning event of every bid whose day of delivery ended less than `retention.minute` before T. A bid older than
//! that is forgotten without a word (its last row stands downstream), and an event for such a delivery is passed over. All
//! bids of a day are forgotten at once, and so is what follows from them: a day is never half there.

use std::sync::Arc;

use auction::Rules;
use differential_dataflow::{AsCollection, VecCollection};
use model::{BidEvent, LiveBid, PartitionId, T, Zones};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::generic::operator::empty;

use crate::keyed::{Barrier, Durable, Emit, Machine, Visit, keyed_durable};

/// The winning event of every bid; and at each barrier the winners that are new since the last.
pub fn live_bids<'s>(
    config: &crate::Config,
    zones: &Zones,
    events: StreamVec<'s, T, BidEvent>,
    barriers: Option<StreamVec<'s, T, Barrier>>,
) -> (VecCollection<'s, T, LiveBid, isize>, StreamVec<'s, T, BidEvent>) {
    let retention_ms = config.retention.minute.millis_i64();
    let machine = Live { rules: Rules::new(zones), retention_ms, saves: barriers.is_some() };
    let bid = |event: &BidEvent| event.bid.clone();
    // A winner that was saved comes back as what it is: an event.
    let scope = events.scope();
    let durable = barriers.map(|barriers| Durable { restore: empty(scope), barriers });
    let live = keyed_durable("LiveBids", events, durable, bid, bid, machine);
    (live.changes.as_collection(), live.saved)
}

#[derive(Default)]
struct Standing {
    winner: Option<LiveBid>,
    /// The last winner that has not been saved. It may be forgotten already: then it says so of the one before.
    unsaved: Option<LiveBid>,
}

struct Live {
    rules: Rules,
    retention_ms: i64,
    /// There are barriers.
    saves: bool,
}

impl Live {
    /// The T at which a bid is forgotten.
    fn forgotten_at(&self, event: &BidEvent) -> T {
        self.rules.forgotten_at(event, self.retention_ms)
    }
}

impl Machine for Live {
    type Key = String;
    type State = Standing;
    type In = BidEvent;
    type Shared = ();
    type Out = LiveBid;
    type Side = ();
    type Saved = BidEvent;

    fn step(
        &mut self,
        visit: Visit<'_, String>,
        standing: &mut Standing,
        input: &mut Vec<BidEvent>,
        out: &mut Emit<LiveBid, ()>,
    ) -> Option<T> {
        let winner = &mut standing.winner;
        if winner.as_ref().is_some_and(|winner| self.forgotten_at(winner) <= visit.t) {
            *winner = None;
        }
        let best = input.drain(..).filter(|event| self.forgotten_at(event) > visit.t).max_by_key(rank);
        if let Some(best) = best
            && winner.as_ref().is_none_or(|winner| rank(winner) < rank(&best))
        {
            let best = Arc::new(best);
            out.revise(winner.replace(Arc::clone(&best)), Some(best));
            standing.unsaved = standing.winner.clone().filter(|_| self.saves);
        }
        standing.winner.as_ref().map(|winner| self.forgotten_at(winner))
    }

    fn is_empty(&self, standing: &Standing) -> bool {
        standing.winner.is_none() && standing.unsaved.is_none()
    }

    fn save(&mut self, _bid: &String, standing: &mut Standing, barrier: Barrier, out: &mut Vec<BidEvent>) {
        let unsaved = standing.unsaved.take();
        let saved = if barrier.all { standing.winner.clone() } else { unsaved };
        out.extend(saved.map(Arc::unwrap_or_clone));
    }
}

/// Highest revision, then the later of partition and offset.
fn rank(event: &BidEvent) -> (i64, PartitionId, i64) {
    (event.revision, event.partition, event.offset)
}
