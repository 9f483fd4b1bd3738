//! The files of the Iberian day-ahead market (OMIE): bids, interconnections, zones, official prices.
//!
//! ```text
//!  CAB  order(10) version(5) unit(7) name(30) C|V(1) default(1) fixed EUR(17) max MW(7) border(2) inserted(14)
//!  DET  order(10) version(5) period(3) block(2) step(2) group(2) EUR/MWh(17) MW(7) MAV MW(7) MAR(5)
//! ```
//! Fixed width in bytes, Latin-1 (a byte is a character). A row that is not what the table says is refused with its line
//! number and the reason; the others stand. Periods beyond the day are refused: the real files carry stray ones.
//!
//! How an order becomes ours: only the highest version of each order counts. Block 0 is its simple curve: a scalable
//! complex order if CAB has a fixed term or any step has a MAV (a fixed term of 0 is one too), plain otherwise. Blocks 1.. are one block
//! order each (steps of a block share a price); those with the same group are exclusive.
//! A border whose units bid in the book (Spain 1, Portugal 2, Morocco 5) is in it already; the flow over any other
//! border (France 3, Andorra 4) was decided elsewhere and is taken as published. Between Spain (zone 0) and Portugal
//! (zone 1) the published capacity holds.

mod book;
mod rows;

pub use book::{config, orders, set_borders};
pub use rows::{BadRow, Border, Detail, Header, Official, Rows, borders, details, headers, official, zones};

/// Zone of Spain in the coupled day.
pub const SPAIN: u8 = 0;
/// Zone of Portugal.
pub const PORTUGAL: u8 = 1;
/// Blocks of one order get ids order × this + block.
pub const IDS_PER_ORDER: u64 = 100;
