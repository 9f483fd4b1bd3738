//! The pipeline from raw records to delivered batches.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails where it stands, is told from top to bottom, waits by the clock and says how far it is"
)]

mod backpressure;
mod cluster;
mod crash;
mod embedded;
mod ends;
mod sameness;
mod standby;
mod support;
mod time_moves;
