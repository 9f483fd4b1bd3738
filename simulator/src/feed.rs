//! Running a source into Kafka: a replay or a made-up market, at a speed, until it ends or is told to stop.
//!
//! Ticks go out as one JSON message each or, for high rates, as columnar messages of up to `columnar_rows` ticks of
//! one location; bids and meter readings always as JSON. Every [`CHECK_EVERY`] messages the feed looks whether to stop, whether a message was given up
//! (that ends the run with an error) and whether the reader keeps up.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use model::humane::Span;
use model::wire::{TopicKind, WireBid, WireTick, columnar};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::Error;
use crate::generator::Generator;
use crate::message::{Body, Message};
use crate::pace::{Schedule, Speed};
use crate::producer::Producer;
use crate::replay::{self, Replay};
use crate::totals::Totals;

/// Messages between two looks around.
const CHECK_EVERY: u64 = 64;
/// A replay is read up to here before it goes on: no partition gets further ahead of another than this, in time of
/// publication, so that the event clock never makes a slower partition's records look too old.
const MOST_APART_MS: i64 = 24 * 3_600_000;
/// How long the last messages may take.
const FLUSH_PATIENCE: Duration = Duration::from_secs(60);
/// How long they may take when told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// How to send.
#[derive(Clone, Debug)]
pub struct Options {
    /// How fast simulated time runs.
    pub speed: Speed,
    /// Ticks in one columnar message; 0 or 1: one JSON message a tick.
    pub columnar_rows: usize,
    /// How long a tick may wait for others of its message.
    pub columnar_linger: Span,
    /// The simulated time that is now, UTC ms: what lies before it is sent at once. The source's start when `None`.
    pub now_ms: Option<i64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { speed: Speed::Times(1.0), columnar_rows: 0, columnar_linger: Span::from_millis(20), now_ms: None }
    }
}

/// What a run sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Ticks, bids, meter readings and notices.
    pub records: u64,
    /// Bids among them.
    pub bids: u64,
    /// Kafka messages.
    pub messages: u64,
}

/// Sends every record of a replay, in order of publication. `stop` ends it early once it is true.
pub async fn replay(
    replay: Replay,
    producer: &Producer,
    options: &Options,
    stop: watch::Receiver<bool>,
) -> Result<Sent, Error> {
    let start_ms = replay.span_ms().map_or(0, |(first, _)| first);
    let mut feed = Feed::new(producer, options, options.now_ms.unwrap_or(start_ms), stop);
    let mut topics: HashMap<String, Arc<str>> = HashMap::new();
    let bids: Arc<str> = producer.topic(TopicKind::Bids, "").into();
    let meters: Arc<str> = producer.topic(TopicKind::Meters, "").into();
    let mut read_up_to_ms = start_ms;
    for record in replay {
        let record = record?;
        if record.published_ms - read_up_to_ms >= MOST_APART_MS {
            read_up_to_ms = record.published_ms;
            feed.caught_up().await?;
        }
        if !feed.is_due(record.published_ms).await? {
            break;
        }
        match record.body {
            replay::Body::Tick(tick) => {
                let topic = topics.entry(tick.market_zone.clone());
                let topic = topic.or_insert_with_key(|zone| Arc::from(producer.topic(TopicKind::Ticks, zone))).clone();
                let key = tick.location.as_deref().unwrap_or(&tick.market_zone).into();
                feed.tick(topic, key, tick).await?;
            }
            replay::Body::Bid(bid) => {
                let (topic, key) = (Arc::clone(&bids), bid.bid.as_str().into());
                feed.bid(topic, key, bid).await?;
            }
            replay::Body::Meter(meter) => {
                let (topic, key) = (Arc::clone(&meters), meter.asset.as_str().into());
                feed.other(topic, key, &meter.to_json()).await?;
            }
        }
    }
    feed.finish().await
}

/// Sends a made-up market: `records` of it, or until `stop` is true. Each message's truth goes to `truth` as a JSON line
/// before the message is sent.
pub async fn simulate(
    generator: &mut Generator,
    records: Option<u64>,
    producer: &Producer,
    options: &Options,
    mut truth: Option<&mut (dyn Write + Send)>,
    stop: watch::Receiver<bool>,
) -> Result<(Sent, Totals), Error> {
    let start_ms = options.now_ms.unwrap_or(generator.settings().start_ms);
    let mut feed = Feed::new(producer, options, start_ms, stop);
    let mut totals = Totals::default();
    let mut topics: HashMap<(TopicKind, Arc<str>), Arc<str>> = HashMap::new();
    while records.is_none_or(|records| feed.sent.records < records) {
        let message = generator.next_message();
        if !feed.is_due(message.at_ms).await? {
            break;
        }
        if let Some(log) = truth.as_mut() {
            write_truth(log, &message)?;
        }
        totals.add(&message);
        let topic = topics.entry((message.kind, Arc::clone(&message.zone)));
        let topic = topic.or_insert_with_key(|(kind, zone)| Arc::from(producer.topic(*kind, zone))).clone();
        match message.body {
            Body::Tick(tick) => feed.tick(topic, message.key, tick).await?,
            Body::Bid(bid) => feed.bid(topic, message.key, bid).await?,
            body => feed.other(topic, message.key, &body.encode()).await?,
        }
    }
    Ok((feed.finish().await?, totals))
}

