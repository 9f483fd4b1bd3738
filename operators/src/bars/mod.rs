//! The narrow waist: ticks become one-minute bars, keyed by series (location, market).
//!
//! ```sql
//! with winners as (select distinct on (series, id) * from ticks
//!                  order by series, id, revision desc, partition, "offset")
//! select series, minute(event_ms) as start, first(price), max(price), min(price), last(price), count(*),
//!        sum(price), sum(price * price), sum(volume), sum(price * volume), min(event_ms), max(event_ms)
//! from winners where not cancelled group by series, start  -- first, last by (event_ms, partition, offset, id)
//! ```
//! * Corrections: the highest revision of an id stands, also when it moves to another minute or withdraws the tick;
//!   a withdrawal that comes first waits for its original. The same id and revision again is a duplicate: counted,
//!   dropped (the smaller (partition, offset) gives the content, whichever came first). A bar without live ticks is
//!   retracted.
//! * Late: a minute of a continuous stream is sealed at T ≥ its end + `correction_horizon`; its log is dropped, the
//!   bar stays, and any record of it is a dead letter `Sealed`. A correction that moves a tick out of a sealed minute
//!   finds no original and counts as new. Interval prices are never sealed. Before T − retention (`minute`; `hour`
//!   for hourly and day-ahead markets) every record is a dead letter `TooOld`.
//! * State: continuous streams, 60 bytes a tick of the open minutes; interval prices, 90 bytes an interval within
//!   retention. Forgetting says nothing: retention is not a correction.

mod intervals;
mod minutes;
mod refuse;
mod saved;
#[cfg(test)]
mod tests;

use differential_dataflow::{AsCollection, VecCollection};
use model::batch::Counts;
use model::time::{Granularity, MINUTE_MS, rfc3339};
use model::{Bar, BarKey, BarRow, Disposition, Market, Reason, SeriesKey, T, Tick, TickRow};
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::Map;

pub use intervals::Intervals;
pub use minutes::Minutes;
pub use refuse::Refused;
pub use saved::{SavedMinute, SavedTick};

use crate::config::Config;
use crate::keyed::{Barrier, Durable, Emit, Machine, Visit, keyed_durable};

/// What the bars operator yields.
pub struct Bars<'s> {
    /// Minute bars.
    pub bars: VecCollection<'s, T, BarRow, isize>,
    /// Tick records with what they did; empty unless `Config::tick_rows`.
    pub ticks: StreamVec<'s, T, TickRow>,
    /// Refused ticks.
    pub refused: StreamVec<'s, T, Refused>,
    /// What became of the ticks, once a worker and T.
    pub counts: StreamVec<'s, T, Counts>,
    /// The open minutes that changed, at each barrier.
    pub saved: StreamVec<'s, T, SavedMinute>,
}

/// Ticks to minute bars.
pub fn bars<'s>(config: &Config, ticks: StreamVec<'s, T, Tick>, durable: Option<Durable<'s, SavedMinute>>) -> Bars<'s> {
    let machine = BarMachine { config: config.clone(), counts: Counts::default() };
    let built = keyed_durable("Bars", ticks, durable, Tick::series, |saved| saved.series, machine);
    let rows = built.side.clone().flat_map(|side| if let Side::Tick(row) = side { Some(row) } else { None });
    let refused = built.side.clone().flat_map(|side| if let Side::Refused(tick) = side { Some(*tick) } else { None });
    let counts = built.side.flat_map(|side| if let Side::Counts(counts) = side { Some(counts) } else { None });
    Bars { bars: built.changes.as_collection(), ticks: rows, refused, counts, saved: built.saved }
}

/// What a record did to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// First of its identity.
    Applied,
    /// Higher revision than the one held.
    Corrected,
    /// Lower revision than the one held.
    Superseded,
    /// Same revision as the one held, which stays.
    Duplicate,
    /// Same revision as the one held, whose content gives way to the smaller origin.
    DuplicateOfSmallerOrigin,
}

impl Outcome {
    fn of(tick: &Tick, revision: i64, origin: (u32, i64)) -> Self {
        match tick.revision.cmp(&revision) {
            std::cmp::Ordering::Greater => Self::Corrected,
            std::cmp::Ordering::Less => Self::Superseded,
            std::cmp::Ordering::Equal if (tick.partition.0, tick.offset) < origin => Self::DuplicateOfSmallerOrigin,
            std::cmp::Ordering::Equal => Self::Duplicate,
        }
    }

