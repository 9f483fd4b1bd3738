//! What bids and awards add to the sums of a key, and the row that the sums make.
//!
//! Sums wrap: so they are a group whatever comes, and what goes takes back exactly what it brought. What decoding lets
//! through stays far below the bounds.

use auction::Rules;
use model::money::div_round;
use model::{Award, BidKind, BidKpi, BidKpiKey, BidStatus, LiveBid, Step};
use serde::{Deserialize, Serialize};

/// Parts per million.
const PPM: i128 = 1_000_000;

/// Everything that is added up of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Sums {
    live: i64,
    withdrawn: i64,
    rejected: i64,
    expired: i64,
    offered_kw: i128,
    /// Power × price at both ends of a step, kW × micros: twice the value, so that the middle of a linear piece is whole.
    twice_value: i128,
    awarded_kw: i128,
}

/// What one bid or award adds to a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) key: BidKpiKey,
    pub(super) sums: Sums,
}

/// A part for each interval that the bid counts in.
pub(super) fn of_bid(rules: &Rules, bid: &LiveBid, diff: isize) -> Vec<Part> {
    if let BidKind::Capacity { .. } = bid.kind {
        return Vec::new();
    }
    let auction = rules.auction(bid);
    let key = |start_ms| BidKpiKey {
        series: bid.series,
        start_ms,
        duration_ms: bid.duration_ms,
        side: bid.side,
        organisation: bid.organisation.clone(),
    };
    let (count, diff) = (Sums::bid(bid.status, diff as i64), diff as i128);
    if bid.steps.is_empty() {
        let start_ms = auction.interval_of(bid.delivery_ms);
        return start_ms.map(|start_ms| Part { key: key(start_ms), sums: count }).into_iter().collect();
    }
    let mut parts: Vec<Part> = Vec::new();
    for step in bid.steps.iter().filter(|step| auction.interval_of(step.start_ms) == Some(step.start_ms)) {
        // Steps come by interval; those that do not find theirs all the same.
        let at = match parts.iter().rposition(|part| part.key.start_ms == step.start_ms) {
            Some(at) => at,
            None => {
                parts.push(Part { key: key(step.start_ms), sums: count });
                parts.len() - 1
            }
        };
        if bid.is_live() {
            parts[at].sums.offer(step, diff);
        }
    }
    parts
}

/// What an award adds.
pub(super) fn of_award(award: Award, diff: isize) -> Part {
    let Award { organisation, series, start_ms, duration_ms, side, power_kw, .. } = award;
    let awarded_kw = i128::from(power_kw).wrapping_mul(diff as i128);
    let key = BidKpiKey { series, start_ms, duration_ms, side, organisation };
    Part { key, sums: Sums { awarded_kw, ..Sums::default() } }
}

impl Sums {
    fn bid(status: BidStatus, diff: i64) -> Self {
        let mut sums = Self::default();
        let count = match status {
            BidStatus::Submitted | BidStatus::Amended | BidStatus::Accepted => &mut sums.live,
            BidStatus::Withdrawn => &mut sums.withdrawn,
            BidStatus::Rejected => &mut sums.rejected,
            BidStatus::Expired => &mut sums.expired,
        };
        *count = diff;
        sums
    }

    fn offer(&mut self, step: &Step, diff: i128) {
        let power_kw = i128::from(step.power_kw).wrapping_mul(diff);
        let ends = i128::from(step.price_micros) + i128::from(step.end_price_micros);
        self.offered_kw = self.offered_kw.wrapping_add(power_kw);
        self.twice_value = self.twice_value.wrapping_add(power_kw.wrapping_mul(ends));
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.live = self.live.wrapping_add(other.live);
        self.withdrawn = self.withdrawn.wrapping_add(other.withdrawn);
        self.rejected = self.rejected.wrapping_add(other.rejected);
        self.expired = self.expired.wrapping_add(other.expired);
        self.offered_kw = self.offered_kw.wrapping_add(other.offered_kw);
        self.twice_value = self.twice_value.wrapping_add(other.twice_value);
        self.awarded_kw = self.awarded_kw.wrapping_add(other.awarded_kw);
    }

    pub(super) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The row of these sums; `None` where there is no bid.
    pub(super) fn row(&self, key: &BidKpiKey, closed: bool) -> Option<BidKpi> {
        let clamp = |kw: i128| i64::try_from(kw).unwrap_or(if kw < 0 { i64::MIN } else { i64::MAX });
        let acceptance_ppm = || div_round(self.awarded_kw.saturating_mul(PPM), self.offered_kw);
        (!self.is_zero()).then(|| BidKpi {
            key: key.clone(),
            live: self.live,
            withdrawn: self.withdrawn,
            rejected: self.rejected,
            expired: self.expired,
            offered_kw: clamp(self.offered_kw),
            mean_price_micros: div_round(self.twice_value, self.offered_kw.saturating_mul(2)),
            awarded_kw: clamp(self.awarded_kw),
            acceptance_ppm: closed.then(acceptance_ppm).flatten(),
        })
    }
}
