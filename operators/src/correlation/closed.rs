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

use std::collections::BTreeMap;

use model::T;
use model::time::MINUTE_MS;

use crate::keyed::{Emit, Machine, Visit};

/// Number of a series in the list of those that take part.
pub(super) type Series = u16;
/// A bar as correlations see it: series, start of the minute (UTC ms), mean (micros).
pub(super) type Minute = (Series, i64, i64);

/// The first T at which minute `start_ms` is over; 0 for minutes before 1970.
pub(super) fn closes(start_ms: i64) -> T {
    T::try_from(start_ms.saturating_add(MINUTE_MS)).unwrap_or(0)
}

pub(super) struct Closed {
    pub(super) refresh_ms: u64,
}

impl Closed {
    fn takes_effect(&self, t: T, start_ms: i64) -> T {
        let close = closes(start_ms);
        if t <= close { close } else { t.checked_next_multiple_of(self.refresh_ms.max(1)).unwrap_or(t) }
    }
}

impl Machine for Closed {
    type Key = Series;
    type State = BTreeMap<(T, i64, i64), isize>;
    type In = (Minute, T, isize);
    type Shared = ();
    type Out = Minute;
    type Side = ();

    fn step(
        &mut self,
        visit: Visit<'_, Series>,
        waiting: &mut Self::State,
        input: &mut Vec<Self::In>,
        out: &mut Emit<Minute, ()>,
    ) -> Option<T> {
        for ((_, start_ms, mean), t, diff) in input.drain(..) {
            *waiting.entry((self.takes_effect(t, start_ms), start_ms, mean)).or_insert(0) += diff;
        }
        waiting.retain(|_, diff| *diff != 0);
        while let Some(first) = waiting.first_entry() {
            if first.key().0 > visit.t {
                break;
            }
            let ((_, start_ms, mean), diff) = first.remove_entry();
            for _ in 0..diff.unsigned_abs() {
                let row = (*visit.key, start_ms, mean);
                if diff > 0 { out.put(row) } else { out.take(row) }
            }
        }
        waiting.first_key_value().map(|(key, _)| key.0)
    }

    fn is_empty(&self, waiting: &Self::State) -> bool {
        waiting.is_empty()
    }
}
