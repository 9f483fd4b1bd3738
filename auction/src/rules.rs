//! Which auction a bid is in: what the table of zones says of it, ready to be asked once a record.

use std::collections::HashMap;
use std::sync::Arc;

use model::{LiveBid, LocationId, Market, SeriesKey, T, Zones};

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
    pub fn auction(&self, bid: &LiveBid) -> Auction {
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
    pub fn forgotten_at(&self, bid: &LiveBid, retention_ms: i64) -> T {
        forgotten_at(self.day(bid.series, bid.delivery_ms), retention_ms)
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
    pub fn holds(&self, members: &[LocationId], bid: &LiveBid) -> bool {
        bid.series.market == self.market
            && bid.duration_ms == self.duration_ms
            && (self.day_ms.0..self.day_ms.1).contains(&bid.delivery_ms)
            && members.contains(&bid.series.location)
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
    }
}
