//! The delivery intervals of an auction: where a bid's steps belong, when each gate closes, and what is offered in each.

use clearing::Interval;
use model::{LiveBid, Side, T};

use crate::rules::{Auction, Rules};

/// Everything offered and wanted in one interval and zone, complex bids included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bids with something in it.
    pub bids: i64,
    /// For sale, kW.
    pub offered_kw: i64,
    /// Asked for, kW.
    pub wanted_kw: i64,
}

/// The intervals of one day of delivery, numbered from 0.
#[derive(Clone, Debug)]
pub struct Intervals {
    start_ms: i64,
    duration_ms: i64,
    /// When the gate of the whole day closes; each interval's own start where there is none.
    gate_ms: Option<i64>,
    /// By interval and zone.
    tallies: Vec<[Tally; 2]>,
}

impl Intervals {
    /// The intervals of an auction, nothing offered in any.
    pub fn new(auction: &Auction, rules: &Rules) -> Self {
        Self {
            start_ms: auction.day_ms.0,
            duration_ms: i64::from(auction.duration_ms.max(1)),
            gate_ms: rules.gate_ms(auction),
            tallies: vec![[Tally::default(); 2]; auction.intervals()],
        }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.tallies.len()
    }

    /// Every interval.
    pub fn all(&self) -> impl Iterator<Item = Interval> + use<> {
        (0..).take(self.count())
    }

    /// Length of each, ms.
    pub fn duration_ms(&self) -> i64 {
        self.duration_ms
    }

    /// The interval that starts at this time; `None` for a time off the grid, which decoding refuses.
    pub fn at(&self, start_ms: i64) -> Option<Interval> {
        let since_ms = start_ms - self.start_ms;
        let index = (since_ms >= 0 && since_ms % self.duration_ms == 0).then(|| since_ms / self.duration_ms)?;
        Interval::try_from(index).ok().filter(|index| usize::from(*index) < self.count())
    }

    /// Start of an interval, UTC ms.
    pub fn start_ms(&self, interval: Interval) -> i64 {
        self.start_ms + i64::from(interval) * self.duration_ms
    }

    /// The T from which on an interval's awards are said.
    pub fn closes_at(&self, interval: Interval) -> T {
        T::try_from(self.gate_ms.unwrap_or_else(|| self.start_ms(interval))).unwrap_or(0)
    }

    /// What is offered and wanted in an interval, in the first or second zone (0, 1).
    pub fn tally(&self, interval: Interval, zone: usize) -> Tally {
        self.tallies[usize::from(interval)][zone]
    }

    /// Counts a bid in (`sign` 1) or out (−1).
    pub(crate) fn count_bid(&mut self, bid: &LiveBid, zone: usize, sign: i64) {
        let mut last = None;
        for step in &bid.steps {
            let Some(interval) = self.at(step.start_ms) else { continue };
            let tally = &mut self.tallies[usize::from(interval)][zone];
            match bid.side {
                Side::Sell => tally.offered_kw += sign * step.power_kw,
                Side::Buy => tally.wanted_kw += sign * step.power_kw,
            }
            if last.replace(interval) != Some(interval) {
                tally.bids += sign;
            }
        }
    }
}
