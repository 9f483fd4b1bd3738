//! Metered delivery against positions: the settlement rows of assets, keyed by asset.
//!
//! Of all readings of one start the highest (revision, partition, offset) stands; a cancelled one says that there is none.
//! An interval is metered when readings follow one another from its start to its end: their mean by time. So an hour is
//! metered by twelve readings of five minutes, and a reading of an hour says nothing of a quarter of it.
//!
//! * Late: a reading whose start is [`super::keep_ms`] before T is refused as too old, and says so.
//! * State: one reading an interval of each asset over that time, 150 bytes each, whether it bids or not; the positions of
//!   the days that are not forgotten. Forgetting says nothing.

use std::collections::{BTreeMap, BTreeSet};

use model::settlement::{amount_micros, exact_amount, mean_kw, penalty_micros};
use model::{LocationId, Market, MeterReading, SeriesKey, Settlement, T, Zones};
use serde::{Deserialize, Serialize};

use super::{Position, forgotten_at};
use crate::keyed::{Barrier, Emit, Machine, Visit};

/// What is known of an asset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Record {
    Position(Position, T, isize),
    Reading(MeterReading),
}

impl Record {
    pub(super) fn asset(&self) -> &str {
        match self {
            Self::Position(position, ..) => &position.asset,
            Self::Reading(reading) => &reading.asset,
        }
    }
}

/// Start of the interval, series, length and organisation.
type RowKey = (i64, SeriesKey, u32, String);

/// A row: what it follows from, unless that is gone, and what was said.
#[derive(Debug)]
struct Row {
    day_ms: (i64, i64),
    position: Option<Position>,
    said: Option<Settlement>,
}

/// Everything of one asset.
#[derive(Debug, Default)]
pub(super) struct Unit {
    readings: BTreeMap<i64, MeterReading>,
    /// Starts of readings that have not been saved.
    unsaved: BTreeSet<i64>,
    rows: BTreeMap<RowKey, Row>,
    longest_ms: i64,
}

impl Unit {
    /// Mean power from readings that follow one another over the whole interval.
    fn metered_kw(&self, start_ms: i64, duration_ms: u32) -> Option<i64> {
        let end_ms = start_ms.saturating_add(i64::from(duration_ms));
        let (mut at_ms, mut kw_ms) = (start_ms, 0_i128);
        while at_ms < end_ms {
            let reading = self.readings.get(&at_ms).filter(|reading| !reading.cancelled)?;
            kw_ms += i128::from(reading.power_kw) * i128::from(reading.duration_ms);
            at_ms = reading.end_ms();
        }
        if at_ms == end_ms { mean_kw(kw_ms, duration_ms) } else { None }
    }
}

pub(super) struct Metered {
    zones: Zones,
    retention_ms: i64,
    keep_ms: i64,
    /// There are barriers.
    saves: bool,
    /// Rows to say anew; scratch.
    dirty: BTreeSet<RowKey>,
}

impl Metered {
    pub(super) fn new(zones: &Zones, retention_ms: i64, keep_ms: i64, saves: bool) -> Self {
        Self { zones: zones.clone(), retention_ms, keep_ms, saves, dirty: BTreeSet::new() }
    }

    fn is_forgotten(&self, row: &Row, t: T) -> bool {
        forgotten_at(self.retention_ms, row.day_ms.1) <= t
    }

    fn position(&mut self, unit: &mut Unit, position: Position, diff: isize) {
        let key = (position.start_ms, position.series, position.duration_ms, position.organisation.clone());
        unit.longest_ms = unit.longest_ms.max(i64::from(position.duration_ms));
        let day_ms = position.day_ms;
        let row = unit.rows.entry(key.clone()).or_insert_with(|| Row { day_ms, position: None, said: None });
        row.position = (diff > 0).then_some(position);
        self.dirty.insert(key);
    }

    fn reading(&mut self, t: T, unit: &mut Unit, reading: MeterReading, out: &mut Emit<Settlement, MeterReading>) {
        let start_ms = reading.start_ms;
        if forgotten_at(self.keep_ms, start_ms) <= t {
            out.side(reading);
            return;
        }
        let known = unit.readings.get(&start_ms);
        if known.is_some_and(|known| known.rank() >= reading.rank()) {
            return;
        }
        if self.saves {
            unit.unsaved.insert(start_ms);
        }
        unit.readings.insert(start_ms, reading);
        let first = SeriesKey { location: LocationId(0), market: Market::ALL[0] };
        let from: RowKey = (start_ms.saturating_sub(unit.longest_ms), first, 0, String::new());
        let near = unit.rows.range(from..).map(|(key, _)| key).take_while(|key| key.0 <= start_ms);
        let holds = |key: &&RowKey| key.0.saturating_add(i64::from(key.2)) > start_ms;
        self.dirty.extend(near.filter(holds).cloned());
    }

