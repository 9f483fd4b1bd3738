//! What a user may set about the operators. Every section is a part of `[operators]` in the configuration.

use model::humane::Span;
use serde::{Deserialize, Serialize};

use crate::{anomaly, correlation};

/// Settings of the whole graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Minute bars.
    pub bars: Bars,
    /// How long bars stay in the dataflow. Older ones live in history only.
    pub retention: Retention,
    /// Key figures.
    pub kpis: Kpis,
    /// Alerts.
    pub anomalies: anomaly::Config,
    /// Correlations.
    pub correlations: correlation::Config,
    /// Whether tick records leave the dataflow with what became of them (for history and explanations).
    pub tick_rows: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bars: Bars::default(),
            retention: Retention::default(),
            kpis: Kpis::default(),
            anomalies: anomaly::Config::default(),
            correlations: correlation::Config::default(),
            tick_rows: true,
        }
    }
}

/// Minute bars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bars {
    /// How long after its minute a bucket of a continuous stream takes ticks and corrections. Then it is sealed.
    pub correction_horizon: Span,
}

impl Default for Bars {
    fn default() -> Self {
        Self { correction_horizon: Span::from_millis(15 * 60_000) }
    }
}

/// How long bars stay in the dataflow, by their start, behind T.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Minute bars of continuous streams, and the interval prices of markets below an hour.
    pub minute: Span,
    /// Five-minute and fifteen-minute bars.
    pub five_minute: Span,
    /// Hourly and daily bars, and the interval prices of hourly and day-ahead markets.
    pub hour: Span,
}

impl Default for Retention {
    fn default() -> Self {
        const HOUR_MS: u64 = 3_600_000;
        Self {
            minute: Span::from_millis(48 * HOUR_MS),
            five_minute: Span::from_millis(14 * 24 * HOUR_MS),
            hour: Span::from_millis(400 * 24 * HOUR_MS),
        }
    }
}

/// Key figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kpis {
    /// Window lengths in minutes.
    pub windows_min: Vec<u32>,
}

impl Default for Kpis {
    fn default() -> Self {
        Self { windows_min: vec![5, 60, 1440] }
    }
}
