//! The zone table: what a market zone is called, where it is, in which time zone and currency it
//! trades, and between which prices. Data, not code: `zones.toml` is built in, a user's file extends it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::asset::{Asset, Assets};
use crate::auction::Auction;
use crate::location::{LocationId, zone_code};
use crate::market::{Currency, Market};
use crate::money::MICROS;
use crate::time::{local_date_bounds, local_day, to_utc};

/// The built-in table.
pub const BUILT_IN: &str = include_str!("../zones.toml");

/// Why a zone table was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not the TOML expected.
    #[error("read zone table: {0}")]
    Parse(#[from] toml::de::Error),
    /// Two entries cannot live together, or one is not possible.
    #[error("zone table: {0}")]
    Invalid(String),
}

/// Price limits from a date on, in currency per MWh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceLimit {
    /// First local day on which they hold.
    pub from: NaiveDate,
    /// Highest price allowed.
    pub cap: f64,
    /// Lowest price allowed.
    pub floor: f64,
}

/// A hub, area or node worth naming in advance. Others are accepted as they come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Name inside the zone.
    pub name: String,
    /// Other spellings.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Degrees north.
    #[serde(default)]
    pub latitude: Option<f64>,
    /// Degrees east.
    #[serde(default)]
    pub longitude: Option<f64>,
}

/// A market zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Canonical code, e.g. `PJM`.
    pub code: String,
    /// Name for people.
    pub name: String,
    /// Other names clients may use, any case.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// IANA time zone.
    pub timezone: Tz,
    /// Settlement currency.
    pub currency: Currency,
    /// The market its headline price belongs to.
    pub market: Market,
    /// Operator, e.g. `PJM Interconnection`.
    #[serde(default)]
    pub operator: Option<String>,
    /// ISO country code.
    pub country: String,
    /// Region inside the country, where that is a notion (India: North, South, West, East, Central, North-East).
    #[serde(default)]
    pub region: Option<String>,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Location whose price stands for the zone when the zone has no index of its own.
    #[serde(default)]
    pub headline: Option<String>,
    /// Location that spreads are measured against; the headline when absent.
    #[serde(default)]
    pub reference: Option<String>,
    /// Price limits, any order.
    #[serde(default)]
    pub limits: Vec<PriceLimit>,
    /// The rules of its auctions.
    #[serde(default)]
    pub auctions: Vec<Auction>,
    /// Locations known in advance.
    #[serde(default)]
    pub locations: Vec<Location>,
}

impl Zone {
    /// Id of the zone's own index: the location named like the zone.
    pub fn index(&self) -> LocationId {
        LocationId::new(&self.code, &self.code)
    }

    /// The location's canonical spelling: an alias is put right, an unknown name is taken as it is.
    pub fn canonical_location<'a>(&'a self, name: &'a str) -> &'a str {
        let name = name.trim();
        if name.eq_ignore_ascii_case(&self.code) || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(name)) {
            return &self.code;
        }
        self.locations
            .iter()
            .find(|l| l.name.eq_ignore_ascii_case(name) || l.aliases.iter().any(|a| a.eq_ignore_ascii_case(name)))
            .map_or(name, |l| &l.name)
    }

    /// Id of a location of this zone, by any spelling.
    pub fn location(&self, name: &str) -> LocationId {
        LocationId::new(&self.code, self.canonical_location(name))
    }

    /// The location spreads are measured against.
    pub fn reference(&self) -> LocationId {
        let name = self.reference.as_deref().or(self.headline.as_deref());
        name.map_or_else(|| self.index(), |name| self.location(name))
    }

    /// (floor, cap) in micros on the local day of `event_ms`; `None` where the table has none for that day.
    pub fn limits_at(&self, event_ms: i64) -> Option<(i64, i64)> {
        self.limits_of(&self.limits, event_ms)
    }

    /// The same for the prices of bids in `market`.
    pub fn bid_limits_at(&self, market: Market, event_ms: i64) -> Option<(i64, i64)> {
        let own = self.auction(market).and_then(|auction| self.limits_of(&auction.limits, event_ms));
        own.or_else(|| self.limits_at(event_ms))
    }

    fn limits_of(&self, limits: &[PriceLimit], event_ms: i64) -> Option<(i64, i64)> {
        let day = to_utc(event_ms)?.with_timezone(&self.timezone).date_naive();
        let limit = limits.iter().filter(|limit| limit.from <= day).max_by_key(|limit| limit.from)?;
        Some(((limit.floor * MICROS as f64) as i64, (limit.cap * MICROS as f64) as i64))
    }

    /// The time zone whose days are days of delivery in `market`.
    pub fn auction_timezone(&self, market: Market) -> Tz {
        self.auction(market).and_then(|auction| auction.timezone).unwrap_or(self.timezone)
    }

    /// `[start, end)` of the day of delivery in `market` that holds `event_ms`, UTC ms.
    pub fn delivery_day(&self, market: Market, event_ms: i64) -> (i64, i64) {
        local_day(event_ms, self.auction_timezone(market))
    }

    /// The rules of its auction in `market`, if it has some.
    pub fn auction(&self, market: Market) -> Option<&Auction> {
        self.auctions.iter().find(|auction| auction.market == market)
    }

    /// The market whose prices settle what was not delivered as awarded in `market`; `None` where there is none.
    pub fn real_time_market(&self, market: Market) -> Option<Market> {
        let own = self.auction(market).and_then(|auction| auction.imbalance?.market);
        own.or_else(|| Some(self.market).filter(|market| !market.is_day_ahead()))
    }

    /// Tolerance and penalty of imbalance in `market`, ppm; 0 where there is no rule.
    pub fn imbalance_ppm(&self, market: Market) -> (i64, i64) {
        self.auction(market).and_then(|auction| auction.imbalance).unwrap_or_default().ppm()
    }

    /// `[start, end)` of local day `date`, UTC ms.
    pub fn day(&self, date: NaiveDate) -> (i64, i64) {
        local_date_bounds(date, self.timezone)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "zone")]
    zones: Vec<Zone>,
    #[serde(default, rename = "asset")]
    assets: Vec<Asset>,
}

