//! Minute bars (body follows).

use std::sync::Arc;

use differential_dataflow::{AsCollection, VecCollection};
use model::batch::Counts;
use model::{BarRow, DeadLetter, Names, T, Tick, TickRow, Zones};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::generic::operator::empty;

/// What the bars operator yields.
pub struct Bars<'s> {
    /// Minute bars.
    pub bars: VecCollection<'s, T, BarRow, isize>,
    /// Tick records with what they did.
    pub ticks: StreamVec<'s, T, TickRow>,
    /// Refused ticks.
    pub dead_letters: StreamVec<'s, T, DeadLetter>,
    /// What became of the ticks.
    pub counts: StreamVec<'s, T, Counts>,
}

/// Ticks to minute bars.
pub fn bars<'s>(config: &crate::Config, zones: &Zones, names: &Arc<Names>, ticks: StreamVec<'s, T, Tick>) -> Bars<'s> {
    let _ = (config, zones, names);
    let scope = ticks.scope();
    Bars { bars: empty(scope).as_collection(), ticks: empty(scope), dead_letters: empty(scope), counts: empty(scope) }
}