    fn replaces(self) -> bool {
        matches!(self, Self::Corrected | Self::DuplicateOfSmallerOrigin)
    }

    fn disposition(self) -> Option<Disposition> {
        match self {
            Self::Applied => Some(Disposition::Applied),
            Self::Corrected => Some(Disposition::Corrected),
            Self::Superseded => Some(Disposition::Superseded),
            Self::Duplicate | Self::DuplicateOfSmallerOrigin => None,
        }
    }
}

/// The log of one series, by the kind of its market.
#[derive(Debug, Default)]
enum Log {
    #[default]
    Unseen,
    Continuous(Minutes),
    Interval(Intervals),
}

impl Log {
    fn apply(&mut self, tick: &Tick) -> Outcome {
        if matches!(self, Self::Unseen) {
            *self = match tick.market.is_interval() {
                true => Self::Interval(Intervals::default()),
                false => Self::Continuous(Minutes::default()),
            };
        }
        match self {
            Self::Continuous(minutes) => minutes.apply(tick),
            Self::Interval(intervals) => intervals.apply(tick),
            Self::Unseen => Outcome::Superseded,
        }
    }

    fn save(&mut self, all: bool, say: impl FnMut(i64, Vec<SavedTick>)) {
        match self {
            Self::Continuous(minutes) => minutes.save(all, say),
            Self::Interval(intervals) => intervals.save(all, say),
            Self::Unseen => {}
        }
    }

    fn forget(&mut self, from_ms: i64) {
        match self {
            Self::Continuous(minutes) => minutes.seal(from_ms),
            Self::Interval(intervals) => intervals.forget(from_ms),
            Self::Unseen => {}
        }
    }

    fn tell(&mut self, told: impl FnMut(i64, Option<Bar>, Option<Bar>)) {
        match self {
            Self::Continuous(minutes) => minutes.tell(told),
            Self::Interval(intervals) => intervals.tell(told),
            Self::Unseen => {}
        }
    }

    fn earliest_ms(&self) -> Option<i64> {
        match self {
            Self::Continuous(minutes) => minutes.earliest_ms(),
            Self::Interval(intervals) => intervals.earliest_ms(),
            Self::Unseen => None,
        }
    }
}

/// The second output, taken apart right after.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Side {
    Tick(TickRow),
    Refused(Box<Refused>),
    Counts(Counts),
}

struct BarMachine {
    config: Config,
    /// Of the current T.
    counts: Counts,
}

impl BarMachine {
    fn refusal(&self, tick: &Tick, now_ms: i64, open_from_ms: i64) -> Option<(Reason, String)> {
        if tick.event_ms < now_ms.saturating_sub(retention_ms(&self.config, tick.market)) {
            let detail = format!("{} is before the retention at {}", rfc3339(tick.event_ms), rfc3339(now_ms));
            return Some((Reason::TooOld, detail));
        }
        let start_ms = tick.event_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        (start_ms < open_from_ms).then(|| {
            let detail = format!("the minute {} is sealed at {}", rfc3339(start_ms), rfc3339(now_ms));
            (Reason::Sealed, detail)
        })
    }

    fn refuse(&mut self, tick: &Tick, (reason, detail): (Reason, String), out: &mut Emit<BarRow, Side>) {
        self.counts.dead_letters += 1;
        out.side(Side::Refused(Box::new(Refused { tick: tick.clone(), reason, detail })));
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Applied => self.counts.applied += 1,
            Outcome::Corrected => self.counts.corrected += 1,
            Outcome::Superseded => self.counts.superseded += 1,
            Outcome::Duplicate | Outcome::DuplicateOfSmallerOrigin => self.counts.duplicates += 1,
        }
    }
}

/// How far before T a record of `market` may lie.
pub(crate) fn retention_ms(config: &Config, market: Market) -> i64 {
    if market.is_hourly() { config.retention.hour.millis_i64() } else { config.retention.minute.millis_i64() }
}

/// How long after its end a minute of `market` still takes records: it changes no more from T = end + this on.
pub fn open_ms(config: &Config, market: Market) -> i64 {
    if market.is_interval() { retention_ms(config, market) } else { config.bars.correction_horizon.millis_i64() }
}

