//! The API as clients meet it: the real server over real HTTP and WebSockets, on a seeded state at a fixed T.
//!
//! `world` builds the state and the server, `rest` asks it, `golden` holds the answers that must not change by
//! accident, `sockets` follows it live, `documents` holds its documentation against its behaviour. `day` is a day of
//! bids, for `bids`, `auctions` and `auction_sockets`.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    reason = "a test fails where it stands, is told from top to bottom, and waits by the clock"
)]

mod auction_sockets;
mod auctions;
mod bids;
mod day;
mod documents;
mod golden;
mod rest;
mod settlement;
mod sockets;
mod world;
