//! Tests of identity against real servers. `scripts/with-servers.sh` starts them.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds what should not be")]

mod audit;
mod belongings;
mod billing;
mod boards;
mod idempotency;
mod identity;
mod isolation;
mod limit;
mod lists;
mod people;
mod permissions;
mod privacy;
mod rules;
mod server;
mod sites;
mod world;