fn write_truth(log: &mut (dyn Write + Send), message: &Message) -> Result<(), Error> {
    let refuse = |reason: String| Error::Settings(format!("write the truth log: {reason}"));
    let mut line = serde_json::to_vec(&message.truth_line()).map_err(|error| refuse(error.to_string()))?;
    line.push(b'\n');
    log.write_all(&line).map_err(|error| refuse(error.to_string()))
}

/// Ticks of one location on their way into one message.
#[derive(Debug)]
struct Batch {
    ticks: Vec<WireTick>,
    since: Instant,
}

#[derive(Debug)]
struct Feed<'a> {
    producer: &'a Producer,
    options: &'a Options,
    schedule: Schedule,
    stop: watch::Receiver<bool>,
    failed_before: u64,
    batches: HashMap<(Arc<str>, Arc<str>), Batch>,
    since_check: u64,
    sent: Sent,
}

impl<'a> Feed<'a> {
    fn new(producer: &'a Producer, options: &'a Options, start_ms: i64, stop: watch::Receiver<bool>) -> Self {
        Self {
            producer,
            options,
            schedule: Schedule::starting_at(start_ms, options.speed),
            stop,
            failed_before: producer.stats().failed,
            batches: HashMap::new(),
            since_check: 0,
            sent: Sent::default(),
        }
    }

    /// Waits until `at_ms`; false when the run is to stop.
    async fn is_due(&mut self, at_ms: i64) -> Result<bool, Error> {
        self.since_check += 1;
        if self.since_check >= CHECK_EVERY {
            self.look_around().await?;
        }
        while let Some(wait) = self.schedule.wait(at_ms) {
            self.look_around().await?;
            // In steps, so that half-full batches go out while nothing new is due.
            let step = if self.batches.is_empty() { wait } else { wait.min(self.options.columnar_linger.0) };
            tokio::select! {
                () = tokio::time::sleep(step) => {}
                () = stopped(&mut self.stop) => return Ok(false),
            }
        }
        Ok(!*self.stop.borrow())
    }

    /// Waits until the reader has all that was sent.
    async fn caught_up(&mut self) -> Result<(), Error> {
        self.send_old_batches(Duration::ZERO).await?;
        tokio::select! {
            read = self.producer.wait_until_read() => read,
            () = stopped(&mut self.stop) => Ok(()),
        }
    }

    async fn look_around(&mut self) -> Result<(), Error> {
        self.since_check = 0;
        self.producer.check(self.failed_before)?;
        self.send_old_batches(self.options.columnar_linger.0).await?;
        tokio::select! {
            () = self.producer.wait_for_reader() => {}
            () = stopped(&mut self.stop) => {}
        }
        // Sending at full speed never waits otherwise, and others share the runtime.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn tick(&mut self, topic: Arc<str>, key: Arc<str>, tick: WireTick) -> Result<(), Error> {
        self.sent.records += 1;
        if self.options.columnar_rows < 2 {
            return self.hand_over(&topic, &key, &tick.to_json()).await;
        }
        let place = (topic, key);
        let rows = self.options.columnar_rows;
        let batch = self.batches.entry(place.clone());
        let batch = batch.or_insert_with(|| Batch { ticks: Vec::with_capacity(rows), since: Instant::now() });
        batch.ticks.push(tick);
        if batch.ticks.len() >= rows { self.send_batch(&place).await } else { Ok(()) }
    }

    async fn bid(&mut self, topic: Arc<str>, key: Arc<str>, bid: WireBid) -> Result<(), Error> {
        self.sent.bids += 1;
        self.other(topic, key, &Body::Bid(bid).encode()).await
    }

    async fn other(&mut self, topic: Arc<str>, key: Arc<str>, payload: &[u8]) -> Result<(), Error> {
        let place = (topic, key);
        // What came before it must also be read before it.
        self.send_batch(&place).await?;
        self.sent.records += 1;
        self.hand_over(&place.0, &place.1, payload).await
    }

    async fn send_batch(&mut self, place: &(Arc<str>, Arc<str>)) -> Result<(), Error> {
        let Some(batch) = self.batches.remove(place) else { return Ok(()) };
        let payload = columnar::encode(&batch.ticks).map_err(|error| Error::Encode(error.to_string()))?;
        self.hand_over(&place.0, &place.1, &payload).await
    }

    /// Hands a message over; gives up waiting for room in the queue when told to stop.
    async fn hand_over(&mut self, topic: &str, key: &str, payload: &[u8]) -> Result<(), Error> {
        tokio::select! {
            result = self.producer.send(topic, key, payload) => {
                self.sent.messages += 1;
                result
            }
            () = stopped(&mut self.stop) => Ok(()),
        }
    }

    async fn send_old_batches(&mut self, linger: Duration) -> Result<(), Error> {
        let old = |batch: &Batch| batch.since.elapsed() >= linger;
        let old: Vec<_> = self.batches.iter().filter(|(_, batch)| old(batch)).map(|(place, _)| place.clone()).collect();
        for place in old {
            self.send_batch(&place).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Sent, Error> {
        let places: Vec<_> = self.batches.keys().cloned().collect();
        for place in places {
            self.send_batch(&place).await?;
        }
        let patience = if *self.stop.borrow() { STOP_PATIENCE } else { FLUSH_PATIENCE };
        self.producer.flush(patience).await?;
        self.producer.check(self.failed_before)?;
        Ok(self.sent)
    }
}

/// Resolves when told to stop; never, when nobody is left who could.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
