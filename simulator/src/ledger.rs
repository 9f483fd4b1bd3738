//! The producer's account: what was handed over, acknowledged, given up, and how much of it nobody has read yet.
//!
//! Delivery reports arrive on librdkafka's polling thread; everything here is counters and one short-held map.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;
use tokio::sync::oneshot;

use crate::pace::Lag;

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

pub(crate) type Outcome = Result<Delivered, (String, bool)>;
pub(crate) type Waiter = Option<oneshot::Sender<Outcome>>;

/// What the delivery reports add up to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) sent: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    in_flight_bytes: AtomicI64,
    pub(crate) queue_full: AtomicU64,
    pub(crate) lag_waits: AtomicU64,
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
pub(crate) struct Deliveries(pub(crate) Arc<Ledger>);

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
                Ledger::count(&self.0.delivered);
                self.0.note(message.topic(), message.partition(), message.offset(), bytes);
                Ok(Delivered { partition: message.partition(), offset: message.offset() })
            }
            Err((error, _)) => {
                Ledger::count(&self.0.failed);
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
    pub(crate) fn count(number: &AtomicU64) {
        number.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Stats {
            sent: read(&self.sent),
            delivered: read(&self.delivered),
            failed: read(&self.failed),
            in_flight_bytes: self.in_flight_bytes.load(Ordering::Relaxed).max(0) as u64,
            queue_full: read(&self.queue_full),
            lag_waits: read(&self.lag_waits),
            last_error: locked(&self.last_error).clone(),
        }
    }

    /// Why the last message was given up, if one was since `failed` were.
    pub(crate) fn failure_since(&self, failed: u64) -> Option<String> {
        let has_failed = self.failed.load(Ordering::Relaxed) > failed;
        has_failed.then(|| locked(&self.last_error).clone().unwrap_or_default())
    }

    /// The most bytes that a partition can hold unread: all of what is in flight may be for the fullest one.
    pub(crate) fn unread_bytes(&self, lag: &Lag) -> u64 {
        let in_flight = self.in_flight_bytes.load(Ordering::Relaxed).max(0) as u64;
        in_flight + self.worst_unread_bytes(lag)
    }

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

/// Whether the same message may go through later.
pub(crate) fn is_transient(error: &KafkaError) -> bool {
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

/// Bytes on the account of what is in flight: taken off again unless the delivery report will do so.
pub(crate) struct InFlight<'a> {
    ledger: &'a Ledger,
    bytes: i64,
}

impl<'a> InFlight<'a> {
    pub(crate) fn open(ledger: &'a Ledger, bytes: i64) -> Self {
        ledger.in_flight_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { ledger, bytes }
    }

    pub(crate) fn leave_to_delivery(mut self) {
        self.bytes = 0;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.ledger.in_flight_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
