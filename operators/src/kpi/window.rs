//! One sliding window over a series' bars: sums that grow and shrink at both ends.
//!
//! Sums, and the sums of differences between neighbouring closes, are exact and change by what changed. The lowest
//! and highest price are looked for again only when a bar that held one of them left or moved away from it.

use std::collections::VecDeque;

use model::money::div_round;
use model::{Bar, Kpi, SeriesKey, money};

/// What a window needs of a minute bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Minute {
    pub(super) start_ms: i64,
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    count: i64,
    volume_kwh: i64,
    last_ms: i64,
    sum_price: i128,
    sum_price_volume: i128,
}

impl Minute {
    pub(super) fn new(start_ms: i64, bar: &Bar) -> Self {
        Self {
            start_ms,
            open: bar.open,
            high: bar.high,
            low: bar.low,
            close: bar.close,
            count: bar.count,
            volume_kwh: bar.sum_volume_kwh,
            last_ms: bar.last_ms,
            sum_price: bar.sum_price,
            sum_price_volume: bar.sum_price_volume,
        }
    }
}

/// The window `bars[from..to]` of a list that the series owns; `to` is the series' own.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Position of the window's first bar.
    pub(super) from: usize,
    /// The window holds minutes that start after this.
    pub(super) after_ms: i64,
    count: i128,
    volume_kwh: i128,
    sum_price: i128,
    sum_price_volume: i128,
    /// Sums of the differences between closes of neighbours, and of their squares.
    steps: i128,
    steps_sq: i128,
    low: i64,
    high: i64,
    /// `low` and `high` must be looked for again.
    stale: bool,
    pub(super) changed: bool,
}

impl Window {
    /// Counts a bar in (`sign` 1) or out (-1).
    fn sum(&mut self, bar: &Minute, sign: i128) {
        self.count += sign * i128::from(bar.count);
        self.volume_kwh += sign * i128::from(bar.volume_kwh);
        self.sum_price += sign * bar.sum_price;
        self.sum_price_volume += sign * bar.sum_price_volume;
        self.changed = true;
    }

    fn step(&mut self, before: &Minute, after: &Minute, sign: i128) {
        let step = i128::from(after.close) - i128::from(before.close);
        self.steps += sign * step;
        self.steps_sq += sign * step * step;
    }

    /// Counts the steps on both sides of position `at` in or out.
    fn steps_around(&mut self, bars: &VecDeque<Minute>, to: usize, at: usize, sign: i128) {
        if at > self.from {
            self.step(&bars[at - 1], &bars[at], sign);
        }
        if at + 1 < to {
            self.step(&bars[at], &bars[at + 1], sign);
        }
    }

    fn reach(&mut self, bar: &Minute, alone: bool) {
        if alone {
            (self.low, self.high, self.stale) = (bar.low, bar.high, false);
        } else {
            (self.low, self.high) = (self.low.min(bar.low), self.high.max(bar.high));
        }
    }

    /// The bar at `at` is in the list, inside the window, and not counted yet. `to` includes it.
    pub(super) fn enter(&mut self, bars: &VecDeque<Minute>, to: usize, at: usize) {
        // Its neighbours were neighbours until now.
        if at > self.from && at + 1 < to {
            self.step(&bars[at - 1], &bars[at + 1], -1);
        }
        self.sum(&bars[at], 1);
        self.steps_around(bars, to, at, 1);
        self.reach(&bars[at], to - self.from == 1);
    }

    /// The bar at `at` is about to leave the list or the window. `to` still includes it.
    pub(super) fn leave(&mut self, bars: &VecDeque<Minute>, to: usize, at: usize) {
        self.sum(&bars[at], -1);
        self.steps_around(bars, to, at, -1);
        if at > self.from && at + 1 < to {
            self.step(&bars[at - 1], &bars[at + 1], 1);
        }
        self.stale |= bars[at].low == self.low || bars[at].high == self.high;
    }

    /// The bar at `at` is about to become `new`.
    pub(super) fn replace(&mut self, bars: &VecDeque<Minute>, to: usize, at: usize, new: &Minute) {
        let old = &bars[at];
        self.sum(old, -1);
        self.sum(new, 1);
        if old.close != new.close {
            for (neighbour, before) in [(at.wrapping_sub(1), true), (at + 1, false)] {
                if (before && at > self.from) || (!before && at + 1 < to) {
                    let other = &bars[neighbour];
                    let pair = |bar| if before { (other, bar) } else { (bar, other) };
                    let ((a, b), (c, d)) = (pair(old), pair(new));
                    self.step(a, b, -1);
                    self.step(c, d, 1);
                }
            }
        }
        self.stale |= (old.low == self.low && new.low > old.low) || (old.high == self.high && new.high < old.high);
        self.reach(new, to - self.from == 1);
    }

    /// The figures of the window; `None` when it is empty. The spread is not known here.
    pub(super) fn kpi(
        &mut self,
        bars: &VecDeque<Minute>,
        to: usize,
        series: SeriesKey,
        window_min: u32,
    ) -> Option<Kpi> {
        if to <= self.from {
            return None;
        }
        if self.stale {
            let inside = || bars.range(self.from..to);
            self.low = inside().map(|bar| bar.low).min()?;
            self.high = inside().map(|bar| bar.high).max()?;
            self.stale = false;
        }
        let (first, last) = (&bars[self.from], &bars[to - 1]);
        let change = last.close - first.open;
        Some(Kpi {
            series,
            window_min,
            last: last.close,
            last_ms: last.last_ms,
            change,
            change_ppm: quotient(i128::from(change) * 1_000_000, i128::from(first.open.unsigned_abs())),
            min: self.low,
            max: self.high,
            mean: quotient(self.sum_price, self.count).unwrap_or(last.close),
            vwap: quotient(self.sum_price_volume, self.volume_kwh),
            volatility: self.volatility(to - self.from),
            volume_kwh: i64::try_from(self.volume_kwh).unwrap_or(i64::MAX),
            count: i64::try_from(self.count).unwrap_or(i64::MAX),
            spread: None,
        })
    }

    /// Sample standard deviation of the steps between the closes of `bars` bars, rounded down.
    fn volatility(&self, bars: usize) -> Option<i64> {
        let n = i128::try_from(bars).ok()? - 1;
        if n < 2 {
            return None;
        }
        let spread = n.saturating_mul(self.steps_sq).saturating_sub(self.steps.saturating_mul(self.steps));
        i64::try_from(root(spread / (n * (n - 1)))).ok()
    }
}

/// Rounded quotient; in 64 bits where they suffice, which is nearly always and several times as fast.
fn quotient(numerator: i128, denominator: i128) -> Option<i64> {
    match (i64::try_from(numerator), i64::try_from(denominator)) {
        (Ok(n), Ok(d)) if d > 0 && n.unsigned_abs() < 1 << 62 && d < 1 << 62 => {
            let half = d / 2;
            Some(if n >= 0 { (n + half) / d } else { (n - half) / d })
        }
        _ => div_round(numerator, denominator),
    }
}

fn root(square: i128) -> i128 {
    match u64::try_from(square) {
        Ok(square) => i128::from(square.isqrt()),
        Err(_) => money::isqrt(square),
    }
}
