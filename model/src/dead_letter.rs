//! Records that could not be applied: kept whole, with the reason.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a record was refused. The names are stable: they label metrics and dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Bytes that are no record: bad JSON, bad Arrow, wrong types, missing or unknown fields, newer version.
    Malformed,
    /// No such zone in the zone table.
    UnknownZone,
    /// Price missing, not a number, or beyond ±10⁹.
    BadPrice,
    /// Volume not a number, negative, or beyond 10⁹ MWh.
    BadVolume,
    /// Time missing or unreadable.
    BadTime,
    /// Another field out of its range (the detail says which).
    BadField,
    /// A bid against a rule of its market (the detail says which, and what is allowed).
    BadBid,
    /// Event time further ahead of publication than the market allows.
    Future,
    /// Event time before the retention horizon.
    TooOld,
    /// Tick for a bucket that is sealed (past the correction horizon).
    Sealed,
    /// Message larger than the limit; the first bytes are kept.
    Oversized,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::UnknownZone,
        Self::BadPrice,
        Self::BadVolume,
        Self::BadTime,
        Self::BadField,
        Self::BadBid,
        Self::Future,
        Self::TooOld,
        Self::Sealed,
        Self::Oversized,
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownZone => "unknown_zone",
            Self::BadPrice => "bad_price",
            Self::BadVolume => "bad_volume",
            Self::BadTime => "bad_time",
            Self::BadField => "bad_field",
            Self::BadBid => "bad_bid",
            Self::Future => "future",
            Self::TooOld => "too_old",
            Self::Sealed => "sealed",
            Self::Oversized => "oversized",
        }
    }
}

/// A refused record. Sealed and too-old ticks are refused after decoding: their bytes are the tick in the full wire form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Topic it came from.
    pub topic: Arc<str>,
    /// Partition it came from.
    pub partition: i32,
    /// Offset it came from.
    pub offset: i64,
    /// Row inside a columnar message; 0 otherwise.
    pub row: u32,
    /// Why.
    pub reason: Reason,
    /// What exactly, for a person.
    pub detail: String,
    /// The record's bytes.
    pub bytes: Vec<u8>,
}
