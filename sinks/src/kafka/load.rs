//! Everything up to a marker, at bulk speed: what a live state would forget at once is not even read.

use std::collections::{BTreeMap, HashMap, VecDeque};

use model::snapshot::Limits;
use model::table::Table;
use model::{Granularity, Names, T};

use super::decode::{self, decode};
use super::gather::Gathered;
use super::topics::Kind;
use crate::Error;

/// Loads what stands at a marker.
pub(super) struct Load {
    limits: Limits,
    /// What the live state has already.
    after: T,
    /// The marker's T: ages are measured from it.
    now: T,
    gathered: Gathered,
    /// Each series' newest minute bar of those beyond retention: its price, should it have no newer one.
    newest: HashMap<String, Raw>,
    /// The newest ticks, as many as the state keeps, with their number.
    ticks: VecDeque<(usize, Raw)>,
    tick_rows: usize,
}

/// A message that may yet be dropped.
struct Raw {
    t: T,
    key: String,
    value: Vec<u8>,
}

/// A message, as far as it matters here.
pub(super) struct Heard<'a> {
    pub(super) kind: Kind,
    pub(super) t: T,
    /// Tick records in it.
    pub(super) rows: usize,
    pub(super) key: &'a str,
    pub(super) value: Option<&'a [u8]>,
}

impl Load {
    pub(super) fn new(limits: Limits, after: T, now: T) -> Self {
        let (gathered, newest, ticks) = (Gathered::default(), HashMap::new(), VecDeque::new());
        Self { limits, after, now, gathered, newest, ticks, tick_rows: 0 }
    }

    /// Goes on to a later marker.
    pub(super) fn extend(&mut self, now: T) {
        self.now = now;
    }

    /// Takes a message that lies before the marker.
    pub(super) fn add(&mut self, names: &Names, heard: &Heard<'_>) -> Result<(), Error> {
        if heard.t <= self.after || self.is_old_bar(heard) {
            return Ok(());
        }
        if heard.kind == Kind::Ticks {
            self.keep_ticks(heard);
            return Ok(());
        }
        self.gathered.add(heard.t, decode(names, heard.kind, heard.key, heard.value)?);
        Ok(())
    }

    /// Takes a message that was read before it was known to lie before the marker.
    pub(super) fn add_decoded(&mut self, t: T, said: decode::Said) {
        if t > self.after {
            self.gathered.add(t, said);
        }
    }

    fn is_old_bar(&mut self, heard: &Heard<'_>) -> bool {
        if heard.kind != Kind::Table(Table::Bars) {
            return false;
        }
        // Told by the key alone: reading the row costs ten times as much.
        let mut parts = heard.key.rsplitn(3, '|');
        let start_ms = parts.next().and_then(|text| text.parse::<i64>().ok());
        let granularity = parts.next().and_then(Granularity::parse);
        let (Some(start_ms), Some(granularity), Some(series)) = (start_ms, granularity, parts.next()) else {
            return false;
        };
        if start_ms >= self.horizon(granularity) {
            return false;
        }
        if granularity == Granularity::M1 {
            self.keep_newest(series, start_ms, heard);
        }
        true
    }

    fn keep_newest(&mut self, series: &str, start_ms: i64, heard: &Heard<'_>) {
        let known = self.newest.get(series).and_then(|raw| decode::bar_key(&raw.key)).map(|key| key.start_ms);
        match heard.value {
            Some(value) if known.is_none_or(|known| known <= start_ms) => {
                let raw = Raw { t: heard.t, key: heard.key.to_owned(), value: value.to_vec() };
                self.newest.insert(series.to_owned(), raw);
            }
            None if known == Some(start_ms) => drop(self.newest.remove(series)),
            _ => {}
        }
    }

    fn keep_ticks(&mut self, heard: &Heard<'_>) {
        let value = heard.value.unwrap_or_default().to_vec();
        self.ticks.push_back((heard.rows, Raw { t: heard.t, key: heard.key.to_owned(), value }));
        self.tick_rows += heard.rows;
        while let Some((rows, _)) = self.ticks.front()
            && self.tick_rows - rows >= self.limits.ticks
        {
            self.tick_rows -= rows;
            self.ticks.pop_front();
        }
    }

    /// First start of a bar that the live state keeps, ms.
    fn horizon(&self, granularity: Granularity) -> i64 {
        i64::try_from(self.now).unwrap_or(i64::MAX).saturating_sub(self.limits.bars_ms(granularity))
    }

    /// What stands.
    pub(super) fn finish(mut self, names: &Names) -> Result<Gathered, Error> {
        let bars = self.newest.into_values().map(|raw| (Kind::Table(Table::Bars), raw));
        let ticks = self.ticks.into_iter().map(|(_, raw)| (Kind::Ticks, raw));
        for (kind, raw) in bars.chain(ticks) {
            self.gathered.add(raw.t, decode(names, kind, &raw.key, Some(&raw.value))?);
        }
        Ok(self.gathered)
    }
}

/// How far each partition reaches, by topic.
pub(super) fn by_topic(offsets: &BTreeMap<String, i64>) -> impl Iterator<Item = (&str, i32, i64)> {
    offsets.iter().filter_map(|(name, offset)| {
        let (topic, partition) = name.rsplit_once('/')?;
        Some((topic, partition.parse().ok()?, *offset))
    })
}
