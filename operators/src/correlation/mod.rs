//! Correlations: Pearson's r of the minute means of every pair of chosen series, windowed and lagged.
//!
//! ```sql
//! select a.series, b.series, count(*) as n, corr(a.mean, b.mean) as r
//! from closed a join closed b on b.start_ms = a.start_ms - lag                        -- minutes that are over
//! where a.start_ms > T - 60000 - window and a.start_ms <= T - 60000                   -- per window and lag
//! group by a.series, b.series                                                         -- a < b when lag is 0
//! ```
//! Minute m of `a` enters at T = m + 60 s and leaves at exactly T = m + 60 s + window, which is an update dated in
//! the future, so windows expire when nothing but time moves. `b`'s minute m − lag stays as long as its partner.
//! r is `None` below `min_count` pairs or without variance; there is no row without a pair. Interval prices stand on
//! their first minute. Late, corrected and withdrawn bars revise exactly the windows that still hold their minute,
//! at the next `refresh`; what is older than every window changes nothing. Duplicates end in the bars.
//!
//! ```text
//! bars ─► closed ─► (window, lag, minute) ─┬─► CorrelationA ─┐
//!                                          └─► CorrelationB ─┴ join ─► six sums in the difference ─► count ─► r
//! ```
//! State: of each series, window and lag the minutes of the window, twice, and as many dated retractions; six sums
//! for each pair, window and lag. All of it is bounded by `max_series`. Why differential: `docs/adr/0003-correlations.md`.

mod closed;
mod config;
mod sums;

use std::sync::Arc;

use differential_dataflow::operators::CountTotal;
use differential_dataflow::{AsCollection, VecCollection};
use model::time::MINUTE_MS;
use model::{BarRow, Correlation, SeriesKey, T, Zones};
use timely::dataflow::operators::vec::Map;

use crate::keyed::keyed;
use closed::{Closed, Minute, Open, Series, closes};
pub use config::{Config, MAX_LAG_MIN};
pub use sums::{MAX_WINDOW_MIN, Sums};

/// Where a minute stands in one window and lag: (window, lag, start of `a`'s minute), the first two by number.
type Place = (u8, u8, i64);
/// A closed minute's mean in its place, from T on or until T.
type Placed = ((Place, (Series, i64)), T, isize);
/// (`a`, `b`, window, lag), all by number.
type Pair = (Series, Series, u8, u8);

/// Correlations of every pair, from minute bars.
pub fn correlations<'s>(
    config: &crate::Config,
    zones: &Zones,
    minute_bars: VecCollection<'s, T, BarRow, isize>,
) -> VecCollection<'s, T, Correlation, isize> {
    let config = &config.correlations;
    let choice = Arc::new(Choice {
        series: config.series(zones),
        windows_min: config.windows(),
        lags_min: config.lags(),
        cross_market: config.cross_market,
    });
    let chosen = Arc::clone(&choice);
    let minutes = minute_bars.inner.flat_map(move |(row, t, diff)| Some((chosen.open(&row)?, t, diff)));
    let closing = Closed { refresh_ms: config.refresh.millis(), keep_ms: choice.keep_ms() };
    let closed = keyed("ClosedMinutes", minutes, |((series, ..), ..)| *series, closing).changes;

    let (of_a, of_b) = (Arc::clone(&choice), Arc::clone(&choice));
    let a = closed.clone().flat_map(move |change| of_a.places(change, |_| 0));
    let b = closed.flat_map(move |change| of_b.places(change, i64::from));
    let a = a.as_collection().arrange_by_key_named("CorrelationA");
    let b = b.as_collection().arrange_by_key_named("CorrelationB");

    let pairs = Arc::clone(&choice);
    let min_count = config.min_count;
    a.join_core(b, move |place, a, b| pairs.pair(*place, *a, *b))
        .explode(|(pair, x, y)| Some((pair, Sums::pair(x, y))))
        .arrange_by_self_named("CorrelationSums")
        .count_total_core::<isize>()
        .map(move |(pair, sums)| choice.row(pair, sums, min_count))
        .consolidate_stream()
}

/// What pairs with what. Series, windows and lags are known by their number in these lists.
struct Choice {
    series: Vec<SeriesKey>,
    windows_min: Vec<u32>,
    lags_min: Vec<u32>,
    cross_market: bool,
}

impl Choice {
    /// How long a closed minute stays in the longest window, the longest lag behind.
    fn keep_ms(&self) -> u64 {
        let longest = |minutes: &[u32]| u64::from(minutes.iter().copied().max().unwrap_or(0));
        (longest(&self.windows_min) + longest(&self.lags_min)) * MINUTE_MS as u64
    }

    fn open(&self, row: &BarRow) -> Option<Open> {
        let number = self.series.binary_search(&row.key.series).ok()?;
        Some((Series::try_from(number).ok()?, row.key.start_ms, row.bar.sum_price, row.bar.count))
    }

    /// A closed minute in every window and lag, each from now until it leaves the window. `shift` is how many
    /// minutes later than itself it pairs, given the lag.
    fn places(&self, (minute, t, diff): (Minute, T, isize), shift: impl Fn(u32) -> i64) -> Vec<Placed> {
        let (series, start_ms, mean) = minute;
        let mut places = Vec::with_capacity(2 * self.windows_min.len() * self.lags_min.len());
        for (window, window_min) in (0..).zip(&self.windows_min) {
            for (lag, lag_min) in (0..).zip(&self.lags_min) {
                let start_ms = start_ms.saturating_add(shift(*lag_min) * MINUTE_MS);
                let leaves = closes(start_ms).saturating_add(u64::from(*window_min) * MINUTE_MS as u64);
                if t < leaves {
                    let place = ((window, lag, start_ms), (series, mean));
                    places.push((place, t, diff));
                    places.push((place, leaves, -diff));
                }
            }
        }
        places
    }

    fn pair(&self, (window, lag, _): Place, a: (Series, i64), b: (Series, i64)) -> Option<(Pair, i64, i64)> {
        let ordered = self.lags_min[usize::from(lag)] > 0 || a.0 < b.0;
        let market = |series: Series| self.series[usize::from(series)].market;
        let wanted = ordered && (self.cross_market || market(a.0) == market(b.0));
        wanted.then_some(((a.0, b.0, window, lag), a.1, b.1))
    }

    fn row(&self, (a, b, window, lag): Pair, sums: Sums, min_count: i64) -> Correlation {
        Correlation {
            a: self.series[usize::from(a)],
            b: self.series[usize::from(b)],
            window_min: self.windows_min[usize::from(window)],
            lag_min: self.lags_min[usize::from(lag)],
            n: sums.n,
            r_nano: sums.r_nano(min_count),
        }
    }
}
