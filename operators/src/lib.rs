//! The operators: collections in, collections out. `build` shows the whole graph on one screen.
//!
//! ```text
//! ticks ──► bars (1m) ──┬──► rollup (5m, 15m, 1h, local day) ──► Outputs::bars
//!             │         ├──► kpi (windows, spread)           ──► Outputs::kpis
//!             │         ├──► anomaly ◄── rules               ──► Outputs::anomalies
//!             │         └──► correlation                     ──► Outputs::correlations
//!             └─ tick rows, refused ticks, counts
//! bids  ──► bids ─┬────────────────────────────────────────── ──► Outputs::bids
//!                 ├► auctions ─┬───────────────────────────── ──► Outputs::clearing, awards
//!                 └────────────┼► bid_kpis                   ──► Outputs::bid_kpis
//! meters, 5m bars ─────────────┴► settlement                 ──► Outputs::settlement, pnl
//! ```
//!
//! Operators are total (no input makes them fail), never read a clock, do no I/O, and yield the same changes at
//! the same T whatever the number of workers, the batching and the order of arrival. Each is a free function over
//! streams, most of them a state machine on the one mechanism in [`keyed`]. A header says what each means, the
//! bound of its state, and what late, duplicate and corrected input does; an oracle test proves it.

pub mod anomaly;
pub mod auctions;
pub mod bars;
pub mod bid_kpis;
pub mod bids;
pub mod config;
pub mod correlation;
pub mod hash;
pub mod keyed;
pub mod kpi;
pub mod rollup;
pub mod rules;
pub mod settlement;

use differential_dataflow::{AsCollection, VecCollection};
use model::batch::Counts;
use model::{
    Anomaly, Award, BarRow, BidEvent, BidKpi, Clearing, Correlation, Granularity, Kpi, LiveBid, MeterReading,
    PartitionId, Pnl, Rule, Settlement, T, Tick, TickRow, Zones,
};
use timely::dataflow::StreamVec;

use bars::{Refused, SavedMinute};
pub use config::Config;
use keyed::{Barrier, Durable};
use rules::SavedRule;

/// What goes in. Every stream carries records at the T that the source bound them to.
pub struct Inputs<'s> {
    /// Decoded ticks.
    pub ticks: StreamVec<'s, T, Tick>,
    /// Decoded bid events.
    pub bids: StreamVec<'s, T, BidEvent>,
    /// Decoded meter readings.
    pub meters: StreamVec<'s, T, MeterReading>,
    /// Decoded rules with partition and offset.
    pub rules: StreamVec<'s, T, (Rule, PartitionId, i64)>,
    /// What makes the state outlive the program; `None` where it need not.
    pub durable: Option<DurableInputs<'s>>,
}

/// Saving, and beginning with what was saved. (Saved bids, meter readings and rules are records: they come as such.)
pub struct DurableInputs<'s> {
    /// When to save what is new, on every worker.
    pub barriers: StreamVec<'s, T, Barrier>,
    /// Saved minutes to begin with, on any worker.
    pub minutes: StreamVec<'s, T, SavedMinute>,
    /// Bars to begin with that do not change any more, on any worker: minute bars that operators look back at, and bars of five
    /// minutes that settlement does. They are not said again in `Outputs::bars`.
    pub sealed_bars: Option<StreamVec<'s, T, (BarRow, T, isize)>>,
}

