//! All four stores go away while the market goes on, and come back: `/readyz` names them, their queues fill and hold
//! up the source, nobody drops anything, and afterwards every store holds exactly the bars of a plain recomputation.

use crate::broker::Broker;
use crate::door::{Door, host};
use crate::program::{Program, eventually};
use crate::stores::{Stores, expected, market, queued_rows, send, server};

const BEFORE: u64 = 4_000;
const MEANWHILE: u64 = 20_000;
/// Rows: far fewer than what happens meanwhile.
const QUEUE: usize = 3_000;
const AWAY: [&str; 4] = ["redis", "postgres", "clickhouse", "changelog"];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_all_four_stores_are_away() {
    let zones = model::Zones::built_in();
    let mut stores = Stores::of_the_run("outage").await;
    let doors = [
        Door::to(&host(&server("REDIS"))).await,
        Door::to(&host(&server("POSTGRES"))).await,
        Door::to(&host(&server("CLICKHOUSE"))).await,
    ];
    let mut broker = Broker::start();
    stores.redis = doors[0].before(&stores.redis);
    stores.postgres = doors[1].before(&stores.postgres);
    stores.clickhouse = doors[2].before(&stores.clickhouse);
    stores.changelog = broker.address();
    let queues = AWAY.map(|store| {
        let section = if store == "changelog" { "kafka" } else { store };
        format!("sinks.{section}.driver.queue_rows={QUEUE}")
    });
    let mut more: Vec<&str> = queues.iter().map(String::as_str).collect();
    // A store that is back is found soon; and small runs, so that a queue holds several.
    more.extend(["operators.bars.correction_horizon=24h", "sinks.kafka.driver.write_timeout=5s"]);
    let program = Program::start(&["run"], &stores.sets(&more)).await;
    let mut market = market(&zones);

    let before = send(&mut market, BEFORE, &stores.prefix).await;
    program.received(before.ticks).await;
    assert_eq!(program.try_get("/readyz").await.0, 200);

    // Away, in the middle of whatever they were writing.
    doors.iter().for_each(|door| door.set_open(false));
    broker.kill();
    let meanwhile = send(&mut market, MEANWHILE, &stores.prefix).await;
    let records = before.ticks + meanwhile.ticks;
    eventually("readyz to name all four", async || {
        let (status, text) = program.try_get("/readyz").await;
        (status == 503 && AWAY.iter().all(|store| text.contains(store))).then_some(())
    })
    .await;
    eventually("a full queue that holds up the source", async || {
        let mut rows = Vec::new();
        for store in AWAY {
            rows.push(program.metric(&queued_rows(store)).await);
        }
        // The fanout waits with the batch that did not fit.
        rows.iter().any(|rows| *rows > 0.8 * QUEUE as f64).then_some(())
    })
    .await;
    let received = "optibid_pipeline_ticks_total{disposition=\"received\"}";
    let so_far = program.metric(received).await;
    assert!(so_far < records as f64, "the source waits: {so_far} of {records}");
    // What does not need a store goes on.
    assert_eq!(program.try_get("/api/market/prices/latest").await.0, 200);

    doors.iter().for_each(|door| door.set_open(true));
    broker.revive();
    program.received(records).await;
    stores.caught_up(&program).await;
    stores.hold(&expected(&zones, BEFORE + MEANWHILE)).await;
    let (status, text) = program.try_get("/readyz").await;
    assert_eq!(status, 200, "{text}");
    let health = program.get("/health").await;
    let count = |name: &str| health["records"][name].as_u64().unwrap_or_else(|| panic!("{name} in {health}"));
    let accounted = ["applied", "corrected", "superseded", "duplicates", "dead_letters"].map(count);
    assert_eq!((count("received"), accounted.iter().sum::<u64>(), count("lost")), (records, records, 0));
}
