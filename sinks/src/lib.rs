//! Sinks: closed batches go down into stores, and one thing comes back up: how far they are safely written.
//!
//! ```text
//! fanout ─ push ─► [bounded queue] ─ coalesce ─► Sink::write(run of batches) ─► store
//!                                                   │ Ok                │ Err
//!                        acked T ◄──────────────────┘                   └─► back off, the same run again
//! ```
//!
//! A sink knows one store: its `config`, how rows look there (`encode`, pure) and the I/O (`mod`). It never
//! retries, sleeps or counts: [`driver`] does that once for all. Writing a run twice equals writing it once,
//! in whatever pieces it comes; a run older than what the store holds changes nothing.

pub mod clickhouse;
mod config;
pub mod driver;
mod error;
pub mod history;
pub mod kafka;
pub mod memory;
mod metrics;
pub mod objects;
pub mod postgres;
pub mod redis;
mod rows;
#[cfg(test)]
mod sample;

use std::sync::Arc;

use async_trait::async_trait;
use model::{Batch, Names, Zones};

pub use config::Config;
pub use driver::{Driver, Handle};
pub use error::Error;
pub use memory::Memory;
pub use metrics::Metrics;

/// A store that closed batches are written to.
#[async_trait]
pub trait Sink: Send {
    /// Name in health, metrics and logs: `redis`, `postgres` …
    fn name(&self) -> &'static str;

    /// Whether the store answers and has the tables or topics it needs.
    async fn check(&mut self) -> Result<(), Error>;

    /// Whether a run of moments in which nothing changed is written, too: that time went on is news to some.
    fn takes_quiet_moments(&self) -> bool {
        false
    }

    /// Writes a run of consecutive closed batches, oldest first. `Ok` means durable, as far as the store can promise it.
    ///
    /// Doing it twice equals doing it once. It may be cancelled at any await: the next call starts clean.
    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error>;
}

/// What rows are resolved with when they leave the process.
#[derive(Clone, Debug)]
pub struct Context {
    /// Names behind location and partition ids.
    pub names: Arc<Names>,
    /// The zone table.
    pub zones: Zones,
}

impl Context {
    /// Learns the names a run announces, so that a sink fed by hand can resolve them.
    pub fn learn(&self, batches: &[Arc<Batch>]) {
        for name in batches.iter().flat_map(|batch| &batch.names) {
            self.names.learn(name);
        }
    }
}
