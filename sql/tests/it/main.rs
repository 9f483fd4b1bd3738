//! SQL from the outside: `.slt` files, one T a query, history files that come and go, the PostgreSQL protocol.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::too_many_lines, reason = "a world is told from top to bottom")]

mod consistency;
mod history;
mod limits;
mod pgwire;
mod privacy;
mod psql;
mod shell;
mod slt;
mod store;
mod world;
