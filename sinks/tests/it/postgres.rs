//! Postgres holds bars, alerts, bids and auctions as they stand, the lives of alerts and bids and notices, and knows how far it is.

use model::humane::Secret;
use sinks::Sink;
use sinks::postgres::{Config, Postgres};
use tokio_postgres::{Client, NoTls};

use crate::run::{self, Run};
use crate::{oracle, server};

const MIGRATIONS: [&str; 3] = [
    include_str!("../../../sql/schemas/postgres/0001_reference.sql"),
    include_str!("../../../sql/schemas/postgres/0002_time_series.sql"),
    include_str!("../../../sql/schemas/postgres/0003_market.sql"),
];

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A database of the test's own, with or without the tables.
pub(crate) async fn database(test: &str, migrated: bool) -> (String, Client) {
    let (address, name) = (server::address("POSTGRES"), server::unique(test));
    connect(&address).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let url = format!("{}/{name}", address.rsplit_once('/').expect("the address names a database").0);
    let client = connect(&url).await;
    for migration in MIGRATIONS.iter().filter(|_| migrated) {
        client.batch_execute(migration).await.unwrap();
    }
    client.batch_execute("SET timezone = 'UTC'").await.unwrap();
    (url, client)
}

pub(crate) fn config(url: &str) -> Config {
    Config { enabled: true, url: Secret::new(url.to_owned()), ..Config::default() }
}

async fn written(test: &str, seed: u64) -> (Run, Client, Postgres) {
    let (url, client) = database(test, true).await;
    let run = run::random(seed, 120);
    let mut sink = Postgres::new(config(&url), run.context.clone());
    sink.check().await.unwrap();
    run.write_roughly(&mut sink, seed).await;
    (run, client, sink)
}

async fn lines(client: &Client, query: &str) -> oracle::Lines {
    oracle::once(query, client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect())
}

const MS: &str = "(extract(epoch FROM {}) * 1000)::bigint";

fn ms(column: &str) -> String {
    MS.replace("{}", column)
}

/// What stands: bars, latest prices, alerts, bids and auctions.
pub(crate) async fn assert_stands(client: &Client, run: &Run) {
    let query = format!(
        "SELECT concat_ws('|', zone, location, market, granularity, {}, {}, {}, open, close, count, sum_price_sq) FROM bars_current",
        ms("start_time"),
        ms("t"),
        ms("end_time")
    );
    oracle::assert_same("bars", &lines(client, &query).await, &run.bars());
    let latest = lines(client, "SELECT concat_ws('|', zone, location, market, price) FROM latest_prices").await;
    let expected = run
        .latest()
        .iter()
        .map(|(place, (_, row))| format!("{place}|{}", model::money::price(row.bar.close)))
        .collect();
    oracle::assert_same("latest prices", &latest, &expected);
    oracle::assert_same("alerts", &lines(client, &alerts("anomalies")).await, &run.alerts());
    oracle::assert_same("bids", &lines(client, &bids("bids_current")).await, &run.bids_with_terms());
    let auctions = format!(
        "SELECT concat_ws('|', zone, location, market, {}, {}, coalesce(price::text, ''), bought_mw, coalesce(marginal_side, ''), \
         coalesce(marginal_bid, ''), CASE WHEN congested THEN 'true' ELSE 'false' END) FROM auctions_current",
        ms("start_time"),
        ms("t")
    );
    oracle::assert_same("auctions", &lines(client, &auctions).await, &run.clearing());
}

fn bids(table: &str) -> String {
    format!(
        "SELECT concat_ws('|', bid, {}, organisation, revision, status, zone, location, market, side, {}, duration_ms, kind, terms, \
         jsonb_array_length(steps), steps->0->>'price', steps->0->>'power', power_mw, {}) FROM {table}",
        ms("t"),
        ms("delivery_time"),
        ms("event_time")
    )
}

