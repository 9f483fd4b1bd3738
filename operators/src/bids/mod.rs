//! Bids: the live bid behind the events of its id. Order books and clearing build on it.

mod live;

pub use live::live_bids;
