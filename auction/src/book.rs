//! The book of one auction: live bids as orders of a [`Day`], and what the day says of them.

use std::collections::{BTreeMap, HashMap};

use clearing::{Config, Day, Interval, OrderId};
use model::{Award, BidEvent, BidKind, Clearing, LiveBid, LocationId, SeriesKey, Side};
use smallvec::SmallVec;

use crate::intervals::Intervals;
use crate::order::{order, order_id};
use crate::rules::{Auction, Rules};

/// Beyond what prices can be: for markets without limits.
const UNLIMITED: (i64, i64) = (-model::money::MAX_PRICE_MICROS, model::money::MAX_PRICE_MICROS);

/// The book of one auction. What it says is a function of the bids in it, however they came.
#[derive(Clone, Debug)]
pub struct Book {
    auction: Auction,
    zones: Vec<LocationId>,
    intervals: Intervals,
    day: Day,
    /// Bids in the day, by the number they have there. Of bids that share one only the first by name is in the day: a
    /// function of the bids, however they came.
    bids: HashMap<OrderId, SmallVec<[LiveBid; 1]>>,
    /// Bids that offer capacity.
    capacities: BTreeMap<String, LiveBid>,
}

impl Book {
    /// An empty book.
    pub fn new(auction: &Auction, rules: &Rules) -> Self {
        let intervals = Intervals::new(auction, rules);
        let zones = rules.members(auction);
        let zone = rules.zones().of(auction.lead);
        let limits = zone.and_then(|zone| zone.bid_limits_at(auction.market, auction.day_ms.0));
        let (floor, cap) = limits.unwrap_or(UNLIMITED);
        let config = Config {
            durations_ms: vec![intervals.duration_ms(); intervals.count()],
            zones: if zones.len() > 1 { 2 } else { 1 },
            rules: clearing::Rules { floor, cap, ..clearing::Rules::default() },
            ..Config::hours(0)
        };
        let (bids, capacities) = (HashMap::new(), BTreeMap::new());
        Self { auction: *auction, zones, intervals, day: Day::new(config), bids, capacities }
    }