/// The table, looked up by any name or by a location's zone code. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Zones {
    zones: Arc<[Arc<Zone>]>,
    by_name: Arc<HashMap<String, usize>>,
    by_code: Arc<HashMap<u16, usize>>,
    assets: Assets,
}

impl Zones {
    /// The built-in table.
    pub fn built_in() -> Self {
        static TABLE: LazyLock<Zones> =
            LazyLock::new(|| Zones::parse(&[BUILT_IN]).expect("a test parses the built-in table"));
        TABLE.clone()
    }

    /// The built-in table, extended by a user's: a zone with a known code replaces it.
    pub fn extended(user_toml: &str) -> Result<Self, Error> {
        Self::parse(&[BUILT_IN, user_toml])
    }

    fn parse(texts: &[&str]) -> Result<Self, Error> {
        let (mut zones, mut assets): (Vec<Arc<Zone>>, _) = (Vec::new(), Vec::new());
        for text in texts {
            let file: File = toml::from_str(text)?;
            assets.extend(file.assets);
            for zone in file.zones {
                zones.retain(|known| !known.code.eq_ignore_ascii_case(&zone.code));
                zones.push(Arc::new(zone));
            }
        }
        let (mut by_name, mut by_code) = (HashMap::new(), HashMap::new());
        for (index, zone) in zones.iter().enumerate() {
            if let Some(other) = by_code.insert(zone_code(&zone.code), index) {
                return Err(Error::Invalid(format!("codes {} and {} share a hash", zones[other].code, zone.code)));
            }
            for name in std::iter::once(&zone.code).chain(&zone.aliases) {
                if let Some(other) = by_name.insert(name.to_ascii_lowercase(), index)
                    && other != index
                {
                    return Err(Error::Invalid(format!("{name} names both {} and {}", zones[other].code, zone.code)));
                }
            }
        }
        check_groups(&zones)?;
        check_imbalance(&zones)?;
        let assets = Assets::new(assets).map_err(Error::Invalid)?;
        Ok(Self { zones: zones.into(), by_name: Arc::new(by_name), by_code: Arc::new(by_code), assets })
    }

    /// The zones that clear together with `location` in `market`, in the order of the table: of a zone's index those of
    /// its auction's group; anything else clears alone.
    pub fn coupled(&self, location: LocationId, market: Market) -> Vec<LocationId> {
        let group = |zone: &Zone| zone.auction(market).and_then(|auction| auction.group.clone());
        let own = self.of(location).filter(|zone| zone.index() == location).and_then(|zone| group(zone));
        match own {
            Some(own) => {
                self.iter().filter(|zone| group(zone).as_ref() == Some(&own)).map(|zone| zone.index()).collect()
            }
            None => vec![location],
        }
    }

    /// Every zone, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.iter()
    }

    /// The units that are known.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// A zone by code or alias, any case.
    pub fn get(&self, name: &str) -> Option<&Arc<Zone>> {
        // Nearly every name arrives in lower case: spare it the allocation.
        let found = match self.by_name.get(name) {
            Some(index) => Some(index),
            None => self.by_name.get(&name.trim().to_ascii_lowercase()),
        };
        found.map(|index| &self.zones[*index])
    }

    /// The zone a location belongs to.
    pub fn of(&self, location: LocationId) -> Option<&Arc<Zone>> {
        self.by_code.get(&location.zone_code()).map(|index| &self.zones[*index])
    }

    /// The time zone of a location; UTC where its zone is unknown.
    pub fn timezone(&self, location: LocationId) -> Tz {
        self.of(location).map_or(Tz::UTC, |zone| zone.timezone)
    }
}

