//! What is read from history, and what happens when compaction takes files away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use model::Zones;
use model::table::{self, Context, Table};
use model::time::{DAY_MS, Granularity};

use crate::world::{World, bar, ms, series, t, write_file};

async fn count(world: &World, sql: &str) -> i64 {
    world.rows(sql).await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn a_query_over_a_day_reads_that_days_files_only() {
    let world = World::new();
    let pjm = series(&world.names, "PJM");
    let zones = Zones::built_in();
    let context = Context { names: &world.names, zones: &zones };
    // A year of days, one bar each.
    let first = ms("2025-01-01T00:00:00Z");
    for day in 0..365 {
        let start = first + day * DAY_MS;
        let row = bar(pjm, Granularity::H1, start, &[day]);
        let date = model::time::rfc3339(start)[..10].to_owned();
        write_file(
            world.folder.path(),
            Table::Bars,
            &date,
            "1-2.parquet",
            &table::bars(context, [(1, false, &row)]).unwrap(),
        );
    }
    let files = || world.metrics.history_files.get();
    let before = files();
    let sql =
        "SELECT count(*) FROM bars WHERE start_time >= '2025-06-01T00:00:00Z' AND start_time < '2025-06-02T00:00:00Z'";
    assert_eq!(count(&world, sql).await, 1);
    // The upper bound is inclusive on its way down, so the next day's file is opened as well.
    assert!(files() - before <= 2, "{} files", files() - before);
    let before = files();
    assert_eq!(count(&world, "SELECT count(*) FROM bars WHERE start_time >= '2026-03-10T11:00:00Z'").await, 11);
    assert_eq!(files() - before, 0, "what is live needs no file");
    assert_eq!(count(&world, "SELECT count(*) FROM bars WHERE start_time < '2026-01-01T00:00:00Z'").await, 365);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_compaction_takes_away_are_listed_afresh() {
    let world = Arc::new(World::new());
    let pjm = series(&world.names, "PJM");
    let stop = Arc::new(AtomicBool::new(false));
    let compactor = {
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        std::thread::spawn(move || {
            let zones = Zones::built_in();
            let context = Context { names: &world.names, zones: &zones };
            let rows: Vec<_> = (0..24)
                .map(|hour| bar(pjm, Granularity::H1, ms("2025-02-01T00:00:00Z") + hour * 3_600_000, &[hour]))
                .collect();
            let rows = table::bars(context, rows.iter().map(|row| (1, false, row))).unwrap();
            let folder = world.folder.path().join("bars/day=2025-02-01");
            let mut generation = 1_u64;
            write_file(world.folder.path(), Table::Bars, "2025-02-01", "1-1.parquet", &rows);
            // Always the new file first, then the old one goes: at any moment one is there.
            while !stop.load(Ordering::Relaxed) {
                let whole = folder.join("next");
                let name = format!("1-{}.parquet", generation + 1);
                write_file(world.folder.path(), Table::Bars, "2025-02-01", "next", &rows);
                std::fs::rename(whole, folder.join(name)).unwrap();
                std::fs::remove_file(folder.join(format!("1-{generation}.parquet"))).unwrap();
                generation += 1;
            }
        })
    };
    let sql =
        "SELECT count(*) FROM bars WHERE start_time >= '2025-02-01T00:00:00Z' AND start_time < '2025-02-02T00:00:00Z'";
    while !world.folder.path().join("bars/day=2025-02-01").exists() {
        tokio::task::yield_now().await;
    }
    let mut counted = 0;
    for _ in 0..60 {
        match world.rows(sql).await {
            Ok(rows) => {
                let found = rows[0].column(0).as_primitive::<Int64Type>().value(0);
                assert!(found == 24 || (found == 0 && counted == 0), "{found}");
                counted += usize::from(found == 24);
            }
            // More files than attempts went away under it: transient, and said so.
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    compactor.join().unwrap();
    assert!(counted > 30, "{counted}");
}

#[tokio::test]
async fn a_folder_alone_is_shown_as_of_its_newest_version() {
    let world = World::new();
    let folder = world.folder.path().to_str().unwrap();
    let alone = sql::shell::open_folder(sql::Config::default(), Zones::built_in(), folder).unwrap();
    let result = alone.query("SELECT count(*) FROM bars", &alone.limits()).await.unwrap();
    assert_eq!(result.t, t("2026-03-10T12:00:01Z"));
    let rows = result.collect().await.unwrap();
    // Without a live state nothing contradicts the versions of 2026-03-10.
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 6);
}
