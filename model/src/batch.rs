//! A closed moment: everything that changed at one T, and nothing else.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bar::BarRow;
use crate::bid::LiveBid;
use crate::bid_kpi::BidKpi;
use crate::clearing::{Award, Clearing};
use crate::dead_letter::DeadLetter;
use crate::location::LocationName;
use crate::notice::Notice;
use crate::output::{Alert, Correlation, Kpi};
use crate::rule::Rule;
use crate::settlement::{Pnl, Settlement};
use crate::tick::TickRow;
use crate::time::T;

/// A change to the row with a key: its new state, or its withdrawal with the last state it had.
///
/// Rows that merely leave the dataflow's retention are *not* removed: only corrections remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change<R> {
    /// The row is now this.
    Put(R),
    /// The row is no more; it last was this.
    Remove(R),
}

impl<R> Change<R> {
    /// The row, new or last.
    pub fn row(&self) -> &R {
        match self {
            Self::Put(row) | Self::Remove(row) => row,
        }
    }

    /// Whether the row is gone.
    pub fn is_remove(&self) -> bool {
        matches!(self, Self::Remove(_))
    }

    /// The new row, unless it is gone.
    pub fn put(&self) -> Option<&R> {
        match self {
            Self::Put(row) => Some(row),
            Self::Remove(_) => None,
        }
    }
}

/// How many tick records one batch (or everything up to T) accounts for.
/// Always `received == applied + corrected + superseded + duplicates + dead_letters`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Counts {
    /// Records read (rows of columnar messages count each).
    pub received: u64,
    /// First of their identity.
    pub applied: u64,
    /// Replaced or withdrew an earlier revision.
    pub corrected: u64,
    /// Came after a higher revision.
    pub superseded: u64,
    /// Same identity and revision as one already seen.
    pub duplicates: u64,
    /// Refused.
    pub dead_letters: u64,
}

impl Counts {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.applied += other.applied;
        self.corrected += other.corrected;
        self.superseded += other.superseded;
        self.duplicates += other.duplicates;
        self.dead_letters += other.dead_letters;
    }

    /// What has come on top of `earlier`; nothing where that was more.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            applied: self.applied.saturating_sub(earlier.applied),
            corrected: self.corrected.saturating_sub(earlier.corrected),
            superseded: self.superseded.saturating_sub(earlier.superseded),
            duplicates: self.duplicates.saturating_sub(earlier.duplicates),
            dead_letters: self.dead_letters.saturating_sub(earlier.dead_letters),
        }
    }

    /// Whether every record received is accounted for.
    pub fn balanced(&self) -> bool {
        self.received == self.applied + self.corrected + self.superseded + self.duplicates + self.dead_letters
    }
}

/// What changed at T. Closed by the frontier: nothing more will ever be said about this T.
///
/// Every list is sorted by key and holds at most one change a key; `ticks` are sorted by
/// (series, event time, partition, offset).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The moment.
    pub t: T,
    /// Names first seen at T.
    pub names: Vec<LocationName>,
    /// Tick records that reached their bar.
    pub ticks: Arc<[TickRow]>,
    /// Bars of every granularity.
    pub bars: Vec<Change<BarRow>>,
    /// Key figures.
    pub kpis: Vec<Change<Kpi>>,
    /// Alerts that were raised, revised or withdrawn, with their life.
    pub alerts: Vec<Alert>,
    /// Correlations.
    pub correlations: Vec<Change<Correlation>>,
    /// Live bids.
    pub bids: Vec<Change<LiveBid>>,
    /// Clearing results.
    pub clearing: Vec<Change<Clearing>>,
    /// Awards.
    pub awards: Vec<Change<Award>>,
    /// Settlement of delivery intervals.
    pub settlement: Vec<Change<Settlement>>,
    /// Profit and loss by day.
    pub pnl: Vec<Change<Pnl>>,
    /// Key figures of bids.
    pub bid_kpis: Vec<Change<BidKpi>>,
    /// Rules.
    pub rules: Vec<Change<Rule>>,
    /// Notices.
    pub notices: Vec<Notice>,
    /// Refused records, of every topic.
    pub dead_letters: Vec<DeadLetter>,
    /// Tick records accounted for.
    pub counts: Counts,
}

impl Batch {
    /// No change at all (the frontier merely moved on).
    pub fn is_empty(&self) -> bool {
        self.rows() == 0 && self.names.is_empty() && self.counts == Counts::default()
    }

    /// Number of rows, the weight for queues and limits.
    pub fn rows(&self) -> usize {
        self.ticks.len()
            + self.bars.len()
            + self.kpis.len()
            + self.alerts.len()
            + self.correlations.len()
            + self.bids.len()
            + self.clearing.len()
            + self.awards.len()
            + self.settlement.len()
            + self.pnl.len()
            + self.bid_kpis.len()
            + self.rules.len()
            + self.notices.len()
            + self.dead_letters.len()
    }
}