    fn say(&mut self, t: T, unit: &mut Unit, out: &mut Emit<Settlement, MeterReading>) {
        for key in std::mem::take(&mut self.dirty) {
            let metered_kw = unit.metered_kw(key.0, key.2);
            let Some(row) = unit.rows.get_mut(&key) else { continue };
            if self.is_forgotten(row, t) {
                continue;
            }
            let new = row.position.as_ref().map(|position| {
                let zone = self.zones.of(position.series.location);
                let ppm = zone.map(|zone| zone.imbalance_ppm(position.series.market)).unwrap_or_default();
                settled(position, metered_kw, ppm)
            });
            out.revise(row.said.take(), new.clone());
            row.said = new;
            if row.position.is_none() {
                unit.rows.remove(&key);
            }
        }
    }
}

impl Machine for Metered {
    type Key = String;
    type State = Unit;
    type In = Record;
    type Shared = ();
    type Out = Settlement;
    type Side = MeterReading;
    type Saved = MeterReading;

    fn step(
        &mut self,
        visit: Visit<'_, String>,
        unit: &mut Unit,
        input: &mut Vec<Record>,
        out: &mut Emit<Settlement, MeterReading>,
    ) -> Option<T> {
        let (t, keep_ms) = (visit.t, self.keep_ms);
        while let Some(first) = unit.readings.first_entry()
            && forgotten_at(keep_ms, *first.key()) <= t
        {
            let (start_ms, _) = first.remove_entry();
            unit.unsaved.remove(&start_ms);
        }
        // The earliest is not always the first to go; what stays a while longer is passed over (`say`).
        while let Some(first) = unit.rows.first_entry()
            && self.is_forgotten(first.get(), t)
        {
            first.remove();
        }
        // Whatever came in one T is one change; what goes makes room first, and so the order does not matter.
        input.sort_by_key(|record| matches!(record, Record::Position(_, _, 1..)));
        for record in input.drain(..) {
            match record {
                Record::Position(position, _, diff) => self.position(unit, position, diff),
                Record::Reading(reading) => self.reading(t, unit, reading, out),
            }
        }
        self.say(t, unit, out);
        let stale = unit.readings.keys().next().map(|start_ms| forgotten_at(keep_ms, *start_ms));
        let forgets = unit.rows.values().next().map(|row| forgotten_at(self.retention_ms, row.day_ms.1));
        [stale, forgets].into_iter().flatten().min()
    }

    fn is_empty(&self, unit: &Unit) -> bool {
        unit.readings.is_empty() && unit.rows.is_empty()
    }

    fn save(&mut self, _asset: &String, unit: &mut Unit, barrier: Barrier, out: &mut Vec<MeterReading>) {
        let unsaved = std::mem::take(&mut unit.unsaved);
        if barrier.all {
            out.extend(unit.readings.values().cloned());
        } else {
            out.extend(unsaved.iter().filter_map(|start_ms| unit.readings.get(start_ms)).cloned());
        }
    }
}

/// The settlement of a position, delivered as metered, under a tolerance and a penalty.
pub(super) fn settled(position: &Position, metered_kw: Option<i64>, ppm: (i64, i64)) -> Settlement {
    let imbalance_kw = metered_kw.map(|metered_kw| metered_kw.saturating_sub(position.scheduled_kw));
    let priced = imbalance_kw.zip(position.real_time_price_micros);
    let duration_ms = position.duration_ms;
    let amount = priced.map(|(kw, price)| amount_micros(exact_amount(kw, duration_ms, price)));
    let penalty = priced.map(|(kw, price)| penalty_micros((position.scheduled_kw, kw), duration_ms, price, ppm));
    let of_meter = amount.zip(penalty).map(|(amount, penalty)| amount.saturating_sub(penalty));
    let of_meter = if position.asset.is_empty() { Some(0) } else { of_meter };
    Settlement {
        organisation: position.organisation.clone(),
        asset: position.asset.clone(),
        bid: position.bid.clone(),
        series: position.series,
        start_ms: position.start_ms,
        duration_ms,
        day_ms: position.day_ms.0,
        scheduled_kw: position.scheduled_kw,
        day_ahead_micros: position.day_ahead_micros,
        metered_kw,
        imbalance_kw,
        real_time_price_micros: position.real_time_price_micros,
        imbalance_micros: amount,
        penalty_micros: penalty,
        total_micros: of_meter.map(|of_meter| position.day_ahead_micros.saturating_add(of_meter)),
    }
}
