//! `optibid migrate`, on the real Postgres and ClickHouse engine; and `run`, which migrates by itself without a warning.

use std::process::{Command, Output};

use crate::door::{Door, host};
use crate::program::{Program, eventually};
use crate::stores::{Stores, clickhouse};

fn migrate(stores: &Stores, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_optibid"));
    command.args(["migrate", "--set", &format!("sinks.clickhouse.database={}", stores.prefix)]).args(more);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OPTIBID__") || name.starts_with("ENABLE_")) {
        command.env_remove(name);
    }
    command.env("DATABASE_URL", &stores.postgres).env("CLICKHOUSE_HOST", &stores.clickhouse);
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_stores_are_migrated_once_and_told_so() {
    let stores = Stores::of_the_run("migrate").await;
    let first = migrate(&stores, &[]);
    assert!(first.status.success(), "{}", told(&first));
    let text = told(&first);
    assert!(text.contains("postgres: applied 0001_reference.sql, 0002_time_series.sql, 0003_market.sql"), "{text}");
    assert!(text.contains("clickhouse: applied 0001_tables.sql, 0002_rollups.sql"), "{text}");
    let tables = clickhouse(&format!("SELECT count() FROM system.tables WHERE database = '{}'", stores.prefix)).await;
    assert!(tables.trim().parse::<u64>().unwrap() > 5, "{tables}");
    let second = migrate(&stores, &[]);
    assert!(second.status.success() && told(&second).matches("nothing to apply").count() == 2, "{}", told(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_waited_for_and_then_named() {
    let mut stores = Stores::of_the_run("migrateaway").await;
    let (postgres, door) = (stores.postgres.clone(), Door::to(&host(&stores.postgres)).await);
    door.set_open(false);
    stores.postgres = door.before(&postgres);
    let output = tokio::task::spawn_blocking(move || (migrate(&stores, &["--wait", "20s"]), stores)).await.unwrap();
    let (gave_up, stores) = output;
    let text = told(&gave_up);
    assert!(!gave_up.status.success(), "{text}");
    assert!(text.contains("postgres: gave up waiting: migrate postgres"), "{text}");
    assert!(text.contains("clickhouse: applied"), "one that is away does not hold up the other: {text}");
    // Once it is back, the same command goes through.
    let waiting = tokio::task::spawn_blocking(move || migrate(&stores, &["--wait", "60s"]));
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    door.set_open(true);
    let output = waiting.await.unwrap();
    assert!(output.status.success() && told(&output).contains("postgres: applied"), "{}", told(&output));
}

#[test]
fn nothing_to_migrate_is_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_optibid"));
    command.arg("migrate").env_remove("DATABASE_URL").env_remove("CLICKHOUSE_HOST");
    let output = command.output().unwrap();
    assert!(!output.status.success() && told(&output).contains("DATABASE_URL"), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn run_does_not_warn_of_tables_that_it_is_just_making() {
    let stores = Stores::of_the_run("migratequiet").await;
    let program = Program::start(&["run"], &stores.sets(&[])).await;
    eventually("ready", async || (program.try_get("/readyz").await.0 == 200).then_some(())).await;
    let log = program.log();
    assert!(log.contains("schema is up to date"), "{log}");
    assert!(!log.contains("run the migrations") && !log.contains("WARN"), "{log}");
}
