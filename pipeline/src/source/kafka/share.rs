//! The worker's side of a reader: a channel of chunks, and what the broker is known to hold beyond them.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError};
use model::PartitionId;
use parking_lot::Mutex;

use crate::source::{Behind, Chunk, Next, Partition, Source};

/// Offset after the last record of each partition, as the broker told last.
#[derive(Clone, Default)]
pub(super) struct Ends(Arc<Mutex<HashMap<PartitionId, (Arc<Partition>, i64)>>>);

impl Ends {
    /// The broker told the end of a partition.
    pub(super) fn set(&self, partition: &Arc<Partition>, end: i64) {
        let mut ends = self.0.lock();
        let known = ends.entry(partition.id).or_insert_with(|| (Arc::clone(partition), end));
        known.1 = known.1.max(end);
    }

    /// The same for a partition that may not be known here yet.
    pub(super) fn raise(&self, id: PartitionId, end: i64) {
        if let Some((_, known)) = self.0.lock().get_mut(&id) {
            *known = (*known).max(end);
        }
    }
}

pub(super) struct Share {
    inbox: Receiver<Chunk>,
    ends: Ends,
    /// Offset after the last record handed over.
    handed: HashMap<PartitionId, i64>,
    worker: usize,
    peers: usize,
}

impl Share {
    pub(super) fn new(inbox: Receiver<Chunk>, ends: Ends, worker: usize, peers: usize) -> Self {
        Self { inbox, ends, handed: HashMap::new(), worker, peers }
    }
}

impl Source for Share {
    fn next(&mut self) -> Next {
        match self.inbox.try_recv() {
            Ok(chunk) => {
                self.handed.insert(chunk.partition.id, chunk.next_offset());
                Next::Chunk(chunk)
            }
            Err(TryRecvError::Empty) => Next::Idle,
            // The reader ends only when it is told to.
            Err(TryRecvError::Disconnected) => Next::Ended,
        }
    }

    fn behind(&self, staged: &dyn Fn(PartitionId) -> bool) -> Behind {
        let ends = self.ends.0.lock();
        let more = ends.iter().any(|(id, (partition, end))| {
            Partition::worker(&partition.topic, partition.partition, self.peers) == self.worker
                && self.handed.get(id).copied().unwrap_or(0) < *end
                && !staged(*id)
        });
        if more { Behind::Likely } else { Behind::No }
    }
}
