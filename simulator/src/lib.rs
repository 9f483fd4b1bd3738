//! Market data for everything that needs some: real files replayed, or a seeded market made up.
//!
//! ```text
//! files, folders, zips ─► replay (one adapter a format) ─┐
//!                                                        ├─► Record / Message ─► producer ─► Kafka
//! seed, scenario       ─► generator ─► faults ───────────┘        (paced by time and by the consumer's lag)
//! ```
//!
//! [`replay`] puts right what real feeds do to time: interval ends, wall clocks without a zone, hours that
//! happen twice, products mixed in one file. [`generator`] is a pure function of its seed. Only
//! [`producer`] does network I/O and only [`pace`] reads a clock.

mod bids;
pub mod config;
mod corrupt;
pub mod error;
pub mod feed;
pub mod generator;
mod ledger;
pub mod message;
pub mod pace;
mod price;
pub mod producer;
mod queue;
mod random;
pub mod replay;
pub mod scenario;
pub mod totals;

pub use config::Simulation;
pub use error::Error;
pub use generator::{Generator, Settings};
pub use message::{Body, Expected, Fault, Message, Truth, TruthLine};
pub use pace::{Lag, Speed};
pub use producer::Producer;
pub use replay::{Record, Replay};
pub use scenario::Scenario;
pub use totals::Totals;
