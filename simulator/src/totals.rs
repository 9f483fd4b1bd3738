//! The truth summed up: what the accounting of a run must come to.

use std::collections::BTreeMap;

use model::Reason;
use model::wire::TopicKind;
use serde::Serialize;

use crate::message::{Expected, Fault, Message};

/// How many messages must become what. For ticks: `sent = applied + corrected + duplicates + refused`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Tick messages sent, damaged ones included.
    pub ticks: u64,
    /// Ticks that count.
    pub applied: u64,
    /// Ticks that replace or withdraw an earlier one.
    pub corrected: u64,
    /// Ticks that are there already.
    pub duplicates: u64,
    /// Ticks that must be refused, by reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// Faults by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Bid events sent.
    pub bids: u64,
    /// Notices sent.
    pub notices: u64,
}

impl Totals {
    /// Counts a message.
    pub fn add(&mut self, message: &Message) {
        if message.kind == TopicKind::Ticks {
            self.ticks += 1;
        }
        match message.truth.expected {
            Expected::Applied => self.applied += 1,
            Expected::Corrected => self.corrected += 1,
            Expected::Duplicate => self.duplicates += 1,
            Expected::DeadLetter(reason) => *self.dead_letters.entry(reason).or_default() += 1,
            Expected::Bid => self.bids += 1,
            Expected::Notice => self.notices += 1,
        }
        if let Some(fault) = message.truth.fault {
            *self.faults.entry(fault).or_default() += 1;
        }
    }

    /// Ticks that must be refused.
    pub fn refused(&self) -> u64 {
        self.dead_letters.values().sum()
    }
}
