//! SQL from the outside: `.slt` files, one T a query, history files that come and go, the PostgreSQL protocol.

mod consistency;
mod history;
mod limits;
mod pgwire;
mod psql;
mod shell;
mod slt;
mod store;
mod world;
