//! Key figures of bids: counts, volume, mean price and acceptance of each organisation, location, market, side and delivery
//! interval, as the book stands.
//!
//! ```text
//! live bids ─► a part an interval ─┐
//! awards ────► a part ─────────────┴─by key─► sums ─► BidKpi
//! ```
//! ```sql
//! select organisation, series, side, start, duration, count(*) filter (live) as live, count(*) filter (withdrawn), …,
//!        sum(power) filter (live) as offered, sum(price * power) / sum(power) filter (live) as mean_price,
//!        sum(awards.power) as awarded, awarded / offered as acceptance -- where T ≥ gate
//! from live_bids, their steps left join awards using (bid, start) group by organisation, series, side, start, duration
//! ```
//! A bid counts once in each interval that it has steps in, whatever its status; one without steps (a withdrawal needs none) in
//! the interval that holds its `delivery`. The price of a linear piece is the mean of its ends. Capacity is no energy and
//! counts nowhere, nor do steps off the grid of the day, which no book holds. A key without bids has no row.
//! Acceptance is undefined until the gate of the interval has closed (its start, where there is no gate): it appears at
//! exactly that T, 0 where nothing was awarded.
//!
//! * Late, amended and withdrawn bids revise the rows of the intervals they had and have; duplicates never get here.
//! * State: one set of sums a key and nothing a bid; forgotten without a word with the auction, when the day has been over
//!   for `retention.minute`.

mod sums;

use auction::Rules;
use differential_dataflow::{AsCollection, VecCollection};
use model::{Award, BidKpi, BidKpiKey, LiveBid, T, Zones};
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::vec::Map;

use crate::keyed::{Emit, Machine, Visit, keyed};
use sums::{Part, Sums};

/// Memory that a key takes, beside what it is found by.
pub const BYTES_PER_KEY: usize = size_of::<Standing>();

/// Key figures per organisation, location, market, side and delivery interval.
pub fn bid_kpis<'s>(
    config: &crate::Config,
    zones: &Zones,
    bids: VecCollection<'s, T, LiveBid, isize>,
    awards: VecCollection<'s, T, Award, isize>,
) -> VecCollection<'s, T, BidKpi, isize> {
    let rules = Rules::new(zones);
    let machine = Figures { rules: rules.clone(), retention_ms: config.retention.minute.millis_i64() };
    let offered = bids.inner.flat_map(move |(bid, _, diff)| sums::of_bid(&rules, &bid, diff));
    let awarded = awards.inner.map(|(award, _, diff)| sums::of_award(award, diff));
    keyed("BidKpis", offered.concat(awarded), |part| part.key.clone(), machine).changes.as_collection()
}

/// What stands of a key.
#[derive(Clone, Copy, Debug)]
struct Standing {
    sums: Sums,
    /// The T from which on acceptance is said.
    closes_at: T,
    forgotten_at: T,
    /// Acceptance is said.
    closed: bool,
}

struct Figures {
    rules: Rules,
    retention_ms: i64,
}

impl Figures {
    fn begin(&self, key: &BidKpiKey) -> Standing {
        let auction = self.rules.auction_at(key.series, key.start_ms, key.duration_ms);
        Standing {
            sums: Sums::default(),
            closes_at: self.rules.closes_at(&auction, key.start_ms),
            forgotten_at: auction.forgotten_at(self.retention_ms),
            closed: false,
        }
    }
}

impl Machine for Figures {
    type Key = BidKpiKey;
    type State = Option<Standing>;
    type In = Part;
    type Shared = ();
    type Out = BidKpi;
    type Side = ();
    type Saved = ();

    fn step(
        &mut self,
        visit: Visit<'_, BidKpiKey>,
        state: &mut Option<Standing>,
        input: &mut Vec<Part>,
        out: &mut Emit<BidKpi, ()>,
    ) -> Option<T> {
        let standing = state.get_or_insert_with(|| self.begin(visit.key));
        if visit.t >= standing.forgotten_at {
            *state = None;
            input.clear();
            return None;
        }
        let (before, was_closed) = (standing.sums, standing.closed);
        input.drain(..).for_each(|part| standing.sums.add(&part.sums));
        standing.closed = visit.t >= standing.closes_at;
        if (before, was_closed) != (standing.sums, standing.closed) {
            out.revise(before.row(visit.key, was_closed), standing.sums.row(visit.key, standing.closed));
        }
        if standing.sums.is_zero() {
            *state = None;
            return None;
        }
        let next = if standing.closed { T::MAX } else { standing.closes_at };
        Some(next.min(standing.forgotten_at))
    }

    fn is_empty(&self, state: &Option<Standing>) -> bool {
        state.is_none()
    }
}
