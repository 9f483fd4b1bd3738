//! Alerts: see the operators of this folder.

use std::sync::Arc;

use differential_dataflow::{AsCollection, VecCollection};
use model::{Anomaly, BarRow, Names, Rule, T, Zones};
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::generic::operator::empty;

/// Alert settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// Alerts that stand, from minute bars and live rules.
pub fn anomalies<'s>(
    config: &crate::Config,
    zones: &Zones,
    names: &Arc<Names>,
    minute_bars: VecCollection<'s, T, BarRow, isize>,
    rules: VecCollection<'s, T, Rule, isize>,
) -> VecCollection<'s, T, Anomaly, isize> {
    let _ = (config, zones, names, rules);
    empty(minute_bars.inner.scope()).as_collection()
}
