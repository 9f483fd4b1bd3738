//! How far each T has read: the place where durable bindings come in.
//!
//! A binding says which records belong to a T. Today it travels with the closed batch to a hook in memory;
//! written to a transactional topic before the batch is released, it makes restarts repeat the same T's.

use std::collections::BTreeMap;

use model::{PartitionId, T};
use serde::{Deserialize, Serialize};

/// For every partition that moved since the binding before: the offset after the last record bound up to `t`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The moment.
    pub t: T,
    /// Next offset by partition; partitions that did not move are left out.
    pub offsets: BTreeMap<PartitionId, i64>,
}

/// Receives each binding, in the order of T, before its batch is delivered to anyone.
pub type Hook = Box<dyn FnMut(&Binding) + Send>;
