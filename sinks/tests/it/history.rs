//! The embedded history: the newest version of each key, read back from the files, is what stands.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMillisecondType, UInt32Type};
use model::humane::Span;
use model::table::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sinks::Sink;
use sinks::history::{Config, History};

use crate::oracle;
use crate::run::{self, Run};

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn value(rows: &RecordBatch, column: &str, row: usize) -> String {
    let array = rows.column_by_name(column).unwrap();
    if array.is_null(row) {
        return String::new();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<arrow::datatypes::Int32Type>().value(row).to_string(),
        DataType::Boolean => array.as_any().downcast_ref::<BooleanArray>().unwrap().value(row).to_string(),
        _ => array.as_primitive::<TimestampMillisecondType>().value(row).to_string(),
    }
}

/// The newest version of each key, as lines of `columns`; removed ones left out.
fn standing(root: &Path, table: Table, key: &[&str], columns: &[&str]) -> oracle::Lines {
    let mut newest: BTreeMap<String, (i64, bool, String)> = BTreeMap::new();
    for file in files(&root.join(table.name())) {
        for rows in
            ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).unwrap()).unwrap().build().unwrap()
        {
            let rows = rows.unwrap();
            for row in 0..rows.num_rows() {
                let join =
                    |names: &[&str]| names.iter().map(|name| value(&rows, name, row)).collect::<Vec<_>>().join("|");
                let version =
                    (value(&rows, "t", row).parse().unwrap(), value(&rows, "removed", row) == "true", join(columns));
                let held = newest.entry(join(key)).or_insert_with(|| version.clone());
                if version.0 >= held.0 {
                    *held = version;
                }
            }
        }
    }
    newest.into_values().filter(|(_, removed, _)| !removed).map(|(_, _, line)| line).collect()
}

/// What stands: the newest versions.
pub(crate) fn assert_stands(root: &Path, run: &Run) {
    let same = |table: Table, columns: &[&str], expected| {
        oracle::assert_same(table.name(), &standing(root, table, table.key(), columns), &expected);
    };
    same(Table::Bars, &BAR, run.bars());
    let kpi = ["zone", "location", "market", "window_min", "t", "last", "change_percent", "volume"];
    same(Table::Kpis, &kpi, run.kpis());
    same(Table::Anomalies, &ALERT, run.alerts());
    let correlation = ["zone_a", "location_a", "market_a", "zone_b", "location_b", "market_b", "window_min", "t", "r"];
    same(Table::Correlations, &correlation, run.correlations());
    same(Table::Bids, &["bid", "t", "organisation", "revision"], run.bids());
    let clearing = [
        "zone",
        "location",
        "market",
        "start_time",
        "t",
        "price",
        "bought_mw",
        "marginal_side",
        "marginal_bid",
        "congested",
    ];
    same(Table::Clearing, &clearing, run.clearing());
    same(Table::Awards, &["bid", "start_time", "t", "asset", "side", "power_mw", "price"], run.awards());
    let settlement = [
        "organisation",
        "asset",
        "bid",
        "zone",
        "location",
        "market",
        "start_time",
        "t",
        "day_ahead",
        "metered_mw",
        "imbalance",
        "total",
    ];
    same(Table::Settlement, &settlement, run.settlement());
    let pnl = ["organisation", "asset", "zone", "start_time", "t", "total", "open_intervals"];
    same(Table::Pnl, &pnl, run.pnl());
    let bid_kpi = [
        "organisation",
        "zone",
        "location",
        "market",
        "side",
        "start_time",
        "duration_ms",
        "t",
        "live_bids",
        "withdrawn_bids",
        "rejected_bids",
        "expired_bids",
        "offered_mw",
        "mean_price",
        "awarded_mw",
        "acceptance_percent",
    ];
    same(Table::BidKpis, &bid_kpi, run.bid_kpis());
}

pub(crate) fn assert_holds(root: &Path, run: &Run) {
    assert_stands(root, run);
    let tick =
        ["topic", "partition", "offset", "t", "zone", "location", "market", "event_time", "price", "volume", "source"];
    oracle::assert_same("ticks", &standing(root, Table::Ticks, Table::Ticks.key(), &tick), &run.ticks());
    oracle::assert_same("lives", &standing(root, Table::Anomalies, &["id", "t"], &ALERT), &run.alert_life());
}

const BAR: [&str; 11] = [
    "zone",
    "location",
    "market",
    "granularity",
    "start_time",
    "t",
    "end_time",
    "open",
    "close",
    "count",
    "sum_price_sq",
];
const ALERT: [&str; 10] =
    ["id", "zone", "location", "market", "t", "raised_time", "state", "revision", "value", "withdrawn"];

