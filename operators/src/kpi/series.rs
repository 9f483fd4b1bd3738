//! All windows of one series over one shared list of its minute bars.
//!
//! The list holds the bars of the longest window and, after position `now`, bars whose minute is still to come.

use std::collections::VecDeque;

use model::time::MINUTE_MS;
use model::{BarRow, Kpi, SeriesKey, T};
use serde::{Deserialize, Serialize};

use super::window::{Minute, Window};
use crate::keyed::{Emit, Machine, Visit, upserts};

/// The figures of one window as they are now, without spread; `None` when the window has become empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) series: SeriesKey,
    pub(super) window_min: u32,
    pub(super) kpi: Option<Kpi>,
}

/// State of one series.
#[derive(Debug, Default)]
pub(super) struct Series {
    bars: VecDeque<Minute>,
    /// Number of bars whose minute has begun.
    now: usize,
    windows: Vec<Window>,
}

pub(super) struct Figures {
    windows_min: Vec<u32>,
    longest_ms: i64,
}

impl Figures {
    pub(super) fn new(mut windows_min: Vec<u32>) -> Self {
        windows_min.retain(|window_min| *window_min > 0);
        windows_min.sort_unstable();
        windows_min.dedup();
        let longest_ms = windows_min.last().map_or(0, |window_min| width_ms(*window_min));
        Self { windows_min, longest_ms }
    }
}

fn width_ms(window_min: u32) -> i64 {
    i64::from(window_min) * MINUTE_MS
}

impl Series {
    pub(super) fn new(windows: usize) -> Self {
        Self { windows: (0..windows).map(|_| Window::default()).collect(), ..Self::default() }
    }

    /// The figures of one window.
    pub(super) fn kpi(&mut self, window: usize, series: SeriesKey, window_min: u32) -> Option<Kpi> {
        self.windows[window].kpi(&self.bars, self.now, series, window_min)
    }

    /// Sets, replaces or removes the bar of a minute.
    pub(super) fn set(&mut self, start_ms: i64, new: Option<Minute>) {
        let at = match self.bars.back() {
            Some(last) if last.start_ms == start_ms => Ok(self.bars.len() - 1),
            Some(last) if last.start_ms < start_ms => Err(self.bars.len()),
            _ => self.bars.binary_search_by_key(&start_ms, |bar| bar.start_ms),
        };
        match (at, new) {
            (Ok(at), Some(new)) => self.replace(at, new),
            (Ok(at), None) => self.remove(at),
            (Err(at), Some(new)) => self.insert(at, new),
            (Err(_), None) => {}
        }
    }

    fn replace(&mut self, at: usize, new: Minute) {
        if at < self.now {
            for window in self.windows.iter_mut().filter(|window| window.from <= at) {
                window.replace(&self.bars, self.now, at, &new);
            }
        }
        self.bars[at] = new;
    }

    fn remove(&mut self, at: usize) {
        if at < self.now {
            for window in &mut self.windows {
                if window.from <= at {
                    window.leave(&self.bars, self.now, at);
                } else {
                    window.from -= 1;
                }
            }
            self.now -= 1;
        }
        self.bars.remove(at);
    }

    /// A bar of a minute to come waits after `now`; one of the past goes into the windows that reach back to it.
    fn insert(&mut self, at: usize, new: Minute) {
        self.bars.insert(at, new);
        if at < self.now {
            self.now += 1;
            for window in &mut self.windows {
                // At a window's very front the bar may be too old for it: `slide`, which has put every front where it
                // belongs before, knows the bounds.
                if window.from < at || (window.from == at && new.start_ms > window.after_ms) {
                    window.enter(&self.bars, self.now, at);
                } else {
                    window.from += 1;
                }
            }
        }
    }

    /// Moves every window to T: bars whose minute has begun enter, bars a width old leave.
    pub(super) fn slide(&mut self, now_ms: i64, windows_min: &[u32]) {
        while self.bars.get(self.now).is_some_and(|bar| bar.start_ms <= now_ms) {
            self.now += 1;
            for window in &mut self.windows {
                window.enter(&self.bars, self.now, self.now - 1);
            }
        }
        for (window, window_min) in self.windows.iter_mut().zip(windows_min) {
            window.after_ms = now_ms.saturating_sub(width_ms(*window_min));
            while window.from < self.now && self.bars[window.from].start_ms <= window.after_ms {
                window.leave(&self.bars, self.now, window.from);
                window.from += 1;
            }
        }
    }

    /// Drops the bars that have left every window.
    pub(super) fn forget(&mut self) {
        let gone = self.windows.iter().map(|window| window.from).min().unwrap_or(self.now);
        if gone > 0 {
            self.bars.drain(..gone);
            self.now -= gone;
            self.windows.iter_mut().for_each(|window| window.from -= gone);
        }
    }

    /// When the next bar enters or leaves a window.
    pub(super) fn wake_ms(&self, windows_min: &[u32]) -> Option<i64> {
        let leaves = self.windows.iter().zip(windows_min).filter(|(window, _)| window.from < self.now);
        let leaves = leaves.map(|(window, window_min)| self.bars[window.from].start_ms + width_ms(*window_min));
        leaves.chain(self.bars.get(self.now).map(|bar| bar.start_ms)).min()
    }
}

impl Machine for Figures {
    type Key = SeriesKey;
    type State = Series;
    type In = (BarRow, T, isize);
    type Shared = ();
    type Out = ();
    type Side = Figure;
    type Saved = ();

    fn step(
        &mut self,
        visit: Visit<'_, SeriesKey>,
        state: &mut Series,
        input: &mut Vec<Self::In>,
        out: &mut Emit<(), Figure>,
    ) -> Option<T> {
        let now_ms = i64::try_from(visit.t).unwrap_or(i64::MAX);
        if state.windows.is_empty() {
            *state = Series::new(self.windows_min.len());
        }
        // First the fronts, so that changes meet windows that lie where they should; then what the changes bring in.
        state.slide(now_ms, &self.windows_min);
        let past_ms = now_ms.saturating_sub(self.longest_ms);
        upserts(
            input,
            |row| row.key.start_ms,
            |start_ms, row| {
                if start_ms > past_ms {
                    state.set(start_ms, row.map(|row| Minute::new(start_ms, &row.bar)));
                }
            },
        );
        state.slide(now_ms, &self.windows_min);
        for (number, window_min) in self.windows_min.iter().copied().enumerate() {
            if std::mem::take(&mut state.windows[number].changed) {
                let kpi = state.kpi(number, *visit.key, window_min);
                out.side(Figure { series: *visit.key, window_min, kpi });
            }
        }
        state.forget();
        state.wake_ms(&self.windows_min).map(|wake_ms| wake_ms.max(0) as T)
    }

    fn is_empty(&self, state: &Series) -> bool {
        state.bars.is_empty()
    }
}
