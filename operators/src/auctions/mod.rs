//! Auctions: the clearing of every zone and delivery interval as its book stands, and who is awarded what.
//!
//! For each auction (zones that clear together, market, day of delivery) the result is a function of its live bids:
//! ```text
//! clearing = `auction::Book` of { bid in live_bids | submitted, amended or accepted }, for each zone and interval with bids
//! awards   = its accepted quantities > 0 of the intervals whose gate is closed: T ≥ gate, or the start where there is no gate
//! ```
//! So a late, amended, withdrawn or rejected bid revises exactly the intervals that it touches, or that complex bids connect
//! with those. How bids become orders is told in the crate `auction`, what clears and every edge of it in `clearing`.
//! Sold + import = bought in each row.
//!
//! State: the live bids of each day, its merit orders, the rows said last; forgotten without a word when the day has been over
//! for `retention.minute`, as are its bids. Rows of intervals without bids are not there.

mod said;

use auction::{Auction, Rules};
use differential_dataflow::{AsCollection, VecCollection};
use model::{Award, Clearing, LiveBid, T, Zones};
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::vec::Map;

use crate::keyed::{Emit, Machine, Visit, keyed};
use said::Said;

/// A row of either result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Row {
    Clearing(Clearing),
    Award(Award),
}

/// Clearing results, and awards.
pub fn auctions<'s>(
    config: &crate::Config,
    zones: &Zones,
    bids: VecCollection<'s, T, LiveBid, isize>,
) -> (VecCollection<'s, T, Clearing, isize>, VecCollection<'s, T, Award, isize>) {
    let rules = Rules::new(zones);
    let machine = Auctions { rules: rules.clone(), retention_ms: config.retention.minute.millis_i64() };
    let key = move |(bid, _, _): &(LiveBid, T, isize)| rules.auction(bid);
    let rows = keyed("Auctions", bids.inner, key, machine).changes;
    let clearing = rows.clone().flat_map(|(row, t, diff)| match row {
        Row::Clearing(row) => Some((row, t, diff)),
        Row::Award(_) => None,
    });
    let awards = rows.flat_map(|(row, t, diff)| match row {
        Row::Award(row) => Some((row, t, diff)),
        Row::Clearing(_) => None,
    });
    (clearing.as_collection(), awards.as_collection())
}

struct Auctions {
    rules: Rules,
    retention_ms: i64,
}

impl Machine for Auctions {
    type Key = Auction;
    type State = Option<Said>;
    type In = (LiveBid, T, isize);
    type Shared = ();
    type Out = Row;
    type Side = ();
    type Saved = ();

    fn step(
        &mut self,
        visit: Visit<'_, Auction>,
        state: &mut Option<Said>,
        input: &mut Vec<(LiveBid, T, isize)>,
        out: &mut Emit<Row, ()>,
    ) -> Option<T> {
        let auction = visit.key;
        let forgotten_at = auction.forgotten_at(self.retention_ms);
        if visit.t >= forgotten_at {
            (*state, *input) = (None, Vec::new());
            return None;
        }
        let said = state.get_or_insert_with(|| Said::new(auction, &self.rules));
        // Whatever came in one T is one change; what goes makes room first.
        input.sort_by_key(|(_, _, diff)| *diff);
        for (bid, _, diff) in input.drain(..).filter(|(bid, _, _)| bid.is_live()) {
            if diff < 0 { said.book.take_out(&bid) } else { said.book.enter(bid) }
        }
        let next_close = said.say(visit.t, out);
        if said.is_empty() {
            *state = None;
            return None;
        }
        Some(next_close.map_or(forgotten_at, |close| close.min(forgotten_at)))
    }

    fn is_empty(&self, state: &Option<Said>) -> bool {
        state.is_none()
    }
}
