//! Settings of the changelog sink: `[sinks.kafka]`.

use std::collections::BTreeMap;

use model::humane::Span;
use serde::{Deserialize, Serialize};

use crate::driver::Limits;

/// Where the changelog goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the changelog is written.
    pub enabled: bool,
    /// `host:port,…`; empty: the broker that the source reads.
    pub bootstrap_servers: String,
    /// Topics are `<prefix>.changelog.<table>` and `<prefix>.deadletters`; the transactional id is `<prefix>.changelog`.
    pub prefix: String,
    /// Whether missing topics are made, compacted. librdkafka's mock broker cannot do that: it makes topics when written to.
    pub create_topics: bool,
    /// Partitions of topics that are made.
    pub partitions: i32,
    /// Replicas of topics that are made.
    pub replication: i32,
    /// Whether a run is one transaction. librdkafka's mock broker has none worth the name.
    pub transactions: bool,
    /// Whether something else ends an instance that was taken over (with checkpoints: the log of bindings), and all say the
    /// same of each T. Then a fence here is never final: the older one may have fenced the newer, by waking late.
    #[serde(skip)]
    pub guarded: bool,
    /// How long what only replicas read (ticks, notices, withdrawn alerts) is kept.
    pub recent_retention: Span,
    /// Bytes of ticks that are kept, at most: replicas want the newest `snapshot.ticks` of them.
    pub tick_bytes: u64,
    /// How long dead letters are kept.
    pub dead_letter_retention: Span,
    /// Compression of messages.
    pub compression: String,
    /// Further librdkafka properties (TLS, SASL …), passed through.
    pub properties: BTreeMap<String, String>,
    /// Gathering, queueing and retrying.
    pub driver: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            bootstrap_servers: String::new(),
            prefix: "optibid".to_owned(),
            create_topics: true,
            partitions: 1,
            replication: 1,
            transactions: true,
            guarded: false,
            recent_retention: Span::from_millis(7 * 86_400_000),
            tick_bytes: 256 << 20,
            dead_letter_retention: Span::from_millis(30 * 86_400_000),
            compression: "lz4".to_owned(),
            properties: BTreeMap::new(),
            driver: Limits::DEFAULT.gathering(20_000, 20),
        }
    }
}
