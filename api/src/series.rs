//! Which series a request means: a zone by any of its names, a location inside it, a market.
//!
//! A zone's headline series is its own index (the location named like the zone) if it has data, else its
//! `headline` location; of several markets the first in the order of `Market::ALL`.

use std::collections::BTreeMap;

use model::{LocationId, Market, SeriesKey, Snapshot, Zone, Zones};

use crate::error::Error;
use crate::view::Labels;

/// A zone by any name, or the error that lists what there is.
pub(crate) fn zone<'a>(zones: &'a Zones, name: &str) -> Result<&'a std::sync::Arc<Zone>, Error> {
    zones.get(name).ok_or_else(|| Error::UnknownZone { zone: name.to_owned(), known: known(zones) })
}

/// Every name a client may use for a zone.
pub(crate) fn known(zones: &Zones) -> Vec<String> {
    zones.iter().flat_map(|zone| std::iter::once(&zone.code).chain(&zone.aliases)).cloned().collect()
}

/// The series that may answer for a zone, best first.
pub(crate) fn candidates(zone: &Zone, location: Option<&str>, market: Option<Market>) -> Vec<SeriesKey> {
    let mut places: Vec<LocationId> = match location {
        Some(name) => vec![zone.location(name)],
        None => std::iter::once(zone.index()).chain(zone.headline.as_deref().map(|name| zone.location(name))).collect(),
    };
    places.dedup();
    let markets: Vec<Market> = market.map_or_else(|| Market::ALL.to_vec(), |market| vec![market]);
    places
        .into_iter()
        .flat_map(|location| markets.iter().map(move |market| SeriesKey { location, market: *market }))
        .collect()
}

/// The series that `ZONE`, `ZONE/LOCATION` or a location that only one zone has may mean, best first.
pub(crate) fn find(labels: &Labels, location: &str, market: Option<Market>) -> Result<Vec<SeriesKey>, Error> {
    if let Some((zone, place)) = location.split_once('/') {
        return Ok(candidates(self::zone(&labels.zones, zone)?, Some(place), market));
    }
    if let Some(zone) = labels.zones.get(location) {
        return Ok(candidates(zone, None, market));
    }
    let mut ids: BTreeMap<LocationId, String> = BTreeMap::new();
    for zone in labels.zones.iter() {
        let known = |l: &&model::zones::Location| {
            l.name.eq_ignore_ascii_case(location) || l.aliases.iter().any(|a| a.eq_ignore_ascii_case(location))
        };
        ids.extend(zone.locations.iter().find(known).map(|l| (zone.location(&l.name), zone.code.clone())));
    }
    let names = labels.names.all().into_iter().filter(|name| name.location.eq_ignore_ascii_case(location));
    ids.extend(names.map(|name| (name.id, name.zone.to_string())));
    let zones: Vec<&String> = ids.values().collect();
    match zones.as_slice() {
        [only] => Ok(candidates(self::zone(&labels.zones, only)?, Some(location), market)),
        [] => Err(Error::NotFound(format!("no zone or location is called {location:?}; write ZONE or ZONE/LOCATION"))),
        several => {
            let ways: Vec<String> = several.iter().map(|zone| format!("{zone}/{location}")).collect();
            Err(Error::parameter("location", location, serde_json::json!(ways)))
        }
    }
}

/// The zone's headline series among those that have a price.
pub(crate) fn headline(snapshot: &Snapshot, zone: &Zone) -> Option<SeriesKey> {
    candidates(zone, None, None).into_iter().find(|series| snapshot.latest.contains_key(series))
}

/// Names of every market, for error messages.
pub(crate) fn market_names() -> [&'static str; 8] {
    Market::ALL.map(Market::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_comes_before_the_hub_and_live_before_day_ahead() {
        let zones = Zones::built_in();
        let pjm = zone(&zones, "pjm").unwrap();
        let order = candidates(pjm, None, None);
        assert_eq!(order[0], SeriesKey { location: pjm.index(), market: Market::Continuous });
        assert_eq!(order[8].location, pjm.location("western hub"));
        assert_eq!(candidates(pjm, Some("PJM"), Some(Market::DayAheadHourly)).len(), 1);
        assert!(zone(&zones, "atlantis").is_err());
    }
}
