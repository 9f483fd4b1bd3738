//! Real market data in its original form, as the ticks, bids and meter readings a live feed would have sent.
//!
//! ```text
//! paths ─► input (folders, zips) ─► detect (by content) ─► one adapter a format ─► merge by publication time
//!                                                               ▲
//!                            companions: what one file tells about another (headers, band prices, units)
//! ```
//!
//! Every adapter has the same shape: `read(&Source, &Zones) -> Result<Parsed, Error>`. It puts time right (interval
//! *start* in UTC plus a duration), flips signs to ours (LMP = energy + congestion + loss), names zones and
//! locations as the zone table does, and gives each price an id `<source>:<market>:<location>:<interval start>`
//! that a later version of the same price shares. A bad row is reported with its line and never ends a file. Bids are
//! held against the market's rules before they are sent: what the rules refuse is a bad row too (see [`offer`]).
//!
//! `published` is when the record would have been known. A price: the interval's end in real time (the feed's own
//! stamp where it has one), and the interval's start in day-ahead markets, which were in fact published the
//! day before: a replayed clock must not run a day ahead of everything else. A bid: when it was entered, or, where it had
//! been standing for longer, when the book of its day opened: the midnight that begins the day before. A meter reading: at
//! the end of its interval.

pub mod aemo;
pub mod companions;
pub mod detect;
pub mod epf;
pub mod iex;
pub mod input;
pub mod load;
pub mod merge;
pub mod nyiso;
pub mod oasis;
pub mod offer;
pub mod omie;
pub mod pjm;
pub mod quote;
pub mod stamp;
pub mod table;
pub mod tennet;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::Zones;
use model::wire::{WireBid, WireMeter, WireTick};

use crate::error::Error;

pub use companions::Companions;
pub use detect::Format;
pub use input::Source;
pub use load::Load;
pub use merge::{FileReport, Replay};

/// A price, a bid or a meter reading, ready to send, and when it was known.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What is sent.
    pub body: Body,
    /// When it was known, UTC ms: the order of a replay.
    pub published_ms: i64,
}

/// What a record says, in its full wire form; `published` is set in it too.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A price.
    Tick(WireTick),
    /// One version of a bid.
    Bid(WireBid),
    /// A meter reading.
    Meter(WireMeter),
}

impl Record {
    /// The price, if it is one.
    pub fn tick(&self) -> Option<&WireTick> {
        if let Body::Tick(tick) = &self.body { Some(tick) } else { None }
    }

    /// The bid, if it is one.
    pub fn bid(&self) -> Option<&WireBid> {
        if let Body::Bid(bid) = &self.body { Some(bid) } else { None }
    }

    /// The meter reading, if it is one.
    pub fn meter(&self) -> Option<&WireMeter> {
        if let Body::Meter(meter) = &self.body { Some(meter) } else { None }
    }

    /// Start of the interval of a price or a reading, or the moment of a bid, UTC ms. Adapters always write milliseconds.
    pub fn event_ms(&self) -> i64 {
        let at = match &self.body {
            Body::Tick(tick) => &tick.timestamp,
            Body::Bid(bid) => &bid.timestamp,
            Body::Meter(meter) => &meter.timestamp,
        };
        at.millis().unwrap_or(self.published_ms)
    }

    /// Higher replaces lower.
    pub fn revision(&self) -> i64 {
        match &self.body {
            Body::Tick(tick) => tick.revision.unwrap_or(0),
            Body::Bid(bid) => bid.revision,
            Body::Meter(meter) => meter.revision.unwrap_or(0),
        }
    }
}

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The file, with its place in an archive.
    pub file: Arc<str>,
    /// Line in the file, from 1; 0 where the format has no lines.
    pub line: u64,
    /// What is wrong, for a person.
    pub reason: String,
}

impl std::fmt::Display for BadRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// What one file held.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Prices, bids and meter readings, in the order they were known.
    pub records: Vec<Record>,
    /// Load (MW), which becomes the volume of prices read together with it.
    pub loads: Vec<Load>,
    /// Rows that could not be read.
    pub bad_rows: Vec<BadRow>,
    /// Things left out or assumed on purpose, with how often.
    pub notes: BTreeMap<&'static str, u64>,
}

impl Parsed {
    /// Counts something left out or assumed on purpose.
    pub(crate) fn note(&mut self, text: &'static str) {
        self.note_times(text, 1);
    }

    /// Counts it so many times; no times leave no note.
    pub(crate) fn note_times(&mut self, text: &'static str, times: u64) {
        if times > 0 {
            *self.notes.entry(text).or_default() += times;
        }
    }

    /// Reports a bad row.
    pub(crate) fn bad(&mut self, file: &Arc<str>, line: u64, reason: impl Into<String>) {
        self.bad_rows.push(BadRow { file: file.clone(), line, reason: reason.into() });
    }

    /// Sorts by publication, then interval, then revision: as the feed would have sent them.
    pub(crate) fn in_order(mut self) -> Self {
        self.records.sort_by_key(|record| (record.published_ms, record.event_ms(), record.revision()));
        self
    }
}

/// Reads one file whose format is known, and that needs no other.
pub fn read(format: Format, source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let mut companions = Companions::default();
    companions.learn(format, source);
    read_beside(format, source, zones, &companions)
}

/// Reads one file whose format is known, beside the others of its replay.
pub fn read_beside(format: Format, source: &Source, zones: &Zones, companions: &Companions) -> Result<Parsed, Error> {
    let parsed = match format {
        Format::NyisoZone => nyiso::read(source, zones),
        Format::NyisoLoad => nyiso::read_load(source, zones),
        Format::OasisDayAhead | Format::OasisRealTime => oasis::read(source, zones),
        Format::PjmLmp => pjm::read(source, zones),
        Format::AemoMms => aemo::read(source, zones),
        Format::AemoBids => aemo::bids::read(source, zones, companions),
        Format::AemoScada => aemo::scada::read(source, companions),
        Format::AemoUnits => aemo::units::read(source),
        Format::IexJson => iex::read(source, zones),
        Format::Epf => epf::read(source, zones),
        Format::OmieHeaders => omie::read_headers(source, companions),
        Format::OmieDetails => omie::read_details(source, zones, companions),
        Format::OmieBorders => omie::read_borders(source, zones, companions),
        Format::OmieUnits => omie::read_units(source),
        Format::OmiePrices => omie::read_prices(source, zones),
        Format::TennetLadder => tennet::read(source, zones),
    };
    parsed.map(Parsed::in_order)
}

/// Opens files, folders and zips for one replay in order of publication.
pub fn open<P: AsRef<Path>>(paths: &[P], zones: &Zones) -> Result<Replay, Error> {
    Replay::open(paths, zones)
}