/// A group is two zones at most, that keep the same days, gates and limits.
fn check_groups(zones: &[Arc<Zone>]) -> Result<(), Error> {
    let mut groups: HashMap<(&str, Market), Vec<(&Zone, &Auction)>> = HashMap::new();
    for zone in zones {
        for auction in &zone.auctions {
            if let Some(group) = &auction.group {
                groups.entry((group, auction.market)).or_default().push((zone, auction));
            }
        }
    }
    for ((group, _), members) in groups {
        let kept = |(zone, auction): &(&Zone, &Auction)| {
            let limits = if auction.limits.is_empty() { &zone.limits } else { &auction.limits };
            (zone.auction_timezone(auction.market), auction.gate, zone.currency, limits.clone())
        };
        if members.len() > 2 || members.iter().any(|member| kept(member) != kept(&members[0])) {
            let codes: Vec<&str> = members.iter().map(|(zone, _)| zone.code.as_str()).collect();
            let codes = codes.join(", ");
            return Err(Error::Invalid(format!(
                "group {group} of {codes}: two zones at most, with the same time zone, gate, currency and limits"
            )));
        }
    }
    Ok(())
}

/// Percentages of imbalance rules are possible ones.
fn check_imbalance(zones: &[Arc<Zone>]) -> Result<(), Error> {
    for zone in zones {
        for auction in &zone.auctions {
            if auction.imbalance.is_some_and(|imbalance| !imbalance.is_possible()) {
                let (code, market) = (&zone.code, auction.market.as_str());
                return Err(Error::Invalid(format!("{code} {market}: imbalance percentages are 0 to 10000")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_holds_what_clients_call() {
        let zones = Zones::built_in();
        for name in
            ["pjm", "CAISO", "ercot", "NYISO", "miso", "SPP", "isone", "mumbai", "DELHI", "Bangalore", "NSW1", "SA1"]
        {
            assert!(zones.get(name).is_some(), "{name}");
        }
        assert!(zones.get("atlantis").is_none());
        let mumbai = zones.get("MUMBAI").unwrap();
        assert_eq!(zones.of(mumbai.index()).unwrap().code, mumbai.code);
    }

    #[test]
    fn a_user_table_replaces_and_adds() {
        let text = "[[zone]]\ncode='AT'\nname='Austria'\ntimezone='Europe/Vienna'\ncurrency='EUR'\nmarket='DAY_AHEAD_HOURLY'\ncountry='AT'\nlatitude=51.0\nlongitude=10.0\nlimits=[{from='2022-01-01',cap=4000.0,floor=-500.0}]";
        let zones = Zones::extended(text).unwrap();
        let at = crate::time::parse_instant("2025-01-01T00:00:00Z").unwrap();
        assert_eq!(zones.get("at").unwrap().limits_at(at), Some((-500_000_000, 4_000_000_000)));
        assert_eq!(zones.get("at").unwrap().limits_at(0), None);
        assert!(Zones::extended("[[zone]]\ncode='X'\nbogus=1").is_err());
        let assets = |text| Zones::extended(text).map(|zones| zones.assets().capacity_kw("wind-1"));
        assert_eq!(assets("[[asset]]\nid = 'wind-1'\ncapacity = 49.5").unwrap(), Some(49_500));
        assert!(assets("[[asset]]\nid = 'wind-1'\ncapacity = 0").unwrap_err().to_string().contains("wind-1"));
        let imbalance = |rule: &str| {
            let auctions = format!("auctions=[{{market='DAY_AHEAD_HOURLY', imbalance={{{rule}}}}}]");
            Zones::extended(&format!("{text}\n{auctions}")).map(|zones| zones.get("AT").unwrap().clone())
        };
        let ruled = imbalance("market='REAL_TIME_15_MIN', tolerance_percent=5.5, penalty_percent=20").unwrap();
        assert_eq!(ruled.imbalance_ppm(Market::DayAheadHourly), (55_000, 200_000));
        assert_eq!(ruled.real_time_market(Market::DayAheadHourly), Some(Market::RealTime15Min));
        assert_eq!(ruled.real_time_market(Market::DayAhead15Min), None, "its own market is day-ahead");
        assert!(imbalance("penalty_percent=-1").unwrap_err().to_string().contains("AT"));
        assert!(imbalance("penalty_percent=nan").is_err());
    }
}
