//! Records in memory as a source: for tests, benches and back-tests of recorded data.
//!
//! A log of partitions like a broker's, without the broker: `append` while it runs, `finish` to end it. Each
//! worker reads its share; what is in the log is `Surely` there, so that with the event clock the T's, and
//! with them the batches, do not depend on the number of workers. Several pipelines may read it at once, each from
//! where it was told to; it may go away for a while, as brokers do, and hand out records in chunks of any size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::wire::TopicKind;
use model::{Names, PartitionId};
use parking_lot::Mutex;

use super::{Behind, CHUNK_RECORDS, Chunk, Connector, Layout, Next, Partition, Source};
use crate::status::TopicPartition;
use crate::wake::Bell;
use crate::{Error, recovery};

/// A shared log. Cheap to clone.
#[derive(Clone)]
pub struct Replay {
    prefix: Arc<str>,
    names: Arc<Names>,
    log: Arc<Mutex<Log>>,
    start: BTreeMap<PartitionId, usize>,
    /// Records handed over at once, at most.
    chunk: usize,
    /// The pipeline that reads through this clone.
    reader: Arc<Reader>,
}

#[derive(Default)]
struct Log {
    partitions: BTreeMap<(Arc<str>, i32), Lane>,
    readers: Vec<Arc<Reader>>,
    finished: bool,
    away: bool,
}

impl Log {
    fn ring(&self) {
        self.readers.iter().for_each(|reader| reader.ring());
    }
}

/// One pipeline's way to the log.
#[derive(Default)]
struct Reader {
    bells: Mutex<Vec<Arc<Bell>>>,
    closed: AtomicBool,
}

