//! The `simulation` section of the configuration.

use model::humane::Span;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::generator::Settings;
use crate::scenario::{Faults, Scenario};

/// The `simulation` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simulation {
    /// Whether `optibid run` simulates a market beside reading Kafka.
    pub enabled: bool,
    /// Seed: the same seed and start give the same market.
    pub seed: u64,
    /// `calm`, `busy`, `faults` or `storm`.
    pub scenario: String,
    /// Faults instead of the scenario's own.
    pub faults: Option<Faults>,
    /// Zones by any name; every zone of the table when empty.
    pub zones: Vec<String>,
    /// Ticks per second, all series together; 0: one per series and `interval`.
    pub rate: f64,
    /// Time between two ticks of a series when `rate` is 0.
    pub interval: Span,
    /// Ticks in one columnar message; 0 or 1: one JSON message a tick.
    pub columnar_rows: usize,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            enabled: false,
            seed: 1,
            scenario: "busy".to_owned(),
            faults: None,
            zones: Vec::new(),
            rate: 0.0,
            interval: Span::from_millis(1000),
            columnar_rows: 0,
        }
    }
}

impl Simulation {
    /// The generator's settings for a market that starts at `start_ms`.
    pub fn settings(&self, start_ms: i64, zones: &model::Zones) -> Result<Settings, Error> {
        let mut scenario = Scenario::preset(&self.scenario)?;
        if let Some(faults) = &self.faults {
            scenario.faults = faults.clone();
        }
        scenario.check()?;
        Ok(Settings {
            seed: self.seed,
            start_ms,
            rate: self.ticks_per_second(&scenario, zones)?,
            zones: self.zones.clone(),
            scenario,
            stamp_published: false,
        })
    }

    fn ticks_per_second(&self, scenario: &Scenario, zones: &model::Zones) -> Result<f64, Error> {
        if !self.rate.is_finite() || self.rate < 0.0 {
            return Err(Error::Settings(format!("rate {} is not a number from 0 on", self.rate)));
        }
        if self.rate > 0.0 {
            return Ok(self.rate);
        }
        if self.interval.millis() == 0 {
            return Err(Error::Settings("rate and interval are both 0".to_owned()));
        }
        let chosen = zones.iter().filter(|zone| {
            self.zones.is_empty()
                || self.zones.iter().any(|name| zones.get(name).is_some_and(|found| found.code == zone.code))
        });
        let series: usize = chosen.map(|zone| 1 + zone.locations.len().min(scenario.hubs)).sum();
        Ok(series.max(1) as f64 * 1000.0 / self.interval.millis() as f64)
    }
}
