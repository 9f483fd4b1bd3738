//! Kafka as a source: every partition of our topics, assigned by hand, never committed.
//!
//! ```text
//! discovery (one thread): metadata, start offsets ─► reader of worker w (one thread each) ─► channel ─► Source
//! ```
//!
//! * Topics and partitions that appear while running are read from their beginning.
//! * Each reader stops reading while its channel is full; librdkafka then stops fetching (`queued.max…`).
//! * An offset that is not the next one is a gap. On the embedded broker every gap is a loss. A real broker skips
//!   offsets for good reasons (transaction markers, aborted transactions, compaction), so there a gap is only
//!   counted, and a loss is what retention removed before we read it: the broker then refuses our offset
//!   (`auto.offset.reset=error`), and the reader goes on at the oldest record left.
//! * Connections are librdkafka's to restore, with its own backoff; discovery shows how that goes.

mod discovery;
mod gap;
mod reader;
mod share;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use model::Names;
use model::wire::TopicKind;
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{Connector, Layout, Source};
use crate::Error;
use crate::config;
use crate::metrics::Metrics;
use crate::recovery;
use crate::shutdown::Shutdown;
use crate::status::{Positions, SourceStatus, TopicPartition};
use crate::wake::Bell;
use discovery::Discovery;
use reader::Reader;
use share::{Ends, Share};

/// A partition to be read from now on.
#[derive(Clone, Debug)]
struct Assignment {
    partition: Arc<super::Partition>,
    /// First offset to read.
    start: i64,
}

/// Everything that readers and discovery share.
struct Common {
    section: config::Kafka,
    /// Every gap is a loss.
    strict: bool,
    names: Arc<Names>,
    status: Arc<SourceStatus>,
    metrics: Metrics,
    positions: Arc<Positions>,
    /// The broker's ends of partitions, as far as known.
    ends: Ends,
    /// Where reading of known partitions begins.
    start: BTreeMap<TopicPartition, i64>,
    stop: Shutdown,
}

impl Common {
    fn client(&self, role: &str) -> ClientConfig {
        client(&self.section, role)
    }
}

/// Client configuration: ours, then whatever the user sets, then what must not be changed.
fn client(section: &config::Kafka, role: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &section.bootstrap)
        .set("client.id", format!("optibid-{role}"))
        .set("group.id", format!("{}-pipeline", section.prefix))
        .set("isolation.level", "read_committed")
        // Latency: answer at once, and wait little where there is nothing.
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.error.backoff.ms", "50")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "2000")
        .set("queued.min.messages", "50000")
        .set("queued.max.messages.kbytes", "16384")
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("socket.nagle.disable", "true")
        .set("log_level", "4");
    for (key, value) in &section.options.0 {
        client.set(key, value);
    }
    // Offsets are bound to T, never committed; retention gaps must show as errors; nobody polls on a schedule.
    client
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("max.poll.interval.ms", "86400000");
    client
}

/// The connector: threads are started by `start` and `open`, and end with `close`.
pub struct Kafka {
    common: Arc<Common>,
    assignments: Mutex<Vec<Sender<Vec<Assignment>>>>,
    discovery: Mutex<Option<Discovery>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Kafka {
    /// Prepares reading from the broker of `section`. The broker need not be there yet.
    pub fn start(
        section: &config::Kafka,
        strict: bool,
        names: &Arc<Names>,
        status: &Arc<SourceStatus>,
        metrics: &Metrics,
        positions: &Arc<Positions>,
        start: &BTreeMap<TopicPartition, i64>,
    ) -> Result<Self, Error> {
        let common = Arc::new(Common {
            section: section.clone(),
            strict,
            names: Arc::clone(names),
            status: Arc::clone(status),
            metrics: metrics.clone(),
            positions: Arc::clone(positions),
            ends: Ends::default(),
            start: start.clone(),
            stop: Shutdown::new(),
        });
        let discovery = Discovery::connect(&common)?;
        Ok(Self {
            common,
            assignments: Mutex::default(),
            discovery: Mutex::new(Some(discovery)),
            threads: Mutex::default(),
        })
    }
}

/// Asks the broker once, waiting at most ten seconds. Returns how many topics there are to read.
pub fn check(section: &config::Kafka) -> Result<usize, Error> {
    let client: BaseConsumer = client(section, "check").create().map_err(Error::kafka("check the broker"))?;
    let metadata = client.fetch_metadata(None, Duration::from_secs(10)).map_err(Error::kafka("check the broker"))?;
    Ok(metadata.topics().iter().filter(|topic| TopicKind::of(&section.prefix, topic.name()).is_some()).count())
}

/// Whether the broker still has every record from `start` up to `reach`. Waits for a broker that does not answer.
pub(crate) fn verify(
    section: &config::Kafka,
    start: &BTreeMap<TopicPartition, i64>,
    reach: &BTreeMap<TopicPartition, i64>,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    if reach.is_empty() {
        return Ok(());
    }
    let client: BaseConsumer = client(section, "verify").create().map_err(Error::kafka("set up kafka client"))?;
    let mut told = false;
    for (partition, reach) in reach {
        let found = loop {
            use rdkafka::types::RDKafkaErrorCode::{UnknownPartition, UnknownTopicOrPartition};
            match client.fetch_watermarks(&partition.0, partition.1, Duration::from_secs(5)) {
                Ok(found) => break Some(found),
                Err(error) => match error.rdkafka_error_code() {
                    Some(UnknownPartition | UnknownTopicOrPartition) => break None,
                    _ if shutdown.is_stopping() => return Err(Error::kafka("look at the topics")(error)),
                    _ if !told => {
                        told = true;
                        tracing::warn!(%error, "looking at the topics: trying on");
                    }
                    _ => std::thread::sleep(Duration::from_millis(100)),
                },
            }
        };
        recovery::judge(partition, start.get(partition).copied().unwrap_or(0), *reach, found)?;
    }
    Ok(())
}

impl Connector for Kafka {
    fn open(&self, worker: usize, layout: &Layout, bell: Arc<Bell>) -> Result<Box<dyn Source>, Error> {
        let (assign, assigned): (Sender<Vec<Assignment>>, Receiver<_>) = crossbeam_channel::unbounded();
        let (chunks, inbox) = crossbeam_channel::bounded(self.common.section.queue_chunks.max(1));
        let reader = Reader::start(&self.common, worker, assigned, chunks, bell)?;
        self.threads.lock().push(reader);
        let mut assignments = self.assignments.lock();
        assignments.push(assign);
        if assignments.len() == layout.here.len() {
            // Every reader is there: let discovery tell them what to read.
            if let Some(discovery) = self.discovery.lock().take() {
                let discovery = discovery.start(layout.clone(), std::mem::take(&mut *assignments))?;
                self.threads.lock().push(discovery);
            }
        }
        Ok(Box::new(Share::new(inbox, self.common.ends.clone(), worker, layout.peers)))
    }

    fn close(&self) {
        self.common.stop.stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that read from kafka died");
            }
        }
    }
}
