//! Positions: the awards of each owner in one interval, added up, with the real-time price from the interval's end on.
//!
//! ```sql
//! select organisation, asset, case when asset is null then bid end as bid, series, start_ms, duration_ms,
//!        sum(±power_kw), round(sum(±power_kw * duration * price)),
//!        case when start_ms + duration_ms <= T then mean(prices of the location in the interval) end
//! from awards group by organisation, asset, bid, series, start_ms, duration_ms
//! ```
//! Keyed by location. A bar that changes while its interval is open costs a write to a bucket and says nothing.
//! State: awards of the days of delivery that are not forgotten; buckets of five minutes over [`super::keep_ms`], 48 bytes
//! each, for the places of the zone table only.

use std::collections::{BTreeMap, BTreeSet};

use auction::Rules;
use model::bid::Side;
use model::settlement::{amount_micros, clamp, exact_amount};
use model::time::HOUR_MS;
use model::{Award, LocationId, Market, SeriesKey, T};
use serde::{Deserialize, Serialize};

use super::prices::{Buckets, Price};
use super::{Position, forgotten_at};
use crate::keyed::{Emit, Machine, Visit, upserts};

/// What happens at a location.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Place {
    Award(Award),
    Price(Price),
}

impl Place {
    pub(super) fn location(&self) -> LocationId {
        match self {
            Self::Award(award) => award.series.location,
            Self::Price(price) => price.series.location,
        }
    }
}

/// Start, market and length of an interval.
type Slot = (i64, Market, u32);
/// Organisation, asset, bid without an asset.
type Owner = (String, String, String);

fn end_ms(slot: &Slot) -> i64 {
    slot.0.saturating_add(i64::from(slot.2))
}

/// One interval.
#[derive(Debug)]
struct Interval {
    day_ms: (i64, i64),
    price_micros: Option<i64>,
    owners: BTreeMap<Owner, Owned>,
}

#[derive(Debug, Default)]
struct Owned {
    /// By bid: power sold (positive) or bought (negative), and its price.
    awards: BTreeMap<String, (i64, i64)>,
    said: Option<Position>,
}

/// Everything of one location.
#[derive(Debug, Default)]
pub(super) struct Location {
    prices: BTreeMap<Market, Buckets>,
    intervals: BTreeMap<Slot, Interval>,
    /// Ends of intervals that are not over, earliest first.
    ends: BTreeSet<(i64, Slot)>,
    longest_ms: i64,
}

pub(super) struct Positions {
    rules: Rules,
    retention_ms: i64,
    keep_ms: i64,
    /// Rows to say anew; scratch.
    dirty: BTreeSet<(Slot, Owner)>,
    /// Intervals to price anew; scratch.
    repriced: BTreeSet<Slot>,
    prices: Vec<(Price, T, isize)>,
}

impl Positions {
    pub(super) fn new(rules: Rules, retention_ms: i64, keep_ms: i64) -> Self {
        let (dirty, repriced, prices) = Default::default();
        Self { rules, retention_ms, keep_ms, dirty, repriced, prices }
    }

    fn is_forgotten(&self, day_ms: (i64, i64), t: T) -> bool {
        forgotten_at(self.retention_ms, day_ms.1) <= t
    }

    fn award(&mut self, t: T, location: &mut Location, award: Award, diff: isize) {
        let slot = (award.start_ms, award.series.market, award.duration_ms);
        let day_ms = self.rules.auction_at(award.series, award.start_ms, award.duration_ms).day_ms;
        if self.is_forgotten(day_ms, t) {
            return;
        }
        let Award { bid, organisation, asset, side, power_kw, price_micros, .. } = award;
        let owner = match asset {
            Some(asset) => (organisation, asset, String::new()),
            None => (organisation, String::new(), bid.clone()),
        };
        let signed_kw = if side == Side::Sell { power_kw } else { -power_kw };
        if !location.intervals.contains_key(&slot) {
            location.ends.insert((end_ms(&slot), slot));
            location.longest_ms = location.longest_ms.max(i64::from(slot.2));
            location.intervals.insert(slot, Interval { day_ms, price_micros: None, owners: BTreeMap::new() });
        }
        let Some(interval) = location.intervals.get_mut(&slot) else { return };
        let owned = interval.owners.entry(owner.clone()).or_default();
        if diff > 0 {
            owned.awards.insert(bid, (signed_kw, price_micros));
        } else {
            owned.awards.remove(&bid);
        }
        self.dirty.insert((slot, owner));
    }

    /// Takes prices in, and notes the intervals that are over and hold them.
    fn take_prices(&mut self, t: T, location: &mut Location) {
        let now_ms = i64::try_from(t).unwrap_or(i64::MAX);
        let (keep_ms, repriced) = (self.keep_ms, &mut self.repriced);
        upserts(
            &mut self.prices,
            |price| (price.series.market, price.start_ms),
            |(market, start_ms), price| {
                if forgotten_at(keep_ms, start_ms) <= t {
                    return;
                }
                let buckets = location.prices.entry(market).or_default();
                buckets.set(start_ms, price.map(|price| (price.sum, price.count)));
                let from: Slot = (start_ms.saturating_sub(location.longest_ms), Market::ALL[0], 0);
                // A price may cover intervals that start after it, up to the hour that is the longest of a market.
                let to: Slot = (start_ms.saturating_add(HOUR_MS), Market::ALL[0], 0);
                let over = location.intervals.range(from..=to).map(|(slot, _)| *slot);
                repriced.extend(over.filter(|slot| end_ms(slot) <= now_ms));
            },
        );
    }

