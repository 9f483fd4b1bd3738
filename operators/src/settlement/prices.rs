//! Real-time prices of the places that settle, in buckets of five minutes.
//!
//! Places are those that the zone table names: zones' own indices and their locations. So the state does not grow with
//! every node of a stream, and a node that must settle is a line in the table.

use std::collections::VecDeque;
use std::sync::Arc;

use model::money::div_round;
use model::time::MINUTE_MS;
use model::{BarRow, Granularity, Market, SeriesKey, Zones};
use serde::{Deserialize, Serialize};

use crate::hash::FastSet;

/// Width of a bucket, ms: intervals that are no multiple of it have no real-time price.
pub const BUCKET_MS: i64 = 5 * MINUTE_MS;

/// The series that settlement takes prices of. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Priced(Arc<FastSet<SeriesKey>>);

impl Priced {
    /// Real-time markets and the continuous stream of every place in the table.
    pub fn new(zones: &Zones) -> Self {
        let mut series = FastSet::default();
        for zone in zones.iter() {
            let named = zone.locations.iter().map(|location| zone.location(&location.name));
            for location in named.chain([zone.index()]) {
                let markets = Market::ALL.iter().filter_map(|market| zone.real_time_market(*market));
                for market in markets.chain([Market::Continuous]) {
                    series.insert(SeriesKey { location, market });
                }
            }
        }
        Self(Arc::new(series))
    }

    /// Whether settlement looks at a bar.
    pub fn takes(&self, row: &BarRow) -> bool {
        row.key.granularity == Granularity::M5 && self.0.contains(&row.key.series)
    }

    pub(super) fn price(&self, row: &BarRow) -> Option<Price> {
        let bar = || (row.bar.sum_price, row.bar.count);
        self.takes(row).then(|| Price {
            series: row.key.series,
            start_ms: row.key.start_ms,
            sum: bar().0,
            count: bar().1,
        })
    }
}

/// What a bar says of prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Price {
    pub(super) series: SeriesKey,
    pub(super) start_ms: i64,
    pub(super) sum: i128,
    pub(super) count: i64,
}

/// Σ price and number of prices by bucket, earliest first.
#[derive(Debug, Default)]
pub(super) struct Buckets(VecDeque<(i64, i128, i64)>);

impl Buckets {
    /// Sets or removes a bucket.
    pub(super) fn set(&mut self, start_ms: i64, price: Option<(i128, i64)>) {
        let at = match self.0.back() {
            Some((last, ..)) if *last < start_ms => Err(self.0.len()),
            _ => self.0.binary_search_by_key(&start_ms, |(start, ..)| *start),
        };
        match (at, price) {
            (Ok(at), Some((sum, count))) => self.0[at] = (start_ms, sum, count),
            (Ok(at), None) => drop(self.0.remove(at)),
            (Err(at), Some((sum, count))) => self.0.insert(at, (start_ms, sum, count)),
            (Err(_), None) => {}
        }
    }

    /// Mean of the prices in `[start, end)`; of a market with intervals also of the one that `start` is in.
    pub(super) fn mean(&self, market: Market, start_ms: i64, end_ms: i64) -> Option<i64> {
        let width_ms = i64::from(market.interval_ms()).max(1);
        let from_ms = start_ms.div_euclid(width_ms) * width_ms;
        if from_ms % BUCKET_MS != 0 || end_ms % BUCKET_MS != 0 {
            return None;
        }
        let from = self.0.partition_point(|(start, ..)| *start < from_ms);
        let here = self.0.range(from..).take_while(|(start, ..)| *start < end_ms);
        let (sum, count) = here.fold((0_i128, 0_i64), |all, (_, sum, count)| (all.0 + sum, all.1 + count));
        div_round(sum, i128::from(count))
    }

    /// Start of the earliest.
    pub(super) fn first_ms(&self) -> Option<i64> {
        self.0.front().map(|(start, ..)| *start)
    }

    pub(super) fn forget(&mut self, is_forgotten: impl Fn(i64) -> bool) {
        while self.0.front().is_some_and(|(start, ..)| is_forgotten(*start)) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_covers_its_own_interval() {
        const Q: i64 = 15 * MINUTE_MS;
        let mut buckets = Buckets::default();
        buckets.set(Q, Some((40, 1)));
        buckets.set(0, Some((10, 1)));
        assert_eq!(buckets.mean(Market::RealTime15Min, 0, 2 * Q), Some(25));
        assert_eq!(buckets.mean(Market::RealTime15Min, BUCKET_MS, Q), Some(10));
        assert_eq!(buckets.mean(Market::Continuous, BUCKET_MS, Q), None);
        assert_eq!(buckets.mean(Market::Continuous, 1, Q), None);
        buckets.set(0, None);
        assert_eq!(buckets.mean(Market::RealTime15Min, 0, 2 * Q), Some(40));
        buckets.forget(|start_ms| start_ms <= Q);
        assert_eq!(buckets.first_ms(), None);
    }

    #[test]
    fn places_of_the_table_are_priced_and_nodes_are_not() {
        let zones = Zones::built_in();
        let priced = Priced::new(&zones);
        let has =
            |zone: &str, market| priced.0.contains(&SeriesKey { location: zones.get(zone).unwrap().index(), market });
        assert!(has("SA1", Market::RealTime5Min) && has("SA1", Market::Continuous));
        assert!(!has("ES", Market::DayAheadHourly), "a day-ahead price is no real-time price");
        let node = SeriesKey { location: zones.get("PJM").unwrap().location("NODE1"), market: Market::RealTime5Min };
        assert!(!priced.0.contains(&node));
    }
}
