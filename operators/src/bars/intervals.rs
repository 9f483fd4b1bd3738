//! The interval prices of one series: one row an identity, kept as long as corrections are taken.
//!
//! An interval's bar has one row, seldom more, so it is folded anew whenever a row of it changes. Rows are sorted
//! by minute and id: published in order they are appended.
//!
//! State: 64 bytes a row and about 20 an identity, for the intervals within retention.

use std::collections::BTreeSet;

use model::{Bar, Tick, time::MINUTE_MS};

use super::{Outcome, SavedTick};
use crate::hash::FastMap;

#[derive(Clone, Copy, Debug)]
struct Row {
    event_ms: i64,
    price_micros: i64,
    volume_kwh: i64,
    id: u64,
    revision: i64,
    offset: i64,
    partition: u32,
    cancelled: bool,
}

impl Row {
    fn new(tick: &Tick) -> Self {
        Self {
            event_ms: tick.event_ms,
            price_micros: tick.price_micros,
            volume_kwh: tick.volume_kwh,
            id: tick.id,
            revision: tick.revision,
            offset: tick.offset,
            partition: tick.partition.0,
            cancelled: tick.cancelled,
        }
    }

    fn key(&self) -> (i64, u64) {
        (minute_of(self.event_ms), self.id)
    }
}

/// The intervals of a series, earliest first.
#[derive(Debug, Default)]
pub struct Intervals {
    rows: Vec<Row>,
    /// Start of the minute that an identity's row is in.
    index: FastMap<u64, i64>,
    /// Minutes changed since the last `tell`, each with its bar before that change.
    touched: Vec<(i64, Option<Bar>)>,
    /// Minutes changed since they were last saved.
    unsaved: BTreeSet<i64>,
}

impl Intervals {
    /// Applies a record within retention.
    pub fn apply(&mut self, tick: &Tick) -> Outcome {
        let row = Row::new(tick);
        let (minute_ms, _) = row.key();
        let Some(old_minute_ms) = self.index.insert(tick.id, minute_ms) else {
            self.touch(minute_ms);
            self.insert(row);
            return Outcome::Applied;
        };
        let at = self.find((old_minute_ms, tick.id)).expect("an indexed identity has a row");
        let held = self.rows[at];
        let outcome = Outcome::of(tick, held.revision, (held.partition, held.offset));
        if !outcome.replaces() {
            self.index.insert(tick.id, old_minute_ms);
            return outcome;
        }
        self.touch(old_minute_ms);
        if old_minute_ms == minute_ms {
            self.rows[at] = row;
        } else {
            self.touch(minute_ms);
            self.rows.remove(at);
            self.insert(row);
        }
        outcome
    }

    fn touch(&mut self, minute_ms: i64) {
        self.unsaved.insert(minute_ms);
        self.touched.push((minute_ms, self.bar(minute_ms)));
    }

    fn find(&self, key: (i64, u64)) -> Result<usize, usize> {
        match self.rows.last() {
            Some(last) if last.key() < key => Err(self.rows.len()),
            _ => self.rows.binary_search_by_key(&key, Row::key),
        }
    }

    fn insert(&mut self, row: Row) {
        let at = self.find(row.key()).unwrap_or_else(|at| at);
        self.rows.insert(at, row);
    }

    fn bar(&self, minute_ms: i64) -> Option<Bar> {
        let from = self.find((minute_ms, 0)).unwrap_or_else(|at| at);
        let live = self.rows[from..].iter().take_while(|row| minute_of(row.event_ms) == minute_ms);
        let mut live: Vec<&Row> = live.filter(|row| !row.cancelled).collect();
        live.sort_unstable_by_key(|row| (row.event_ms, row.partition, row.offset, row.id));
        live.into_iter().map(|row| Bar::of(row.event_ms, row.price_micros, row.volume_kwh)).reduce(|mut sum, bar| {
            sum.append(&bar);
            sum
        })
    }

    /// Tells every bar that changed since the last call: start, as last told, as it is.
    pub fn tell(&mut self, mut told: impl FnMut(i64, Option<Bar>, Option<Bar>)) {
        let mut touched = std::mem::take(&mut self.touched);
        // The first touch of a minute saw it as last told; the sort keeps it first.
        touched.sort_by_key(|(minute_ms, _)| *minute_ms);
        touched.dedup_by_key(|(minute_ms, _)| *minute_ms);
        for (minute_ms, old) in touched.drain(..) {
            told(minute_ms, old, self.bar(minute_ms));
        }
        self.touched = touched;
    }

    /// Says every record that stands of each minute that changed since it was last said (or of all).
    pub fn save(&mut self, all: bool, mut say: impl FnMut(i64, Vec<SavedTick>)) {
        let unsaved = std::mem::take(&mut self.unsaved);
        let saved = |row: &Row| SavedTick {
            event_ms: row.event_ms,
            price_micros: row.price_micros,
            volume_kwh: row.volume_kwh,
            id: row.id,
            revision: row.revision,
            offset: row.offset,
            partition: row.partition,
            cancelled: row.cancelled,
        };
        if all {
            for rows in self.rows.chunk_by(|a, b| minute_of(a.event_ms) == minute_of(b.event_ms)) {
                say(minute_of(rows[0].event_ms), rows.iter().map(saved).collect());
            }
            return;
        }
        for minute_ms in unsaved {
            let from = self.find((minute_ms, 0)).unwrap_or_else(|at| at);
            let rows = self.rows[from..].iter().take_while(|row| minute_of(row.event_ms) == minute_ms);
            say(minute_ms, rows.map(saved).collect());
        }
    }

    /// Forgets the intervals whose minute starts before `from_ms`.
    pub fn forget(&mut self, from_ms: i64) {
        let gone = self.rows.partition_point(|row| minute_of(row.event_ms) < from_ms);
        for row in self.rows.drain(..gone) {
            self.index.remove(&row.id);
        }
        if gone > 0 {
            self.unsaved = self.unsaved.split_off(&from_ms);
        }
    }

    /// Start of the earliest minute held.
    pub fn earliest_ms(&self) -> Option<i64> {
        self.rows.first().map(|row| minute_of(row.event_ms))
    }

    /// Bytes held, for benchmarks.
    pub fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>() + self.index.capacity() * (size_of::<(u64, i64)>() + 1)
    }
}

fn minute_of(event_ms: i64) -> i64 {
    event_ms.div_euclid(MINUTE_MS) * MINUTE_MS
}
