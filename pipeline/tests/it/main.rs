//! The pipeline from raw records to delivered batches.

mod backpressure;
mod cluster;
mod crash;
mod embedded;
mod ends;
mod sameness;
mod standby;
mod support;
mod time_moves;