/// What comes out. Collections carry at most one `-1` and one `+1` for a key at one T.
pub struct Outputs<'s> {
    /// Tick records that reached their bar, with what they did; empty unless `Config::tick_rows`.
    pub ticks: StreamVec<'s, T, TickRow>,
    /// Bars of every granularity. Bars that leave retention are not retracted.
    pub bars: VecCollection<'s, T, BarRow, isize>,
    /// Key figures per series and window.
    pub kpis: VecCollection<'s, T, Kpi, isize>,
    /// Alerts that stand.
    pub anomalies: VecCollection<'s, T, Anomaly, isize>,
    /// Correlations of every pair.
    pub correlations: VecCollection<'s, T, Correlation, isize>,
    /// Live bids.
    pub bids: VecCollection<'s, T, LiveBid, isize>,
    /// Clearing results of every zone and interval with bids.
    pub clearing: VecCollection<'s, T, Clearing, isize>,
    /// What bids are awarded, once their gate is closed.
    pub awards: VecCollection<'s, T, Award, isize>,
    /// Settlement of every delivery interval with awards.
    pub settlement: VecCollection<'s, T, Settlement, isize>,
    /// Profit and loss by day.
    pub pnl: VecCollection<'s, T, Pnl, isize>,
    /// Key figures of bids per organisation, series, side and delivery interval.
    pub bid_kpis: VecCollection<'s, T, BidKpi, isize>,
    /// Rules that stand.
    pub rules: VecCollection<'s, T, Rule, isize>,
    /// Ticks that came too late, whole.
    pub refused: StreamVec<'s, T, Refused>,
    /// Meter readings that came too late.
    pub refused_meters: StreamVec<'s, T, MeterReading>,
    /// What became of the ticks; `received` is the source's to count. Several a T: add them up.
    pub counts: StreamVec<'s, T, Counts>,
    /// The durable state: what changed in it since the barrier before, at the T of each barrier.
    pub saved: Saved<'s>,
}

/// The durable state of the whole graph, on the worker that holds it; nothing without [`Inputs::durable`]. All else follows from it and the sealed bars.
#[derive(Clone)]
pub struct Saved<'s> {
    /// Open minutes, with all their records.
    pub minutes: StreamVec<'s, T, SavedMinute>,
    /// Winning bid events.
    pub bids: StreamVec<'s, T, BidEvent>,
    /// Winning meter readings.
    pub meters: StreamVec<'s, T, MeterReading>,
    /// Winning rule records.
    pub rules: StreamVec<'s, T, SavedRule>,
}

/// The whole graph.
pub fn build<'s>(config: &Config, zones: &Zones, inputs: Inputs<'s>) -> Outputs<'s> {
    let (mut barriers, mut sealed_bars) = (None, None);
    let durable = inputs.durable.map(|durable| {
        (barriers, sealed_bars) = (Some(durable.barriers.clone()), durable.sealed_bars);
        Durable { restore: durable.minutes, barriers: durable.barriers }
    });
    let minute = bars::bars(config, inputs.ticks, durable);
    let (mut bars, mut sealed_rollups) = (minute.bars.clone(), None);
    if let Some(sealed) = sealed_bars {
        let is_minute = |row: &BarRow| row.key.granularity == Granularity::M1;
        let sealed = sealed.as_collection();
        bars = bars.concat(sealed.clone().filter(is_minute));
        sealed_rollups = Some(sealed.filter(move |row| !is_minute(row)));
    }
    let rollups = rollup::rollup(config, zones, bars.clone());
    let (rules, saved_rules) = rules::live_rules(&config.anomalies.rules, inputs.rules, barriers.clone());
    let kpis = kpi::kpis(config, zones, bars.clone());
    let anomalies = anomaly::anomalies(config, zones, bars.clone(), rules.clone());
    let correlations = correlation::correlations(config, zones, bars);
    let (bids, saved_bids) = bids::live_bids(config, zones, inputs.bids, barriers.clone());
    let (clearing, awards) = auctions::auctions(config, zones, bids.clone());
    // A bar that is sealed and is said again says the same.
    let prices = match sealed_rollups {
        Some(sealed) => rollups.clone().concat(sealed),
        None => rollups.clone(),
    };
    let settled = settlement::settlement(config, zones, awards.clone(), prices, inputs.meters, barriers);
    let bid_kpis = bid_kpis::bid_kpis(config, zones, bids.clone(), awards.clone());
    Outputs {
        ticks: minute.ticks,
        bars: minute.bars.concat(rollups),
        kpis,
        anomalies,
        correlations,
        bids,
        clearing,
        awards,
        settlement: settled.settlement,
        pnl: settled.pnl,
        bid_kpis,
        rules,
        refused: minute.refused,
        refused_meters: settled.refused,
        counts: minute.counts,
        saved: Saved { minutes: minute.saved, bids: saved_bids, meters: settled.saved, rules: saved_rules },
    }
}
