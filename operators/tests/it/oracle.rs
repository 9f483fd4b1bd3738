//! The plain recomputation: everything anew from the records, the slow and obvious way. Calls no operator.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use model::batch::Counts;
use model::time::Granularity;
use model::{Bar, BarKey, BarRow, Disposition, Kpi, Market, SeriesKey, T, Tick};

use crate::support::Workload;

const MINUTE_MS: i64 = 60_000;

/// What happened to the ticks up to a T.
#[derive(Default)]
pub(crate) struct Ticks {
    /// Ticks that count in a bar.
    pub(crate) live: Vec<Tick>,
    /// Records that reached their bar, and what they did.
    pub(crate) rows: Vec<(T, Tick, Disposition)>,
    /// Refused records: T, partition id, offset, reason.
    pub(crate) refused: Vec<(T, Tick, &'static str)>,
    pub(crate) counts: BTreeMap<T, Counts>,
}

fn minute(event_ms: i64) -> i64 {
    event_ms.div_euclid(MINUTE_MS) * MINUTE_MS
}

fn retention_ms(work: &Workload, market: Market) -> i64 {
    match market {
        Market::RealTimeHourly | Market::DayAhead15Min | Market::DayAhead30Min | Market::DayAheadHourly => {
            work.config.retention.hour.millis_i64()
        }
        _ => work.config.retention.minute.millis_i64(),
    }
}

/// Whether the minute of `event_ms` takes no more records at `t`.
fn shut(work: &Workload, market: Market, event_ms: i64, t: T) -> bool {
    let open_ms = match market {
        Market::Continuous => work.config.bars.correction_horizon.millis_i64(),
        _ => retention_ms(work, market),
    };
    t as i64 >= minute(event_ms) + MINUTE_MS + open_ms
}

/// Applies the records of every T up to `until`.
pub(crate) fn ticks(work: &Workload, until: T) -> Ticks {
    let mut all = Ticks::default();
    // All records of an identity since its minute was last open.
    let mut held: BTreeMap<(SeriesKey, u64), Vec<Tick>> = BTreeMap::new();
    let mut records: Vec<&(T, Tick)> = work.ticks.iter().filter(|(t, _)| *t <= until).collect();
    records.sort_by_key(|(t, tick)| (*t, tick.partition, tick.offset, tick.clone()));
    for (t, tick) in records {
        let counts = all.counts.entry(*t).or_default();
        if tick.event_ms < *t as i64 - retention_ms(work, tick.market) {
            counts.dead_letters += 1;
            all.refused.push((*t, tick.clone(), "too_old"));
            continue;
        }
        if shut(work, tick.market, tick.event_ms, *t) {
            counts.dead_letters += 1;
            all.refused.push((*t, tick.clone(), "sealed"));
            continue;
        }
        let history = held.entry((tick.series(), tick.id)).or_default();
        if history.iter().max_by_key(|old| old.rank()).is_some_and(|old| shut(work, old.market, old.event_ms, *t)) {
            // What was in a minute that is shut stays there and is known no more.
            all.live.extend(winner(history));
            history.clear();
        }
        let did = match history.iter().map(|old| old.revision).max() {
            None => Some(Disposition::Applied),
            Some(highest) if tick.revision > highest => Some(Disposition::Corrected),
            Some(highest) if tick.revision < highest => Some(Disposition::Superseded),
            Some(_) => None,
        };
        match did {
            Some(Disposition::Applied) => counts.applied += 1,
            Some(Disposition::Corrected) => counts.corrected += 1,
            Some(Disposition::Superseded) => counts.superseded += 1,
            None => counts.duplicates += 1,
        }
        all.rows.extend(did.map(|did| (*t, tick.clone(), did)));
        history.push(tick.clone());
    }
    all.live.extend(held.values().flat_map(|history| winner(history)));
    all
}

fn winner(history: &[Tick]) -> Option<Tick> {
    history.iter().max_by_key(|tick| tick.rank()).filter(|tick| !tick.cancelled).cloned()
}

/// The bar of some ticks.
fn bar_of(mut ticks: Vec<&Tick>) -> Bar {
    ticks.sort_by_key(|tick| (tick.event_ms, tick.partition, tick.offset, tick.id));
    let sum = |of: &dyn Fn(i128, i128) -> i128| -> i128 {
        ticks.iter().map(|tick| of(i128::from(tick.price_micros), i128::from(tick.volume_kwh))).sum()
    };
    Bar {
        open: ticks[0].price_micros,
        high: ticks.iter().map(|tick| tick.price_micros).max().unwrap(),
        low: ticks.iter().map(|tick| tick.price_micros).min().unwrap(),
        close: ticks[ticks.len() - 1].price_micros,
        count: ticks.len() as i64,
        sum_price: sum(&|p, _| p),
        sum_price_sq: sum(&|p, _| p * p),
        sum_volume_kwh: sum(&|_, v| v) as i64,
        sum_price_volume: sum(&|p, v| p * v),
        first_ms: ticks[0].event_ms,
        last_ms: ticks[ticks.len() - 1].event_ms,
    }
}

/// The bars of one granularity, from the ticks themselves.
pub(crate) fn bars(work: &Workload, ticks: &[Tick], granularity: Granularity) -> Vec<BarRow> {
    let mut groups: BTreeMap<(SeriesKey, i64, i64), Vec<&Tick>> = BTreeMap::new();
    for tick in ticks {
        let zone = work.zones.iter().find(|zone| model::location::zone_code(&zone.code) == tick.location.zone_code());
        let (start_ms, end_ms) = bucket(tick.event_ms, granularity, zone.unwrap().timezone);
        groups.entry((tick.series(), start_ms, end_ms)).or_default().push(tick);
    }
    let row = |((series, start_ms, end_ms), ticks)| BarRow {
        key: BarKey { series, granularity, start_ms },
        end_ms,
        bar: bar_of(ticks),
    };
    groups.into_iter().map(row).collect()
}

fn bucket(event_ms: i64, granularity: Granularity, tz: Tz) -> (i64, i64) {
    let utc: DateTime<Utc> = DateTime::from_timestamp_millis(minute(event_ms)).unwrap();
    let whole = |minutes: i64| {
        let start_ms = event_ms.div_euclid(minutes * MINUTE_MS) * minutes * MINUTE_MS;
        (start_ms, start_ms + minutes * MINUTE_MS)
    };
    match granularity {
        Granularity::M1 => whole(1),
        Granularity::M5 => whole(5),
        Granularity::M15 => whole(15),
        Granularity::H1 => {
            let into_hour = i64::from(utc.with_timezone(&tz).minute());
            let start_ms = minute(event_ms) - into_hour * MINUTE_MS;
            (start_ms, start_ms + 60 * MINUTE_MS)
        }
        Granularity::D1 => {
            // Quarter by quarter to where the local date changes.
            let quarter: DateTime<Utc> = DateTime::from_timestamp_millis(whole(15).0).unwrap();
            let date = |at: DateTime<Utc>| at.with_timezone(&tz).date_naive();
            let edge = |by: TimeDelta| {
                let mut at = quarter;
                while date(at + by) == date(quarter) {
                    at += by;
                }
                at.timestamp_millis()
            };
            (edge(TimeDelta::minutes(-15)), edge(TimeDelta::minutes(15)) + 15 * MINUTE_MS)
        }
    }
}

/// The key figures at `t`, from minute bars.
pub(crate) fn kpis(work: &Workload, minute_bars: &[BarRow], t: T) -> Vec<Kpi> {
    let mut rows: BTreeMap<(SeriesKey, u32), Kpi> = BTreeMap::new();
    for window_min in &work.config.kpis.windows_min {
        let mut windows: BTreeMap<SeriesKey, Vec<&BarRow>> = BTreeMap::new();
        let from_ms = t as i64 - i64::from(*window_min) * MINUTE_MS;
        for row in minute_bars.iter().filter(|row| row.key.start_ms > from_ms && row.key.start_ms <= t as i64) {
            windows.entry(row.key.series).or_default().push(row);
        }
        for (series, mut window) in windows {
            window.sort_by_key(|row| row.key.start_ms);
            rows.insert((series, *window_min), kpi(series, *window_min, &window));
        }
    }
    let means: BTreeMap<(SeriesKey, u32), i64> = rows.iter().map(|(key, kpi)| (*key, kpi.mean)).collect();
    let spread = |kpi: Kpi| {
        let location = work.zones.of(kpi.series.location).unwrap().reference();
        let reference = SeriesKey { location, market: kpi.series.market };
        Kpi { spread: means.get(&(reference, kpi.window_min)).map(|mean| kpi.mean - mean), ..kpi }
    };
    rows.into_values().map(spread).collect()
}

fn kpi(series: SeriesKey, window_min: u32, window: &[&BarRow]) -> Kpi {
    let bars: Vec<&Bar> = window.iter().map(|row| &row.bar).collect();
    let (first, last) = (bars[0], bars[bars.len() - 1]);
    let total = |of: &dyn Fn(&Bar) -> i128| -> i128 { bars.iter().map(|bar| of(bar)).sum() };
    let (count, volume) = (total(&|bar| bar.count.into()), total(&|bar| bar.sum_volume_kwh.into()));
    let steps: Vec<i128> = bars.windows(2).map(|pair| i128::from(pair[1].close) - i128::from(pair[0].close)).collect();
    let n = steps.len() as i128;
    let volatility = (n >= 2).then(|| {
        let sum: i128 = steps.iter().sum();
        let square: i128 = steps.iter().map(|step| step * step).sum();
        ((n * square - sum * sum) / (n * (n - 1))).isqrt() as i64
    });
    let change = last.close - first.open;
    Kpi {
        series,
        window_min,
        last: last.close,
        last_ms: last.last_ms,
        change,
        change_ppm: rounded(i128::from(change) * 1_000_000, i128::from(first.open.abs())),
        min: bars.iter().map(|bar| bar.low).min().unwrap(),
        max: bars.iter().map(|bar| bar.high).max().unwrap(),
        mean: rounded(total(&|bar| bar.sum_price), count).unwrap(),
        vwap: rounded(total(&|bar| bar.sum_price_volume), volume),
        volatility,
        volume_kwh: volume as i64,
        count: count as i64,
        spread: None,
    }
}

/// Half away from zero.
fn rounded(numerator: i128, denominator: i128) -> Option<i64> {
    let (quotient, rest) = (numerator.checked_div(denominator)?, numerator % denominator);
    let up = if 2 * rest.abs() >= denominator.abs() { (numerator * denominator).signum() } else { 0 };
    Some((quotient + up) as i64)
}
