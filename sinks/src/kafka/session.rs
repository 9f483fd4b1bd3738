//! What holds the producer: one session from the taking over to the first thing that cannot be mended. Blocks.
//!
//! ```text
//! init_transactions ─► newest marker ─► [ begin ─► messages ─► marker ─► commit ] ─► …
//!  fences an older       T's up to it        abort after a failure; a commit is asked for until it is known
//!  instance              are there already
//! ```
//!
//! A transaction that is open for longer than the broker allows is ended by the broker, and its producer is refused in
//! the same words as one whose place was taken. The first is recognised by its age: then the newest marker tells
//! whether somebody else has written. So it is asked after a fence, too: only one who has written since is a successor, and
//! then it is final. A zombie that wakes in the middle of `init_transactions` fences, writes nothing, and is fenced again.
//!
//! That cannot tell an older instance that took over late from a newer one. Where the log of bindings can (`guarded`), both
//! take over from each other until the log ends the older: each goes on after the newest marker, and both say the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::Batch;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::Instant;

use super::encode::{self, Message};
use super::marker::{self, Marker, Quiet};
use super::{Config, topics};
use crate::{Context, Error};

/// One call to the broker; longer matters are asked for again.
const SLICE: Duration = Duration::from_secs(5);
/// How long the broker lets a transaction be open. A dead instance's is ended by its successor, not by this.
const TRANSACTION: Duration = Duration::from_secs(600);

/// What the changelog is written with, from one run to the next.
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) context: Context,
    /// Tells this instance's markers from others'.
    pub(super) by: String,
    /// Nobody waits for an answer any more.
    pub(super) gone: Arc<AtomicBool>,
    session: Option<Session>,
    /// The newest marker that this instance knows of.
    last: Option<Marker>,
    fenced: bool,
}

struct Session {
    producer: FutureProducer<Quiet>,
    /// When the transaction was begun that is still open.
    open: Option<Instant>,
}

impl Desk {
    pub(super) fn new(config: Config, context: Context, by: String, gone: Arc<AtomicBool>) -> Self {
        Self { config, context, by, gone, session: None, last: None, fenced: false }
    }

    /// Writes what of a run is not there yet.
    pub(super) fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        if self.fenced {
            return Err(self.refused());
        }
        let result = self.attempt(batches);
        result.map_err(|error| self.failed(error))
    }

    fn attempt(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.open()?;
        let (Some(session), Some(last)) = (&mut self.session, &self.last) else {
            return Err(Error::Config("the changelog has no session".to_owned()));
        };
        let fresh: Vec<Arc<Batch>> = batches.iter().filter(|batch| batch.t > last.t).map(Arc::clone).collect();
        let Some(mut marker) = last.next(&fresh, &self.by) else { return Ok(()) };
        let messages = encode::messages(&self.context, &fresh)?;
        session.begin(&self.config, &self.gone)?;
        for (kind, partition, next) in session.send(&self.config, &messages, &self.gone)? {
            let reach = marker.offsets.entry(format!("{}/{partition}", kind.topic(&self.config.prefix))).or_default();
            *reach = next.max(*reach);
        }
        session.send(&self.config, &[marker.message()?], &self.gone)?;
        session.commit(&self.config, &self.gone)?;
        self.last = Some(marker);
        Ok(())
    }

    /// Takes the changelog over, unless that is done: from then on an older instance is refused.
    fn open(&mut self) -> Result<(), Error> {
        if self.session.is_some() {
            return Ok(());
        }
        if is_gone(&self.gone) {
            return Err(KafkaError::Canceled.into());
        }
        if self.is_succeeded()? {
            self.fenced = true;
            return Err(self.refused());
        }
        let producer = producer(&self.config)?;
        if self.config.transactions {
            producer.init_transactions(self.config.driver.write_timeout.0)?;
        }
        // Fence first, read then: read the other way round, the older instance could still write what we do not know of.
        let mut newest = marker::newest(&self.config)?.map(|placed| placed.marker).unwrap_or_default();
        if newest.t > 0 && newest.offsets.is_empty() {
            // Written by a version whose markers did not say how far they reach: as far as there is anything.
            newest.offsets = marker::ends(&self.config)?;
        }
        if self.last.is_none() && newest.t > 0 {
            tracing::info!(t = newest.t, "the changelog goes on: what came up to this T is there already");
        }
        self.session = Some(Session { producer, open: None });
        self.last = Some(newest);
        Ok(())
    }

    /// Leaves things such that the next attempt starts clean, and says what happened.
    fn failed(&mut self, error: Error) -> Error {
        let Some(session) = &mut self.session else { return error };
        let fatal = session.producer.client().fatal_error();
        if fatal.is_none() && !is_fenced(&error) {
            let Err(unended) = session.abort(&self.gone) else { return error };
            if !is_fenced(&unended) && session.producer.client().fatal_error().is_none() {
                // The broker is away: the next attempt begins with ending this one.
                return error;
            }
        }
        let fenced = is_fenced(&error) || session.producer.client().fatal_error().is_some_and(|(code, _)| fences(code));
        let age = session.open.map_or(Duration::ZERO, |since| since.elapsed());
        self.session = None;
        // An answer that fails is asked for again before the next taking over.
        if fenced && age < TRANSACTION && self.is_succeeded().unwrap_or(false) {
            self.fenced = true;
            return self.refused();
        }
        tracing::warn!(%error, fatal = ?fatal, "the changelog's producer is made anew");
        error
    }

    /// Whether somebody else has written since we did: then our coming back must not throw them out, and this is final. One
    /// that fenced us and has not may be an older instance, stopped in the middle of taking over and woken now: it finds its
    /// work done and ends, and must not have ended us. Where the log of bindings ends the older one nothing is final here.
    fn is_succeeded(&self) -> Result<bool, Error> {
        let Some(known) = self.last.as_ref().filter(|_| !self.config.guarded) else { return Ok(false) };
        let newest = marker::newest(&self.config)?.map(|placed| placed.marker);
        Ok(newest.is_some_and(|newest| newest.t > known.t && newest.by != self.by))
    }

    fn refused(&self) -> Error {
        Error::Fenced(format!("the changelog {:?}", transactional_id(&self.config)))
    }
}

