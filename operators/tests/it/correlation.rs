//! Correlations against a plain recomputation from the bars.

use std::collections::BTreeMap;

use model::humane::Span;
use model::{Bar, BarKey, BarRow, Correlation, Granularity, Market, SeriesKey, T, Zones};
use operators::Config;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use timely::dataflow::StreamVec;

use crate::driven::{Moment, Updates, at, run};

const START: T = 1_750_000_020_000;
const MINUTE: i64 = 60_000;
const REFRESH: u64 = 5_000;
type Change = (BarRow, T, isize);

fn config(cross_market: bool) -> Config {
    let mut config = Config::default();
    config.correlations.windows_min = vec![4, 20];
    config.correlations.lags_min = vec![0, 2, 7];
    config.correlations.min_count = 3;
    config.correlations.refresh = Span::from_millis(REFRESH);
    config.correlations.locations = vec!["PJM".into(), "PJM/WESTERN HUB".into(), "NYISO".into()];
    config.correlations.cross_market = cross_market;
    config
}

fn series() -> Vec<SeriesKey> {
    let zones = Zones::built_in();
    let pjm = zones.get("PJM").unwrap();
    let other = zones.get("CAISO").unwrap().index(); // not chosen
    let mut series = vec![SeriesKey { location: other, market: Market::Continuous }];
    for location in [pjm.index(), pjm.location("WESTERN HUB"), zones.get("NYISO").unwrap().index()] {
        series.push(SeriesKey { location, market: Market::Continuous });
        series.push(SeriesKey { location, market: Market::RealTime5Min });
    }
    series
}

fn row(series: SeriesKey, start_ms: i64, price_micros: i64) -> BarRow {
    let key = BarKey { series, granularity: Granularity::M1, start_ms };
    BarRow { key, end_ms: start_ms + MINUTE, bar: Bar::of(start_ms, price_micros, 1) }
}

/// Random bars: live minutes that change, late ones, corrections, withdrawals, minutes ahead of T, long silences.
fn script(seed: u64) -> Vec<Moment<Change, ()>> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let series = series();
    let mut bars: BTreeMap<(SeriesKey, i64), BarRow> = BTreeMap::new();
    let mut t = START;
    let mut moments = Vec::new();
    for _ in 0..260 {
        t += if dice.random_bool(0.02) { dice.random_range(60_000..1_500_000) } else { dice.random_range(1..25_000) };
        let mut changed: BTreeMap<(SeriesKey, i64), Option<BarRow>> = BTreeMap::new();
        for _ in 0..dice.random_range(0..8) {
            let series = series[dice.random_range(0..series.len())];
            let back = match dice.random_range(0..10) {
                0..6 => 0,
                6..9 => dice.random_range(-2..12),
                _ => dice.random_range(0..40),
            };
            let step = if series.market == Market::Continuous { MINUTE } else { 5 * MINUTE };
            let start = (t as i64 / step - back) * step;
            let price = dice.random_range(-40..60) * 1_000_000 + dice.random_range(0..3);
            changed.insert((series, start), dice.random_bool(0.9).then(|| row(series, start, price)));
        }
        let mut first = Vec::new();
        for (key, new) in changed {
            let old = match new {
                Some(new) => bars.insert(key, new),
                None => bars.remove(&key),
            };
            first.extend(old.map(|old| (old, t, -1)));
            first.extend(new.map(|new| (new, t, 1)));
        }
        moments.push(Moment { t, first, second: Vec::new() });
    }
    moments
}

/// The bars as correlations see them at `t`: each change at the moment it takes effect.
fn closed(script: &[Moment<Change, ()>], t: T) -> BTreeMap<(SeriesKey, i64), i64> {
    let mut bars: BTreeMap<(SeriesKey, i64), BTreeMap<i64, isize>> = BTreeMap::new();
    for (row, at, diff) in script.iter().flat_map(|moment| &moment.first) {
        let close = (row.key.start_ms + MINUTE) as T;
        let effect = if *at <= close { close } else { at.div_ceil(REFRESH) * REFRESH };
        if effect <= t {
            *bars
                .entry((row.key.series, row.key.start_ms))
                .or_default()
                .entry(row.bar.sum_price as i64)
                .or_insert(0) += diff;
        }
    }
    bars.into_iter()
        .filter_map(|(key, prices)| Some((key, prices.into_iter().find(|(_, diff)| *diff > 0)?.0)))
        .collect()
}

