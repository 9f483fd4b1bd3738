//! 200,000 simulated events with every fault on, through a real broker and into all four real stores and the
//! embedded history. Afterwards each store holds exactly the bars of a plain recomputation from the messages, and
//! every record is accounted for.

use crate::program::Program;
use crate::stores::{Stores, clickhouse, compacted, expected, market, same, send, sql_bars};

const RECORDS: u64 = 200_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_store_equals_the_recomputation_and_every_record_is_accounted_for() {
    let zones = model::Zones::built_in();
    let stores = Stores::of_the_run("e2e").await;
    // The faults come late, but nothing is to be refused for it here: that has tests of its own.
    let program = Program::start(&["run"], &stores.sets(&["operators.bars.correction_horizon=24h"])).await;
    let totals = send(&mut market(&zones), RECORDS, &stores.prefix).await;
    let expected = expected(&zones, RECORDS);
    assert!(expected.len() > 300, "{} bars", expected.len());
    assert!(totals.faults.len() >= 6, "every fault is on: {:?}", totals.faults);

    // Every record is accounted for.
    program.received(totals.ticks).await;
    let health = program.get("/health").await;
    let count = |name: &str| health["records"][name].as_u64().unwrap_or_else(|| panic!("{name} in {health}"));
    assert_eq!(count("received"), totals.ticks);
    assert_eq!(
        count("applied") + count("corrected") + count("superseded") + count("duplicates") + count("dead_letters"),
        totals.ticks
    );
    assert_eq!(count("duplicates"), totals.duplicates);
    assert_eq!(count("dead_letters"), totals.refused());
    assert_eq!(count("applied"), totals.applied);
    assert_eq!(count("corrected") + count("superseded"), totals.corrected);
    assert_eq!(count("lost"), 0);

    // The live state and the history behind it, through SQL.
    same("sql", &sql_bars(&program).await, &expected);

    stores.caught_up(&program).await;
    stores.hold(&expected).await;

    let letters = totals.refused();
    let found = clickhouse(&format!("SELECT count() FROM {}.dead_letters FINAL", stores.prefix)).await;
    assert_eq!(found.trim(), letters.to_string(), "dead letters in ClickHouse");
    assert_eq!(
        compacted(&stores.changelog, &format!("{}.deadletters", stores.prefix)).len() as u64,
        letters,
        "dead letters on their topic"
    );
    let ticks = clickhouse(&format!("SELECT count() FROM {}.ticks FINAL", stores.prefix)).await;
    assert_eq!(ticks.trim(), (totals.applied + totals.corrected).to_string(), "ticks in ClickHouse");
    let (status, _) = program.try_get("/readyz").await;
    assert_eq!(status, 200);
}
