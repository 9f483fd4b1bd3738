//! Against the real servers; `make test` starts them and says where they are.

use std::time::Duration;

use super::clickhouse::clickhouse_with;
use super::postgres::postgres_with;
use super::*;

fn address(store: &str) -> String {
    let variable = format!("OPTIBID_TEST_{store}");
    std::env::var(&variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run these tests through `make test`, which starts the servers")
    })
}

fn unique(test: &str) -> String {
    format!("migrate_{test}_{}", std::process::id())
}

const FIRST: Migration = Migration { version: 1, name: "0001_a.sql", sql: "CREATE TABLE a (x integer);\n" };
const SECOND: Migration = Migration { version: 2, name: "0002_b.sql", sql: "-- c\nCREATE TABLE b (x integer);\n" };
const BROKEN: Migration = Migration { version: 2, name: "0002_b.sql", sql: "CREATE TABLE b (x integer);\nNONSENSE;\n" };
const CHANGED: Migration = Migration { sql: "CREATE TABLE a (x bigint);\n", ..FIRST };

#[test]
fn every_file_is_built_in_under_its_number() {
    for (folder, built_in) in [("postgres", POSTGRES), ("clickhouse", CLICKHOUSE)] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(folder);
        let mut names: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, built_in.iter().map(|file| file.name).collect::<Vec<_>>());
        for (index, file) in built_in.iter().enumerate() {
            assert_eq!(file.version as usize, index + 1);
            assert!(file.name.starts_with(&format!("{:04}_", file.version)));
        }
    }
    assert_ne!(FIRST.checksum(), CHANGED.checksum());
}

#[test]
fn the_past_must_fit() {
    let applied =
        |file: &Migration| Applied { version: file.version, name: file.name.into(), checksum: file.checksum() };
    assert_eq!(pending(&[FIRST, SECOND], &[applied(&FIRST)]).unwrap(), [&SECOND]);
    assert!(matches!(pending(&[CHANGED], &[applied(&FIRST)]), Err(Error::Changed { .. })));
    assert!(matches!(pending(&[FIRST], &[applied(&FIRST), applied(&SECOND)]), Err(Error::Newer(2, _))));
}

async fn postgres_database(test: &str) -> String {
    let (address, name) = (address("POSTGRES"), unique(test));
    let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    format!("{}/{name}", address.rsplit_once('/').expect("the address names a database").0)
}

#[tokio::test]
async fn postgres_is_migrated_once_by_whoever_comes_first() {
    let url = postgres_database("once").await;
    let runs = futures::future::join_all((0..4).map(|_| postgres(&url))).await;
    let mut applied: Vec<usize> = runs.into_iter().map(|run| run.unwrap().len()).collect();
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, POSTGRES.len()]);
}

#[tokio::test]
async fn postgres_refuses_a_changed_file_and_undoes_a_broken_one() {
    let url = postgres_database("changed").await;
    let error = postgres_with(&url, const { &[FIRST, BROKEN] }).await.unwrap_err();
    assert!(error.to_string().contains("0002_b.sql") && error.to_string().contains("NONSENSE"), "{error}");
    // The broken file left nothing: its first statement can be run again.
    assert_eq!(postgres_with(&url, const { &[FIRST, SECOND] }).await.unwrap(), ["0002_b.sql"]);
    let error = postgres_with(&url, const { &[CHANGED, SECOND] }).await.unwrap_err();
    assert!(error.to_string().contains("0001_a.sql was applied with checksum"), "{error}");
    assert!(!error.is_transient());
    assert!(matches!(postgres_with(&url, const { &[FIRST] }).await, Err(Error::Newer(2, _))));
}

const TABLE: Migration = Migration {
    version: 1,
    name: "0001_a.sql",
    sql: "-- does it work?\nCREATE TABLE IF NOT EXISTS a (x Int32) ENGINE = Memory;\n",
};
const TABLE_CHANGED: Migration =
    Migration { sql: "CREATE TABLE IF NOT EXISTS a (x Int64) ENGINE = Memory;\n", ..TABLE };

#[tokio::test]
async fn clickhouse_is_migrated_once_by_whoever_comes_first() {
    let (url, database) = (address("CLICKHOUSE"), unique("once"));
    let target = ClickHouse { url: &url, database: &database, user: "", password: "" };
    let runs = futures::future::join_all((0..3).map(|_| clickhouse(target))).await;
    let mut applied: Vec<usize> = runs.into_iter().map(|run| run.unwrap().len()).collect();
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, CLICKHOUSE.len()]);
}

#[tokio::test]
async fn clickhouse_refuses_a_changed_file_and_takes_over_a_lock_left_behind() {
    let (url, database) = (address("CLICKHOUSE"), unique("changed"));
    let target = ClickHouse { url: &url, database: &database, user: "", password: "" };
    let short = Duration::from_secs(1);
    assert_eq!(clickhouse_with(target, const { &[TABLE] }, short).await.unwrap(), ["0001_a.sql"]);
    let error = clickhouse_with(target, const { &[TABLE_CHANGED] }, short).await.unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    // A failing run gives its lock back; one that was killed cannot.
    let client = ::clickhouse::Client::default().with_url(&url).with_database(&database);
    client.query("CREATE TABLE migration_lock (holder String) ENGINE = Memory").execute().await.unwrap();
    assert!(clickhouse_with(target, const { &[TABLE] }, short).await.unwrap().is_empty());
}
