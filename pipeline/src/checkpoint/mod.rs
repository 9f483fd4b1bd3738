//! Checkpoints: the state at one T, in an object store, so that a restart is short and may have another size.
//!
//! ```text
//! each worker ─ Shard ─┐                      ┌─ worker-N-*.parquet, then worker-N.json ("mine is whole")
//! fanout ───── Cut ────┴─► Writer (a thread) ─┴─ bars-*.parquet, state.parquet ─► every sink has written T ─► manifest
//! ```
//!
//! * A checkpoint is its manifest: written last, once every file is there and every sink has safely written up to T.
//!   So nobody ever needs a T from before a manifest, and what is left half written is never looked at.
//! * Files are written once and listed by every manifest that needs them: minutes that take no more records are bars
//!   for good, and only minutes that changed since the barrier before are written again.
//! * Each life writes under a name of its own (`<T>-<life>/…`): one that was taken over and does not know it yet
//!   overwrites nothing and removes nothing that the next one needs (`trim`).
//! * Bars become final a few at a time, so their files are many and small: beyond `bar_files` the smallest neighbours are
//!   merged (`merge`).
//! * Nothing downstream of the bars is stored: operators say it again (`operators::DurableInputs`).
//! * Every file has its length and checksum in the manifest, the manifest has its own. What does not match is named and
//!   the checkpoint before is taken, never half of one.

mod bars;
mod codec;
mod load;
mod manifest;
mod merge;
mod shelf;
mod trim;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::humane::Span;
use model::{Alert, PartitionId, Snapshot, T};
use object_store::ObjectStore;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

pub use bars::limits;
pub use load::{Checkpoint, Recovered, list, newest, verify};
pub use manifest::{File, Kind, Manifest};
pub(crate) use writer::{Plan, Writer};

use crate::Error;

/// The `[checkpoint]` section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether state outlives the program. Needs a real broker.
    pub enabled: bool,
    /// A folder, or `s3://bucket/prefix` with the usual AWS environment; empty: `checkpoints` in the data folder.
    pub root: String,
    /// Time between two checkpoints, in T.
    pub interval: Span,
    /// When the newest checkpoint is closer than this to the end of the record, in T, a restart begins with the one before:
    /// clients of the WebSocket resume over a restart with what is repeated.
    pub resume_window: Span,
    /// Checkpoints kept. At least 3: a restart begins with the newest or the one before, and an instance that was taken
    /// over may still complete one.
    pub keep: usize,
    /// Every so many checkpoints everything is written, so that a restart has few files to read.
    pub all_every: u64,
    /// Files of bars beyond which the smallest are merged.
    pub bar_files: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            root: String::new(),
            interval: Span::from_millis(60_000),
            resume_window: Span::from_millis(10_000),
            keep: 3,
            all_every: 32,
            bar_files: 24,
        }
    }
}

impl Config {
    /// Refuses values that cannot work.
    pub fn validate(&self, operators: &operators::Config) -> Result<(), Error> {
        let refresh_ms = operators.correlations.refresh.millis().max(1);
        let interval_ms = self.interval.millis();
        if interval_ms == 0 || !interval_ms.is_multiple_of(refresh_ms) {
            return Err(Error::Config(format!(
                "checkpoint.interval must be a multiple of operators.correlations.refresh ({refresh_ms} ms)"
            )));
        }
        if self.keep < 3 || self.all_every == 0 || self.bar_files < 2 {
            return Err(Error::Config(
                "checkpoint.keep must be at least 3, checkpoint.bar_files at least 2, checkpoint.all_every at least 1"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Opens the store; makes a local folder if it is missing.
    pub fn open(&self) -> Result<Store, Error> {
        let (store, root) =
            sinks::objects::open(&self.root).map_err(|error| Error::checkpoint("open the checkpoints", error))?;
        Ok(Store { store, root })
    }
}

/// Where checkpoints are.
#[derive(Clone, Debug)]
pub struct Store {
    /// The object store.
    pub store: Arc<dyn ObjectStore>,
    /// The folder in it.
    pub root: Path,
}

impl Store {
    /// In memory: for tests.
    pub fn in_memory() -> Self {
        Self { store: Arc::new(object_store::memory::InMemory::new()), root: Path::default() }
    }
}

/// What the fanout knows at a barrier.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) t: T,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) bound: BTreeMap<PartitionId, i64>,
}

/// A number for what one life writes, unlike that of any other.
pub(crate) fn new_life() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
