//! The marker: what says that a run is whole, how far each partition reaches, and what all runs so far add up to.
//!
//! `{"t":T,"first_t":T,"batches":n,"rows":n,"counts":{…},"offsets":{"p.changelog.bars/0":17},"by":"…"}` under the key
//! `moment`. A reader that has read every partition up to its offset in `offsets` (that of the next message) has
//! everything up to T, and of what came after nothing is whole yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::batch::Counts;
use model::{Batch, T};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::topics::{self, Kind};
use super::{Config, encode};
use crate::Error;

/// How long the broker may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many offsets before the end the newest marker is looked for first: with transactions every second is a marker.
const TAIL: i64 = 32;

/// One marker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// Last T of the run.
    pub(super) t: T,
    /// First T of the run.
    pub(super) first_t: T,
    /// Moments in the run.
    pub(super) batches: usize,
    /// Rows in the run.
    pub(super) rows: usize,
    /// Tick records accounted for since the changelog began.
    #[serde(default)]
    pub(super) counts: Counts,
    /// By `topic/partition`: the offset after the last message of any run so far.
    #[serde(default)]
    pub(super) offsets: BTreeMap<String, i64>,
    /// The instance that wrote it.
    #[serde(default)]
    pub(super) by: String,
}

impl Marker {
    /// The marker of the run that follows this one's; offsets are those known before it. `None` for no batch.
    pub(super) fn next(&self, batches: &[Arc<Batch>], by: &str) -> Option<Self> {
        let (first, last) = (batches.first()?, batches.last()?);
        let mut counts = self.counts;
        batches.iter().for_each(|batch| counts.add(&batch.counts));
        Some(Self {
            t: last.t,
            first_t: first.t,
            batches: batches.len(),
            rows: batches.iter().map(|batch| batch.rows()).sum(),
            counts,
            offsets: self.offsets.clone(),
            by: by.to_owned(),
        })
    }

    /// As a message.
    pub(super) fn message(&self) -> Result<encode::Message, Error> {
        Ok(encode::Message {
            kind: Kind::Moments,
            key: "moment".to_owned(),
            value: Some(serde_json::to_vec(self)?),
            headers: vec![("t", self.t.to_string())],
        })
    }
}

/// A marker with its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) marker: Marker,
    /// Its offset in partition 0 of the topic.
    pub(super) offset: i64,
    /// When it was written, by the broker's account; UTC ms.
    pub(super) written_ms: Option<i64>,
}

impl Placed {
    /// Reads a message of the topic.
    pub(super) fn read(message: &impl rdkafka::Message) -> Result<Self, Error> {
        let marker = serde_json::from_slice(message.payload().unwrap_or_default()).map_err(|error| {
            Error::Schema(format!("marker at offset {} of {}: {error}", message.offset(), message.topic()))
        })?;
        Ok(Self { marker, offset: message.offset(), written_ms: message.timestamp().to_millis() })
    }
}

/// The newest marker that is committed; `None` where nothing has been written yet. Blocks.
pub(super) fn newest(config: &Config) -> Result<Option<Placed>, Error> {
    let consumer = reader(config)?;
    let topic = Kind::Moments.topic(&config.prefix);
    // Asked for the ends of a topic that is not there librdkafka would wait for it.
    let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE)?;
    if metadata.topics().iter().all(|found| found.partitions().is_empty()) {
        return Ok(None);
    }
    let (low, high) = ends_of(&consumer, &topic)?;
    let mut tail = TAIL;
    loop {
        let from = (high - tail).max(low);
        let newest = last_from(&consumer, &topic, from)?;
        if newest.is_some() || from <= low {
            return Ok(newest);
        }
        tail = tail.saturating_mul(64);
    }
}

/// First and next offset of the topic's only partition. One that was made a moment ago may have no leader yet.
fn ends_of(consumer: &BaseConsumer<Quiet>, topic: &str) -> Result<(i64, i64), Error> {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownPartition, UnknownTopicOrPartition};
    let settles = [LeaderNotAvailable, NotLeaderForPartition, UnknownPartition, UnknownTopicOrPartition];
    let deadline = Instant::now() + PATIENCE;
    loop {
        match consumer.fetch_watermarks(topic, 0, PATIENCE) {
            Err(error)
                if error.rdkafka_error_code().is_some_and(|code| settles.contains(&code))
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(100));
            }
            known => return Ok(known?),
        }
    }
}

/// The last marker at `from` or after.
fn last_from(consumer: &BaseConsumer<Quiet>, topic: &str, from: i64) -> Result<Option<Placed>, Error> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(from))?;
    consumer.assign(&list)?;
    let mut newest = None;
    loop {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => newest = Some(Placed::read(&message)?),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(newest),
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Error::Timeout(PATIENCE)),
        }
    }
}

/// The end of every partition of the changelog that there is. Blocks.
pub(super) fn ends(config: &Config) -> Result<BTreeMap<String, i64>, Error> {
    let consumer = reader(config)?;
    let wanted: Vec<String> = Kind::all().map(|kind| kind.topic(&config.prefix)).collect();
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let mut ends = BTreeMap::new();
    for topic in metadata.topics().iter().filter(|topic| wanted.iter().any(|name| name == topic.name())) {
        for partition in topic.partitions() {
            let (_, high) = consumer.fetch_watermarks(topic.name(), partition.id(), PATIENCE)?;
            if high > 0 {
                ends.insert(format!("{}/{}", topic.name(), partition.id()), high);
            }
        }
    }
    Ok(ends)
}

/// A consumer of committed messages, without a group.
pub(super) fn reader(config: &Config) -> Result<BaseConsumer<Quiet>, Error> {
    let mut settings: ClientConfig = topics::client(config);
    settings
        .set("client.id", "optibid-changelog-reader")
        .set("group.id", format!("{}-changelog", config.prefix))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        // So soon the end of a partition is told.
        .set("fetch.wait.max.ms", "100");
    Ok(settings.create_with_context(Quiet)?)
}

/// What goes wrong shows where it is asked for: librdkafka need not log it, too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Quiet {}
