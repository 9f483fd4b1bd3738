//! ClickHouse holds every table, and its views are not fooled by corrections or repeats.

use clickhouse::Client;
use sinks::Sink;
use sinks::clickhouse::{ClickHouse, Config};

use crate::run::{self, Run};
use crate::{oracle, server};

const MIGRATIONS: [&str; 6] = [
    include_str!("../../../sql/schemas/clickhouse/0001_tables.sql"),
    include_str!("../../../sql/schemas/clickhouse/0002_rollups.sql"),
    include_str!("../../../sql/schemas/clickhouse/0003_progress.sql"),
    include_str!("../../../sql/schemas/clickhouse/0004_clearing.sql"),
    include_str!("../../../sql/schemas/clickhouse/0005_settlement.sql"),
    include_str!("../../../sql/schemas/clickhouse/0006_bid_kpis.sql"),
];

/// A database of the test's own, without tables.
pub(crate) async fn database(test: &str) -> Config {
    let database = server::unique(test);
    let config =
        Config { enabled: true, url: server::address("CLICKHOUSE"), database: database.clone(), ..Config::default() };
    config.client().with_database("default").query(&format!("CREATE DATABASE {database}")).execute().await.unwrap();
    config
}

pub(crate) async fn migrate(client: &Client) {
    for statement in MIGRATIONS.into_iter().flat_map(server::clickhouse_statements) {
        client.query_raw(statement).execute().await.unwrap();
    }
}

async fn written(test: &str, seed: u64) -> (Run, Client) {
    let config = database(test).await;
    let client = config.client();
    migrate(&client).await;
    let run = run::random(seed, 60);
    let mut sink = ClickHouse::new(config, run.context.clone());
    sink.check().await.unwrap();
    run.write_roughly(&mut sink, seed).await;
    (run, client)
}

pub(crate) async fn lines(client: &Client, query: &str) -> oracle::Lines {
    oracle::once(query, client.query(query).fetch_all::<String>().await.unwrap())
}

/// What stands in every table and view, whatever was inserted before it.
pub(crate) async fn assert_stands(client: &Client, run: &Run) {
    let ms = "toUnixTimestamp64Milli";
    let bars = format!(
        "SELECT concatWithSeparator('|', zone, location, market, granularity, {ms}(start_time), {ms}(t), {ms}(end_time), open, close, count, sum_price_sq) FROM bars FINAL"
    );
    oracle::assert_same("bars", &lines(client, &bars).await, &run.bars());
    let kpis = format!(
        "SELECT concatWithSeparator('|', zone, location, market, window_min, {ms}(max(kpis.t)), argMax(last, kpis.t), \
         ifNull(toString(argMax(tuple(change_percent), kpis.t).1), ''), argMax(volume, kpis.t)) \
         FROM kpis GROUP BY zone, location, market, window_min HAVING NOT argMax(removed, kpis.t)"
    );
    oracle::assert_same("kpis", &lines(client, &kpis).await, &run.kpis());
    let alerts = format!(
        "SELECT concatWithSeparator('|', id, zone, location, market, {ms}(t), {ms}(raised_time), state, revision, value, withdrawn) FROM anomalies FINAL"
    );
    oracle::assert_same("alerts", &lines(client, &alerts).await, &run.alerts());
    let correlations = format!(
        "SELECT concatWithSeparator('|', zone_a, location_a, market_a, zone_b, location_b, market_b, window_min, \
         {ms}(max(correlations.t)), ifNull(toString(argMax(tuple(r), correlations.t).1), '')) FROM correlations \
         GROUP BY zone_a, location_a, market_a, zone_b, location_b, market_b, window_min, lag_min HAVING NOT argMax(removed, correlations.t)"
    );
    oracle::assert_same("correlations", &lines(client, &correlations).await, &run.correlations());
    let bids = format!("SELECT concatWithSeparator('|', bid, {ms}(t), organisation, revision) FROM bids FINAL");
    oracle::assert_same("bids", &lines(client, &bids).await, &run.bids());
    let clearing = format!(
        "SELECT concatWithSeparator('|', zone, location, market, {ms}(start_time), {ms}(t), ifNull(toString(price), ''), bought_mw, \
         ifNull(marginal_side, ''), ifNull(marginal_bid, ''), congested) FROM clearing FINAL"
    );
    oracle::assert_same("clearing", &lines(client, &clearing).await, &run.clearing());
    let awards = format!(
        "SELECT concatWithSeparator('|', bid, {ms}(start_time), {ms}(t), ifNull(asset, ''), side, power_mw, price) FROM awards FINAL"
    );
    oracle::assert_same("awards", &lines(client, &awards).await, &run.awards());
    let settlement = format!(
        "SELECT concatWithSeparator('|', organisation, asset, bid, zone, location, market, {ms}(start_time), {ms}(t), day_ahead, \
         ifNull(toString(metered_mw), ''), ifNull(toString(imbalance), ''), ifNull(toString(total), '')) FROM settlement FINAL"
    );
    oracle::assert_same("settlement", &lines(client, &settlement).await, &run.settlement());
    let pnl = format!(
        "SELECT concatWithSeparator('|', organisation, asset, zone, {ms}(start_time), {ms}(t), total, open_intervals) FROM pnl FINAL"
    );
    oracle::assert_same("pnl", &lines(client, &pnl).await, &run.pnl());
    let bid_kpis = format!(
        "SELECT concatWithSeparator('|', organisation, zone, location, market, side, {ms}(start_time), duration_ms, {ms}(t), live_bids, \
         withdrawn_bids, rejected_bids, expired_bids, offered_mw, ifNull(toString(mean_price), ''), awarded_mw, \
         ifNull(toString(acceptance_percent), '')) FROM bid_kpis FINAL"
    );
    oracle::assert_same("bid kpis", &lines(client, &bid_kpis).await, &run.bid_kpis());
    assert_views(client, run).await;
}

