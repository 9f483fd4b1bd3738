//! Discovery: finds our topics and partitions, now and while running, and tells each reader its share.
//!
//! It has a client and a thread of its own, so that a slow broker never holds up reading. Its success or failure
//! is what `/health` says about the connection.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use model::PartitionId;
use model::wire::TopicKind;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::{Assignment, Common};
use crate::Error;
use crate::config::Start;
use crate::source::{Layout, Partition};

const TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a failure; librdkafka backs off between its own attempts.
const RETRY: Duration = Duration::from_millis(250);

pub(super) struct Discovery {
    common: Arc<Common>,
    client: BaseConsumer,
    known: HashMap<PartitionId, Arc<Partition>>,
    /// The first successful look has been taken: what appears later is new.
    settled: bool,
}

impl Discovery {
    pub(super) fn connect(common: &Arc<Common>) -> Result<Self, Error> {
        let client = common.client("discovery").create().map_err(Error::kafka("set up kafka client"))?;
        Ok(Self { common: Arc::clone(common), client, known: HashMap::new(), settled: false })
    }

    /// Starts looking; `readers` are those of the workers of this process.
    pub(super) fn start(
        mut self,
        layout: Layout,
        readers: Vec<Sender<Vec<Assignment>>>,
    ) -> Result<JoinHandle<()>, Error> {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime with a timer needs no resources that could fail");
            while !self.common.stop.is_stopping() {
                let pause = self.look(&layout, &readers);
                runtime.block_on(async {
                    tokio::select! { () = self.common.stop.stopping() => {}, () = tokio::time::sleep(pause) => {} }
                });
            }
        };
        Ok(std::thread::Builder::new().name("optibid-discovery".to_owned()).spawn(run)?)
    }

    /// One look; returns the pause before the next.
    fn look(&mut self, layout: &Layout, readers: &[Sender<Vec<Assignment>>]) -> Duration {
        match self.find() {
            Ok(found) => {
                self.settled = true;
                if self.common.status.up(self.known.len() + found.len()) {
                    tracing::info!(broker = %self.common.section.bootstrap, "connected");
                }
                self.assign(found, layout, readers);
                if let Err(error) = self.measure() {
                    tracing::debug!(%error, "asking how far behind we are");
                }
                self.common.metrics.partitions.set(i64::try_from(self.known.len()).unwrap_or(i64::MAX));
                self.common.section.discovery_interval.0
            }
            Err(error) => {
                if self.common.status.down(&error.to_string()) {
                    tracing::warn!(broker = %self.common.section.bootstrap, %error, "broker does not answer: trying on");
                }
                RETRY
            }
        }
    }

    /// Partitions of ours that no reader has yet, with their start.
    fn find(&mut self) -> KafkaResult<Vec<Assignment>> {
        // Serves librdkafka's events; this client reads no records.
        let _ = self.client.poll(Duration::ZERO);
        let metadata = self.client.fetch_metadata(None, TIMEOUT)?;
        let mut found = Vec::new();
        for topic in metadata.topics() {
            let Some(kind) = TopicKind::of(&self.common.section.prefix, topic.name()) else { continue };
            for partition in topic.partitions() {
                let Some(partition) = self.register(topic.name(), partition.id(), kind) else { continue };
                let (low, high) = self.client.fetch_watermarks(&partition.topic, partition.partition, TIMEOUT)?;
                let latest = self.common.section.start == Start::Latest && !self.settled && kind != TopicKind::Rules;
                let known = self.common.start.get(&(Arc::clone(&partition.topic), partition.partition));
                let start = known.copied().unwrap_or(if latest { high } else { low });
                self.common.ends.begin(&partition, start, high);
                found.push(Assignment { partition, start });
            }
        }
        Ok(found)
    }

    /// Asks for the end of every partition in one go: how far behind are we? (A reader that waits for its worker
    /// does not serve librdkafka's statistics, so they would be silent just when they matter.)
    fn measure(&self) -> KafkaResult<()> {
        let mut ask = TopicPartitionList::with_capacity(self.known.len());
        for partition in self.known.values() {
            // -1 asks for the latest offset.
            ask.add_partition_offset(&partition.topic, partition.partition, Offset::End)?;
        }
        if ask.count() == 0 {
            return Ok(());
        }
        let mut lags: BTreeMap<String, i64> = BTreeMap::new();
        for element in self.client.offsets_for_times(ask, TIMEOUT)?.elements() {
            let Offset::Offset(end) = element.offset() else { continue };
            let Ok(id) = self.common.names.partition(element.topic(), element.partition()) else { continue };
            self.common.ends.set(id, end);
            let lag = (end - self.common.positions.of(id).unwrap_or(end)).max(0);
            *lags.entry(element.topic().to_owned()).or_default() += lag;
        }
        for (topic, lag) in lags {
            self.common.metrics.input_lag.with_label_values(&[&topic]).set(lag);
        }
        Ok(())
    }

    /// The partition, unless it is known already or cannot be told from another.
    fn register(&self, topic: &str, partition: i32, kind: TopicKind) -> Option<Arc<Partition>> {
        match self.common.names.partition(topic, partition) {
            Ok(id) if self.known.contains_key(&id) => None,
            Ok(id) => Some(Arc::new(Partition { topic: topic.into(), partition, id, kind })),
            Err(other) => {
                tracing::error!(
                    topic,
                    partition,
                    other,
                    "partition left out: its id collides with another's; rename the topic"
                );
                None
            }
        }
    }

    fn assign(&mut self, found: Vec<Assignment>, layout: &Layout, readers: &[Sender<Vec<Assignment>>]) {
        let mut shares: Vec<Vec<Assignment>> = vec![Vec::new(); readers.len()];
        for assignment in found {
            let partition = &assignment.partition;
            self.known.insert(partition.id, Arc::clone(partition));
            let worker = Partition::worker(&partition.topic, partition.partition, layout.peers);
            // Known, but another process reads it.
            let Some(share) = worker.checked_sub(layout.here.start).and_then(|here| shares.get_mut(here)) else {
                continue;
            };
            self.common.positions.set(partition, assignment.start);
            share.push(assignment);
        }
        for (reader, share) in readers.iter().zip(shares).filter(|(_, share)| !share.is_empty()) {
            tracing::info!(partitions = share.len(), first = %share[0].partition.topic, "partitions found");
            // A reader that is gone has been told to stop.
            let _ = reader.send(share);
        }
    }
}
