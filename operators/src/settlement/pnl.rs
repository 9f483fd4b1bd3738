//! Profit and loss by day of delivery: sums of settlement rows, kept by adding and taking away, never by going through
//! the rows again.
//!
//! ```sql
//! select organisation, asset, zone, day, sum(day_ahead), sum(imbalance), sum(penalty), sum(day_ahead + imbalance - penalty),
//!        count(*), count(*) filter (where total is null) from settlement group by organisation, asset, zone, day
//! ```
//! State: six numbers a day, until the day has been over for `retention.minute`. There is no row without an interval.

use auction::Rules;
use model::settlement::clamp;
use model::{LocationId, Pnl, Settlement, T};
use serde::{Deserialize, Serialize};

use super::forgotten_at;
use crate::keyed::{Emit, Machine, Visit};

/// Whose day it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Day {
    organisation: String,
    asset: String,
    zone: LocationId,
    day_ms: (i64, i64),
}

/// What a settlement row adds to a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) day: Day,
    day_ahead_micros: i64,
    imbalance_micros: i64,
    penalty_micros: i64,
    is_open: bool,
}

impl Entry {
    pub(super) fn new(rules: &Rules, row: &Settlement) -> Self {
        let location = row.series.location;
        Self {
            day: Day {
                organisation: row.organisation.clone(),
                asset: row.asset.clone(),
                zone: rules.zones().of(location).map_or(location, |zone| zone.index()),
                day_ms: rules.auction_at(row.series, row.start_ms, row.duration_ms).day_ms,
            },
            day_ahead_micros: row.day_ahead_micros,
            imbalance_micros: row.imbalance_micros.unwrap_or(0),
            penalty_micros: row.penalty_micros.unwrap_or(0),
            is_open: row.is_open(),
        }
    }
}

/// The sums of one day; `i128`, so that the order of additions is of no account.
#[derive(Debug, Default)]
pub(super) struct Sums {
    day_ahead: i128,
    imbalance: i128,
    penalty: i128,
    intervals: i64,
    open_intervals: i64,
    said: Option<Pnl>,
}

impl Sums {
    fn add(&mut self, entry: &Entry, diff: isize) {
        let sign = i128::from(diff as i64);
        self.day_ahead += sign * i128::from(entry.day_ahead_micros);
        self.imbalance += sign * i128::from(entry.imbalance_micros);
        self.penalty += sign * i128::from(entry.penalty_micros);
        self.intervals += diff as i64;
        self.open_intervals += diff as i64 * i64::from(entry.is_open);
    }

    fn row(&self, day: &Day) -> Option<Pnl> {
        (self.intervals > 0).then(|| Pnl {
            organisation: day.organisation.clone(),
            asset: day.asset.clone(),
            zone: day.zone,
            day_ms: day.day_ms.0,
            day_end_ms: day.day_ms.1,
            day_ahead_micros: clamp(self.day_ahead),
            imbalance_micros: clamp(self.imbalance),
            penalty_micros: clamp(self.penalty),
            total_micros: clamp(self.day_ahead + self.imbalance - self.penalty),
            intervals: self.intervals,
            open_intervals: self.open_intervals,
        })
    }
}

pub(super) struct Days {
    pub(super) retention_ms: i64,
}

impl Machine for Days {
    type Key = Day;
    type State = Sums;
    type In = (Entry, T, isize);
    type Shared = ();
    type Out = Pnl;
    type Side = ();
    type Saved = ();

    fn step(
        &mut self,
        visit: Visit<'_, Day>,
        sums: &mut Sums,
        input: &mut Vec<Self::In>,
        out: &mut Emit<Pnl, ()>,
    ) -> Option<T> {
        let forgotten_at = forgotten_at(self.retention_ms, visit.key.day_ms.1);
        if forgotten_at <= visit.t {
            input.clear();
            *sums = Sums::default();
            return None;
        }
        input.drain(..).for_each(|(entry, _, diff)| sums.add(&entry, diff));
        let row = sums.row(visit.key);
        out.revise(sums.said.take(), row.clone());
        sums.said = row;
        sums.said.is_some().then_some(forgotten_at)
    }

    fn is_empty(&self, sums: &Sums) -> bool {
        sums.said.is_none()
    }
}