/// What passed: every step of alerts' lives, ticks, notices and dead letters.
pub(crate) async fn assert_passed(client: &Client, run: &Run) {
    let ms = "toUnixTimestamp64Milli";
    let ticks = format!(
        "SELECT concatWithSeparator('|', topic, partition, offset, {ms}(t), zone, location, market, {ms}(event_time), price, volume, ifNull(source, '')) FROM ticks FINAL"
    );
    oracle::assert_same("ticks", &lines(client, &ticks).await, &run.ticks());
    let life = format!(
        "SELECT concatWithSeparator('|', id, zone, location, market, {ms}(t), {ms}(raised_time), state, revision, value, \
         if(state = 'withdrawn', 'true', 'false')) FROM anomaly_life FINAL"
    );
    oracle::assert_same("lives", &lines(client, &life).await, &run.alert_life());
    let notices = format!("SELECT concatWithSeparator('|', id, {ms}(t), message, {ms}(event_time)) FROM notices FINAL");
    oracle::assert_same("notices", &lines(client, &notices).await, &run.notices());
    let letters = format!(
        "SELECT concatWithSeparator('|', topic, partition, offset, {ms}(t), reason, lower(hex(bytes))) FROM dead_letters FINAL"
    );
    oracle::assert_same("dead letters", &lines(client, &letters).await, &run.dead_letters());
}

/// The hours and days that the views show.
pub(crate) async fn assert_views(client: &Client, run: &Run) {
    for (view, granularity) in [("prices_by_hour", "1h"), ("prices_by_day", "1d")] {
        let query = format!(
            "SELECT concatWithSeparator('|', zone, location, market, toUnixTimestamp64Milli(start_time), open, close, count) FROM {view}"
        );
        let expected = run.standing_bars().into_iter().filter(|(_, row)| row.key.granularity.as_str() == granularity);
        let price = model::money::price;
        let expected = expected.map(|(_, row)| {
            let place = run.place(row.key.series);
            format!("{place}|{}|{}|{}|{}", row.key.start_ms, price(row.bar.open), price(row.bar.close), row.bar.count)
        });
        oracle::assert_same(view, &lines(client, &query).await, &expected.collect());
    }
}

#[tokio::test]
async fn every_table_and_view_holds_what_the_run_says() {
    let (run, client) = written("tables", 21).await;
    assert_stands(&client, &run).await;
    assert_passed(&client, &run).await;
}

#[tokio::test]
async fn the_store_knows_how_far_it_is() {
    let config = database("held").await;
    migrate(&config.client()).await;
    let run = run::random(25, 20);
    let mut sink = ClickHouse::new(config.clone(), run.context.clone());
    assert_eq!(sink.held_t().await.unwrap(), Some(0));
    sink.write(&run.batches).await.unwrap();
    // An older run, from another instance, does not turn it back.
    let mut old = ClickHouse::new(config, run.context.clone());
    old.write(&run.batches[..10]).await.unwrap();
    assert_eq!((sink.held_t().await.unwrap(), old.held_t().await.unwrap()), (Some(run.last_t()), Some(run.last_t())));
}

#[tokio::test]
async fn a_block_that_was_taken_is_dropped_when_it_comes_again() {
    let config = database("again").await;
    let client = config.client();
    migrate(&client).await;
    client.query("SYSTEM STOP MERGES ticks").execute().await.unwrap();
    let run = run::random(23, 40);
    let mut sink = ClickHouse::new(config, run.context.clone());
    for _ in 0..3 {
        sink.write(&run.batches).await.unwrap();
    }
    let stored: u64 = client.query("SELECT count() FROM ticks").fetch_one().await.unwrap();
    client.query("SYSTEM START MERGES ticks").execute().await.unwrap();
    assert_eq!(stored as usize, run.ticks().len());
}

#[tokio::test]
async fn missing_tables_are_waited_for_and_named() {
    let config = database("missing").await;
    let run = run::random(24, 5);
    let mut sink = ClickHouse::new(config, run.context.clone());
    let error = sink.check().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("bars"), "{error}");
    let error = sink.write(&run.batches).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn the_tables_have_the_columns_that_sql_has() {
    let config = database("columns").await;
    let client = config.client();
    migrate(&client).await;
    for table in model::table::Table::ALL {
        let query = format!(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{}'",
            table.name()
        );
        let columns = lines(&client, &query).await;
        for field in table.schema().fields() {
            assert!(columns.contains(field.name()), "{} lacks {}", table.name(), field.name());
        }
    }
}
