//! Closed minutes: the mean price of every minute bar from the moment its minute is over.
//!
//! ```sql
//! select series, start_ms, round(sum_price / count) as mean from bars_1m where start_ms + 60000 <= T
//! ```
//! A bar that changes with every tick of its minute says nothing until T = start + 60 s, and then only its last
//! mean. A late tick or a correction that comes later takes effect at the next whole multiple of `refresh_ms` in T.
//! A bar that is removed again before it takes effect never shows. Duplicates do not reach this operator.
//!
//! State: of each series the bars that have not taken effect yet: one while prices are live, a day or two of them
//! for prices published ahead of delivery.

use model::T;
use model::money::div_round;
use model::time::MINUTE_MS;

use crate::keyed::{Emit, Machine, Visit};

/// Number of a series in the list of those that take part.
pub(super) type Series = u16;
/// A closed minute: series, start (UTC ms), mean (micros).
pub(super) type Minute = (Series, i64, i64);
/// A bar on its way: series, start (UTC ms), Σ price and number of ticks. The division waits until it is over.
pub(super) type Open = (Series, i64, i128, i64);

/// The first T at which minute `start_ms` is over; 0 for minutes before 1970.
pub(super) fn closes(start_ms: i64) -> T {
    T::try_from(start_ms.saturating_add(MINUTE_MS)).unwrap_or(0)
}

/// A change that has not taken effect yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    at: T,
    start_ms: i64,
    sum: i128,
    count: i64,
    diff: isize,
}

impl Waiting {
    fn same(&self, other: &Self) -> bool {
        let key = |change: &Self| (change.at, change.start_ms, change.sum, change.count);
        key(self) == key(other)
    }
}

pub(super) struct Closed {
    pub(super) refresh_ms: u64,
    /// How long after its minute a bar can still be in a window: older ones are passed over.
    pub(super) keep_ms: u64,
}

impl Closed {
    fn takes_effect(&self, t: T, start_ms: i64) -> T {
        let close = closes(start_ms);
        if t <= close { close } else { t.checked_next_multiple_of(self.refresh_ms.max(1)).unwrap_or(t) }
    }
}

impl Machine for Closed {
    type Key = Series;
    type State = Vec<Waiting>;
    type In = (Open, T, isize);
    type Shared = ();
    type Out = Minute;
    type Side = ();
    type Saved = ();

    fn step(
        &mut self,
        visit: Visit<'_, Series>,
        waiting: &mut Self::State,
        input: &mut Vec<Self::In>,
        out: &mut Emit<Minute, ()>,
    ) -> Option<T> {
        for ((_, start_ms, sum, count), t, diff) in input.drain(..) {
            if self.takes_effect(t, start_ms) >= closes(start_ms).saturating_add(self.keep_ms) {
                continue;
            }
            let new = Waiting { at: self.takes_effect(t, start_ms), start_ms, sum, count, diff };
            match waiting.iter().position(|known| known.same(&new)) {
                Some(known) if waiting[known].diff + diff == 0 => {
                    waiting.swap_remove(known);
                }
                Some(known) => waiting[known].diff += diff,
                None => waiting.push(new),
            }
        }
        for change in waiting.extract_if(.., |waiting| waiting.at <= visit.t) {
            let mean = div_round(change.sum, i128::from(change.count)).unwrap_or(0);
            for _ in 0..change.diff.unsigned_abs() {
                let row = (*visit.key, change.start_ms, mean);
                if change.diff > 0 { out.put(row) } else { out.take(row) }
            }
        }
        waiting.iter().map(|waiting| waiting.at).min()
    }

    fn is_empty(&self, waiting: &Vec<Waiting>) -> bool {
        waiting.is_empty()
    }
}
