//! Settings of the embedded history: `[sinks.history]`.

use std::sync::Arc;

use model::humane::Span;
use object_store::ObjectStore;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::driver::Limits;

/// Where history lies and how its files are cut.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether batches are written to the history.
    pub enabled: bool,
    /// A folder, or `s3://bucket/prefix`; empty: `history` in the data folder (credentials and region from the usual `AWS_…` environment).
    pub root: String,
    /// Rows after which a file is written.
    pub roll_rows: usize,
    /// Age after which a file is written: what a crash can lose of the history until checkpoints replay it.
    pub roll_interval: Span,
    /// So many files of like size in one day of one table are merged into one.
    pub compact_files: usize,
    /// Files from this size on are left alone.
    pub compact_bytes: u64,
    /// How long merged files stay, for readers that have already listed them.
    pub grace: Span,
    /// Queueing and retrying; `max_rows` and `max_delay` follow from `roll_rows` and `roll_interval`.
    pub driver: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            root: String::new(),
            roll_rows: 200_000,
            roll_interval: Span::from_millis(5_000),
            compact_files: 16,
            compact_bytes: 64 << 20,
            grace: Span::from_millis(60_000),
            driver: Limits { queue_rows: 1_000_000, ..Limits::DEFAULT },
        }
    }
}

impl Config {
    /// The driver's limits: a run is a file.
    pub fn limits(&self) -> Limits {
        Limits { max_rows: self.roll_rows, max_delay: self.roll_interval, ..self.driver }
    }

    /// The object store and the path in it where tables begin. A folder is made if it is missing.
    pub fn open(&self) -> Result<(Arc<dyn ObjectStore>, Path), Error> {
        crate::objects::open(&self.root)
    }
}
