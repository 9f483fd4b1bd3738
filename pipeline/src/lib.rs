//! The pipeline: records in, closed batches out.
//!
//! ```text
//! source ─► bind to T ─► operators::build ─► assemble ─► fanout ─► Snapshot, stream, sinks' queues
//!    ▲                                                      │
//!    └──── positions, and "wait": a full queue slows ◄──────┘
//! ```
//!
//! [`Pipeline::start`] starts the threads and returns a [`Handle`]. Nothing here knows HTTP or SQL. T is minted
//! in [`clock`] and nowhere else; operators never see a clock.

mod assemble;
mod bind;
pub mod binding;
pub mod clock;
pub mod config;
mod coordination;
mod dataflow;
mod error;
pub mod fanout;
pub mod handle;
pub mod metrics;
mod mint;
pub mod shutdown;
pub mod source;
pub mod status;
pub mod telemetry;
mod wake;

pub use binding::Binding;
pub use clock::Clock;
pub use config::Config;
pub use error::Error;
pub use fanout::{BatchQueue, Progress, Written};
pub use handle::{Feed, Handle, Parts, Pipeline};
pub use metrics::Metrics;
pub use shutdown::Shutdown;
pub use source::embedded::Embedded;
pub use source::memory::Replay;
