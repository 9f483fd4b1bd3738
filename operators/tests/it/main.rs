//! Oracle tests: every operator against a plain recomputation.

mod anomaly;
mod bids;
mod correlation;
mod driven;
