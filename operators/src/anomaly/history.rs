//! The minute bars of one series that alerts are judged by, in the order of their start.
//!
//! Bound: the bars of twice the alert window behind T, and the newest bar whatever its age (a feed that has been
//! silent for days is still stale). 40 bytes a bar.

use std::collections::VecDeque;
use std::ops::Range;

use model::Bar;

/// What alerts need of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) start_ms: i64,
    pub(super) close: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) last_ms: i64,
}

impl Point {
    pub(super) fn new(start_ms: i64, bar: &Bar) -> Self {
        Self { start_ms, close: bar.close, high: bar.high, low: bar.low, last_ms: bar.last_ms }
    }
}

#[derive(Debug, Default)]
pub(super) struct History {
    points: VecDeque<Point>,
}

impl History {
    /// Puts, replaces or (with `None`) removes the bar of a minute.
    pub(super) fn set(&mut self, start_ms: i64, point: Option<Point>) {
        let at = self.at_or_after(start_ms);
        match (self.points.get_mut(at).filter(|found| found.start_ms == start_ms), point) {
            (Some(found), Some(point)) => *found = point,
            (Some(_), None) => {
                self.points.remove(at);
            }
            (None, Some(point)) => self.points.insert(at, point),
            (None, None) => {}
        }
    }

    /// Forgets the bars before `horizon_ms`, but never the newest.
    pub(super) fn forget_before(&mut self, horizon_ms: i64) {
        while self.points.len() > 1 && self.points[0].start_ms < horizon_ms {
            self.points.pop_front();
        }
    }

    /// Number of the first bar that starts at or after `start_ms`.
    pub(super) fn at_or_after(&self, start_ms: i64) -> usize {
        // Nearly every question is about the newest bar.
        match self.points.back() {
            Some(newest) if newest.start_ms < start_ms => self.points.len(),
            Some(newest) if newest.start_ms == start_ms => self.points.len() - 1,
            _ => self.points.partition_point(|point| point.start_ms < start_ms),
        }
    }

    /// The bar of a minute.
    pub(super) fn find(&self, start_ms: i64) -> Option<&Point> {
        self.points.get(self.at_or_after(start_ms)).filter(|point| point.start_ms == start_ms)
    }

    /// Numbers of the bars before bar `at`: up to `count`, and none that starts more than `reach_ms` before it.
    pub(super) fn before(&self, at: usize, count: usize, reach_ms: i64) -> Range<usize> {
        let by_count = at.saturating_sub(count);
        let from_ms = self.points[at].start_ms.saturating_sub(reach_ms);
        if self.points[by_count].start_ms >= from_ms {
            return by_count..at;
        }
        by_count.max(self.at_or_after(from_ms))..at
    }

    pub(super) fn closes(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = i64> {
        self.points.range(range).map(|point| point.close)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Point> {
        self.points.get(at)
    }

    pub(super) fn newest(&self) -> Option<&Point> {
        self.points.back()
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }
}
