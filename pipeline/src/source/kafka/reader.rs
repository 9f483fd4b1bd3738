//! A reader: one librdkafka consumer on a thread of its own, for one worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::gap::{Step, judge};
use super::{Assignment, Common};
use crate::Error;
use crate::clock::now;
use crate::source::{Chunk, Partition};
use crate::status::Loss;
use crate::wake::Bell;

/// How long a reader sleeps in one go: the longest it takes to notice a new partition or the end.
const POLL: Duration = Duration::from_millis(50);
/// Records in one round, at most.
const ROUND: usize = 16_384;
const TIMEOUT: Duration = Duration::from_secs(2);

/// What librdkafka tells between records.
struct Context;

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        // Down or not is discovery's to say: librdkafka reports every lost connection, and reconnects.
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Context {}

struct Lane {
    partition: Arc<Partition>,
    expected: i64,
}

pub(super) struct Reader {
    common: Arc<Common>,
    consumer: BaseConsumer<Context>,
    assigned: Receiver<Vec<Assignment>>,
    chunks: Sender<Chunk>,
    bell: Arc<Bell>,
    lanes: Vec<Lane>,
    by_name: HashMap<Arc<str>, HashMap<i32, usize>>,
    /// The lane of the record before: runs of one partition are long.
    last: usize,
    /// Since when the broker has refused an offset as too old.
    refused: Option<Instant>,
    /// Everything fetched so far has been handed over.
    drained: bool,
}

/// The worker or the program is gone.
struct Gone;

impl Reader {
    pub(super) fn start(
        common: &Arc<Common>,
        worker: usize,
        assigned: Receiver<Vec<Assignment>>,
        chunks: Sender<Chunk>,
        bell: Arc<Bell>,
    ) -> Result<JoinHandle<()>, Error> {
        let client = common.client(&format!("reader-{worker}"));
        let consumer = client.create_with_context(Context).map_err(Error::kafka("set up kafka consumer"))?;
        let common = Arc::clone(common);
        let mut reader = Self {
            common,
            consumer,
            assigned,
            chunks,
            bell,
            lanes: Vec::new(),
            by_name: HashMap::new(),
            last: 0,
            refused: None,
            drained: false,
        };
        let run = move || {
            while !reader.common.stop.is_stopping() {
                reader.take_assignments();
                reader.catch_up();
                if reader.round().is_err() {
                    break;
                }
            }
            let bell = Arc::clone(&reader.bell);
            drop(reader);
            bell.ring();
        };
        Ok(std::thread::Builder::new().name(format!("optibid-reader-{worker}")).spawn(run)?)
    }

