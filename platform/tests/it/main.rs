//! Tests of identity against real servers. `scripts/with-servers.sh` starts them.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds what should not be")]

mod limit;
mod server;
