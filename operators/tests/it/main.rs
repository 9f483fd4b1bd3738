//! Oracle tests: every operator against a plain recomputation.
//!
//! `support` runs the whole graph on seeded workloads (new, late, out-of-order, corrected, moved, withdrawn and
//! duplicate records; a night on which clocks change), with 1, 2 and 4 workers and random batching; `workload` makes
//! the records, `oracle` recomputes. `driven` runs one operator by itself.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::too_many_lines, reason = "a workload and a scenario are told from top to bottom")]

mod anomaly;
mod auctions;
mod bars;
mod bid_kpis;
mod bids;
mod correlation;
mod driven;
mod keyed;
mod kpi;
mod oracle;
mod restore;
mod rollup;
mod settlement;
mod support;
mod workload;
