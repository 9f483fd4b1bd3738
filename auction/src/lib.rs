//! Bids as orders: which auction a bid is in, and the book of one auction, cleared with the crate `clearing`.
//!
//! ```text
//! LiveBid ─► Rules::auction ─► Auction (zones that clear together, market, day of delivery)
//!         └► Book::enter / take_out ─► clear ─► row (Clearing), awards (Award)
//! ```
//! Plain data: whoever holds a book decides when it clears, and what of it is said. The dataflow keeps one for each
//! auction; the API makes one to explain a price, or to ask what would be if.
//!
//! A price-independent flow is a bid at the floor or the cap. Capacity between two zones is a bid, too
//! ([`model::BidKind::Capacity`]). What clears, and every edge of it, is told in the crate `clearing`.
//!
//! What this crate never does: read a clock, do I/O, forget.

mod book;
mod intervals;
mod order;
mod rules;

pub use book::Book;
pub use clearing::{Interval, OrderId};
pub use intervals::{Intervals, Tally};
pub use order::order_id;
pub use rules::{Auction, Rules};