/// What passed: every step of alerts' and bids' lives, and notices.
pub(crate) async fn assert_passed(client: &Client, run: &Run) {
    oracle::assert_same("lives", &lines(client, &alerts("anomaly_life")).await, &run.alert_life());
    let standing = bids("bid_events WHERE NOT removed");
    oracle::assert_same("lives of bids", &lines(client, &standing).await, &run.bid_life());
    let removed = format!("SELECT concat_ws('|', bid, {}) FROM bid_events WHERE removed", ms("t"));
    oracle::assert_same("removals of bids", &lines(client, &removed).await, &run.bid_removals());
    let query = format!("SELECT concat_ws('|', id, {}, message, {}) FROM notices", ms("t"), ms("event_time"));
    oracle::assert_same("notices", &lines(client, &query).await, &run.notices());
}

fn alerts(table: &str) -> String {
    format!(
        "SELECT concat_ws('|', id, zone, location, market, {}, {}, state, revision, value, \
         CASE WHEN withdrawn THEN 'true' ELSE 'false' END) FROM {table}",
        ms("t"),
        ms("raised_time")
    )
}

#[tokio::test]
async fn every_table_holds_what_the_run_says() {
    let (run, client, mut sink) = written("bars", 11).await;
    assert_stands(&client, &run).await;
    assert_passed(&client, &run).await;
    assert_eq!(sink.progress().await.unwrap(), Some(run.last_t()));
    let partitions =
        lines(&client, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'bars'::regclass").await;
    assert!(partitions.contains("bars_2025_11") && partitions.contains("bars_2025_12"), "{partitions:?}");
}

#[tokio::test]
async fn the_zone_table_is_there_and_follows_the_process() {
    let (url, client) = database("zones", true).await;
    let run = run::random(13, 1);
    for _ in 0..2 {
        Postgres::new(config(&url), run.context.clone()).check().await.unwrap();
    }
    let zones: i64 = client.query_one("SELECT count(*) FROM zones", &[]).await.unwrap().get(0);
    assert_eq!(zones, run.context.zones.iter().count() as i64);
    let row = client.query_one("SELECT timezone, currency FROM zones WHERE code = 'PJM'", &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("America/New_York", "USD"));
}

#[tokio::test]
async fn missing_tables_are_waited_for_and_named() {
    let (url, client) = database("missing", false).await;
    let run = run::random(14, 5);
    let mut sink = Postgres::new(config(&url), run.context.clone());
    let error = sink.check().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("bars"), "{error}");
    assert!(sink.write(&run.batches).await.unwrap_err().is_transient());
    for migration in MIGRATIONS {
        client.batch_execute(migration).await.unwrap();
    }
    sink.check().await.unwrap();
    sink.write(&run.batches).await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_leaves_whole_moments_and_is_made_again() {
    let (url, client) = database("lost", true).await;
    let run = run::random(15, 40);
    let mut sink = Postgres::new(config(&url), run.context.clone());
    sink.write(&run.batches[..20]).await.unwrap();
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'optibid'";
    client.query(kill, &[]).await.unwrap();
    let mut failures = 0;
    while let Err(error) = sink.write(&run.batches[20..]).await {
        assert!(error.is_transient(), "{error}");
        assert_eq!(sink.progress().await.unwrap(), Some(run.batches[19].t));
        failures += 1;
        assert!(failures < 20, "never connects again: {error}");
    }
    assert_eq!(sink.progress().await.unwrap(), Some(run.last_t()));
}

#[tokio::test]
async fn months_past_retention_are_dropped() {
    let (url, client) = database("retention", true).await;
    let run = run::random(16, 60);
    let retention = Some(model::humane::Span::from_millis(40 * 86_400_000));
    let mut sink = Postgres::new(Config { retention, ..config(&url) }, run.context.clone());
    sink.write(&run.batches).await.unwrap();
    let later = model::Batch { t: run.last_t() + 80 * 86_400_000, ..model::Batch::clone(&run.batches[1]) };
    sink.write(&[std::sync::Arc::new(later)]).await.unwrap();
    for table in ["bars", "auctions"] {
        let query = format!("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass");
        let partitions = lines(&client, &query).await;
        assert!(!partitions.contains(&format!("{table}_2025_11")), "{partitions:?}");
    }
    let old = "SELECT count(*) FROM bids WHERE delivery_time < '2025-12-01'";
    assert_eq!(client.query_one(old, &[]).await.unwrap().get::<_, i64>(0), 0);
}
