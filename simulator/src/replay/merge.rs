//! Many files as one feed, in order of publication.
//!
//! Opening reads every file once: what it is, what is wrong with it, from when to when it reaches; load and what files
//! tell about each other are kept, prices and bids are not. Running reads a file again when its first record is due and
//! lets it go after its last, so that years of daily files cost the memory of a day.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use model::Zones;

use super::detect::Format;
use super::input::{Origin, expand};
use super::load::LoadBook;
use super::{BadRow, Body, Companions, Record, Source, read_beside};
use crate::error::Error;

/// What a file holds.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The file, with its place in an archive.
    pub file: Arc<str>,
    /// Its format; `None` for one that no adapter reads.
    pub format: Option<Format>,
    /// Prices, bids and meter readings read.
    pub records: u64,
    /// Bids among them; a version of a bid is one.
    pub bids: u64,
    /// Meter readings among them.
    pub meters: u64,
    /// Load readings.
    pub loads: u64,
    /// First and last publication, UTC ms.
    pub span_ms: Option<(i64, i64)>,
    /// Rows that could not be read, or why the file could not.
    pub bad_rows: Vec<BadRow>,
    /// Things left out or assumed on purpose, with how often.
    pub notes: BTreeMap<&'static str, u64>,
}

/// A replay: an iterator over records in order of publication.
#[derive(Debug)]
pub struct Replay {
    zones: Zones,
    loads: LoadBook,
    companions: Companions,
    reports: Vec<FileReport>,
    /// Files not opened yet, by first publication.
    waiting: VecDeque<Waiting>,
    open: Vec<std::vec::IntoIter<Record>>,
    heads: BinaryHeap<Reverse<Head>>,
}

/// A file on the way in.
#[derive(Debug)]
struct File {
    origin: Origin,
    format: Format,
    /// Its place among the reports.
    report: usize,
    /// It was given by name, so that it must be readable.
    is_required: bool,
}

#[derive(Debug)]
struct Waiting {
    first_ms: i64,
    origin: Origin,
    format: Format,
}

/// The next record of an open file. Ordered by publication, then interval, then age of the file.
#[derive(Debug)]
struct Head {
    order: (i64, i64, usize),
    record: Record,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Head {}
impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl Replay {
    /// Looks at every file. A file given by name must be readable; one found in a folder or archive may be anything else.
    pub fn open<P: AsRef<Path>>(paths: &[P], zones: &Zones) -> Result<Self, Error> {
        let mut replay = Self {
            zones: zones.clone(),
            loads: LoadBook::default(),
            companions: Companions::default(),
            reports: Vec::new(),
            waiting: VecDeque::new(),
            open: Vec::new(),
            heads: BinaryHeap::new(),
        };
        // Files that need others are read once it is known what the others say.
        let mut later = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let found = expand(path)?;
            let is_required = path.is_file() && found.len() == 1;
            for origin in found {
                later.extend(replay.look_at(origin, is_required)?);
            }
        }
        for file in later {
            let source = file.origin.load()?;
            replay.survey(file, &source)?;
        }
        if replay.waiting.is_empty() {
            let names: Vec<_> = paths.iter().map(|path| path.as_ref().display().to_string()).collect();
            return Err(Error::Empty(format!("no prices and no bids in {}", names.join(", "))));
        }
        replay.waiting.make_contiguous().sort_by_key(|file| file.first_ms);
        Ok(replay)
    }

    /// Finds out what a file is, and reads it unless it has companions: then it is handed back.
    fn look_at(&mut self, origin: Origin, is_required: bool) -> Result<Option<File>, Error> {
        let source = origin.load()?;
        let format = Format::detect(&source);
        let report = self.reports.len();
        self.reports.push(FileReport {
            file: source.file.clone(),
            format,
            records: 0,
            bids: 0,
            meters: 0,
            loads: 0,
            span_ms: None,
            bad_rows: Vec::new(),
            notes: BTreeMap::new(),
        });
        let Some(format) = format else {
            if is_required {
                let start = source.text().chars().take(60).collect();
                return Err(Error::UnknownFormat { file: source.file.to_string(), start });
            }
            return Ok(None);
        };
        let file = File { origin, format, report, is_required };
        if format.has_companions() {
            self.companions.learn(format, &source);
            return Ok(Some(file));
        }
        self.survey(file, &source)?;
        Ok(None)
    }

