//! Which bars a checkpoint writes: those that became final since the one before.
//!
//! A bar is final when no record can change it any more: its end + the time that its market takes corrections ≤ T.
//! All others are folded again from the records of the open minutes, so each bar is written once.

use model::snapshot::Limits;
use model::{BarKey, BarRow, Granularity, Market, SeriesKey, Snapshot, T};
use operators::Config;
use operators::bars::{open_ms, reach_ms};
use operators::settlement;

/// The longest bar: a day of 25 hours.
const LONGEST_MS: i64 = 25 * 3_600_000;

/// When a bar of `market` that ends at `end_ms` becomes final.
pub(super) fn final_at(config: &Config, market: Market, end_ms: i64) -> T {
    T::try_from(end_ms.saturating_add(open_ms(config, market))).unwrap_or(0)
}

/// The limits of a live state that holds what a checkpoint has to: the bars that operators look back at.
pub fn limits(config: &Config, limits: Limits) -> Limits {
    let reach_ms = |is_hourly: bool| {
        let of_kind = Market::ALL.into_iter().filter(|market| market.is_hourly() == is_hourly);
        of_kind.map(|market| reach_ms(config, market)).max().unwrap_or(0)
    };
    let settled_ms = settlement::keep_ms(config).saturating_add(settlement::BUCKET_MS);
    Limits {
        minute_ms: limits.minute_ms.max(reach_ms(false)),
        five_minute_ms: limits.five_minute_ms.max(settled_ms),
        hourly_interval_ms: reach_ms(true),
        ..limits
    }
}

/// The bars that became final after `from` and up to `to`.
pub(super) fn newly_final(config: &Config, snapshot: &Snapshot, from: T, to: T) -> Vec<(T, BarRow)> {
    let mut rows = Vec::new();
    for series in snapshot.series() {
        for granularity in Granularity::ALL {
            rows.extend(final_of(config, snapshot, series, granularity, from, to));
        }
    }
    rows
}

fn final_of<'a>(
    config: &'a Config,
    snapshot: &'a Snapshot,
    series: SeriesKey,
    granularity: Granularity,
    from: T,
    to: T,
) -> impl Iterator<Item = (T, BarRow)> + 'a {
    let open_ms = open_ms(config, series.market);
    let ms = |t: T| i64::try_from(t).unwrap_or(i64::MAX);
    let key = |start_ms| BarKey { series, granularity, start_ms };
    let first = key(ms(from).saturating_sub(open_ms).saturating_sub(LONGEST_MS));
    let last = key(ms(to).saturating_sub(open_ms).max(first.start_ms));
    let is_new = move |row: &BarRow| {
        let at = final_at(config, series.market, row.end_ms);
        from < at && at <= to
    };
    snapshot.bars.range(first..=last).map(|(_, row)| *row).filter(move |(_, row)| is_new(row))
}

/// The newest bars of series that have been silent for long: they outlive retention, and a stale feed is told by them.
pub(super) fn of_silent_series(config: &Config, snapshot: &Snapshot, to: T) -> Vec<(T, BarRow)> {
    let to_ms = i64::try_from(to).unwrap_or(i64::MAX);
    let is_silent = |row: &BarRow| row.key.start_ms < to_ms.saturating_sub(reach_ms(config, row.key.series.market) / 2);
    snapshot.latest.values().filter(|(_, row)| is_silent(row)).copied().collect()
}
