//! What the outside may know about the source: positions, lag, losses and the state of the connection.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::PartitionId;
use model::health::{ServiceHealth, ServiceState};
use parking_lot::Mutex;

use crate::source::Partition;

/// Losses kept for the health report.
const LOSSES_KEPT: usize = 100;

/// Topic and partition.
pub type TopicPartition = (Arc<str>, i32);

/// How far each partition has been read.
#[derive(Debug, Default)]
pub struct Positions {
    read: Mutex<HashMap<PartitionId, (Arc<Partition>, i64)>>,
}

impl Positions {
    pub(crate) fn set(&self, partition: &Arc<Partition>, next_offset: i64) {
        let mut read = self.read.lock();
        match read.get_mut(&partition.id) {
            Some((_, offset)) => *offset = next_offset,
            None => drop(read.insert(partition.id, (Arc::clone(partition), next_offset))),
        }
    }

    /// Offset of the next record of a partition; `None` before the first.
    pub fn of(&self, id: PartitionId) -> Option<i64> {
        self.read.lock().get(&id).map(|(_, offset)| *offset)
    }

    /// Offset of the next record, by topic and partition. Producers of ours pace themselves by it.
    pub fn all(&self) -> BTreeMap<TopicPartition, i64> {
        self.read.lock().values().map(|(p, offset)| ((Arc::clone(&p.topic), p.partition), *offset)).collect()
    }
}

/// Records that the broker had and will never hand over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// First offset lost.
    pub from: i64,
    /// First offset after it that exists.
    pub to: i64,
}

impl Loss {
    /// Number of records lost.
    pub fn records(&self) -> u64 {
        u64::try_from(self.to - self.from).unwrap_or(0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Connection {
    Starting,
    Up { partitions: usize },
    Down(String),
}

/// The source's condition, for `/health`.
#[derive(Debug)]
pub struct SourceStatus {
    broker: String,
    connection: Mutex<Connection>,
    losses: Mutex<VecDeque<Loss>>,
    lost: AtomicU64,
}

impl SourceStatus {
    pub(crate) fn new(broker: impl Into<String>) -> Self {
        Self {
            broker: broker.into(),
            connection: Mutex::new(Connection::Starting),
            losses: Mutex::default(),
            lost: AtomicU64::new(0),
        }
    }

    /// The broker answered. Returns whether that is news.
    pub(crate) fn up(&self, partitions: usize) -> bool {
        let mut connection = self.connection.lock();
        let news = !matches!(*connection, Connection::Up { .. });
        *connection = Connection::Up { partitions };
        news
    }

    /// The broker does not answer. Returns whether that is news.
    pub(crate) fn down(&self, why: &str) -> bool {
        let mut connection = self.connection.lock();
        let news = !matches!(*connection, Connection::Down(_));
        *connection = Connection::Down(why.to_owned());
        news
    }

    pub(crate) fn lost(&self, loss: Loss) {
        self.lost.fetch_add(loss.records(), Ordering::Relaxed);
        let mut losses = self.losses.lock();
        if losses.len() == LOSSES_KEPT {
            losses.pop_front();
        }
        losses.push_back(loss);
    }

    /// Records lost since the start.
    pub fn records_lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The latest losses, oldest first.
    pub fn losses(&self) -> Vec<Loss> {
        self.losses.lock().iter().cloned().collect()
    }

    /// Row for `/health`.
    pub fn health(&self) -> ServiceHealth {
        let lost = self.records_lost();
        let (state, detail) = match &*self.connection.lock() {
            Connection::Starting => (ServiceState::Down, format!("connecting to {}", self.broker)),
            Connection::Down(why) => (ServiceState::Down, format!("{} does not answer: {why}", self.broker)),
            Connection::Up { partitions } if lost > 0 => {
                (ServiceState::Degraded, format!("{}, {partitions} partitions, {lost} records lost", self.broker))
            }
            Connection::Up { partitions } => (ServiceState::Up, format!("{}, {partitions} partitions", self.broker)),
        };
        ServiceHealth { name: "kafka".to_owned(), state, detail, required: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_tells_connection_and_losses() {
        let status = SourceStatus::new("h:9092");
        assert_eq!(status.health().state, ServiceState::Down);
        assert!(status.up(3) && !status.up(3));
        assert_eq!(status.health().state, ServiceState::Up);
        status.lost(Loss { topic: "t".into(), partition: 0, from: 10, to: 14 });
        assert_eq!((status.records_lost(), status.health().state), (4, ServiceState::Degraded));
        assert!(status.down("refused") && !status.down("refused"));
        assert!(status.health().detail.contains("refused"));
    }

    #[test]
    fn the_list_of_losses_is_bounded() {
        let status = SourceStatus::new("b");
        (0..500).for_each(|n| status.lost(Loss { topic: "t".into(), partition: 0, from: n, to: n + 1 }));
        assert_eq!((status.losses().len(), status.records_lost()), (LOSSES_KEPT, 500));
    }
}
