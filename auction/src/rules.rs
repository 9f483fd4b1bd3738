//! Which auction a bid is in: what the table of zones says of it, ready to be asked once a record.

use std::collections::HashMap;
use std::sync::Arc;

use clearing::Interval;
use model::{BidEvent, LocationId, Market, SeriesKey, T, Zones};

/// What clears together: the day of delivery of a market, in a zone or in zones that are coupled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Auction {
    /// The first of its zones.
    pub lead: LocationId,
    /// Its market.
    pub market: Market,
    /// The day of delivery, `[start, end)` in UTC ms.
    pub day_ms: (i64, i64),
    /// Length of a delivery interval, ms.
    pub duration_ms: u32,
}

/// The rules of all auctions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rules {
    zones: Zones,
    /// Zones of those that are coupled, in the order of the table.
    coupled: Arc<HashMap<(LocationId, Market), Vec<LocationId>>>,
}

impl Rules {
    /// As the table of zones has them.
    pub fn new(zones: &Zones) -> Self {
        let mut coupled = HashMap::new();
        for zone in zones.iter() {
            for auction in &zone.auctions {
                let members = zones.coupled(zone.index(), auction.market);
                if members.len() > 1 {
                    coupled.insert((zone.index(), auction.market), members);
                }
            }
        }
        Self { zones: zones.clone(), coupled: Arc::new(coupled) }
    }

    /// The table of zones.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The auction that a bid is in.
    pub fn auction(&self, bid: &BidEvent) -> Auction {
        self.auction_at(bid.series, bid.delivery_ms, bid.duration_ms)
    }

    /// The auction of a series for the day that holds `delivery_ms`.
    pub fn auction_at(&self, series: SeriesKey, delivery_ms: i64, duration_ms: u32) -> Auction {
        let lead = self.coupled.get(&(series.location, series.market)).map_or(series.location, |members| members[0]);
        Auction { lead, market: series.market, day_ms: self.day(series, delivery_ms), duration_ms }
    }

    fn day(&self, series: SeriesKey, delivery_ms: i64) -> (i64, i64) {
        match self.zones.of(series.location) {
            Some(zone) => zone.delivery_day(series.market, delivery_ms),
            None => model::time::local_day(delivery_ms, self.zones.timezone(series.location)),
        }
    }

    /// The T at which a bid and its auction are forgotten: [`Auction::forgotten_at`].
    pub fn forgotten_at(&self, bid: &BidEvent, retention_ms: i64) -> T {
        forgotten_at(self.day(bid.series, bid.delivery_ms), retention_ms)
    }

    /// When the gate of an auction closes, UTC ms; `None` where there is none.
    pub fn gate_ms(&self, auction: &Auction) -> Option<i64> {
        let zone = self.zones.of(auction.lead)?;
        let gate = zone.auction(auction.market)?.gate?;
        gate.closes_ms(auction.day_ms.0, zone.auction_timezone(auction.market))
    }

    /// The T from which on awards of the interval that starts at `start_ms` are said: its gate, or its start where there
    /// is none.
    pub fn closes_at(&self, auction: &Auction, start_ms: i64) -> T {
        T::try_from(self.gate_ms(auction).unwrap_or(start_ms)).unwrap_or(0)
    }

    /// The zones of an auction, its lead first.
    pub fn members(&self, auction: &Auction) -> Vec<LocationId> {
        match self.coupled.get(&(auction.lead, auction.market)) {
            Some(members) => members.clone(),
            None => vec![auction.lead],
        }
    }
}

/// The T at which everything of a delivery day `[start, end)` is forgotten.
fn forgotten_at((_, end_ms): (i64, i64), retention_ms: i64) -> T {
    T::try_from(end_ms.saturating_add(retention_ms)).unwrap_or(0)
}

impl Auction {
    /// The T at which it and its bids are forgotten.
    pub fn forgotten_at(&self, retention_ms: i64) -> T {
        forgotten_at(self.day_ms, retention_ms)
    }

    /// Whether a bid is in this auction, whose zones are `members`. Cheaper than [`Rules::auction`] of each bid.
    pub fn holds(&self, members: &[LocationId], bid: &BidEvent) -> bool {
        bid.series.market == self.market
            && bid.duration_ms == self.duration_ms
            && (self.day_ms.0..self.day_ms.1).contains(&bid.delivery_ms)
            && members.contains(&bid.series.location)
    }

    /// How many whole delivery intervals its day has.
    pub fn intervals(&self) -> usize {
        let count = usize::try_from((self.day_ms.1 - self.day_ms.0) / i64::from(self.duration_ms.max(1))).unwrap_or(0);
        // Decoding refuses intervals of less than a minute.
        count.min(usize::from(Interval::MAX))
    }

    /// Start of the delivery interval that holds an instant, UTC ms; `None` outside of the day's intervals.
    pub fn interval_of(&self, at_ms: i64) -> Option<i64> {
        let since_ms = at_ms.checked_sub(self.day_ms.0).filter(|since_ms| *since_ms >= 0)?;
        let duration_ms = i64::from(self.duration_ms.max(1));
        let number = since_ms / duration_ms;
        let is_there = usize::try_from(number).is_ok_and(|number| number < self.intervals());
        is_there.then(|| self.day_ms.0 + number * duration_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coupled_zones_share_an_auction_and_others_do_not() {
        let zones = Zones::built_in();
        let rules = Rules::new(&zones);
        let at = model::time::parse_instant("2025-06-21T10:00:00Z").unwrap();
        let series =
            |zone: &str| SeriesKey { location: zones.get(zone).unwrap().index(), market: Market::DayAheadHourly };
        let auction = |zone: &str| rules.auction_at(series(zone), at, 3_600_000);
        assert_eq!(auction("ES"), auction("PT"));
        assert_eq!(rules.members(&auction("PT")), [series("ES").location, series("PT").location]);
        assert_eq!(rules.members(&auction("PJM")), [series("PJM").location]);
        // Madrid's day, an hour before Lisbon's.
        assert_eq!(model::time::rfc3339(auction("PT").day_ms.0), "2025-06-20T22:00:00.000Z");
        assert_eq!((auction("PT").intervals(), auction("PT").interval_of(at + 1_234)), (24, Some(at)));
        let (start_ms, end_ms) = auction("PT").day_ms;
        assert_eq!((auction("PT").interval_of(start_ms - 1), auction("PT").interval_of(end_ms)), (None, None));
        assert_eq!(model::time::rfc3339(rules.closes_at(&auction("PT"), at) as i64), "2025-06-20T10:00:00.000Z");
        assert_eq!(rules.closes_at(&auction("PJM"), at), at as T);
    }
}
