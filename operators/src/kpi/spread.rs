//! The spread: mean minus the mean of the zone's reference location, in the same market and window.
//!
//! Keyed by the reference series, so that a key holds a zone's locations in one market. When the reference's mean
//! moves, every spread of the window is revised, and nothing else is computed again.
//!
//! State: one row a series and window.

use std::collections::BTreeMap;

use model::location::zone_code;
use model::{Kpi, LocationId, SeriesKey, T, Zones};

use super::series::Figure;
use crate::hash::FastMap;
use crate::keyed::{Emit, Machine, Visit};

/// The reference location of every zone, by the zone's code.
#[derive(Clone)]
pub(super) struct References(FastMap<u16, LocationId>);

impl References {
    pub(super) fn new(zones: &Zones) -> Self {
        Self(zones.iter().map(|zone| (zone_code(&zone.code), zone.reference())).collect())
    }

    /// The series that a series' spread is measured against; itself where the zone is unknown.
    pub(super) fn of(&self, series: SeriesKey) -> SeriesKey {
        let location = self.0.get(&series.location.zone_code()).copied().unwrap_or(series.location);
        SeriesKey { location, market: series.market }
    }
}

pub(super) struct Spread;

/// Rows as they were told, by window and series.
type Group = BTreeMap<u32, BTreeMap<SeriesKey, Kpi>>;

impl Machine for Spread {
    type Key = SeriesKey;
    type State = Group;
    type In = Figure;
    type Shared = ();
    type Out = Kpi;
    type Side = ();
    type Saved = ();

    fn step(
        &mut self,
        visit: Visit<'_, SeriesKey>,
        group: &mut Group,
        input: &mut Vec<Figure>,
        out: &mut Emit<Kpi, ()>,
    ) -> Option<T> {
        let reference = visit.key;
        // The reference first: then every other row can be told once, with its final spread.
        input.sort_unstable_by_key(|figure| (figure.window_min, figure.series != *reference, figure.series));
        let mut figures = input.drain(..).peekable();
        while let Some(window_min) = figures.peek().map(|figure| figure.window_min) {
            let rows = group.entry(window_min).or_default();
            let mean_before = rows.get(reference).map(|row| row.mean);
            let mut mean = mean_before;
            while let Some(figure) = figures.next_if(|figure| figure.window_min == window_min) {
                if figure.series == *reference {
                    mean = figure.kpi.map(|kpi| kpi.mean);
                }
                let new = figure.kpi.map(|kpi| with_spread(kpi, mean));
                let old = match new {
                    Some(new) => rows.insert(figure.series, new),
                    None => rows.remove(&figure.series),
                };
                out.revise(old, new);
            }
            if mean != mean_before {
                // Those told above have it already and say nothing.
                for row in rows.values_mut() {
                    let new = with_spread(*row, mean);
                    out.revise(Some(std::mem::replace(row, new)), Some(new));
                }
            }
        }
        group.retain(|_, rows| !rows.is_empty());
        None
    }

    fn is_empty(&self, group: &Group) -> bool {
        group.is_empty()
    }
}

fn with_spread(kpi: Kpi, reference_mean: Option<i64>) -> Kpi {
    Kpi { spread: reference_mean.map(|mean| kpi.mean - mean), ..kpi }
}
