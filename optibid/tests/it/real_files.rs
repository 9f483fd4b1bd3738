//! Real market files through Kafka and the dataflow: bars, hourly averages, KPIs at the end and correlations
//! equal an independent recomputation from the files.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::program::Program;
use crate::readers;
use crate::recompute::{self, Ohlc, Price, Series};

type Minutes = BTreeMap<Series, BTreeMap<i64, Vec<i64>>>;

const HOUR: i64 = 3_600_000;

fn number(row: &HashMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} of {row:?} is no number"))
}

fn instant(row: &HashMap<String, String>, column: &str) -> i64 {
    model::time::parse_instant(&row[column]).unwrap_or_else(|| panic!("{column} of {row:?} is no instant"))
}

fn series(row: &HashMap<String, String>, suffix: &str) -> Series {
    let market = model::Market::parse(&row[&format!("market{suffix}")]).unwrap().as_str();
    (row[&format!("zone{suffix}")].clone(), row[&format!("location{suffix}")].clone(), market)
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: f64) {
    // Our means and deviations are rounded to 10⁻⁶; the recomputation is in floats.
    let tolerance = 2e-6 + theirs.abs() * 1e-9;
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} is not {theirs}");
}

#[track_caller]
fn close_maybe(what: &str, ours: &str, theirs: Option<f64>, tolerance: f64) {
    match (ours.parse::<f64>().ok(), theirs) {
        (Some(ours), Some(theirs)) => assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} is not {theirs}"),
        (None, None) => {}
        (ours, theirs) => panic!("{what}: {ours:?} is not {theirs:?}"),
    }
}

/// Replays the files through the real program and waits until all is in.
async fn replay(paths: &[PathBuf], records: usize) -> Program {
    let mut args = vec!["demo", "--speed", "max", "--replay"];
    args.extend(paths.iter().map(|path| path.to_str().unwrap()));
    let program = Program::start(&args, &[] as &[&str]).await;
    program.received(records as u64).await;
    program
}

async fn compare_bars(program: &Program, granularity: &str, expected: &BTreeMap<(Series, i64), Ohlc>) {
    let zones: std::collections::BTreeSet<&str> = expected.keys().map(|((zone, _, _), _)| zone.as_str()).collect();
    let zones: Vec<String> = zones.into_iter().map(|zone| format!("'{zone}'")).collect();
    let rows = program
        .sql(&format!(
            "SELECT zone, location, market, start_time, open, high, low, close, mean, count FROM bars \
             WHERE granularity = '{granularity}' AND zone IN ({})",
            zones.join(",")
        ))
        .await;
    let mut found = BTreeMap::new();
    for row in &rows {
        let key = (series(row, ""), instant(row, "start_time"));
        assert!(found.insert(key.clone(), row).is_none(), "{key:?} stands twice");
    }
    assert_eq!(found.len(), expected.len(), "number of {granularity} bars");
    for (key, bar) in expected {
        let row = found.get(key).unwrap_or_else(|| panic!("no {granularity} bar {key:?}"));
        for (column, value) in
            [("open", bar.open), ("high", bar.high), ("low", bar.low), ("close", bar.close), ("mean", bar.mean)]
        {
            close(&format!("{column} of {key:?}"), number(row, column), value);
        }
        assert_eq!(row["count"], bar.count.to_string(), "count of {key:?}");
    }
}

fn buckets(minutes: &Minutes, bucket: impl Fn(&Series, i64) -> i64) -> BTreeMap<(Series, i64), Ohlc> {
    let mut all = BTreeMap::new();
    for (series, of) in minutes {
        for (start, bar) in recompute::bars(of, |start| bucket(series, start)) {
            all.insert((series.clone(), start), bar);
        }
    }
    all
}

/// Minute, hourly and daily bars of all prices, in zones with the given offset from UTC (no change of it in the files).
async fn compare_all_bars(program: &Program, prices: &[Price], offset_ms: i64) -> Minutes {
    let minutes = recompute::minutes(prices);
    let local = |start: i64, width: i64| (start + offset_ms).div_euclid(width) * width - offset_ms;
    compare_bars(program, "1m", &buckets(&minutes, |_, start| start)).await;
    compare_bars(program, "1h", &buckets(&minutes, |_, start| local(start, HOUR))).await;
    compare_bars(program, "1d", &buckets(&minutes, |_, start| local(start, 24 * HOUR))).await;
    minutes
}

