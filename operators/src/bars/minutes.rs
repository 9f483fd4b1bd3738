//! The open minutes of one continuous series: a packed log of ticks a minute, and each minute's sums.
//!
//! A tick that is new is appended and added to its minute's sums: O(1), in whatever order ticks come, since open
//! and close only need the first and last row. Taking a tick out (replaced, moved or withdrawn) subtracts it; only
//! if it was an extreme, the first or the last is its minute scanned again, once a T.
//!
//! State: 40 bytes a row and about 20 an identity, for the minutes that are not sealed.

use std::collections::VecDeque;

use model::{Bar, Tick, time::MINUTE_MS};

use super::{Outcome, SavedTick};
use crate::hash::FastMap;

/// A tick in the log. Its revision is 0 unless `Minute::revisions` says otherwise.
#[derive(Clone, Copy, Debug)]
struct Row {
    price_micros: i64,
    volume_kwh: i64,
    id: u64,
    offset: i64,
    partition: u32,
    /// Milliseconds after the minute's start.
    after_ms: u16,
    standing: Standing,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Counts in the bar.
    Live,
    /// The winner of its identity is a cancellation.
    Cancelled,
    /// Its identity has moved to another minute.
    Moved,
}

impl Row {
    fn order(&self) -> (u16, u32, i64, u64) {
        (self.after_ms, self.partition, self.offset, self.id)
    }
}

/// Where the row of an identity is: the number of the minute (its low bits suffice among open ones) and the row.
#[derive(Clone, Copy, Debug)]
struct Place {
    minute: u32,
    row: u32,
}

/// Sums of the live rows of a minute. `first`, `last`, `high` and `low` hold only while not `stale`.
#[derive(Debug, Default)]
struct Sums {
    count: i64,
    price: i128,
    price_sq: i128,
    volume: i128,
    price_volume: i128,
    high: i64,
    low: i64,
    first: u32,
    last: u32,
    stale: bool,
}

#[derive(Debug)]
struct Minute {
    start_ms: i64,
    rows: Vec<Row>,
    /// Revisions other than 0, by row.
    revisions: FastMap<u32, i64>,
    sums: Sums,
    /// The bar as it was last told.
    told: Option<Bar>,
    touched: bool,
    /// A row has changed since the minute was last saved.
    unsaved: bool,
}

impl Minute {
    fn new(start_ms: i64) -> Self {
        Self {
            start_ms,
            rows: Vec::new(),
            revisions: FastMap::default(),
            sums: Sums::default(),
            told: None,
            touched: false,
            unsaved: false,
        }
    }

    fn revision(&self, row: u32) -> i64 {
        if self.revisions.is_empty() { 0 } else { self.revisions.get(&row).copied().unwrap_or(0) }
    }

    /// Writes `tick` as row `at`, which is either the next one or one that was taken out.
    fn write(&mut self, at: u32, tick: &Tick) {
        self.unsaved = true;
        let row = Row {
            price_micros: tick.price_micros,
            volume_kwh: tick.volume_kwh,
            id: tick.id,
            offset: tick.offset,
            partition: tick.partition.0,
            after_ms: u16::try_from(tick.event_ms - self.start_ms).expect("an event lies inside its minute"),
            standing: if tick.cancelled { Standing::Cancelled } else { Standing::Live },
        };
        match self.rows.get_mut(at as usize) {
            Some(place) => *place = row,
            None => self.rows.push(row),
        }
        if tick.revision != 0 {
            self.revisions.insert(at, tick.revision);
        } else if !self.revisions.is_empty() {
            self.revisions.remove(&at);
        }
        if row.standing == Standing::Live {
            self.add(at, &row);
        }
    }

    #[inline]
    fn add(&mut self, at: u32, row: &Row) {
        self.touched = true;
        let sums = &mut self.sums;
        let (price, volume) = (i128::from(row.price_micros), i128::from(row.volume_kwh));
        sums.count += 1;
        sums.price += price;
        sums.price_sq += price * price;
        sums.volume += volume;
        sums.price_volume += price * volume;
        if sums.count == 1 {
            (sums.first, sums.last, sums.stale) = (at, at, false);
            (sums.high, sums.low) = (row.price_micros, row.price_micros);
        } else if !sums.stale {
            sums.high = sums.high.max(row.price_micros);
            sums.low = sums.low.min(row.price_micros);
            if row.order() > self.rows[sums.last as usize].order() {
                sums.last = at;
            } else if row.order() < self.rows[sums.first as usize].order() {
                sums.first = at;
            }
        }
    }

    /// Takes row `at` out of the sums if it is in them, and leaves it as `standing`.
    fn take(&mut self, at: u32, standing: Standing) {
        self.unsaved = true;
        let row = &mut self.rows[at as usize];
        let was = std::mem::replace(&mut row.standing, standing);
        if was != Standing::Live {
            return;
        }
        self.touched = true;
        let sums = &mut self.sums;
        let (price, volume) = (i128::from(row.price_micros), i128::from(row.volume_kwh));
        sums.count -= 1;
        sums.price -= price;
        sums.price_sq -= price * price;
        sums.volume -= volume;
        sums.price_volume -= price * volume;
        sums.stale |=
            at == sums.first || at == sums.last || row.price_micros == sums.high || row.price_micros == sums.low;
    }

    fn scan(&mut self) {
        let mut live = (0_u32..).zip(&self.rows).filter(|(_, row)| row.standing == Standing::Live);
        let Some((at, row)) = live.next() else { return };
        let (mut first, mut last) = ((row.order(), at), (row.order(), at));
        (self.sums.high, self.sums.low, self.sums.stale) = (row.price_micros, row.price_micros, false);
        for (at, row) in live {
            self.sums.high = self.sums.high.max(row.price_micros);
            self.sums.low = self.sums.low.min(row.price_micros);
            first = first.min((row.order(), at));
            last = last.max((row.order(), at));
        }
        (self.sums.first, self.sums.last) = (first.1, last.1);
    }

