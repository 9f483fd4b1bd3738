//! SQL over OptiBid: DataFusion over the live snapshot and the embedded history, the PostgreSQL wire protocol, the
//! interactive shell, and the migrations of the Postgres and ClickHouse sinks.
//!
//! ```text
//!            snapshot (one T) ─┐
//!                              ├─► tables ─► engine ─┬─► encode ─► /api/sql (JSON, CSV, Arrow)
//! history (Parquet versions) ──┘                     ├─► pgwire ─► psql, Grafana, BI
//!                                                    ├─► shell  ─► optibid sql
//!                                                    └─► store  ─► the API's typed reads
//! ```
//!
//! Read-only. Every table of a query shows the same T. Corrections win: of all versions of a row the newest stands.

mod catalog;
pub mod config;
mod decode;
pub mod encode;
mod engine;
mod error;
mod history;
mod memory;
pub mod metrics;
pub mod migrate;
mod pg_catalog;
pub mod pgwire;
mod session;
pub mod shell;
mod statement;
pub mod store;
mod tables;
mod threads;

pub use config::{Config, HistoryConfig, Limits, PgwireConfig};
pub use engine::{Engine, QueryResult, seconds};
pub use error::Error;
pub use metrics::Metrics;
pub use store::{AlertFilter, BidVersion, Store, TickRecord};