async fn compare_kpis(program: &Program, minutes: &Minutes, t_ms: i64) {
    let rows = program.sql("SELECT * FROM kpis").await;
    let mut expected = BTreeMap::new();
    for (series, of) in minutes {
        for window_min in [5, 60, 1440] {
            if let Some(kpi) = recompute::kpi(of, t_ms, window_min) {
                expected.insert((series.clone(), window_min.to_string()), kpi);
            }
        }
    }
    assert!(!expected.is_empty());
    assert_eq!(rows.len(), expected.len(), "number of KPI rows");
    for row in &rows {
        let key = (series(row, ""), row["window_min"].clone());
        let kpi = expected.get(&key).unwrap_or_else(|| panic!("a KPI for {key:?} that should not be"));
        for (column, value) in
            [("last", kpi.last), ("change", kpi.change), ("min", kpi.min), ("max", kpi.max), ("mean", kpi.mean)]
        {
            close(&format!("{column} of {key:?}"), number(row, column), value);
        }
        assert_eq!(row["count"], kpi.count.to_string(), "count of {key:?}");
        close_maybe(&format!("volatility of {key:?}"), &row["volatility"], kpi.volatility, 2e-6);
    }
}

async fn compare_correlations(program: &Program, minutes: &Minutes, t_ms: i64) -> usize {
    let rows = program.sql("SELECT * FROM correlations").await;
    for row in &rows {
        let (a, b) = (series(row, "_a"), series(row, "_b"));
        let (window_min, lag_min) = (number(row, "window_min") as i64, number(row, "lag_min") as i64);
        let (n, r) = recompute::correlation(&minutes[&a], &minutes[&b], t_ms, window_min, lag_min);
        let what = format!("{a:?} and {b:?} over {window_min} lagging {lag_min}");
        assert_eq!(row["n"], n.to_string(), "n of {what}");
        close_maybe(&format!("r of {what}"), &row["r"], r, 1e-6);
    }
    rows.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn nyiso_real_time_days() {
    let paths = readers::files("nyiso_rt5m_2016", |name| name.ends_with("realtime_zone.csv"));
    let prices = readers::nyiso_real_time(&paths);
    let program = replay(&paths, prices.len()).await;
    let minutes = compare_all_bars(&program, &prices, -4 * HOUR).await;
    let t_ms = prices.iter().map(|price| price.start_ms).max().unwrap();
    compare_kpis(&program, &minutes, t_ms).await;
    // 15 names: 105 pairs without lag, in two windows at least.
    assert!(compare_correlations(&program, &minutes, t_ms).await >= 210);
}

#[tokio::test(flavor = "multi_thread")]
async fn pjm_hourly_months() {
    let paths = readers::files("pjm_2025", |name| name.ends_with("_hrl_lmps.csv"));
    let mut prices = readers::pjm(&paths[0], "DAY_AHEAD_HOURLY");
    prices.extend(readers::pjm(&paths[1], "REAL_TIME_HOURLY"));
    let program = replay(&paths, prices.len()).await;
    compare_all_bars(&program, &prices, -4 * HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aemo_archives() {
    let paths = readers::files("aemo", |name| {
        ["PUBLIC_ARCHIVE%23DISPATCHPRICE%23FILE01%23202408010000", "PUBLIC_DVD_TRADINGPRICE_201804010000"]
            .iter()
            .any(|wanted| name.starts_with(wanted))
    });
    let mut prices = readers::aemo(&paths[0], 5, "REAL_TIME_5_MIN");
    prices.extend(readers::aemo(&paths[1], 30, "REAL_TIME_30_MIN"));
    let program = replay(&paths, prices.len()).await;
    compare_all_bars(&program, &prices, 10 * HOUR).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn iex_blocks() {
    let paths = readers::files("iex_india", |name| name.ends_with(".txt"));
    let prices = readers::iex(&paths[0]);
    let program = replay(&paths, prices.len()).await;
    let minutes = compare_all_bars(&program, &prices, 11 * HOUR / 2).await;
    compare_kpis(&program, &minutes, prices.iter().map(|price| price.start_ms).max().unwrap()).await;
}
