//! The `[pipeline]` section: where records come from, how T is minted, and every limit on the way.

use std::collections::BTreeMap;
use std::fmt;

use model::humane::Span;
use model::wire::decode;
use serde::{Deserialize, Serialize, Serializer};

use crate::Error;
use crate::clock::Clock;

/// Everything the pipeline can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Dataflow worker threads; 0 means one a core, at most four.
    pub workers: usize,
    /// What T follows: the system's time (`wall`) or the records' (`event`).
    pub clock: Clock,
    /// Shortest time between two T's. At least 1 ms.
    pub interval: Span,
    /// Without data, a T is closed this often, so that windows expire and readers see time move.
    pub idle_interval: Span,
    /// Event clock only: the most event time that one T may cover while there is more to read.
    pub event_step: Span,
    /// Tick rows that one worker binds to one T, and stages before the next.
    pub max_batch: usize,
    /// T's minted and not yet closed before minting waits.
    pub max_open: usize,
    /// Closed batches waiting for the fanout before minting waits.
    pub max_backlog: usize,
    /// Batches that a slow stream subscriber (WebSocket) may lag before it loses its place.
    pub broadcast: usize,
    /// The largest message in bytes.
    pub max_bytes: usize,
    /// How far an event time may lie ahead of publication.
    pub max_ahead: Span,
    /// The same for day-ahead markets.
    pub day_ahead_max_ahead: Span,
    /// The processes that compute together.
    pub cluster: crate::cluster::Config,
    /// Waiting for another instance to go.
    pub standby: crate::standby::Config,
    /// The broker.
    pub kafka: Kafka,
    /// The broker inside the process.
    pub embedded: Embedded,
    /// Logging.
    pub log: crate::telemetry::Config,
}

impl Default for Config {
    fn default() -> Self {
        let limits = decode::Limits::default();
        Self {
            workers: 0,
            clock: Clock::Wall,
            interval: Span::from_millis(2),
            idle_interval: Span::from_millis(250),
            event_step: Span::from_millis(60_000),
            max_batch: 8_192,
            max_open: 8,
            max_backlog: 64,
            broadcast: 1_024,
            max_bytes: limits.max_bytes,
            max_ahead: Span::from_millis(limits.max_ahead_ms.unsigned_abs()),
            day_ahead_max_ahead: Span::from_millis(limits.day_ahead_max_ahead_ms.unsigned_abs()),
            cluster: crate::cluster::Config::default(),
            standby: crate::standby::Config::default(),
            kafka: Kafka::default(),
            embedded: Embedded::default(),
            log: crate::telemetry::Config::default(),
        }
    }
}

impl Config {
    /// Number of worker threads.
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4)),
            workers => workers,
        }
    }

    /// The bounds that decoding enforces.
    pub fn decode_limits(&self) -> decode::Limits {
        decode::Limits {
            max_bytes: self.max_bytes,
            max_ahead_ms: self.max_ahead.millis_i64(),
            day_ahead_max_ahead_ms: self.day_ahead_max_ahead.millis_i64(),
        }
    }

    /// Refuses values that cannot work.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |what: &str| Err(Error::Config(what.to_owned()));
        if self.interval.millis() < 1 {
            return refuse("interval must be at least 1ms: T counts milliseconds");
        }
        if self.idle_interval < self.interval {
            return refuse("idle_interval must not be shorter than interval");
        }
        if self.workers > 256 {
            return refuse("workers must be at most 256");
        }
        if self.event_step.millis() < 1 {
            return refuse("event_step must be at least 1ms");
        }
        if self.max_batch == 0 || self.max_open == 0 || self.max_backlog == 0 || self.broadcast == 0 {
            return refuse("max_batch, max_open, max_backlog and broadcast must be at least 1");
        }
        self.cluster.addresses()?;
        if self.cluster.is_group() && self.workers == 0 {
            return refuse("workers must be given when there are several processes: all must have the same number");
        }
        if self.kafka.prefix.is_empty() {
            return refuse("kafka.prefix must not be empty");
        }
        if !(1..=1_000).contains(&self.embedded.partitions) {
            return refuse("embedded.partitions must be between 1 and 1000");
        }
        Ok(())
    }
}

/// How the broker is reached and read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// `host:port,…`; empty starts the embedded broker.
    pub bootstrap: String,
    /// First part of every topic: `<prefix>.ticks.<zone>`, `<prefix>.bids`, `<prefix>.meters`, `<prefix>.rules`, `<prefix>.notices`.
    pub prefix: String,
    /// Where reading starts. Rules, and partitions found while running, are always read from the earliest.
    pub start: Start,
    /// How often new topics and partitions are looked for.
    pub discovery_interval: Span,
    /// Chunks of records (of at most 64 KiB or one message) that wait for one worker before its reader stops.
    pub queue_chunks: usize,
    /// Replicas of the topic of bindings, made at the first durable start.
    pub bindings_replication: i32,
    /// Anything librdkafka knows (`security.protocol`, `sasl.username`, `ssl.ca.location` …). Passwords are never shown.
    pub options: Options,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            bootstrap: String::new(),
            prefix: "optibid".to_owned(),
            start: Start::Earliest,
            discovery_interval: Span::from_millis(2_000),
            queue_chunks: 256,
            bindings_replication: 1,
            options: Options::default(),
        }
    }
}

/// Where reading starts when there is no checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the oldest record the broker has.
    #[default]
    Earliest,
    /// With what comes after the start.
    Latest,
}

/// The broker inside the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Embedded {
    /// Partitions of each zone's tick topic. The broker keeps 5 MiB of each.
    pub partitions: i32,
}

impl Default for Embedded {
    fn default() -> Self {
        Self { partitions: 2 }
    }
}

/// librdkafka's own options. Values of secret ones are masked wherever they are shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Options(pub BTreeMap<String, String>);

impl Options {
    fn masked(&self) -> BTreeMap<&str, &str> {
        let secret =
            |key: &str| ["password", "secret", "key.pem", "jaas", "token"].iter().any(|part| key.contains(part));
        self.0.iter().map(|(key, value)| (key.as_str(), if secret(key) { "***" } else { value.as_str() })).collect()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.masked().fmt(f)
    }
}

impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.masked().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let toml = "[kafka.options]\n\"sasl.username\" = 'u'\n\"sasl.password\" = 'hunter2'\n";
        let config: Config = toml::from_str(toml).unwrap();
        assert_eq!(config.kafka.options.0["sasl.password"], "hunter2");
        for shown in [format!("{config:?}"), toml::to_string(&config).unwrap()] {
            assert!(!shown.contains("hunter2") && shown.contains("***") && shown.contains("sasl.username"), "{shown}");
        }
    }

    #[test]
    fn impossible_values_and_unknown_keys_are_refused() {
        assert!(Config::default().validate().is_ok());
        for text in ["interval = '0ms'", "max_open = 0", "idle_interval = '1ms'", "kafka.prefix = ''", "workers = 999"]
        {
            assert!(toml::from_str::<Config>(text).unwrap().validate().is_err(), "{text}");
        }
        assert!(toml::from_str::<Config>("intervall = '1ms'").is_err());
    }

    #[test]
    fn the_defaults_survive_a_round_trip() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    }
}
