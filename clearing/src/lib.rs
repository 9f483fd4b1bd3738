//! Market clearing: merit order, uniform price, complex orders, two coupled zones. Pure, integer, deterministic.
//!
//! ```text
//!  Order ──► Day::put / withdraw ──► MeritOrder (interval, zone) ──► uniform / coupling ──► IntervalClearing
//!                      └─ complex ─► component: tables ─► branch and bound ───────────────► IntervalClearing, Component
//! ```
//! Units: price micro-currency per MWh, power kW, duration ms, money micro-currency; all integers.
//! What this crate never does: read a clock, do I/O, use randomness, let floats into a result.
//!
//! | module | one idea |
//! |---|---|
//! | [`order`] | orders, their checks |
//! | [`merit`] | price level → quantity, cumulative, O(log levels) |
//! | [`uniform`] | one auction: price, volume, marginal order, shares, every edge |
//! | [`coupling`] | two zones and a capacity |
//! | [`complex`] | blocks, links, groups, minimum income, minimum quantity: branch and bound with a proven bound |
//! | [`day`] | the book of a day, re-cleared where it changed |
//!
//! ```
//! use clearing::{Config, Day, Kind, Order, OrderId, Side, Step};
//!
//! let step = |price: i64, power: i64| Step { interval: 0, price, power, min_power: 0 };
//! let order = |id, side, steps| Order { id: OrderId(id), zone: 0, side, kind: Kind::Steps(steps, None) };
//! let mut day = Day::new(Config::hours(1));
//! day.put(order(1, Side::Sell, vec![step(20_000_000, 5_000), step(50_000_000, 5_000)]))?;
//! day.put(order(2, Side::Buy, vec![step(80_000_000, 7_000)]))?;
//! day.clear();
//! let result = &day.result(0).zones[0];
//! assert_eq!((result.price, result.volume()), (Some(50_000_000), 7_000));
//! assert_eq!(result.marginal, Some((Side::Sell, OrderId(1))));
//! day.withdraw(OrderId(1))?;
//! day.clear();
//! assert_eq!(day.result(0).zones[0].price, None);
//! # Ok::<(), clearing::Refusal>(())
//! ```

pub mod complex;
pub mod coupling;
pub mod day;
pub mod merit;
pub mod order;
mod sums;
mod tree;
pub mod uniform;

pub use day::{Accepted, Component, Config, Day, IntervalClearing};
pub use merit::{MeritLevel, MeritOrder};
pub use order::{
    Block, Interval, Kind, MinimumIncome, Order, OrderId, Refusal, Segment, Side, Step, Variable, WHOLE, Zone,
};
pub use uniform::{Clearing, Gap, Rules};