    fn bar(&mut self) -> Option<Bar> {
        if self.sums.count == 0 {
            return None;
        }
        if self.sums.stale {
            self.scan();
        }
        let sums = &self.sums;
        let (first, last) = (&self.rows[sums.first as usize], &self.rows[sums.last as usize]);
        Some(Bar {
            open: first.price_micros,
            high: sums.high,
            low: sums.low,
            close: last.price_micros,
            count: sums.count,
            sum_price: sums.price,
            sum_price_sq: sums.price_sq,
            sum_volume_kwh: i64::try_from(sums.volume).unwrap_or(i64::MAX),
            sum_price_volume: sums.price_volume,
            first_ms: self.start_ms + i64::from(first.after_ms),
            last_ms: self.start_ms + i64::from(last.after_ms),
        })
    }
}

/// The open minutes of a series, earliest first.
#[derive(Debug, Default)]
pub struct Minutes {
    minutes: VecDeque<Minute>,
    index: FastMap<u64, Place>,
}

impl Minutes {
    /// Applies a record whose minute is open.
    pub fn apply(&mut self, tick: &Tick) -> Outcome {
        let start_ms = tick.event_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let number = minute_number(start_ms);
        let into = self.minute_at(start_ms);
        let minute = &mut self.minutes[into];
        let next = Place { minute: number, row: u32::try_from(minute.rows.len()).expect("a minute's log fits") };
        let old = match self.index.entry(tick.id) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(next);
                minute.write(next.row, tick);
                return Outcome::Applied;
            }
            std::collections::hash_map::Entry::Occupied(entry) => *entry.get(),
        };
        let from = if old.minute == number { into } else { self.minute_of(old.minute) };
        let minute = &mut self.minutes[from];
        let held = minute.rows[old.row as usize];
        let outcome = Outcome::of(tick, minute.revision(old.row), (held.partition, held.offset));
        if !outcome.replaces() {
            return outcome;
        }
        if from == into {
            minute.take(old.row, Standing::Moved);
            minute.write(old.row, tick);
        } else {
            minute.take(old.row, Standing::Moved);
            self.minutes[into].write(next.row, tick);
            self.index.insert(tick.id, next);
        }
        outcome
    }

    /// Position of the minute that starts at `start_ms`, made if need be.
    #[inline]
    fn minute_at(&mut self, start_ms: i64) -> usize {
        let mut at = self.minutes.len();
        while at > 0 && self.minutes[at - 1].start_ms > start_ms {
            at -= 1;
        }
        if at > 0 && self.minutes[at - 1].start_ms == start_ms {
            return at - 1;
        }
        // The minute before is nearly complete: give back what its log does not need.
        if let Some(before) = at.checked_sub(1) {
            self.minutes[before].rows.shrink_to_fit();
        }
        self.minutes.insert(at, Minute::new(start_ms));
        at
    }

    fn minute_of(&self, number: u32) -> usize {
        self.minutes
            .iter()
            .rposition(|minute| minute_number(minute.start_ms) == number)
            .expect("an indexed identity lies in an open minute")
    }

    /// Tells every bar that changed since the last call: start, as last told, as it is.
    pub fn tell(&mut self, mut told: impl FnMut(i64, Option<Bar>, Option<Bar>)) {
        for minute in self.minutes.iter_mut().filter(|minute| minute.touched) {
            minute.touched = false;
            let new = minute.bar();
            let old = std::mem::replace(&mut minute.told, new);
            told(minute.start_ms, old, new);
        }
    }

    /// Forgets the minutes that start before `open_from_ms`.
    pub fn seal(&mut self, open_from_ms: i64) {
        while self.minutes.front().is_some_and(|minute| minute.start_ms < open_from_ms) {
            let Some(minute) = self.minutes.pop_front() else { break };
            for row in minute.rows.iter().filter(|row| row.standing != Standing::Moved) {
                self.index.remove(&row.id);
            }
        }
        if self.index.capacity() > 4096 && self.index.len() < self.index.capacity() / 8 {
            self.index.shrink_to_fit();
        }
    }

    /// Says every record that stands of each minute that changed since it was last said (or of all).
    pub fn save(&mut self, all: bool, mut say: impl FnMut(i64, Vec<SavedTick>)) {
        for minute in self.minutes.iter_mut().filter(|minute| all || minute.unsaved) {
            minute.unsaved = false;
            let rows = (0_u32..).zip(&minute.rows).filter(|(_, row)| row.standing != Standing::Moved);
            let saved = rows.map(|(at, row)| SavedTick {
                event_ms: minute.start_ms + i64::from(row.after_ms),
                price_micros: row.price_micros,
                volume_kwh: row.volume_kwh,
                id: row.id,
                revision: minute.revision(at),
                offset: row.offset,
                partition: row.partition,
                cancelled: row.standing == Standing::Cancelled,
            });
            say(minute.start_ms, saved.collect());
        }
    }

    /// Start of the earliest open minute.
    pub fn earliest_ms(&self) -> Option<i64> {
        self.minutes.front().map(|minute| minute.start_ms)
    }

    /// Bytes held, for benchmarks.
    pub fn bytes(&self) -> usize {
        let rows: usize = self.minutes.iter().map(|minute| minute.rows.capacity() * size_of::<Row>()).sum();
        rows + self.minutes.capacity() * size_of::<Minute>() + self.index.capacity() * (size_of::<(u64, Place)>() + 1)
    }
}

fn minute_number(start_ms: i64) -> u32 {
    start_ms.div_euclid(MINUTE_MS) as u32
}
