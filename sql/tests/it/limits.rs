//! Limits of rows, time, memory and number.

use model::Reader;
use model::humane::Span;
use sql::{Config, Error, Limits};

use crate::world::World;

#[tokio::test]
async fn too_many_rows_are_an_error_not_a_shorter_result() {
    let world = World::new();
    let limits = Limits { max_rows: 10, ..world.engine.limits() };
    let run = async |sql: &str| world.engine.query(sql, &Reader::House, &limits).await.unwrap().collect().await;
    assert!(matches!(run("SELECT * FROM generate_series(1, 11)").await, Err(Error::TooManyRows { limit: 10 })));
    assert_eq!(run("SELECT * FROM generate_series(1, 10)").await.unwrap()[0].num_rows(), 10);
}

#[tokio::test]
async fn a_long_query_ends_at_its_time_limit_and_leaves_its_slot() {
    let world = World::with(Config { concurrency: 1, ..Config::default() });
    let sql = "SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 1000000000) b WHERE a.value * b.value = 7";
    let limits = Limits { timeout: Span::from_millis(150), ..world.engine.limits() };
    let ended = async { world.engine.query(sql, &Reader::House, &limits).await?.collect().await };
    let error = ended.await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(error.sqlstate(), "57014");
    world.rows("SELECT 1").await.unwrap();
    assert_eq!(world.metrics.active.get(), 0);
}

#[tokio::test]
async fn queries_wait_for_a_slot_no_longer_than_their_time() {
    let world = World::with(Config { concurrency: 1, ..Config::default() });
    let endless = "SELECT value FROM generate_series(1, 1000000000)";
    let slow = world.engine.query(endless, &Reader::House, &world.engine.limits()).await.unwrap();
    let limits = Limits { timeout: Span::from_millis(100), ..world.engine.limits() };
    let refused = world.engine.query("SELECT 1", &Reader::House, &limits).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { limit: 1, .. }), "{refused}");
    assert!(refused.is_transient());
    drop(slow);
    world.rows("SELECT 1").await.unwrap();
}

#[tokio::test]
async fn memory_is_limited_by_query_and_together() {
    let hungry = "SELECT value, count(*) FROM generate_series(1, 3000000) GROUP BY value ORDER BY value DESC LIMIT 1";
    for config in
        [Config { query_memory: 4 << 20, ..Config::default() }, Config { total_memory: 4 << 20, ..Config::default() }]
    {
        let world = World::with(config);
        let error = world.rows(hungry).await.unwrap_err();
        assert!(matches!(error, Error::Memory(_)), "{error:?}");
        world.rows("SELECT count(*) FROM bars").await.unwrap();
    }
}