impl Reader {
    fn ring(&self) {
        self.bells.lock().iter().for_each(|bell| bell.ring());
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

struct Lane {
    partition: Arc<Partition>,
    /// Kafka timestamp and bytes; the index is the offset.
    records: Vec<(i64, Vec<u8>)>,
}

impl Replay {
    /// An empty log; topics are ours under `prefix`, as on a broker.
    pub fn new(prefix: &str, names: Arc<Names>) -> Self {
        let (log, reader) = (Arc::default(), Arc::default());
        Self { prefix: prefix.into(), names, log, start: BTreeMap::new(), chunk: CHUNK_RECORDS, reader }
    }

    /// The same log, read at most `records` at a time.
    pub fn in_chunks_of(&self, records: usize) -> Self {
        Self { chunk: records.clamp(1, CHUNK_RECORDS), ..self.clone() }
    }

    /// The log goes away: nobody is handed anything. Or it comes back, and everybody goes on where they were.
    pub fn set_away(&self, away: bool) {
        let mut log = self.log.lock();
        log.away = away;
        log.ring();
    }

    /// The register of names that goes with the log.
    pub fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// Appends a record and returns its offset. A topic that is not ours to read is refused.
    pub fn append(&self, topic: &str, partition: i32, timestamp_ms: i64, bytes: Vec<u8>) -> Result<i64, Error> {
        let mut log = self.log.lock();
        let key: (Arc<str>, i32) = (topic.into(), partition);
        if !log.partitions.contains_key(&key) {
            let lane = self.lane(topic, partition)?;
            log.partitions.insert(key.clone(), lane);
        }
        let lane = log.partitions.get_mut(&key).expect("inserted above when it was missing");
        lane.records.push((timestamp_ms, bytes));
        let offset = lane.records.len() as i64 - 1;
        log.ring();
        Ok(offset)
    }

    /// Nothing will be appended any more: the pipeline ends when everything is delivered.
    pub fn finish(&self) {
        let mut log = self.log.lock();
        log.finished = true;
        log.ring();
    }

    /// Reading begins at these offsets; elsewhere with the first record.
    pub(crate) fn start_at(&mut self, start: &BTreeMap<TopicPartition, i64>) {
        let start = start.iter().map(|((topic, partition), offset)| {
            (PartitionId::new(topic, *partition), usize::try_from(*offset).unwrap_or(0))
        });
        self.start = start.collect();
        self.reader = Arc::default();
        let mut log = self.log.lock();
        log.readers.retain(|reader| !reader.is_closed());
        log.readers.push(Arc::clone(&self.reader));
    }

    /// Whether everything from `start` up to `reach` is there.
    pub(crate) fn verify(
        &self,
        start: &BTreeMap<TopicPartition, i64>,
        reach: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), Error> {
        let log = self.log.lock();
        for (partition, reach) in reach {
            let found = log.partitions.get(partition).map(|lane| (0, lane.records.len() as i64));
            recovery::judge(partition, start.get(partition).copied().unwrap_or(0), *reach, found)?;
        }
        Ok(())
    }

    fn lane(&self, topic: &str, partition: i32) -> Result<Lane, Error> {
        let kind = TopicKind::of(&self.prefix, topic)
            .ok_or_else(|| Error::Config(format!("topic {topic} is none of {}'s", self.prefix)))?;
        let id = self
            .names
            .partition(topic, partition)
            .map_err(|other| Error::Config(format!("partitions {topic}/{partition} and {other} share a hash")))?;
        let partition = Arc::new(Partition { topic: topic.into(), partition, id, kind });
        Ok(Lane { partition, records: Vec::new() })
    }
}

impl Connector for Replay {
    fn open(&self, worker: usize, layout: &Layout, bell: Arc<Bell>) -> Result<Box<dyn Source>, Error> {
        self.reader.bells.lock().push(bell);
        let peers = layout.peers;
        let (log, reader, read) = (Arc::clone(&self.log), Arc::clone(&self.reader), self.start.clone());
        Ok(Box::new(Share { log, reader, chunk: self.chunk, worker, peers, read }))
    }

    fn close(&self) {
        self.reader.closed.store(true, Ordering::Release);
        self.reader.ring();
    }
}

struct Share {
    log: Arc<Mutex<Log>>,
    reader: Arc<Reader>,
    chunk: usize,
    worker: usize,
    peers: usize,
    /// Records read of each partition of this share.
    read: BTreeMap<PartitionId, usize>,
}

impl Share {
    fn mine<'a>(&'a self, log: &'a Log) -> impl Iterator<Item = &'a Lane> {
        log.partitions
            .values()
            .filter(|l| Partition::worker(&l.partition.topic, l.partition.partition, self.peers) == self.worker)
    }

    fn read(&self, lane: &Lane) -> usize {
        self.read.get(&lane.partition.id).copied().unwrap_or(0)
    }
}

impl Source for Share {
    fn next(&mut self) -> Next {
        let log = Arc::clone(&self.log);
        let log = log.lock();
        if self.reader.is_closed() {
            return Next::Ended;
        }
        if log.away {
            return Next::Idle;
        }
        // The partition that is least far goes next, so that none is starved.
        let lane = self.mine(&log).filter(|lane| self.read(lane) < lane.records.len()).min_by_key(|l| self.read(l));
        let Some(lane) = lane else {
            return if log.finished { Next::Ended } else { Next::Idle };
        };
        let from = self.read(lane);
        let mut chunk = Chunk::new(Arc::clone(&lane.partition));
        for (index, (timestamp_ms, bytes)) in lane.records[from..].iter().enumerate() {
            if chunk.len() == self.chunk || chunk.is_full_for(bytes.len()) {
                break;
            }
            chunk.push((from + index) as i64, *timestamp_ms, bytes);
        }
        let id = lane.partition.id;
        let read = from + chunk.len();
        self.read.insert(id, read);
        Next::Chunk(chunk)
    }

    fn behind(&self, staged: &dyn Fn(PartitionId) -> bool) -> Behind {
        let log = self.log.lock();
        let more = self.mine(&log).any(|lane| self.read(lane) < lane.records.len() && !staged(lane.partition.id));
        match more && !self.reader.is_closed() {
            true if log.away => Behind::Likely,
            true => Behind::Surely,
            false => Behind::No,
        }
    }
}