impl Session {
    fn begin(&mut self, config: &Config, gone: &AtomicBool) -> Result<(), Error> {
        self.abort(gone)?;
        if config.transactions {
            self.producer.begin_transaction()?;
            self.open = Some(Instant::now());
        }
        Ok(())
    }

    /// Hands all messages over, then waits for each to arrive; yields the next offset of each partition written.
    /// librdkafka keeps their order within a partition.
    fn send(
        &self,
        config: &Config,
        messages: &[Message],
        gone: &AtomicBool,
    ) -> Result<Vec<(topics::Kind, i32, i64)>, Error> {
        let mut sent: Vec<(topics::Kind, DeliveryFuture)> = Vec::with_capacity(messages.len());
        for message in messages {
            sent.push((message.kind, self.hand_over(config, message, gone)?));
        }
        let mut reach = Vec::new();
        for (kind, delivery) in sent {
            let delivered =
                futures::executor::block_on(delivery).map_err(|_| KafkaError::Canceled)?.map_err(|(error, _)| error)?;
            reach.push((kind, delivered.partition, delivered.offset + 1));
        }
        Ok(reach)
    }

    fn hand_over(&self, config: &Config, message: &Message, gone: &AtomicBool) -> Result<DeliveryFuture, Error> {
        let topic = message.kind.topic(&config.prefix);
        let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
        for (key, value) in &message.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut record = FutureRecord::<str, [u8]>::to(&topic).key(&message.key).headers(headers);
        if let Some(value) = &message.value {
            record = record.payload(value);
        }
        if let Some(partition) = message.kind.partition() {
            record = record.partition(partition);
        }
        loop {
            match self.producer.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), same)) if !is_gone(gone) => {
                    // A run may be larger than the queue: wait until some of it has arrived.
                    record = same;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Asks until the outcome is known, or nobody wants to know.
    fn commit(&mut self, config: &Config, gone: &AtomicBool) -> Result<(), Error> {
        if config.transactions {
            until_known(gone, || self.producer.commit_transaction(SLICE))?;
        }
        self.open = None;
        Ok(())
    }

    /// Ends the transaction that is open, if one is.
    fn abort(&mut self, gone: &AtomicBool) -> Result<(), Error> {
        if self.open.is_some() {
            until_known(gone, || self.producer.abort_transaction(SLICE))?;
            self.open = None;
        }
        Ok(())
    }
}

fn until_known(gone: &AtomicBool, mut ask: impl FnMut() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    loop {
        match ask() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && !is_gone(gone) => {}
            known => return known,
        }
    }
}

fn is_gone(gone: &AtomicBool) -> bool {
    gone.load(Ordering::Acquire)
}

fn transactional_id(config: &Config) -> String {
    format!("{}.changelog", config.prefix)
}

pub(super) fn producer(config: &Config) -> Result<FutureProducer<Quiet>, Error> {
    let mut settings = topics::client(config);
    let patience = config.driver.write_timeout.millis().max(1_000);
    settings
        .set("enable.idempotence", "true")
        .set("compression.type", &config.compression)
        .set("linger.ms", "5")
        .set("delivery.timeout.ms", patience.to_string());
    if config.transactions {
        settings
            .set("transactional.id", transactional_id(config))
            .set("transaction.timeout.ms", TRANSACTION.as_millis().to_string());
    }
    settings.extend(config.properties.clone());
    Ok(settings.create_with_context(Quiet)?)
}

fn is_fenced(error: &Error) -> bool {
    match error {
        Error::Kafka(error) => error.rdkafka_error_code().is_some_and(fences),
        _ => false,
    }
}

fn fences(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    matches!(code, Fenced | InvalidProducerEpoch | ProducerFenced)
}
