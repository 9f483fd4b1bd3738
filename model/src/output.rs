//! What the operators yield: KPIs, anomalies (alerts) and correlations.

use serde::{Deserialize, Serialize};

use crate::location::{LocationId, SeriesKey};
use crate::time::T;

/// Key figures of one series over the trailing `window_min` minutes.
///
/// The window at T holds the minute bars whose start lies in `(T − window, T]`. Prices in micros,
/// volume in kWh. A figure that is undefined is `None`, never 0 or NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kpi {
    /// Location and market.
    pub series: SeriesKey,
    /// Window length in minutes.
    pub window_min: u32,
    /// Close of the newest bar.
    pub last: i64,
    /// Event time of the newest tick, UTC ms; freshness is now minus this.
    pub last_ms: i64,
    /// Last minus the window's first open.
    pub change: i64,
    /// Change in 10⁻⁶ of |first open|; `None` when that is 0.
    pub change_ppm: Option<i64>,
    /// Lowest price.
    pub min: i64,
    /// Highest price.
    pub max: i64,
    /// Mean of the tick prices.
    pub mean: i64,
    /// Volume-weighted average price; `None` without volume.
    pub vwap: Option<i64>,
    /// Sample standard deviation of the differences between closes of consecutive bars; `None` below three bars.
    pub volatility: Option<i64>,
    /// Σ volume, kWh.
    pub volume_kwh: i64,
    /// Number of ticks.
    pub count: i64,
    /// Mean minus the reference location's mean in the same market and window; `None` without a reference or its data.
    pub spread: Option<i64>,
}

/// What an alert found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// |z| of a bar against the trailing bars' mean and standard deviation.
    ZScore,
    /// The same with median and MAD.
    RobustZScore,
    /// Price at or above the market's cap.
    PriceCap,
    /// Price at or below the market's floor.
    PriceFloor,
    /// The same close for n bars.
    FlatLine,
    /// No tick for a while.
    StaleFeed,
    /// Spread against the reference location beyond the threshold.
    SpreadBreak,
}

impl AnomalyKind {
    /// Name in tables, rules and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZScore => "z_score",
            Self::RobustZScore => "robust_z_score",
            Self::PriceCap => "price_cap",
            Self::PriceFloor => "price_floor",
            Self::FlatLine => "flat_line",
            Self::StaleFeed => "stale_feed",
            Self::SpreadBreak => "spread_break",
        }
    }
}

/// How much an alert matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warning,
    /// Act now.
    Critical,
}

impl Severity {
    /// Name in tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Parses the name; clients also say `low`, `medium`, `high`, `error`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "info" | "low" => Self::Info,
            "warning" | "warn" | "medium" => Self::Warning,
            "critical" | "high" | "error" => Self::Critical,
            _ => return None,
        })
    }
}

/// An alert as it stands: which rule fired on which bar, and what it saw.
///
/// `id` is a hash of (rule, kind, series, start_ms): the same alert keeps its id through corrections.
/// Its life (raised, revised, withdrawn) is the sequence of changes to the row with that id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Anomaly {
    /// Stable id.
    pub id: u64,
    /// The rule that fired.
    pub rule: String,
    /// What was found.
    pub kind: AnomalyKind,
    /// How much it matters.
    pub severity: Severity,
    /// Location and market.
    pub series: SeriesKey,
    /// Start of the minute bar that fired (for a stale feed: of the last bar seen), UTC ms.
    pub start_ms: i64,
    /// The value judged, micros (stale feed: milliseconds of silence).
    pub value: i64,
    /// What it was judged against, micros (mean, median, cap, floor, reference mean); `None` where there is none.
    pub baseline: Option<i64>,
    /// z in 10⁻³; `None` for kinds without one.
    pub z_milli: Option<i64>,
    /// The threshold in 10⁻³ of the kind's unit (z, currency per MWh, bars, seconds).
    pub threshold_milli: i64,
}

impl Anomaly {
    /// The value judged, in the kind's own unit: currency per MWh, or milliseconds of silence for a stale feed.
    pub fn value_in_units(&self) -> f64 {
        match self.kind {
            AnomalyKind::StaleFeed => self.value as f64,
            _ => crate::money::price(self.value),
        }
    }

    /// The stable id of an alert.
    pub fn stable_id(rule: &str, kind: AnomalyKind, series: SeriesKey, start_ms: i64) -> u64 {
        let text = format!("{rule}|{}|{:x}|{}|{start_ms}", kind.as_str(), series.location.0, series.market.as_str());
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }
}

/// Where an alert stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Fired, unchanged since.
    Raised,
    /// Fired, and what it saw has changed since.
    Revised,
    /// The past was corrected (or the rule changed): it is no alert any more.
    Withdrawn,
}

impl AlertState {
    /// Name in tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Revised => "revised",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// An alert with its life.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alert {
    /// What was found.
    pub anomaly: Anomaly,
    /// Where it stands.
    pub state: AlertState,
    /// T at which it was first raised.
    pub raised_t: T,
    /// T of the last change.
    pub changed_t: T,
    /// Number of changes after the first.
    pub revision: u32,
}

/// Pearson correlation of the minute means of two series over closed minutes.
///
/// Pairs each closed minute m of `a` with minute m − lag of `b`, over the trailing `window_min` minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Correlation {
    /// First series (the smaller key when lag is 0).
    pub a: SeriesKey,
    /// Second series.
    pub b: SeriesKey,
    /// Window length in minutes.
    pub window_min: u32,
    /// Lag of `b` behind `a` in minutes.
    pub lag_min: u32,
    /// Number of paired minutes.
    pub n: i64,
    /// Correlation in 10⁻⁹; `None` (undefined) below the minimum count or with zero variance.
    pub r_nano: Option<i64>,
}

/// Key of a KPI row.
pub type KpiKey = (SeriesKey, u32);
/// Key of a correlation row: both series, window and lag in minutes.
pub type CorrelationKey = (SeriesKey, SeriesKey, u32, u32);

impl Kpi {
    /// The row's key.
    pub fn key(&self) -> KpiKey {
        (self.series, self.window_min)
    }
}

impl Correlation {
    /// The row's key.
    pub fn key(&self) -> CorrelationKey {
        (self.a, self.b, self.window_min, self.lag_min)
    }

    /// r as a number in [−1, 1].
    pub fn r(&self) -> Option<f64> {
        self.r_nano.map(|nano| nano as f64 / 1e9)
    }
}

/// Convenience for displays: the location of a series.
impl From<SeriesKey> for LocationId {
    fn from(series: SeriesKey) -> Self {
        series.location
    }
}