    fn take_assignments(&mut self) {
        while let Ok(share) = self.assigned.try_recv() {
            let mut list = TopicPartitionList::with_capacity(share.len());
            for Assignment { partition, start } in share {
                let added = list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(start));
                if let Err(error) = added {
                    tracing::error!(topic = %partition.topic, partition = partition.partition, %error, "cannot be read");
                    continue;
                }
                let lanes = self.by_name.entry(Arc::clone(&partition.topic)).or_default();
                lanes.insert(partition.partition, self.lanes.len());
                self.lanes.push(Lane { partition, expected: start });
            }
            if let Err(error) = self.consumer.incremental_assign(&list) {
                tracing::error!(%error, "partitions cannot be assigned: they are not read");
            }
        }
    }

    /// Waits for records and hands over all that are there, in chunks.
    fn round(&mut self) -> Result<(), Gone> {
        let mut chunk: Option<Chunk> = None;
        let mut wait = POLL;
        // A round ends now and then even under full load, so that new partitions and the end are noticed.
        for _ in 0..ROUND {
            let message = self.consumer.poll(wait);
            self.drained = message.is_none();
            let Some(message) = message else { break };
            wait = Duration::ZERO;
            let message = match message {
                Ok(message) => message,
                Err(error) => {
                    self.trouble(&error);
                    continue;
                }
            };
            let Some(lane) = lane_of(&self.by_name, &self.lanes, self.last, &message) else { continue };
            self.last = lane;
            let lane = &mut self.lanes[lane];
            let bytes = message.payload().unwrap_or_default();
            if let Some(full) = chunk.take_if(|c| c.partition.id != lane.partition.id || c.is_full_for(bytes.len())) {
                hand_over(&self.common, &self.chunks, &self.bell, full)?;
            }
            check(&self.common, lane, message.offset());
            let chunk = chunk.get_or_insert_with(|| Chunk::new(Arc::clone(&lane.partition)));
            chunk.push(message.offset(), message.timestamp().to_millis().unwrap_or(0), bytes);
        }
        match chunk {
            Some(last) => hand_over(&self.common, &self.chunks, &self.bell, last),
            None => Ok(()),
        }
    }

    fn trouble(&mut self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                self.refused.get_or_insert_with(now);
            }
            // Discovery tells the world, once; librdkafka connects again.
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
                tracing::debug!(%error, "reading from kafka");
            }
            _ => tracing::warn!(%error, "reading from kafka: librdkafka tries on"),
        }
    }

    /// After a refusal: goes on at the oldest record left, wherever the next one is gone.
    ///
    /// Which partition was refused is not told, so all are looked at; it is rare. What has been fetched is handed
    /// over first, because to assign a partition anew throws it away.
    fn catch_up(&mut self) {
        if !self.refused.is_some_and(|since| self.drained || since.elapsed() > TIMEOUT) {
            return;
        }
        let done = (0..self.lanes.len()).try_for_each(|lane| self.catch_up_lane(lane));
        match done {
            Ok(()) => self.refused = None,
            Err(error) => tracing::warn!(%error, "asking for the oldest records left: trying on"),
        }
    }

    fn catch_up_lane(&mut self, lane: usize) -> KafkaResult<()> {
        let lane = &mut self.lanes[lane];
        let Partition { topic, partition, .. } = &*lane.partition;
        let (low, high) = self.consumer.fetch_watermarks(topic, *partition, TIMEOUT)?;
        if (low..=high).contains(&lane.expected) {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, *partition, Offset::Offset(low))?;
        // A seek is refused in this state.
        self.consumer.incremental_unassign(&list)?;
        self.consumer.incremental_assign(&list)?;
        if lane.expected < low {
            lost(&self.common, &lane.partition, lane.expected, low);
        } else {
            back(&lane.partition, lane.expected, low);
        }
        lane.expected = low;
        Ok(())
    }
}

fn lane_of(
    by_name: &HashMap<Arc<str>, HashMap<i32, usize>>,
    lanes: &[Lane],
    last: usize,
    message: &BorrowedMessage<'_>,
) -> Option<usize> {
    let same =
        |lane: &Lane| lane.partition.partition == message.partition() && *lane.partition.topic == *message.topic();
    if lanes.get(last).is_some_and(same) {
        return Some(last);
    }
    by_name.get(message.topic())?.get(&message.partition()).copied()
}

/// Compares an offset with the one expected, and reports what is missing.
fn check(common: &Common, lane: &mut Lane, offset: i64) {
    match judge(&lane.partition, common.strict, lane.expected, offset) {
        Step::Next => {}
        Step::Lost(_) => lost(common, &lane.partition, lane.expected, offset),
        Step::Skipped(offsets) => common.metrics.skipped.with_label_values(&[&lane.partition.topic]).inc_by(offsets),
        Step::Back => back(&lane.partition, lane.expected, offset),
    }
    lane.expected = offset + 1;
}

fn lost(common: &Common, partition: &Partition, from: i64, to: i64) {
    let loss = Loss { topic: Arc::clone(&partition.topic), partition: partition.partition, from, to };
    tracing::error!(
        topic = %loss.topic, partition = loss.partition, from, to, records = loss.records(),
        "records lost: the broker dropped them before they were read"
    );
    common.metrics.lost.with_label_values(&[&loss.topic]).inc_by(loss.records());
    common.status.lost(loss);
}

fn back(partition: &Partition, expected: i64, offset: i64) {
    tracing::error!(
        topic = %partition.topic, partition = partition.partition, expected, offset,
        "the partition goes back: was its topic made anew?"
    );
}

/// Hands a chunk to the worker; waits while it has enough, without losing sight of the end.
fn hand_over(common: &Common, chunks: &Sender<Chunk>, bell: &Bell, mut chunk: Chunk) -> Result<(), Gone> {
    loop {
        match chunks.send_timeout(chunk, POLL) {
            Ok(()) => {
                bell.ring();
                return Ok(());
            }
            Err(SendTimeoutError::Timeout(_)) if common.stop.is_stopping() => return Err(Gone),
            Err(SendTimeoutError::Timeout(back)) => chunk = back,
            Err(SendTimeoutError::Disconnected(_)) => return Err(Gone),
        }
    }
}