    /// Prices what has to be, and notes the rows that change by it.
    fn price(&mut self, key: LocationId, location: &mut Location) {
        for slot in std::mem::take(&mut self.repriced) {
            let Some(interval) = location.intervals.get_mut(&slot) else { continue };
            let price = self.price_of(key, &location.prices, &slot);
            if interval.price_micros != price {
                interval.price_micros = price;
                self.dirty.extend(interval.owners.keys().map(|owner| (slot, owner.clone())));
            }
        }
    }

    fn price_of(&self, key: LocationId, prices: &BTreeMap<Market, Buckets>, slot: &Slot) -> Option<i64> {
        let zone = self.rules.zones().of(key)?;
        let markets = [zone.real_time_market(slot.1), Some(Market::Continuous)];
        markets.into_iter().flatten().find_map(|market| prices.get(&market)?.mean(market, slot.0, end_ms(slot)))
    }

    fn say(&mut self, t: T, key: LocationId, location: &mut Location, out: &mut Emit<Position, ()>) {
        for (slot, owner) in std::mem::take(&mut self.dirty) {
            let Some(interval) = location.intervals.get_mut(&slot) else { continue };
            if self.is_forgotten(interval.day_ms, t) {
                continue;
            }
            let Some(owned) = interval.owners.get_mut(&owner) else { continue };
            let new = (!owned.awards.is_empty()).then(|| {
                let kw = owned.awards.values().map(|(kw, _)| i128::from(*kw)).sum();
                let amounts = owned.awards.values().map(|(kw, price)| exact_amount(*kw, slot.2, *price));
                Position {
                    organisation: owner.0.clone(),
                    asset: owner.1.clone(),
                    bid: owner.2.clone(),
                    series: SeriesKey { location: key, market: slot.1 },
                    start_ms: slot.0,
                    duration_ms: slot.2,
                    day_ms: interval.day_ms,
                    scheduled_kw: clamp(kw),
                    day_ahead_micros: amount_micros(amounts.fold(0, i128::saturating_add)),
                    real_time_price_micros: interval.price_micros,
                }
            });
            out.revise(owned.said.take(), new.clone());
            owned.said = new;
            if owned.said.is_none() {
                interval.owners.remove(&owner);
            }
            if interval.owners.is_empty() {
                location.intervals.remove(&slot);
                location.ends.remove(&(end_ms(&slot), slot));
            }
        }
    }
}

impl Machine for Positions {
    type Key = LocationId;
    type State = Location;
    type In = (Place, T, isize);
    type Shared = ();
    type Out = Position;
    type Side = ();
    type Saved = ();

    fn step(
        &mut self,
        visit: Visit<'_, LocationId>,
        location: &mut Location,
        input: &mut Vec<Self::In>,
        out: &mut Emit<Position, ()>,
    ) -> Option<T> {
        let (key, t) = (*visit.key, visit.t);
        let now_ms = i64::try_from(t).unwrap_or(i64::MAX);
        let keep_ms = self.keep_ms;
        // The earliest is not always the first to go; what stays a while longer is passed over (`award`, `say`).
        while let Some(first) = location.intervals.first_entry()
            && self.is_forgotten(first.get().day_ms, t)
        {
            let slot = *first.key();
            first.remove();
            location.ends.remove(&(end_ms(&slot), slot));
        }
        location.prices.values_mut().for_each(|buckets| buckets.forget(|start| forgotten_at(keep_ms, start) <= t));
        location.prices.retain(|_, buckets| buckets.first_ms().is_some());
        // Whatever came in one T is one change; what goes makes room first.
        input.sort_by_key(|(_, _, diff)| *diff);
        for (place, at, diff) in input.drain(..) {
            match place {
                Place::Award(award) => self.award(t, location, award, diff),
                Place::Price(price) => self.prices.push((price, at, diff)),
            }
        }
        self.take_prices(t, location);
        while let Some((_, slot)) = location.ends.first().copied().filter(|(end_ms, _)| *end_ms <= now_ms) {
            location.ends.pop_first();
            self.repriced.insert(slot);
        }
        self.price(key, location);
        self.say(t, key, location, out);
        let next_end = location.ends.first().and_then(|(end_ms, _)| T::try_from(*end_ms).ok());
        let forgets =
            location.intervals.first_key_value().map(|(_, first)| forgotten_at(self.retention_ms, first.day_ms.1));
        let buckets = location.prices.values().filter_map(Buckets::first_ms);
        let stale = buckets.map(|start_ms| forgotten_at(keep_ms, start_ms)).min();
        [next_end, forgets, stale].into_iter().flatten().min()
    }

    fn is_empty(&self, location: &Location) -> bool {
        location.intervals.is_empty() && location.prices.is_empty()
    }
}
