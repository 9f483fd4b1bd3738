//! The arrows between our crates, as ARCHITECTURE.md draws them. Data flows one way: a new arrow is an
//! architectural decision, so this test wants it written down here too.

use std::collections::{BTreeMap, BTreeSet};

/// crate → the crates of ours that it may depend on (tests included), and drivers it must never see.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    ("model", &[], &["timely", "tokio", "rdkafka", "warp", "datafusion", "redis", "clickhouse", "tokio-postgres"]),
    ("clearing", &[], &["timely", "tokio", "rdkafka", "warp", "datafusion", "redis", "clickhouse", "tokio-postgres"]),
    (
        "auction",
        // simulator: its tests clear a real book.
        &["model", "clearing", "simulator"],
        &["timely", "tokio", "rdkafka", "warp", "datafusion", "redis", "clickhouse", "tokio-postgres"],
    ),
    (
        "operators",
        &["model", "auction", "clearing"],
        &["tokio", "rdkafka", "warp", "datafusion", "redis", "clickhouse", "tokio-postgres"],
    ),
    ("sinks", &["model"], &["timely", "differential-dataflow", "warp", "datafusion"]),
    ("sql", &["model", "auction"], &["timely", "differential-dataflow", "warp", "rdkafka", "redis"]),
    ("platform", &["model"], &["timely", "differential-dataflow", "warp", "datafusion", "rdkafka", "clickhouse"]),
    ("simulator", &["model"], &["timely", "differential-dataflow", "warp", "datafusion", "redis", "clickhouse"]),
    (
        "api",
        &["model", "sql", "auction", "clearing", "platform"],
        &["timely", "differential-dataflow", "rdkafka", "redis", "clickhouse", "tokio-postgres"],
    ),
    ("pipeline", &["model", "operators", "sinks"], &["warp", "datafusion", "redis", "clickhouse", "tokio-postgres"]),
    (
        "optibid",
        &["model", "clearing", "auction", "operators", "pipeline", "sinks", "sql", "platform", "api", "simulator"],
        &[],
    ),
];

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec().expect("cargo metadata runs");
    let packages: BTreeMap<&str, BTreeSet<&str>> = metadata
        .packages
        .iter()
        .map(|package| (package.name.as_str(), package.dependencies.iter().map(|d| d.name.as_str()).collect()))
        .collect();
    let listed: BTreeSet<&str> = TABLE.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(packages.keys().copied().collect::<BTreeSet<_>>(), listed, "every crate stands in the table");
    for (name, allowed, forbidden) in TABLE {
        let dependencies = &packages[name];
        let ours: BTreeSet<&str> = dependencies.intersection(&listed).copied().collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(ours.is_subset(&allowed), "{name} depends on {:?}", ours.difference(&allowed));
        for driver in *forbidden {
            assert!(!dependencies.contains(driver), "{name} must not know {driver}");
        }
    }
}
