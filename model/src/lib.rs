//! The nouns that every OptiBid crate shares: ticks, bars, KPIs, alerts, zones, time, money, batches
//! and the snapshot they add up to. No I/O, no clocks, no timely.
//!
//! ```text
//! wire bytes ─► Tick ─► (operators) ─► Bar, Kpi, Anomaly, Correlation ─► Batch(T) ─► Snapshot
//! ```
//!
//! Units everywhere: price = 10⁻⁶ currency per MWh (`i64`), volume = kWh (`i64`), event time = UTC
//! milliseconds (`i64`), dataflow time `T` = UTC milliseconds (`u64`). Integers, so that a result
//! never depends on the order or the number of workers.

pub mod asset;
pub mod auction;
pub mod bar;
pub mod batch;
pub mod bid;
pub mod bid_kpi;
pub mod bid_rules;
pub mod clearing;
pub mod dead_letter;
pub mod health;
pub mod humane;
pub mod location;
pub mod market;
pub mod money;
pub mod notice;
pub mod output;
pub mod reader;
pub mod rule;
pub mod settlement;
pub mod snapshot;
pub mod table;
pub mod tick;
pub mod time;
pub mod wire;
pub mod zones;

pub use asset::Assets;
pub use auction::{Auction, BidRule, Broken, Imbalance};
pub use bar::{Bar, BarKey, BarRow};
pub use batch::{Batch, Change};
pub use bid::{BidEvent, BidKind, BidStatus, LiveBid, Side, Step};
pub use bid_kpi::{BidKpi, BidKpiKey};
pub use clearing::{Award, Clearing};
pub use dead_letter::{DeadLetter, Reason};
pub use location::{LocationId, LocationName, Names, PartitionId, SeriesKey};
pub use market::{Currency, Market};
pub use notice::Notice;
pub use output::{Alert, AlertState, Anomaly, AnomalyKind, Correlation, Kpi, Severity};
pub use reader::Reader;
pub use rule::Rule;
pub use settlement::{MeterReading, Pnl, Settlement};
pub use snapshot::Snapshot;
pub use tick::{Disposition, Tick, TickExtra, TickRow};
pub use time::{Granularity, T};
pub use zones::{Zone, Zones};
