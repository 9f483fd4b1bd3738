//! The worker's side of a reader: a channel of chunks, and what the broker is known to hold beyond them.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError};
use model::PartitionId;
use parking_lot::Mutex;

use crate::source::{Behind, Chunk, Next, Partition, Source};

struct Known {
    partition: Arc<Partition>,
    /// Where reading began.
    start: i64,
    /// Offset after the last record, as the broker told last.
    end: i64,
}

/// What the broker holds of each partition that is read.
#[derive(Clone, Default)]
pub(super) struct Ends(Arc<Mutex<HashMap<PartitionId, Known>>>);

impl Ends {
    /// A partition is read from `start`.
    pub(super) fn begin(&self, partition: &Arc<Partition>, start: i64, end: i64) {
        self.0.lock().insert(partition.id, Known { partition: Arc::clone(partition), start, end });
    }

    /// The broker told the end of a partition.
    pub(super) fn set(&self, id: PartitionId, end: i64) {
        if let Some(known) = self.0.lock().get_mut(&id) {
            known.end = end;
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
        let more = ends.iter().any(|(id, known)| {
            let Partition { topic, partition, .. } = &*known.partition;
            Partition::worker(topic, *partition, self.peers) == self.worker
                && self.handed.get(id).copied().unwrap_or(known.start) < known.end
                && !staged(*id)
        });
        if more { Behind::Likely } else { Behind::No }
    }
}
