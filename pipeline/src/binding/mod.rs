//! Bindings: which records belong to which T, and the log that makes them durable.
//!
//! ```text
//! assemble ─► closed T ─► Log::append (a group at a time) ─► released to snapshot, stream and sinks
//!                               │
//! restart: checkpoint's T ─► Log::follow ─► the same T's bind the same records ─► the end: mint anew
//! ```
//!
//! A T is released only when its binding is in the log, so whatever anybody has seen of the world is repeated, T by T,
//! after a restart: the operators are deterministic, the records are Kafka's, and the binding says where T cuts them.
//! T's that nobody bound records to (windows that expired) are logged too: no later T may come before them.

pub mod kafka;
pub mod memory;

use std::collections::BTreeMap;

use model::{PartitionId, T};
use serde::{Deserialize, Serialize};

use crate::Error;

/// For every partition that moved since the binding before: the offset after the last record bound up to `t`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The moment.
    pub t: T,
    /// Next offset by partition; partitions that did not move are left out.
    pub offsets: BTreeMap<PartitionId, i64>,
}

/// Where bindings are kept. The order of calls: `follow` as often as one likes, `take_over`, then `append`.
pub trait Log: Send {
    /// What whoever leads has appended since the last call; at the first, all there is. `None` when nothing was heard of
    /// it, neither a binding nor that it lives. Takes nothing over.
    fn follow(&mut self) -> Result<Option<Vec<Binding>>, Error>;

    /// Takes the log over: from now on no other instance can append. Returns every binding after `from`.
    fn take_over(&mut self, from: T) -> Result<Vec<Binding>, Error>;

    /// Of what was read: every binding after this T is there. Those up to it are trimmed away or lost; 0 when none ever was.
    fn complete_after(&self) -> T;

    /// Appends bindings, oldest first. Durable when it returns.
    fn append(&mut self, bindings: &[Binding]) -> Result<(), Error>;

    /// Says that this instance lives though it has nothing to append, and so finds out whether another has taken over.
    fn live(&mut self) -> Result<(), Error>;

    /// Bindings up to `t` will not be asked for again.
    fn trim(&mut self, t: T) -> Result<(), Error>;
}
