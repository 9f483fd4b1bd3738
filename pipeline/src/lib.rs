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
pub mod checkpoint;
pub mod clock;
pub mod cluster;
pub mod config;
mod coordination;
mod dataflow;
mod error;
pub mod fanout;
mod handle;
mod hints;
pub mod metrics;
mod mint;
mod record;
mod recovery;
mod save;
pub mod shutdown;
pub mod source;
pub mod standby;
mod start;
pub mod status;
pub mod telemetry;
mod wake;

pub use binding::{Binding, Log};
pub use clock::Clock;
pub use config::Config;
pub use error::Error;
pub use fanout::{BatchQueue, Progress, Written};
pub use handle::Handle;
pub use metrics::Metrics;
pub use shutdown::Shutdown;
pub use source::embedded::Embedded;
pub use source::memory::Replay;
pub use start::{Durable, Feed, Parts, Pipeline, Stage};