fn textbook(pairs: &[(i64, i64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    if pairs.len() < 3 || pairs.iter().all(|p| p.0 == pairs[0].0) || pairs.iter().all(|p| p.1 == pairs[0].1) {
        return None;
    }
    let (mx, my) =
        (pairs.iter().map(|p| p.0 as f64).sum::<f64>() / n, pairs.iter().map(|p| p.1 as f64).sum::<f64>() / n);
    let sum = |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|p| f(p.0 as f64 - mx, p.1 as f64 - my)).sum::<f64>();
    Some(sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt())
}

type Expected = BTreeMap<(SeriesKey, SeriesKey, u32, u32), (i64, Option<f64>)>;

fn oracle(script: &[Moment<Change, ()>], t: T, cross_market: bool) -> Expected {
    let bars = closed(script, t);
    let mut chosen = series();
    chosen.remove(0);
    let mut rows = BTreeMap::new();
    for a in &chosen {
        for b in &chosen {
            for (window, lag) in [4_u32, 20].into_iter().flat_map(|window| [0_u32, 2, 7].map(|lag| (window, lag))) {
                if (lag == 0 && a >= b) || (!cross_market && a.market != b.market) {
                    continue;
                }
                let newest = t as i64 - MINUTE;
                let pairs: Vec<(i64, i64)> = bars
                    .range((*a, newest - i64::from(window) * MINUTE + 1)..=(*a, newest))
                    .filter_map(|((_, start), x)| Some((*x, *bars.get(&(*b, start - i64::from(lag) * MINUTE))?)))
                    .collect();
                if !pairs.is_empty() {
                    rows.insert((*a, *b, window, lag), (pairs.len() as i64, textbook(&pairs)));
                }
            }
        }
    }
    rows
}

fn correlate(workers: usize, seed: u64, script: &[Moment<Change, ()>], end: T, cross: bool) -> Updates<Correlation> {
    run(workers, seed, script, end, move |bars, _: StreamVec<'_, T, ()>| {
        use differential_dataflow::AsCollection;
        operators::correlation::correlations(&config(cross), &Zones::built_in(), bars.as_collection())
    })
}

fn check(updates: &Updates<Correlation>, script: &[Moment<Change, ()>], t: T, cross: bool, what: &str) -> usize {
    let found = at(updates, t);
    let expected = oracle(script, t, cross);
    let keys: Vec<_> = found.iter().map(Correlation::key).collect();
    assert_eq!(keys, expected.keys().copied().collect::<Vec<_>>(), "{what} at {t}");
    for row in &found {
        let (n, r) = expected[&row.key()];
        assert_eq!(row.n, n, "{what} at {t}: {row:?}");
        match (row.r_nano, r) {
            (None, None) => {}
            (Some(nano), Some(r)) => assert!((nano as f64 - r * 1e9).abs() <= 2.0, "{what} at {t}: {row:?} {r}"),
            other => panic!("{what} at {t}: {row:?} {other:?}"),
        }
    }
    found.iter().filter(|row| row.r_nano.is_some()).count()
}

#[test]
fn correlations_equal_the_oracle_on_any_number_of_workers() {
    for seed in 0..3 {
        let cross = seed == 2;
        let script = script(seed);
        let end = script.last().unwrap().t + 40 * MINUTE as u64;
        let updates = correlate(1, seed, &script, end, cross);
        for workers in [2, 4] {
            assert_eq!(correlate(workers, seed + 9, &script, end, cross), updates, "seed {seed}, {workers} workers");
        }
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut defined = 0;
        for _ in 0..60 {
            let t = dice.random_range(START..end);
            defined += check(&updates, &script, t, cross, &format!("seed {seed}"));
        }
        for moment in script.iter().step_by(7) {
            defined += check(&updates, &script, moment.t, cross, &format!("seed {seed}"));
        }
        assert!(defined > 200, "the script must make correlations: {defined}");
        assert_eq!(at(&updates, end - 1), [], "every window is empty long after the last bar");
    }
}

/// Minutes that move together: PJM i and the hub 2i, with the hub's last minute corrected later.
#[test]
fn a_window_fills_is_corrected_and_runs_empty_when_only_time_moves() {
    let series = series();
    let (pjm, hub) = (series[1], series[3]);
    let mut script = Vec::new();
    let first_minute = START as i64 / MINUTE * MINUTE;
    for i in 0..3 {
        let start = first_minute + i * MINUTE;
        let t = start as T + 30_000;
        let bars = [row(pjm, start, (i + 1) * 1_000_000), row(hub, start, (i + 1) * 2_000_000)];
        script.push(Moment { t, first: bars.map(|bar| (bar, t, 1)).to_vec(), second: Vec::new() });
    }
    let last = first_minute + 2 * MINUTE;
    let fix = last as T + 61_234;
    let wrong = (row(hub, last, 6_000_000), fix, -1);
    script.push(Moment { t: fix, first: vec![wrong, (row(hub, last, 1_000_000), fix, 1)], second: Vec::new() });
    let end = last as T + 30 * MINUTE as T;
    let updates = correlate(2, 3, &script, end, false);
    let row_at = |t: T| {
        let pair = if pjm < hub { (pjm, hub) } else { (hub, pjm) };
        at(&updates, t).into_iter().find(|row| row.key() == (pair.0, pair.1, 4, 0)).map(|row| (row.n, row.r_nano))
    };
    let close = last as T + 60_000;
    assert_eq!(row_at(close - 1), Some((2, None)), "below the least count");
    assert_eq!(row_at(close), Some((3, Some(1_000_000_000))));
    let refreshed = fix.div_ceil(REFRESH) * REFRESH;
    assert_eq!(row_at(refreshed - 1), Some((3, Some(1_000_000_000))));
    let (n, r) = row_at(refreshed).unwrap();
    assert!(n == 3 && r.unwrap() < 0, "{r:?}");
    // Minute m leaves at exactly m + 60 s + window.
    let leaves = |minute: i64| minute as T + 60_000 + 4 * MINUTE as T;
    assert_eq!(row_at(leaves(last - MINUTE)), Some((1, None)));
    assert_eq!(row_at(leaves(last) - 1), Some((1, None)));
    assert_eq!(row_at(leaves(last)), None);
    assert!(updates.iter().any(|(t, ..)| *t == leaves(last)));
}