pub(crate) fn config(root: &Path) -> Config {
    Config { root: root.to_str().unwrap().to_owned(), ..Config::default() }
}

#[tokio::test]
async fn files_hold_what_the_run_says_and_the_same_run_makes_the_same_files() {
    let (folder, run) = (tempfile::tempdir().unwrap(), run::random(31, 120));
    let mut sink = History::new(&config(folder.path()), run.context.clone()).unwrap();
    sink.check().await.unwrap();
    sink.write(&run.batches).await.unwrap();
    let (first, content) = (files(folder.path()), std::fs::read(&files(folder.path())[0]).unwrap());
    assert_holds(folder.path(), &run);
    let (from, to) = (run.batches[0].t, run.last_t());
    assert!(first.contains(&folder.path().join(format!("ticks/day=2025-11-29/{from}-{to}.parquet"))), "{first:?}");
    sink.write(&run.batches).await.unwrap();
    assert_eq!(sink.held_t().await.unwrap(), Some(run.last_t()));
    assert_eq!((files(folder.path()), std::fs::read(&first[0]).unwrap()), (first, content));
}

#[tokio::test]
async fn the_store_knows_how_far_it_is() {
    let (folder, run) = (tempfile::tempdir().unwrap(), run::random(35, 20));
    let mut sink = History::new(&config(folder.path()), run.context.clone()).unwrap();
    assert_eq!(sink.held_t().await.unwrap(), Some(0));
    // A moment in which nothing happened makes no file, and still is written.
    let quiet = std::sync::Arc::new(model::Batch { t: run.last_t() + 5, ..model::Batch::default() });
    sink.write(&run.batches).await.unwrap();
    sink.write(&[quiet]).await.unwrap();
    let mut old = History::new(&config(folder.path()), run.context.clone()).unwrap();
    old.write(&run.batches[..10]).await.unwrap();
    let mut again = History::new(&config(folder.path()), run.context.clone()).unwrap();
    assert_eq!(again.held_t().await.unwrap(), Some(run.last_t() + 5));
    // A history of a program that did not say so yet is known by its files.
    std::fs::remove_dir_all(folder.path().join("progress")).unwrap();
    let mut again = History::new(&config(folder.path()), run.context.clone()).unwrap();
    assert_eq!(again.held_t().await.unwrap(), Some(run.last_t()));
}

#[tokio::test]
async fn small_files_are_merged_and_nothing_is_lost() {
    let (folder, run) = (tempfile::tempdir().unwrap(), run::random(32, 60));
    let config = Config { compact_files: 4, grace: Span::from_millis(0), ..config(folder.path()) };
    let mut sink = History::new(&config, run.context.clone()).unwrap();
    for batch in &run.batches {
        sink.write(std::slice::from_ref(batch)).await.unwrap();
    }
    run.write_roughly(&mut sink, 32).await;
    assert_holds(folder.path(), &run);
    let bars = files(&folder.path().join("bars/day=2025-11-29")).len();
    assert!(bars < 16, "{bars} files of one day");
    // A new process finds the files of the old one, and goes on merging them.
    let mut sink = History::new(&config, run.context.clone()).unwrap();
    for batch in &run.batches {
        sink.write(std::slice::from_ref(batch)).await.unwrap();
    }
    assert_holds(folder.path(), &run);
}

#[tokio::test]
async fn merged_files_stay_for_readers_who_have_listed_them() {
    let (folder, run) = (tempfile::tempdir().unwrap(), run::random(33, 30));
    let config = Config { compact_files: 4, grace: Span::from_millis(3_600_000), ..config(folder.path()) };
    let mut sink = History::new(&config, run.context.clone()).unwrap();
    let mut listed = std::collections::BTreeSet::new();
    for batch in &run.batches {
        sink.write(std::slice::from_ref(batch)).await.unwrap();
        let now: std::collections::BTreeSet<_> = files(folder.path()).into_iter().collect();
        assert!(listed.is_subset(&now));
        listed = now;
    }
    assert_holds(folder.path(), &run);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error_that_passes() {
    let (folder, run) = (tempfile::tempdir().unwrap(), run::random(34, 10));
    let root = folder.path().join("history");
    let mut sink = History::new(&config(&root), run.context.clone()).unwrap();
    std::fs::remove_dir(&root).unwrap();
    std::fs::write(&root, "in the way").unwrap();
    let error = sink.write(&run.batches).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    std::fs::remove_file(&root).unwrap();
    sink.write(&run.batches).await.unwrap();
    assert!(!files(&root).is_empty());
}
