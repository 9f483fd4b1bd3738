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
//! in whatever pieces it comes; a run older than what the store holds changes nothing. So it does not matter which
//! instance of the program writes, nor where it begins after a restart: rows are versions, and the newest stands.
//!
//! A store knows itself how far it is ([`Sink::held_t`]). One that holds less than the state a restart begins with (it
//! was wiped, restored from a backup, or is new) is given that state ([`Handle::restore`]).

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
mod state;

use std::sync::Arc;

use async_trait::async_trait;
use model::{Batch, Names, T, Zones};

pub use config::{Config, Configured};
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

    /// Writes a run of consecutive closed batches, oldest first. `Ok` means durable, as far as the store can promise it.
    ///
    /// Doing it twice equals doing it once. It may be cancelled at any await: the next call starts clean.
    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error>;

    /// Up to which T the store itself says that it holds everything; `Some(0)` when it holds nothing, `None` when it
    /// keeps no such account.
    async fn held_t(&mut self) -> Result<Option<T>, Error> {
        Ok(None)
    }

    /// Before a whole state is written: what the store shows as current is no more, unless that state says so again.
    /// Versions stay, so that nothing older comes back. Stores that are histories do nothing.
    async fn forget(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Writes a part of a whole state, as [`Sink::write`] does. It is no news: whoever listens has heard it, or need not.
    async fn restore(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.write(batches).await
    }
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
