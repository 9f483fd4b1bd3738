//! What kind of market and what kind of trouble: presets by name, each part settable.

use model::humane::Span;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A market and its troubles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// How prices move.
    pub prices: Prices,
    /// What goes wrong.
    pub faults: Faults,
    /// How ticks are written.
    pub form: Form,
    /// Hubs quoted beside each zone's own index, at most: the first of the zone table.
    pub hubs: usize,
    /// Bids entered per tick.
    pub bids: f64,
    /// Market events per tick.
    pub notices: f64,
}

/// How prices move. Sizes are multiples of the zone's usual price level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// Standard deviation around the daily and weekly shape.
    pub volatility: f64,
    /// Time in which half of a deviation is gone.
    pub half_life: Span,
    /// Correlation of two zones' deviations: the share of variance that comes from the common factor.
    pub correlation: f64,
    /// Jumps an hour and series.
    pub jumps_per_hour: f64,
    /// Mean size of a jump.
    pub jump_size: f64,
    /// Share of jumps that go down (surplus: prices can turn negative).
    pub jumps_down: f64,
    /// Time in which half of a jump is gone.
    pub jump_half_life: Span,
    /// Standard deviation from tick to tick.
    pub noise: f64,
}

/// What goes wrong. Shares are of ticks; a tick has at most one fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Share sent late.
    pub late: f64,
    /// Share sent twice.
    pub duplicate: f64,
    /// Share corrected afterwards (revision 1 with another price).
    pub corrected: f64,
    /// Share cancelled afterwards (revision 1, withdrawn).
    pub cancelled: f64,
    /// Share whose bytes are damaged.
    pub corrupt: f64,
    /// Share dated minutes to days ahead.
    pub future: f64,
    /// Mean of the (exponential) delay of late ticks, repetitions, corrections and cancellations.
    pub delay: Span,
    /// Longest delay.
    pub max_delay: Span,
    /// Silences of the whole feed an hour.
    pub gaps_per_hour: f64,
    /// Mean length of a silence.
    pub gap: Span,
    /// Outages an hour and zone.
    pub outages_per_hour: f64,
    /// Mean length of an outage.
    pub outage: Span,
}

/// How ticks are written. A tick that is repeated, corrected or cancelled needs an id, so it is written in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Zone, price, volume and time, as existing clients send.
    Minimal,
    /// With location, market, currency, id, revision and source.
    Full,
    /// Every second tick in full.
    Mixed,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            prices: Prices::default(),
            faults: Faults::default(),
            form: Form::Full,
            hubs: 0,
            bids: 0.02,
            notices: 0.0005,
        }
    }
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            volatility: 0.15,
            half_life: Span::from_millis(30 * 60_000),
            correlation: 0.5,
            jumps_per_hour: 0.5,
            jump_size: 1.0,
            jumps_down: 0.3,
            jump_half_life: Span::from_millis(5 * 60_000),
            noise: 0.005,
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            late: 0.0,
            duplicate: 0.0,
            corrected: 0.0,
            cancelled: 0.0,
            corrupt: 0.0,
            future: 0.0,
            delay: Span::from_millis(20_000),
            max_delay: Span::from_millis(5 * 60_000),
            gaps_per_hour: 0.0,
            gap: Span::from_millis(10_000),
            outages_per_hour: 0.0,
            outage: Span::from_millis(60_000),
        }
    }
}

impl Scenario {
    /// The presets' names.
    pub const NAMES: [&'static str; 4] = ["calm", "busy", "faults", "storm"];

    /// A preset: `calm` (no trouble), `busy` (hubs, bids, events, mixed forms, a few late and corrected ticks), `faults` (every fault), `storm`
    /// (spikes, negative prices, outages).
    pub fn preset(name: &str) -> Result<Self, Error> {
        let base = Self::default();
        Ok(match name.trim().to_ascii_lowercase().as_str() {
            "calm" => {
                Self { prices: Prices { volatility: 0.08, jumps_per_hour: 0.05, ..base.prices }, notices: 0.0, ..base }
            }
            "busy" => {
                // What a good day brings.
                let faults = Faults { late: 0.005, duplicate: 0.002, corrected: 0.004, ..base.faults };
                Self { faults, form: Form::Mixed, hubs: 3, bids: 0.1, notices: 0.002, ..base }
            }
            "faults" => Self { faults: Faults::every(), form: Form::Mixed, bids: 0.05, notices: 0.002, ..base },
            "storm" => {
                let prices = Prices {
                    volatility: 0.5,
                    half_life: Span::from_millis(10 * 60_000),
                    correlation: 0.8,
                    jumps_per_hour: 6.0,
                    jump_size: 4.0,
                    jumps_down: 0.4,
                    noise: 0.02,
                    ..base.prices
                };
                let faults = Faults { late: 0.05, outages_per_hour: 2.0, gaps_per_hour: 2.0, ..Faults::every() };
                Self { prices, faults, hubs: 2, bids: 0.1, notices: 0.01, ..base }
            }
            other => {
                let known = Self::NAMES.join(", ");
                return Err(Error::Settings(format!("no scenario {other:?}; there are {known}")));
            }
        })
    }

    /// Says what cannot work.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Settings(reason));
        let f = &self.faults;
        let shares = [f.late, f.duplicate, f.corrected, f.cancelled, f.corrupt, f.future];
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || shares.iter().sum::<f64>() > 1.0 {
            return refuse(format!("shares of faults {shares:?} must lie in 0 to 1 and sum to at most 1"));
        }
        let p = &self.prices;
        if !(0.0..=1.0).contains(&p.correlation) || !(0.0..=1.0).contains(&p.jumps_down) {
            return refuse(format!("correlation {} and jumps_down {} must lie in 0 to 1", p.correlation, p.jumps_down));
        }
        let sizes = [p.volatility, p.jumps_per_hour, p.jump_size, p.noise, f.gaps_per_hour, f.outages_per_hour];
        if sizes.iter().chain([&self.bids, &self.notices]).any(|size| !size.is_finite() || *size < 0.0) {
            return refuse("sizes and rates must be finite and not negative".to_owned());
        }
        if self.bids > 1.0 || self.notices > 1.0 {
            return refuse("at most one bid and one notice per tick".to_owned());
        }
        Ok(())
    }
}

impl Faults {
    /// Every fault, at shares that a test of 100,000 ticks sees thousands of.
    pub fn every() -> Self {
        Self {
            late: 0.03,
            duplicate: 0.02,
            corrected: 0.02,
            cancelled: 0.01,
            corrupt: 0.01,
            future: 0.005,
            gaps_per_hour: 4.0,
            outages_per_hour: 4.0,
            ..Self::default()
        }
    }
}
