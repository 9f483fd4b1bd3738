//! Messages to Kafka: one librdkafka producer, every delivery accounted for.
//!
//! [`Producer::publish`] waits for the broker's acknowledgement (the HTTP endpoints); [`Producer::send`] only for room
//! in the queue (streams). A full queue is waited out, a message the broker refuses is counted and told: by the
//! caller's error in `publish`, by [`Stats::failed`] and [`Stats::last_error`] in streams. Keys decide the partition,
//! so that everything about a location stays in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::humane::Span;
use model::wire::TopicKind;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::pace::Lag;

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

/// Where a message ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// What became of the messages so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Handed to librdkafka.
    pub sent: u64,
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// Given up.
    pub failed: u64,
    /// Bytes handed over and neither acknowledged nor given up.
    pub in_flight_bytes: u64,
    /// Times that a full queue was waited out.
    pub queue_full: u64,
    /// Times that the reader's lag was waited out.
    pub lag_waits: u64,
    /// Why the last message was given up.
    pub last_error: Option<String>,
}

type Outcome = Result<Delivered, (String, bool)>;
type Waiter = Option<oneshot::Sender<Outcome>>;

/// What the delivery reports add up to.
#[derive(Debug, Default)]
struct Ledger {
    sent: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    in_flight_bytes: AtomicI64,
    queue_full: AtomicU64,
    lag_waits: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// Topic → partition → what it holds. Bounded by the number of partitions.
    partitions: Mutex<HashMap<String, HashMap<i32, Written>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Written {
    next_offset: i64,
    messages: u64,
    bytes: u64,
}

/// A lock whose holder panicked is still usable here: every update is a single assignment.
fn locked<X>(mutex: &Mutex<X>) -> MutexGuard<'_, X> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Receives delivery reports on librdkafka's polling thread.
#[derive(Debug)]
struct Deliveries(Arc<Ledger>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Waiter>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiter: Box<Waiter>) {
        let message = match result {
            Ok(message) | Err((_, message)) => message,
        };
        let bytes = message.payload_len() as u64 + message.key_len() as u64;
        self.0.in_flight_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
        let outcome = match result {
            Ok(message) => {
                self.0.delivered.fetch_add(1, Ordering::Relaxed);
                self.0.note(message.topic(), message.partition(), message.offset(), bytes);
                Ok(Delivered { partition: message.partition(), offset: message.offset() })
            }
            Err((error, _)) => {
                self.0.failed.fetch_add(1, Ordering::Relaxed);
                *locked(&self.0.last_error) = Some(format!("{}: {error}", message.topic()));
                Err((error.to_string(), is_transient(error)))
            }
        };
        if let Some(waiter) = *waiter {
            // A caller that no longer waits does not need to know.
            let _ = waiter.send(outcome);
        }
    }
}

impl Ledger {
    fn note(&self, topic: &str, partition: i32, offset: i64, bytes: u64) {
        let mut topics = locked(&self.partitions);
        if !topics.contains_key(topic) {
            topics.insert(topic.to_owned(), HashMap::new());
        }
        if let Some(written) = topics.get_mut(topic).map(|partitions| partitions.entry(partition).or_default()) {
            written.next_offset = written.next_offset.max(offset + 1);
            written.messages += 1;
            written.bytes += bytes;
        }
    }

    /// The most bytes that any partition holds unread, by the mean size of its messages.
    fn worst_unread_bytes(&self, lag: &Lag) -> u64 {
        let topics = locked(&self.partitions);
        let partitions =
            topics.iter().flat_map(|(topic, parts)| parts.iter().map(move |(id, written)| (topic, id, written)));
        let unread = |(topic, partition, written): (&String, &i32, &Written)| {
            let consumed = (lag.consumed)(topic, *partition).max(0);
            let messages = written.next_offset.saturating_sub(consumed).max(0) as u64;
            messages.saturating_mul(written.bytes) / written.messages.max(1)
        };
        partitions.map(unread).max().unwrap_or(0)
    }
}

fn is_transient(error: &KafkaError) -> bool {
    let Some(code) = error.rdkafka_error_code() else { return false };
    !matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::UnknownTopic
    )
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
                    self.ledger.sent.fetch_add(1, Ordering::Relaxed);
                    account.leave_to_delivery();
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                    self.ledger.queue_full.fetch_add(1, Ordering::Relaxed);
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
            // All of what is in flight may be for the fullest partition.
            let in_flight = self.ledger.in_flight_bytes.load(Ordering::Relaxed).max(0) as u64;
            if in_flight + self.ledger.worst_unread_bytes(lag) <= lag.max_unread_bytes {
                return;
            }
            self.ledger.lag_waits.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
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
        let ledger = &self.ledger;
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Stats {
            sent: count(&ledger.sent),
            delivered: count(&ledger.delivered),
            failed: count(&ledger.failed),
            in_flight_bytes: ledger.in_flight_bytes.load(Ordering::Relaxed).max(0) as u64,
            queue_full: count(&ledger.queue_full),
            lag_waits: count(&ledger.lag_waits),
            last_error: locked(&ledger.last_error).clone(),
        }
    }

    /// An error if a message was given up since `failed` were.
    pub(crate) fn check(&self, failed: u64) -> Result<(), Error> {
        if self.ledger.failed.load(Ordering::Relaxed) <= failed {
            return Ok(());
        }
        let reason = locked(&self.ledger.last_error).clone().unwrap_or_default();
        Err(Error::Publish { topic: format!("{}.*", self.prefix), reason, transient: true })
    }
}

/// Bytes on the account of what is in flight: taken off again unless the delivery report will do so.
struct InFlight<'a> {
    ledger: &'a Ledger,
    bytes: i64,
}

impl<'a> InFlight<'a> {
    fn open(ledger: &'a Ledger, bytes: i64) -> Self {
        ledger.in_flight_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { ledger, bytes }
    }

    fn leave_to_delivery(mut self) {
        self.bytes = 0;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.ledger.in_flight_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The topic of a kind, of a zone's ticks.
pub fn topic(prefix: &str, kind: TopicKind, zone: &str) -> String {
    match kind {
        TopicKind::Ticks => TopicKind::ticks_topic(prefix, zone),
        TopicKind::Bids => format!("{prefix}.bids"),
        TopicKind::Rules => format!("{prefix}.rules"),
        TopicKind::Notices => format!("{prefix}.notices"),
    }
}
