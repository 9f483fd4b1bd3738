//! Messages to Kafka: one librdkafka producer, every delivery accounted for.
//!
//! [`Producer::publish`] waits for the broker's acknowledgement (the HTTP endpoints); [`Producer::send`] only for room
//! in the queue (streams). A full queue is waited out, a message the broker refuses is counted and told: by the
//! caller's error in `publish`, by [`Stats::failed`] and [`Stats::last_error`] in streams. Keys decide the partition,
//! so that everything about a location stays in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::humane::Span;
use model::wire::TopicKind;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::ledger::{Deliveries, InFlight, Ledger, Waiter, is_transient};
use crate::pace::Lag;

pub use crate::ledger::{Delivered, Stats};

/// How to reach the broker.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port,…`.
    pub bootstrap_servers: String,
    /// First part of every topic's name.
    pub prefix: String,
    /// How long to gather messages for one request.
    pub linger: Span,
    /// Passed to librdkafka as they are (TLS, SASL, limits): they win over everything set here.
    pub client: BTreeMap<String, String>,
    /// The bound on unread messages; none when the broker keeps what it is given.
    pub lag: Option<Lag>,
}

impl Options {
    /// For a broker that keeps what it is given.
    pub fn new(bootstrap_servers: &str, prefix: &str) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.to_owned(),
            prefix: prefix.to_owned(),
            linger: Span::from_millis(2),
            client: BTreeMap::new(),
            lag: None,
        }
    }
}

/// A producer. Cheap to clone; all clones share one connection and one account.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<ThreadedProducer<Deliveries>>,
    ledger: Arc<Ledger>,
    prefix: Arc<str>,
    lag: Option<Lag>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("prefix", &self.prefix).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// How long a single message waits for room in the queue before the caller is told.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(5);

impl Producer {
    /// Connects lazily: an unreachable broker shows when messages are given up, not here.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let ledger = Arc::new(Ledger::default());
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &options.bootstrap_servers)
            .set("compression.type", "lz4")
            .set("linger.ms", options.linger.millis().to_string())
            .set("partitioner", "murmur2_random")
            // Order and no duplicates within a partition, also over retries.
            .set("max.in.flight.requests.per.connection", "1")
            .set("queue.buffering.max.kbytes", "65536")
            .set("message.timeout.ms", "60000");
        for (name, value) in &options.client {
            config.set(name, value);
        }
        let inner = config
            .create_with_context(Deliveries(Arc::clone(&ledger)))
            .map_err(|error: KafkaError| Error::Settings(format!("kafka client: {error}")))?;
        let (inner, prefix) = (Arc::new(inner), options.prefix.as_str().into());
        Ok(Self { inner, ledger, prefix, lag: options.lag.clone() })
    }

    /// The topic of a kind, of a zone's ticks: `<prefix>.ticks.<zone>`, `<prefix>.bids` …
    pub fn topic(&self, kind: TopicKind, zone: &str) -> String {
        topic(&self.prefix, kind, zone)
    }

    /// Sends one message and waits until the broker has it.
    pub async fn publish(&self, topic: &str, key: &str, payload: &[u8]) -> Result<Delivered, Error> {
        let (sender, receiver) = oneshot::channel();
        let queued = tokio::time::timeout(PUBLISH_PATIENCE, self.enqueue(topic, key, payload, Some(sender))).await;
        let refuse = |reason: String, transient| Error::Publish { topic: topic.to_owned(), reason, transient };
        queued.map_err(|_| refuse("the queue is full".to_owned(), true))??;
        match receiver.await {
            Ok(outcome) => outcome.map_err(|(reason, transient)| refuse(reason, transient)),
            Err(_) => Err(refuse("the producer was closed".to_owned(), true)),
        }
    }

    /// Hands one message over, once there is room. Whether it arrived is in [`Producer::stats`].
    pub async fn send(&self, topic: &str, key: &str, payload: &[u8]) -> Result<(), Error> {
        self.enqueue(topic, key, payload, None).await
    }

    async fn enqueue(&self, topic: &str, key: &str, payload: &[u8], waiter: Waiter) -> Result<(), Error> {
        let account = InFlight::open(&self.ledger, (payload.len() + key.len()) as i64);
        let mut waiter = Box::new(waiter);
        loop {
            let record = BaseRecord::with_opaque_to(topic, waiter).key(key).payload(payload);
            match self.inner.send(record) {
                Ok(()) => {
                    Ledger::count(&self.ledger.sent);
                    account.leave_to_delivery();
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                    Ledger::count(&self.ledger.queue_full);
                    waiter = record.delivery_opaque;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err((error, _)) => {
                    let transient = is_transient(&error);
                    return Err(Error::Publish { topic: topic.to_owned(), reason: error.to_string(), transient });
                }
            }
        }
    }

    /// Waits while the reader is too far behind.
    pub async fn wait_for_reader(&self) {
        let Some(lag) = &self.lag else { return };
        loop {
            if self.ledger.unread_bytes(lag) <= lag.max_unread_bytes {
                return;
            }
            Ledger::count(&self.ledger.lag_waits);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the reader has read everything handed over. Does nothing for a broker that keeps what it is given.
    pub async fn wait_until_read(&self) -> Result<(), Error> {
        let Some(lag) = &self.lag else { return Ok(()) };
        let failed = self.stats().failed;
        while self.ledger.unread_bytes(lag) > 0 {
            self.check(failed)?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Waits until everything handed over is acknowledged or given up, at most this long.
    pub async fn flush(&self, patience: Duration) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        let flushed = tokio::task::spawn_blocking(move || inner.flush(patience)).await;
        let reason = match flushed {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Err(Error::Publish { topic: format!("{}.*", self.prefix), reason: format!("flush: {reason}"), transient: true })
    }

    /// What became of the messages so far.
    pub fn stats(&self) -> Stats {
        self.ledger.stats()
    }

    /// An error if a message was given up since `failed` were.
    pub(crate) fn check(&self, failed: u64) -> Result<(), Error> {
        match self.ledger.failure_since(failed) {
            None => Ok(()),
            Some(reason) => Err(Error::Publish { topic: format!("{}.*", self.prefix), reason, transient: true }),
        }
    }
}

/// The topic of a kind, of a zone's ticks.
pub fn topic(prefix: &str, kind: TopicKind, zone: &str) -> String {
    match kind {
        TopicKind::Ticks => TopicKind::ticks_topic(prefix, zone),
        TopicKind::Bids => format!("{prefix}.bids"),
        TopicKind::Meters => format!("{prefix}.meters"),
        TopicKind::Rules => format!("{prefix}.rules"),
        TopicKind::Notices => format!("{prefix}.notices"),
    }
}