    /// Whether no bid is in it.
    pub fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.capacities.is_empty()
    }

    /// Its zones, in the order of their numbers.
    pub fn zones(&self) -> &[LocationId] {
        &self.zones
    }

    /// Its intervals.
    pub fn intervals(&self) -> &Intervals {
        &self.intervals
    }

    /// The day behind it, for what rows and awards do not tell: merit orders, components.
    pub fn day(&self) -> &Day {
        &self.day
    }

    /// The bid with this number in the day.
    pub fn bid(&self, id: OrderId) -> Option<&LiveBid> {
        self.bids.get(&id).and_then(|same| same.first())
    }

    /// A bid by its name, one that offers capacity included.
    pub fn find(&self, bid: &str) -> Option<&LiveBid> {
        let same = self.bids.get(&order_id(bid)).into_iter().flatten();
        self.capacities.get(bid).or_else(|| same.into_iter().find(|known| known.bid == bid))
    }

    /// The number of the zone that a bid is in.
    pub fn zone_of(&self, bid: &BidEvent) -> usize {
        usize::from(self.zones.len() > 1 && self.zones[0] != bid.series.location)
    }

    /// Takes a live bid of this auction in. One with its name must have been taken out before.
    pub fn enter(&mut self, bid: LiveBid) {
        if let BidKind::Capacity { .. } = bid.kind {
            self.capacities.insert(bid.bid.clone(), bid);
            return self.set_capacities();
        }
        let (zone, id) = (self.zone_of(&bid), order_id(&bid.bid));
        self.intervals.count_bid(&bid, zone, 1);
        let same = self.bids.entry(id).or_default();
        let at = same.partition_point(|other| other.bid < bid.bid);
        same.insert(at, bid);
        if at == 0 {
            self.put(id);
        }
    }

    /// Takes a bid out; one that is not in it changes nothing.
    pub fn take_out(&mut self, bid: &BidEvent) {
        if let BidKind::Capacity { .. } = bid.kind {
            self.capacities.remove(&bid.bid);
            return self.set_capacities();
        }
        let (zone, id) = (self.zone_of(bid), order_id(&bid.bid));
        let Some(same) = self.bids.get_mut(&id) else { return };
        let Some(at) = same.iter().position(|other| other.bid == bid.bid) else { return };
        self.intervals.count_bid(&same.remove(at), zone, -1);
        if at > 0 {
            return;
        }
        if same.is_empty() {
            self.bids.remove(&id);
            // One that the day did not take is not in it.
            let _ = self.day.withdraw(id);
        } else {
            self.put(id);
        }
    }

    /// The first of the bids with this number is what the day has of them.
    fn put(&mut self, id: OrderId) {
        let bid = &self.bids[&id][0];
        let order = order(bid, u8::from(self.zone_of(bid) > 0), &self.intervals);
        // Decoding has judged the bid by the same limits: what is refused here came past it, and must not stay as it was.
        if self.day.put(order).is_err() {
            let _ = self.day.withdraw(id);
        }
    }

    /// Capacity from each zone to the other: what all bids offer, added up.
    fn set_capacities(&mut self) {
        let mut capacities = vec![[0_i64; 2]; self.intervals.count()];
        for bid in self.capacities.values() {
            for step in &bid.steps {
                if let Some(interval) = self.intervals.at(step.start_ms) {
                    capacities[usize::from(interval)][self.zone_of(bid)] += step.power_kw;
                }
            }
        }
        for (interval, capacity) in (0..).zip(capacities) {
            self.day.set_capacity(interval, capacity);
        }
    }

    /// Clears what has changed. Returns the intervals that were cleared again, ascending.
    pub fn clear(&mut self) -> Vec<Interval> {
        self.day.clear()
    }

    fn series(&self, zone: usize) -> SeriesKey {
        SeriesKey { location: self.zones[zone], market: self.auction.market }
    }

    /// What the last [`Self::clear`] says of an interval in a zone; nothing where nobody bids.
    pub fn row(&self, interval: Interval, zone: usize) -> Option<Clearing> {
        let tally = self.intervals.tally(interval, zone);
        if tally.bids == 0 {
            return None;
        }
        let result = self.day.result(interval);
        let cleared = &result.zones[zone];
        let (best_buy_micros, best_sell_micros) = self.day.merit(interval, u8::from(zone > 0)).best();
        // Price × kW for an hour, to micro-currency for the interval.
        let money = |surplus: i128| {
            let micros = surplus * i128::from(self.intervals.duration_ms()) / (3_600_000 * 1_000);
            i64::try_from(micros).unwrap_or(i64::MAX)
        };
        let marginal = cleared.marginal.and_then(|(marginal, id)| {
            let side = if marginal == clearing::Side::Buy { Side::Buy } else { Side::Sell };
            Some((side, self.bid(id)?.bid.clone()))
        });
        Some(Clearing {
            series: self.series(zone),
            start_ms: self.intervals.start_ms(interval),
            duration_ms: self.auction.duration_ms,
            price_micros: cleared.price,
            range_micros: cleared.price.map(|_| cleared.range),
            sold_kw: cleared.sold,
            bought_kw: cleared.bought,
            import_kw: cleared.import,
            congested: result.congested,
            marginal,
            buy_surplus_micros: money(cleared.buy_surplus),
            sell_surplus_micros: money(cleared.sell_surplus),
            offered_kw: tally.offered_kw,
            wanted_kw: tally.wanted_kw,
            best_buy_micros,
            best_sell_micros,
            bids: tally.bids,
        })
    }

    /// What the last [`Self::clear`] awards in an interval, whether its gate is closed or not.
    pub fn awards(&self, interval: Interval) -> BTreeMap<OrderId, Award> {
        let mut awards = BTreeMap::new();
        for zone in 0..self.zones.len() {
            let Some(price_micros) = self.day.result(interval).zones[zone].price else { continue };
            for of in [clearing::Side::Buy, clearing::Side::Sell] {
                for (id, power_kw) in self.day.accepted(interval, u8::from(zone > 0), of) {
                    let Some(bid) = self.bid(id).filter(|_| power_kw > 0) else { continue };
                    let award = Award {
                        bid: bid.bid.clone(),
                        organisation: bid.organisation.clone(),
                        asset: bid.asset.clone(),
                        series: self.series(zone),
                        start_ms: self.intervals.start_ms(interval),
                        duration_ms: self.auction.duration_ms,
                        side: bid.side,
                        power_kw,
                        price_micros,
                    };
                    awards.insert(id, award);
                }
            }
        }
        awards
    }
}
