//! The plain recomputation that the running program is held against: a few loops over prices in memory,
//! sharing nothing with the code under test but the definitions in its documentation.

use std::collections::BTreeMap;

/// One interval price, as an independent reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Price {
    pub(crate) zone: String,
    pub(crate) location: String,
    pub(crate) market: &'static str,
    /// Start of the interval, UTC ms.
    pub(crate) start_ms: i64,
    /// Currency per MWh × 10⁶.
    pub(crate) micros: i64,
}

pub(crate) type Series = (String, String, &'static str);

/// Prices by series and start of the minute bar; the few that share a minute stay in order.
pub(crate) fn minutes(prices: &[Price]) -> BTreeMap<Series, BTreeMap<i64, Vec<i64>>> {
    let mut sorted = prices.to_vec();
    sorted.sort_by_key(|price| price.start_ms);
    let mut all: BTreeMap<Series, BTreeMap<i64, Vec<i64>>> = BTreeMap::new();
    for price in sorted {
        let series = (price.zone, price.location, price.market);
        all.entry(series)
            .or_default()
            .entry(price.start_ms.div_euclid(60_000) * 60_000)
            .or_default()
            .push(price.micros);
    }
    all
}

/// (open, high, low, close, mean, count) in currency per MWh.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ohlc {
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    pub(crate) mean: f64,
    pub(crate) count: usize,
}

pub(crate) fn ohlc(values: &[i64]) -> Ohlc {
    let unit = |micros: i64| micros as f64 / 1e6;
    let sum: f64 = values.iter().map(|micros| unit(*micros)).sum();
    Ohlc {
        open: unit(values[0]),
        high: unit(*values.iter().max().unwrap()),
        low: unit(*values.iter().min().unwrap()),
        close: unit(values[values.len() - 1]),
        mean: sum / values.len() as f64,
        count: values.len(),
    }
}

/// Bars of buckets that start at `bucket(start)`.
pub(crate) fn bars(minutes: &BTreeMap<i64, Vec<i64>>, bucket: impl Fn(i64) -> i64) -> BTreeMap<i64, Ohlc> {
    let mut buckets: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for (start, values) in minutes {
        buckets.entry(bucket(*start)).or_default().extend(values);
    }
    buckets.into_iter().map(|(start, values)| (start, ohlc(&values))).collect()
}

/// Key figures at T over (T − window, T] by bar start.
#[derive(Debug)]
pub(crate) struct Kpi {
    pub(crate) last: f64,
    pub(crate) change: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) count: usize,
    pub(crate) volatility: Option<f64>,
}

pub(crate) fn kpi(minutes: &BTreeMap<i64, Vec<i64>>, t_ms: i64, window_min: i64) -> Option<Kpi> {
    let window: Vec<Ohlc> =
        minutes.range(t_ms - window_min * 60_000 + 1..=t_ms).map(|(_, values)| ohlc(values)).collect();
    let values: Vec<i64> =
        minutes.range(t_ms - window_min * 60_000 + 1..=t_ms).flat_map(|(_, values)| values.clone()).collect();
    let (first, last) = (window.first()?, window.last()?);
    let all = ohlc(&values);
    let steps: Vec<f64> = window.windows(2).map(|pair| pair[1].close - pair[0].close).collect();
    let volatility = (steps.len() >= 2).then(|| {
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        (steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (steps.len() - 1) as f64).sqrt()
    });
    Some(Kpi {
        last: last.close,
        change: last.close - first.open,
        min: all.low,
        max: all.high,
        mean: all.mean,
        count: all.count,
        volatility,
    })
}

/// Pearson's r over closed minutes in (T − 60 s − window, T − 60 s], `b` lagging by `lag_min`: (n, r).
pub(crate) fn correlation(
    a: &BTreeMap<i64, Vec<i64>>,
    b: &BTreeMap<i64, Vec<i64>>,
    t_ms: i64,
    window_min: i64,
    lag_min: i64,
) -> (usize, Option<f64>) {
    let closed = t_ms - 60_000;
    let pairs: Vec<(f64, f64)> = a
        .range(closed - window_min * 60_000 + 1..=closed)
        .filter_map(|(minute, x)| Some((ohlc(x).mean, ohlc(b.get(&(minute - lag_min * 60_000))?).mean)))
        .collect();
    let n = pairs.len() as f64;
    let (mx, my) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let sxy: f64 = pairs.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let sxx: f64 = pairs.iter().map(|(x, _)| (x - mx).powi(2)).sum();
    let syy: f64 = pairs.iter().map(|(_, y)| (y - my).powi(2)).sum();
    let defined = pairs.len() >= 10 && sxx > 1e-9 && syy > 1e-9;
    (pairs.len(), defined.then(|| sxy / (sxx * syy).sqrt()))
}
