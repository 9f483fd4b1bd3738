//! Alerts: what the rules say of every minute bar, the open minute included, and of the silence after the last one.
//!
//! ```sql
//! -- z-score, per rule; closes before the bar: at most window_bars of them, none more than anomalies.window older
//! select *, (close - avg(close) over w) / stddev_samp(close) over w as z from bars_1m
//! window w as (partition by series order by start_ms rows between 30 preceding and 1 preceding)
//! qualify abs(z) > threshold
//! ```
//! `series.rs` has a line for each kind, `baseline.rs` the exact integer formulas. Rules are data: the set that
//! stands at T judges; a rule that changes judges anew every bar that is not frozen, so alerts are raised, revised
//! and withdrawn as if it had always stood.
//!
//! * **Late and corrected input** revises the alerts of its bar and of the bars whose baseline it is in. A bar that
//!   is withdrawn takes its alerts along. Duplicates end in the bars.
//! * **Frozen**: a bar that starts more than `anomalies.window` before T keeps its alerts as they are, whatever comes:
//!   leaving the window is no withdrawal. A stale feed is judged whatever its age.
//! * **State**: per series the bars of twice the window behind T and the newest (40 bytes each), and the alerts of
//!   one window; per rule name one rule.
//! * **No storm**: at one T there is at most one change per rule and changed bar (and per bar whose baseline it is
//!   in); per minute and series at most one alert a rule, a flat line or a silence but one in all, however many ticks there are.

mod applied;
mod baseline;
mod config;
mod history;
mod series;
mod watch;

use differential_dataflow::{AsCollection, VecCollection};
use model::{Anomaly, BarRow, Rule, T, Zones};

use crate::keyed::keyed_shared;
pub use baseline::{Baseline, MAX_WINDOW_BARS, least_count, plain, robust};
pub use config::Config;
use watch::Watch;

/// Alerts that stand, from minute bars and the rules that stand.
pub fn anomalies<'s>(
    config: &crate::Config,
    zones: &Zones,
    minute_bars: VecCollection<'s, T, BarRow, isize>,
    rules: VecCollection<'s, T, Rule, isize>,
) -> VecCollection<'s, T, Anomaly, isize> {
    let watch = Watch::new(zones.clone(), config.anomalies.window.millis_i64());
    let place = |(row, _, _): &(BarRow, T, isize)| (row.key.series.location.zone_code(), row.key.series.market);
    keyed_shared("Anomalies", minute_bars.inner, rules.inner, place, watch).changes.as_collection()
}
