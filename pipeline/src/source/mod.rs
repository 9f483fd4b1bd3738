//! Sources: raw records, by partition and in order, for one worker each.
//!
//! ```text
//! broker ─► reader thread ─► bounded channel ─► Source::next ─► decode ─► bound to a T
//!                └── full: it stops reading          (on the worker)
//! ```
//!
//! A source never blocks the worker. It wakes it when there is something new, says when a partition is known
//! to hold more than has been handed over (so that the event clock can wait for it), and when it has ended.

pub mod embedded;
pub mod kafka;
pub mod memory;

use std::sync::Arc;

use model::PartitionId;
use model::wire::TopicKind;

use crate::Error;
pub use crate::cluster::Layout;
use crate::wake::Bell;

/// A topic's partition, as far as we read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Registered id of both.
    pub id: PartitionId,
    /// What the topic carries.
    pub kind: TopicKind,
}

impl Partition {
    /// The worker that reads a partition: neighbours go to different workers, and restarts agree.
    pub fn worker(topic: &str, partition: i32, peers: usize) -> usize {
        let topic = PartitionId::new(topic, 0).0 as usize;
        (topic + partition.unsigned_abs() as usize) % peers.max(1)
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    offset: i64,
    timestamp_ms: i64,
    end: usize,
}

/// A run of consecutive records of one partition. The bytes lie in one piece.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Where they come from.
    pub partition: Arc<Partition>,
    records: Vec<Record>,
    bytes: Vec<u8>,
}

/// Records in one chunk, at most.
pub const CHUNK_RECORDS: usize = 256;
/// Bytes in one chunk, at most (a single larger message makes a chunk of its own).
pub const CHUNK_BYTES: usize = 64 << 10;

impl Chunk {
    /// An empty chunk.
    pub fn new(partition: Arc<Partition>) -> Self {
        Self { partition, records: Vec::new(), bytes: Vec::new() }
    }

    /// Adds the next record.
    pub fn push(&mut self, offset: i64, timestamp_ms: i64, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.records.push(Record { offset, timestamp_ms, end: self.bytes.len() });
    }

    /// Whether the next record of `bytes` length should start another chunk.
    pub fn is_full_for(&self, bytes: usize) -> bool {
        self.records.len() >= CHUNK_RECORDS || (!self.records.is_empty() && self.bytes.len() + bytes > CHUNK_BYTES)
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> i64 {
        self.records.last().map_or(0, |record| record.offset + 1)
    }

    /// Offset, Kafka timestamp and bytes of each record.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64, &[u8])> {
        let mut start = 0;
        self.records.iter().map(move |record| {
            let bytes = &self.bytes[start..record.end];
            start = record.end;
            (record.offset, record.timestamp_ms, bytes)
        })
    }
}

/// What a source has at hand.
#[derive(Debug)]
pub enum Next {
    /// Records.
    Chunk(Chunk),
    /// Nothing now; the bell rings when there is.
    Idle,
    /// Nothing ever again.
    Ended,
}

/// Whether partitions are known to hold more than was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Not that anyone knows.
    No,
    /// The broker says so: it is on its way, or the broker is in trouble.
    Likely,
    /// It is in this process, and comes with the next calls.
    Surely,
}

/// One worker's share of the records. Moves to the worker's thread and stays there.
pub trait Source: Send {
    /// Hands over the next records, without waiting.
    fn next(&mut self) -> Next;

    /// Whether a partition for which `staged` is false is known to hold more.
    fn behind(&self, staged: &dyn Fn(PartitionId) -> bool) -> Behind;
}

/// Opens each worker's share.
pub trait Connector: Send + Sync {
    /// Opens the share of `worker` out of `layout.peers`; `bell` is rung when there is something new. Called once for every
    /// worker of this process, in order.
    fn open(&self, worker: usize, layout: &Layout, bell: Arc<Bell>) -> Result<Box<dyn Source>, Error>;

    /// Stops reading. Records handed over already stay with the workers.
    fn close(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Arc<Partition> {
        Arc::new(Partition {
            topic: "optibid.ticks.pjm".into(),
            partition: 0,
            id: PartitionId::new("optibid.ticks.pjm", 0),
            kind: TopicKind::Ticks,
        })
    }

    #[test]
    fn a_chunk_gives_back_what_was_pushed() {
        let mut chunk = Chunk::new(partition());
        for (offset, bytes) in [(7, "a"), (8, ""), (10, "bcd")] {
            chunk.push(offset, offset * 100, bytes.as_bytes());
        }
        let back: Vec<_> = chunk.iter().map(|(o, t, b)| (o, t, b.to_vec())).collect();
        assert_eq!(back, [(7, 700, b"a".to_vec()), (8, 800, vec![]), (10, 1_000, b"bcd".to_vec())]);
        assert_eq!((chunk.len(), chunk.next_offset()), (3, 11));
    }

    #[test]
    fn a_chunk_is_bounded_but_takes_one_large_message() {
        let mut chunk = Chunk::new(partition());
        assert!(!chunk.is_full_for(10 << 20));
        chunk.push(0, 0, &vec![0; CHUNK_BYTES]);
        assert!(chunk.is_full_for(1));
        let mut chunk = Chunk::new(partition());
        (0..CHUNK_RECORDS as i64).for_each(|offset| chunk.push(offset, 0, b"x"));
        assert!(chunk.is_full_for(1));
    }

    #[test]
    fn the_partitions_of_a_topic_are_spread() {
        let shares: std::collections::BTreeSet<_> = (0..4).map(|p| Partition::worker("t", p, 4)).collect();
        assert_eq!(shares.len(), 4);
    }
}
