//! Correlations: see the operators of this folder.

use differential_dataflow::{AsCollection, VecCollection};
use model::{BarRow, Correlation, T, Zones};
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::generic::operator::empty;

/// Correlation settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// Correlations of every pair, from minute bars.
pub fn correlations<'s>(
    config: &crate::Config,
    zones: &Zones,
    minute_bars: VecCollection<'s, T, BarRow, isize>,
) -> VecCollection<'s, T, Correlation, isize> {
    let _ = (config, zones);
    empty(minute_bars.inner.scope()).as_collection()
}