    /// Reads a file for its report and for when it is due.
    fn survey(&mut self, file: File, source: &Source) -> Result<(), Error> {
        let File { origin, format, report, is_required } = file;
        let report = &mut self.reports[report];
        match read_beside(format, source, &self.zones, &self.companions) {
            Ok(parsed) => {
                (report.records, report.loads) = (parsed.records.len() as u64, parsed.loads.len() as u64);
                report.bids = parsed.records.iter().filter(|record| record.bid().is_some()).count() as u64;
                report.meters = parsed.records.iter().filter(|record| record.meter().is_some()).count() as u64;
                (report.bad_rows, report.notes) = (parsed.bad_rows, parsed.notes);
                if let (Some(first), Some(last)) = (parsed.records.first(), parsed.records.last()) {
                    report.span_ms = Some((first.published_ms, last.published_ms));
                    self.waiting.push_back(Waiting { first_ms: first.published_ms, origin, format });
                }
                self.loads.extend(parsed.loads);
            }
            Err(error) if is_required => return Err(error),
            Err(error) => {
                report.bad_rows.push(BadRow { file: source.file.clone(), line: 0, reason: error.to_string() });
            }
        }
        Ok(())
    }

    /// What each file holds, in the order given.
    pub fn reports(&self) -> &[FileReport] {
        &self.reports
    }

    /// Prices, bids and meter readings in all files.
    pub fn records(&self) -> u64 {
        self.reports.iter().map(|report| report.records).sum()
    }

    /// Bids among them.
    pub fn bids(&self) -> u64 {
        self.reports.iter().map(|report| report.bids).sum()
    }

    /// Meter readings among them.
    pub fn meters(&self) -> u64 {
        self.reports.iter().map(|report| report.meters).sum()
    }

    /// First and last publication of all files, UTC ms.
    pub fn span_ms(&self) -> Option<(i64, i64)> {
        let spans = self.reports.iter().filter_map(|report| report.span_ms);
        spans.reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
    }

    fn open_due(&mut self) -> Result<(), Error> {
        while let Some(next) = self.waiting.front() {
            if self.heads.peek().is_some_and(|Reverse(head)| head.order.0 < next.first_ms) {
                return Ok(());
            }
            let Some(next) = self.waiting.pop_front() else { return Ok(()) };
            let parsed = read_beside(next.format, &next.origin.load()?, &self.zones, &self.companions)?;
            self.open.push(parsed.records.into_iter());
            self.advance(self.open.len() - 1);
        }
        Ok(())
    }

    fn advance(&mut self, file: usize) {
        let Some(record) = self.open.get_mut(file).and_then(Iterator::next) else {
            // Frees the file's memory; its place stays, so that the others keep their number.
            if let Some(done) = self.open.get_mut(file) {
                *done = Vec::new().into_iter();
            }
            return;
        };
        self.heads.push(Reverse(Head { order: (record.published_ms, record.event_ms(), file), record }));
    }

    /// Gives a real-time price the energy used during its interval, where the replay has the load.
    fn with_volume(&self, mut record: Record) -> Record {
        let Body::Tick(tick) = &mut record.body else { return record };
        let is_real_time = tick.market.is_some_and(|market| !market.is_day_ahead());
        if self.loads.is_empty() || tick.volume.is_some() || !is_real_time {
            return record;
        }
        if let (Some(zone), Some(start_ms)) = (self.zones.get(&tick.market_zone), tick.timestamp.millis()) {
            let location = tick.location.as_deref().map_or_else(|| zone.index(), |name| zone.location(name));
            let end_ms = start_ms + i64::from(tick.duration_ms.unwrap_or(0));
            tick.volume = self.loads.energy_mwh(location, start_ms, end_ms);
        }
        record
    }
}

impl Iterator for Replay {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.open_due() {
            return Some(Err(error));
        }
        let Reverse(head) = self.heads.pop()?;
        self.advance(head.order.2);
        Some(Ok(self.with_volume(head.record)))
    }
}
