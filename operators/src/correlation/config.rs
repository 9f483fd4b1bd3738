//! Correlation settings, and the series that they select.

use model::humane::Span;
use model::{LocationId, Market, SeriesKey, Zones};
use serde::{Deserialize, Serialize};

use super::sums::MAX_WINDOW_MIN;

/// The most minutes one series may lag behind another.
pub const MAX_LAG_MIN: u32 = 1440;
const MAX_CHOICES: usize = 16;
const MAX_LOCATIONS: usize = 4_096;

/// Correlation settings.
///
/// Which series pair up: every market of the locations named in `locations`, in the order named, up to
/// `max_series` locations; the rest is left out. The choice is made from the configuration and the zone table alone,
/// so it never depends on what arrives first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Window lengths in minutes, 1 to 10,080.
    pub windows_min: Vec<u32>,
    /// Lags in minutes, 0 to 1,440.
    pub lags_min: Vec<u32>,
    /// Fewest paired minutes that make a correlation. At least 2.
    pub min_count: i64,
    /// `*`: the index of every zone of the table, then every location it lists; `ZONE`: a zone's index;
    /// `ZONE/*`: its index and its listed locations; `ZONE/LOCATION`: any location, listed or not.
    pub locations: Vec<String>,
    /// How many locations at most take part.
    pub max_series: usize,
    /// Also pair series of different markets (a real-time price with a day-ahead one).
    pub cross_market: bool,
    /// Corrections of closed minutes take effect at whole multiples of this in T, so that a run of late ticks
    /// revises each pair once and not once a tick. A minute that closes in time takes effect at once.
    pub refresh: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            windows_min: vec![60, 1440],
            lags_min: vec![0, 5, 60],
            min_count: 10,
            locations: vec!["*".to_owned()],
            max_series: 256,
            cross_market: false,
            refresh: Span::from_millis(5_000),
        }
    }
}

impl Config {
    /// What is wrong with the settings, for people. `build` itself takes wrong values at the nearest right one.
    pub fn check(&self, zones: &Zones) -> Result<(), String> {
        if let Some(bad) = self.windows_min.iter().find(|window| !(1..=MAX_WINDOW_MIN).contains(window)) {
            return Err(format!("correlations.windows_min: {bad} is not within 1 and {MAX_WINDOW_MIN}"));
        }
        if let Some(bad) = self.lags_min.iter().find(|lag| **lag > MAX_LAG_MIN) {
            return Err(format!("correlations.lags_min: {bad} is above {MAX_LAG_MIN}"));
        }
        if self.windows_min.len() > MAX_CHOICES || self.lags_min.len() > MAX_CHOICES {
            return Err(format!("correlations: at most {MAX_CHOICES} windows and {MAX_CHOICES} lags"));
        }
        if self.min_count < 2 {
            return Err(format!("correlations.min_count: {} is below 2", self.min_count));
        }
        if self.max_series > MAX_LOCATIONS {
            return Err(format!("correlations.max_series: {} is above {MAX_LOCATIONS}", self.max_series));
        }
        match self.locations.iter().find(|text| named(text, zones).is_none()) {
            Some(bad) => Err(format!("correlations.locations: {bad:?} names no zone of the table")),
            None => Ok(()),
        }
    }

    /// The windows, each once, within the bounds.
    pub(super) fn windows(&self) -> Vec<u32> {
        choices(&self.windows_min, 1, MAX_WINDOW_MIN)
    }

    /// The lags, each once, within the bounds.
    pub(super) fn lags(&self) -> Vec<u32> {
        choices(&self.lags_min, 0, MAX_LAG_MIN)
    }

    /// Every series that may take part, sorted: all markets of the chosen locations.
    pub(super) fn series(&self, zones: &Zones) -> Vec<SeriesKey> {
        let mut chosen: Vec<LocationId> = Vec::new();
        for location in self.locations.iter().filter_map(|text| named(text, zones)).flatten() {
            if chosen.len() < self.max_series.min(MAX_LOCATIONS) && !chosen.contains(&location) {
                chosen.push(location);
            }
        }
        chosen.sort_unstable();
        chosen
            .into_iter()
            .flat_map(|location| Market::ALL.into_iter().map(move |market| SeriesKey { location, market }))
            .collect()
    }
}

fn choices(values: &[u32], least: u32, most: u32) -> Vec<u32> {
    let mut values: Vec<u32> = values.iter().map(|value| *value.clamp(&least, &most)).collect();
    values.sort_unstable();
    values.dedup();
    values.truncate(MAX_CHOICES);
    values
}

/// The locations that one entry of the configuration names.
fn named(text: &str, zones: &Zones) -> Option<Vec<LocationId>> {
    if text.trim() == "*" {
        let indexes = zones.iter().map(|zone| zone.index());
        let listed = zones.iter().flat_map(|zone| zone.locations.iter().map(|known| zone.location(&known.name)));
        return Some(indexes.chain(listed).collect());
    }
    let (zone, location) = text.split_once('/').map_or((text, None), |(zone, location)| (zone, Some(location.trim())));
    let zone = zones.get(zone.trim())?;
    Some(match location {
        None => vec![zone.index()],
        Some("*") => {
            let listed = zone.locations.iter().map(|known| zone.location(&known.name));
            std::iter::once(zone.index()).chain(listed).collect()
        }
        Some(location) => vec![zone.location(location)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_by_name_up_to_the_bound() {
        let zones = Zones::built_in();
        let pjm = zones.get("PJM").unwrap();
        let config = Config {
            locations: vec!["pjm/western hub".into(), "PJM".into(), "ATLANTIS".into(), "*".into()],
            max_series: 3,
            ..Config::default()
        };
        let mut locations: Vec<_> = config.series(&zones).iter().map(|series| series.location).collect();
        locations.dedup();
        assert_eq!(locations.len(), 3);
        assert!(locations.contains(&pjm.index()) && locations.contains(&pjm.location("WESTERN HUB")));
        assert!(config.series(&zones).is_sorted());
        assert!(config.check(&zones).unwrap_err().contains("ATLANTIS"));
        Config::default().check(&zones).unwrap();
    }

    #[test]
    fn takes_wrong_numbers_at_the_nearest_right_one() {
        let config = Config { windows_min: vec![0, 60, 60, 99_999], lags_min: vec![9_999, 0], ..Config::default() };
        assert_eq!(config.windows(), [1, 60, 10_080]);
        assert_eq!(config.lags(), [0, 1440]);
        assert!(config.check(&Zones::built_in()).is_err());
    }
}
