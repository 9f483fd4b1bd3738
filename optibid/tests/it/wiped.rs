//! Redis and Postgres lose everything while the program is dead (`kill -9`). After the restart, which reads nothing again
//! from before its checkpoint, both hold what they held: Redis to the field, Postgres every bar and alert. The stores that
//! lost nothing are left alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::program::{Program, eventually};
use crate::stores::{Stores, expected, market, redis_connection, send};

const RECORDS: u64 = 16_000;
/// A checkpoint comes when the one before is written: records come in parts, so that there are several.
const PARTS: u64 = 4;

/// What stands in Redis: hashes by key and field. Versions are left out: a state that comes back is a new version.
async fn standing(prefix: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut connection = redis_connection().await;
    let mut standing = BTreeMap::new();
    for kind in ["price:*", "kpi:*", "correlation:*", "alerts:current", "bids"] {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("{prefix}:{kind}")).query_async(&mut connection).await.unwrap();
        for key in keys {
            let mut row: BTreeMap<String, String> =
                redis::cmd("HGETALL").arg(&key).query_async(&mut connection).await.unwrap();
            if row.contains_key("removed") {
                continue;
            }
            row.retain(|field, _| field != "version" && field != "t");
            for value in row.values_mut() {
                if let Ok(serde_json::Value::Object(mut json)) = serde_json::from_str(value) {
                    json.remove("t");
                    *value = serde_json::Value::Object(json).to_string();
                }
            }
            standing.insert(key, row);
        }
    }
    standing
}

/// What stands of alerts in Postgres, withdrawn ones included.
async fn alerts(client: &tokio_postgres::Client) -> BTreeSet<String> {
    let query = "SELECT concat_ws('|', id, zone, location, market, rule, state, value, t, raised_time, revision, withdrawn) \
                 FROM anomalies";
    client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn wipe(stores: &Stores, client: &tokio_postgres::Client) {
    let mut connection = redis_connection().await;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("{}:*", stores.prefix)).query_async(&mut connection).await.unwrap();
    redis::cmd("DEL").arg(&keys).query_async::<()>(&mut connection).await.unwrap();
    client.batch_execute("TRUNCATE bars, anomalies, anomaly_life, notices, progress").await.unwrap();
    assert!(standing(&stores.prefix).await.is_empty() && alerts(client).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_lost_everything_hold_it_again_after_a_restart() {
    let zones = model::Zones::built_in();
    let stores = Stores::of_the_run("wiped").await;
    let mut program = Program::start(&["run"], &stores.durable_sets(&[])).await;
    let mut market_of_the_run = market(&zones);
    let (mut ticks, mut checkpoint) = (0, 0.0);
    for _ in 0..PARTS {
        ticks += send(&mut market_of_the_run, RECORDS / PARTS, &stores.prefix).await.ticks;
        program.received(ticks).await;
        checkpoint = eventually("a newer checkpoint", async || {
            let t = program.metric("optibid_pipeline_checkpoint_t").await;
            (t > checkpoint).then_some(t)
        })
        .await;
    }
    stores.caught_up(&program).await;
    let expected = expected(&zones, RECORDS);
    stores.hold(&expected).await;
    let client = stores.postgres_client().await;
    let (redis_before, alerts_before) = (standing(&stores.prefix).await, alerts(&client).await);
    for kind in [":price:", ":kpi:", ":correlation:", ":alerts:current"] {
        assert!(redis_before.keys().any(|key| key.contains(kind)), "nothing of {kind} to be lost");
    }
    assert!(!alerts_before.is_empty());

    program.kill();
    wipe(&stores, &client).await;
    program.restart(&[]).await;
    program.received(ticks).await;
    eventually("both stores to be given the state", async || {
        (program.log().matches("the store holds the saved state").count() >= 2).then_some(())
    })
    .await;
    stores.caught_up(&program).await;
    stores.hold(&expected).await;
    assert_eq!(alerts(&client).await, alerts_before);
    let redis_after = standing(&stores.prefix).await;
    for (key, row) in &redis_before {
        assert_eq!(redis_after.get(key), Some(row), "{key}");
    }
    assert_eq!(redis_after.len(), redis_before.len());
    // Those that had lost nothing were left alone; and so is everybody at the next restart.
    let told = |program: &Program| program.log().matches("the store holds less than the saved state").count();
    assert_eq!(told(&program), 2, "{}", program.log());
    program.kill();
    program.restart(&[]).await;
    program.received(ticks).await;
    stores.caught_up(&program).await;
    stores.hold(&expected).await;
    assert_eq!(told(&program), 2, "{}", program.log());
    assert_eq!(standing(&stores.prefix).await.len(), redis_before.len());
}
