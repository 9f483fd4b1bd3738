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

pub mod error;
pub mod replay;

pub use error::Error;
