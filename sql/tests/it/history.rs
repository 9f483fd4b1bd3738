//! What is read from history, and what happens when compaction takes files away.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use model::table::{self, Context, Table};
use model::time::{DAY_MS, Granularity};
use model::{Reader, Zones};

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
    assert_eq!(files() - before, 1);
    let before = files();
    assert_eq!(count(&world, "SELECT count(*) FROM bars WHERE start_time >= '2026-03-10T11:00:00Z'").await, 11);
    assert_eq!(files() - before, 0, "what is live needs no file");
    assert_eq!(count(&world, "SELECT count(*) FROM bars WHERE start_time < '2026-01-01T00:00:00Z'").await, 365);
}

#[tokio::test]
async fn files_that_compaction_takes_away_are_listed_afresh() {
    // A listing is believed for an hour: only a file that is gone can make the scan look again.
    let world = World::listing_believed_for(3_600_000);
    let folder = world.folder.path().join("bars/day=2026-03-08");
    let hours = "SELECT count(*) FROM bars WHERE granularity = '1h'";
    assert_eq!(count(&world, hours).await, 2);
    let mut retries = 0;
    for generation in 0..3 {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            std::fs::rename(&path, folder.join(format!("{stem}-{generation}.parquet"))).unwrap();
        }
        assert_eq!(count(&world, hours).await, 2);
        retries += 1;
        assert_eq!(world.metrics.history_retries.get(), retries);
    }
    // A day that has gone altogether is no error either: its rows are.
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(count(&world, hours).await, 0);
}

/// What the state before the start held and the program has withdrawn since: its older version must not stand again.
#[tokio::test]
async fn what_was_withdrawn_since_the_start_stays_withdrawn() {
    let world = World::new();
    let (pjm, zones) = (series(&world.names, "PJM"), Zones::built_in());
    let context = Context { names: &world.names, zones: &zones };
    let row = bar(pjm, Granularity::M1, ms("2026-03-10T09:30:00Z"), &[7]);
    let (before, since) = (t("2026-03-10T09:59:00Z"), t("2026-03-10T10:30:00Z"));
    let standing = "SELECT count(*) FROM bars WHERE start_time = '2026-03-10T09:30:00Z' AND granularity = '1m'";
    let file = |name: &str, versions: &[(u64, bool)]| {
        let rows = versions.iter().map(|(t, removed)| (*t, *removed, &row));
        write_file(world.folder.path(), Table::Bars, "2026-03-10", name, &table::bars(context, rows).unwrap());
    };
    // Whichever version is read first.
    for names in [["a.parquet", "b.parquet"], ["d.parquet", "c.parquet"]] {
        let [first, second] = names.map(|name| format!("{before}-{since}-{name}"));
        file(&first, &[(before, false)]);
        file(&second, &[(since, true)]);
    }
    assert_eq!(count(&world, standing).await, 0);
}

#[tokio::test]
async fn a_folder_alone_is_shown_as_of_its_newest_version() {
    let world = World::new();
    let folder = world.folder.path().to_str().unwrap();
    let alone = sql::shell::open_folder(sql::Config::default(), Zones::built_in(), folder).unwrap();
    let result = alone.query("SELECT count(*) FROM bars", &Reader::House, &alone.limits()).await.unwrap();
    assert_eq!(result.t, t("2026-03-10T12:00:01Z"));
    let rows = result.collect().await.unwrap();
    // Without a live state nothing contradicts the versions of 2026-03-10.
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 6);
}