/// How far behind T operators look at minute bars of `market` that take no more records: what a restart must give them.
pub fn reach_ms(config: &Config, market: Market) -> i64 {
    const LONGEST_DAY_MS: i64 = 25 * 60 * MINUTE_MS;
    let longest = |minutes: &[u32]| i64::from(minutes.iter().copied().max().unwrap_or(0)) * MINUTE_MS;
    // A day is folded anew, from all its minutes, for as long as its last minute takes records.
    let day = LONGEST_DAY_MS + open_ms(config, market);
    let correlations = longest(&config.correlations.windows_min) + longest(&config.correlations.lags_min);
    let alerts = 2 * config.anomalies.window.millis_i64();
    [day, longest(&config.kpis.windows_min), correlations, alerts].into_iter().max().unwrap_or(0) + 2 * MINUTE_MS
}

/// The earliest minute of `market` that still takes records at T: its end + [`open_ms`] > T.
pub fn open_from_ms(config: &Config, market: Market, now_ms: i64) -> i64 {
    now_ms.saturating_sub(open_ms(config, market)).saturating_sub(MINUTE_MS).saturating_add(1)
}

impl Machine for BarMachine {
    type Key = SeriesKey;
    type State = Log;
    type In = Tick;
    type Shared = ();
    type Out = BarRow;
    type Side = Side;
    type Saved = SavedMinute;

    fn step(
        &mut self,
        visit: Visit<'_, SeriesKey>,
        log: &mut Log,
        input: &mut Vec<Tick>,
        out: &mut Emit<BarRow, Side>,
    ) -> Option<T> {
        let series = *visit.key;
        let now_ms = i64::try_from(visit.t).unwrap_or(i64::MAX);
        let open_ms = open_ms(&self.config, series.market);
        let open_from_ms = open_from_ms(&self.config, series.market, now_ms);
        log.forget(open_from_ms);
        sort(input);
        for tick in input.drain(..) {
            if let Some(refusal) = self.refusal(&tick, now_ms, open_from_ms) {
                self.refuse(&tick, refusal, out);
                continue;
            }
            let outcome = log.apply(&tick);
            self.count(outcome);
            if self.config.tick_rows
                && let Some(disposition) = outcome.disposition()
            {
                out.side(Side::Tick(TickRow { tick, disposition }));
            }
        }
        log.tell(|start_ms, old, new| {
            let key = BarKey { series, granularity: Granularity::M1, start_ms };
            let row = |bar| BarRow { key, end_ms: start_ms + MINUTE_MS, bar };
            out.revise(old.map(row), new.map(row));
        });
        let earliest_ms = log.earliest_ms()?;
        u64::try_from(earliest_ms.saturating_add(MINUTE_MS).saturating_add(open_ms).max(0)).ok()
    }

    fn end(&mut self, _t: T, out: &mut Emit<BarRow, Side>) {
        let counts = std::mem::take(&mut self.counts);
        if counts != Counts::default() {
            out.side(Side::Counts(counts));
        }
    }

    fn is_empty(&self, log: &Log) -> bool {
        log.earliest_ms().is_none()
    }

    fn save(&mut self, series: &SeriesKey, log: &mut Log, barrier: Barrier, out: &mut Vec<SavedMinute>) {
        log.save(barrier.all, |start_ms, records| out.push(SavedMinute { series: *series, start_ms, records }));
    }

    fn restore(&mut self, t: T, log: &mut Log, saved: SavedMinute) {
        let now_ms = i64::try_from(t).unwrap_or(i64::MAX);
        // Sealed since it was saved.
        if saved.start_ms >= open_from_ms(&self.config, saved.series.market, now_ms) {
            for record in &saved.records {
                log.apply(&record.tick(saved.series));
            }
        }
    }
}

/// Puts the records of one T into the order of their origin, so that what each of them did (first, correction,
/// duplicate) does not depend on how they travelled. From one partition they already are.
fn sort(input: &mut [Tick]) {
    fn origin(tick: &Tick) -> (u32, i64) {
        (tick.partition.0, tick.offset)
    }
    if input.is_sorted_by(|a, b| origin(a) < origin(b)) {
        return;
    }
    // Rows of one columnar message share their origin: the rest of the record decides.
    input.sort_unstable_by(|a, b| origin(a).cmp(&origin(b)).then_with(|| a.cmp(b)));
}
