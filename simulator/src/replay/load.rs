//! Load beside prices: megawatts that hold for a while become the megawatt-hours of an interval.

use std::collections::{BTreeMap, HashMap};

use model::LocationId;

use super::quote::tidy;

/// A load reading: it holds until the next of its location.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Where.
    pub location: LocationId,
    /// From when, UTC ms.
    pub start_ms: i64,
    /// MW.
    pub power_mw: f64,
}

/// The longest that one reading is believed.
const MAX_HOLD_MS: i64 = 900_000;

/// Every reading of a replay. Bounded by the load files given.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadBook {
    readings: HashMap<LocationId, BTreeMap<i64, f64>>,
}

impl LoadBook {
    /// Adds readings; of two at one instant the later one read counts.
    pub(crate) fn extend(&mut self, loads: Vec<Load>) {
        for load in loads {
            self.readings.entry(load.location).or_default().insert(load.start_ms, load.power_mw);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// MWh at a location over `[start, end)`; `None` unless readings cover all of it, or if it is negative.
    pub(crate) fn energy_mwh(&self, location: LocationId, start_ms: i64, end_ms: i64) -> Option<f64> {
        let readings = self.readings.get(&location)?;
        let (&first, &power) = readings.range(..=start_ms).next_back()?;
        let (mut since, mut read_at, mut power, mut total) = (start_ms, first, power, 0.0);
        for (&at, &next) in readings.range(start_ms + 1..end_ms.max(start_ms + 1)) {
            total += hold(since, at, read_at, power)?;
            (since, read_at, power) = (at, at, next);
        }
        total += hold(since, end_ms, read_at, power)?;
        Some(tidy(total)).filter(|energy| *energy >= 0.0)
    }
}

fn hold(from_ms: i64, to_ms: i64, read_at_ms: i64, power_mw: f64) -> Option<f64> {
    (to_ms - read_at_ms <= MAX_HOLD_MS).then(|| power_mw * (to_ms - from_ms) as f64 / 3_600_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_what_holds_and_invents_nothing() {
        let location = LocationId::new("NYISO", "N.Y.C.");
        let mut book = LoadBook::default();
        let at = |minute: i64| minute * 60_000;
        book.extend(
            [(0, 600.0), (5, 1200.0), (10, 300.0)]
                .map(|(m, power_mw)| Load { location, start_ms: at(m), power_mw })
                .to_vec(),
        );
        assert_eq!(book.energy_mwh(location, at(0), at(5)), Some(50.0));
        assert_eq!(book.energy_mwh(location, at(0), at(15)), Some(50.0 + 100.0 + 25.0));
        assert_eq!(book.energy_mwh(location, at(7), at(10)), Some(60.0));
        assert_eq!(book.energy_mwh(location, at(10), at(26)), None, "a reading is not believed for ever");
        assert_eq!(book.energy_mwh(location, at(-5), at(0)), None);
        assert_eq!(book.energy_mwh(LocationId::new("NYISO", "WEST"), at(0), at(5)), None);
    }
}
