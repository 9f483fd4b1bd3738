//! The sinks against real servers, and the driver against a store that misbehaves.
//!
//! Addresses come from `OPTIBID_TEST_REDIS`, `…_POSTGRES`, `…_CLICKHOUSE` and `…_KAFKA`, which `make test` sets after
//! starting the servers. Without them these tests fail: a missing server never passes for a working one.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, is told from top to bottom, and waits by the clock"
)]

mod clickhouse;
mod driver;
mod follow;
mod history;
mod kafka;
mod merges;
mod oracle;
mod postgres;
mod redis;
mod restored;
mod run;
mod server;
mod withdrawn;
mod zombies;
