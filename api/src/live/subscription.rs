//! What one client wants: zones (each as it spells them) and channels, each from some T on.
//!
//! A zone or channel that is added later starts after the snapshot that introduced it; those already there go
//! on where they were. So a client that changes its mind neither loses nor repeats anything.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use model::location::zone_code;
use model::time::T;
use model::{Reader, Zones};

use super::event::{Channel, Target};
use crate::error::Error;
use crate::series;

/// Every way to write a zone's name in lower case: its code first, then its aliases.
#[derive(Clone, Debug)]
pub(crate) struct Spellings(Arc<HashMap<u16, Vec<String>>>);

impl Spellings {
    pub(crate) fn of(zones: &Zones) -> Self {
        let names = |zone: &model::Zone| {
            std::iter::once(&zone.code).chain(&zone.aliases).map(|name| name.to_ascii_lowercase()).collect()
        };
        Self(Arc::new(zones.iter().map(|zone| (zone_code(&zone.code), names(zone))).collect()))
    }

    pub(crate) fn count(&self, zone: u16) -> usize {
        self.0.get(&zone).map_or(1, Vec::len)
    }

    pub(crate) fn text(&self, zone: u16, spelling: u8) -> &str {
        self.0.get(&zone).and_then(|names| names.get(usize::from(spelling))).map_or("?", String::as_str)
    }

    fn find(&self, zone: u16, name: &str) -> u8 {
        let names = self.0.get(&zone).map(Vec::as_slice).unwrap_or_default();
        let place = names.iter().position(|known| known.eq_ignore_ascii_case(name.trim()));
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(0)
    }
}

/// One client's subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// With whose eyes.
    reader: Reader,
    /// Zone code to spelling, and the T after which it counts.
    zones: BTreeMap<u16, (u8, T)>,
    /// The T after which each channel counts; `None`: not subscribed.
    channels: [Option<T>; Channel::ALL.len()],
}

impl Subscription {
    /// Nothing yet, for this reader.
    pub(crate) fn of(reader: Reader) -> Self {
        Self { reader, zones: BTreeMap::new(), channels: Default::default() }
    }

    /// With whose eyes.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Adds zones (any spelling) and channels from `t` on. Those already there stay as they are.
    pub(crate) fn add(&mut self, t: T, zones: &[(u16, u8)], channels: &[Channel]) {
        for (zone, spelling) in zones {
            self.zones.entry(*zone).or_insert((*spelling, t));
        }
        for channel in channels {
            self.channels[*channel as usize].get_or_insert(t);
        }
    }

    /// Takes zones and channels away.
    pub(crate) fn remove(&mut self, zones: &[(u16, u8)], channels: &[Channel]) {
        for (zone, _) in zones {
            self.zones.remove(zone);
        }
        for channel in channels {
            self.channels[*channel as usize] = None;
        }
    }

    /// The spelling to use, if the client is to get events of this target and channel at `t`.
    pub(crate) fn wants(&self, t: T, target: Target, channel: Channel) -> Option<u8> {
        self.channels[channel as usize].filter(|since| t > *since)?;
        let zone = |code: u16| self.zones.get(&code).filter(|(_, since)| t > *since).map(|(spelling, _)| *spelling);
        match target {
            Target::Zone(code) => zone(code),
            Target::Pair(a, b) => zone(a).or_else(|| zone(b)).map(|_| 0),
            Target::Everybody => Some(0),
        }
    }

    /// Whether it has a channel, from whenever on.
    pub(crate) fn has(&self, channel: Channel) -> bool {
        self.channels[channel as usize].is_some()
    }

    /// Whether everything in it counts at `t`.
    pub(crate) fn settled(&self, t: T) -> bool {
        self.zones.values().all(|(_, since)| t > *since) && self.channels.iter().flatten().all(|since| t > *since)
    }

    /// Equal for subscriptions that get the same messages once settled.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        self.reader.hash(&mut hash);
        for (zone, (spelling, _)) in &self.zones {
            (zone, spelling).hash(&mut hash);
        }
        self.channels.map(|channel| channel.is_some()).hash(&mut hash);
        hash.finish()
    }

    /// Everything in it counts from `t` on: after a snapshot at `t`.
    pub(crate) fn restart(&mut self, t: T) {
        self.zones.values_mut().for_each(|(_, since)| *since = t);
        self.channels.iter_mut().flatten().for_each(|since| *since = t);
    }

    /// Zone codes with their spelling.
    pub(crate) fn zones(&self) -> impl Iterator<Item = (u16, u8)> {
        self.zones.iter().map(|(zone, (spelling, _))| (*zone, *spelling))
    }

    /// Names of the zones, as the client spells them.
    pub(crate) fn zone_names<'a>(&'a self, spellings: &'a Spellings) -> impl Iterator<Item = &'a str> {
        self.zones().map(|(zone, spelling)| spellings.text(zone, spelling))
    }

    /// Names of the channels.
    pub(crate) fn channel_names(&self) -> impl Iterator<Item = &'static str> {
        Channel::ALL.into_iter().filter(|channel| self.channels[*channel as usize].is_some()).map(Channel::name)
    }
}

/// Zone names to codes and spellings; an unknown one is an error.
pub(crate) fn zones_by_name(zones: &Zones, spellings: &Spellings, names: &[String]) -> Result<Vec<(u16, u8)>, Error> {
    let find = |name: &String| {
        let zone = series::zone(zones, name)?;
        let code = zone_code(&zone.code);
        Ok((code, spellings.find(code, name)))
    };
    names.iter().map(find).collect()
}

/// Every zone, by its code.
pub(crate) fn all_zones(zones: &Zones) -> Vec<(u16, u8)> {
    zones.iter().map(|zone| (zone_code(&zone.code), 0)).collect()
}

/// Channel names to channels; an unknown one is an error.
pub(crate) fn channels_by_name(names: &[String]) -> Result<Vec<Channel>, Error> {
    let find = |name: &String| {
        Channel::parse(name).ok_or_else(|| Error::parameter("channels", name, serde_json::json!(Channel::NAMES)))
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_later_counts_later_and_the_rest_goes_on() {
        let zones = Zones::built_in();
        let spellings = Spellings::of(&zones);
        let find = |name: &str| zones_by_name(&zones, &spellings, &[name.to_owned()]).unwrap()[0];
        let (pjm, mumbai) = (find("PJM"), find("Mumbai"));
        assert_eq!(spellings.text(mumbai.0, mumbai.1), "mumbai");
        let mut subscription = Subscription::of(Reader::House);
        subscription.add(10, &[pjm], &[Channel::Prices]);
        subscription.add(20, &[mumbai, pjm], &[]);
        let wants = |t, zone: (u16, u8)| subscription.wants(t, Target::Zone(zone.0), Channel::Prices);
        assert_eq!((wants(11, pjm), wants(11, mumbai)), (Some(0), None));
        assert_eq!(wants(21, mumbai), Some(mumbai.1));
        assert!(!subscription.settled(20) && subscription.settled(21));
        assert_eq!(subscription.wants(21, Target::Zone(pjm.0), Channel::Kpis), None);
    }
}
