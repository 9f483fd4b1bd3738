//! Settlement: what each award comes to once it is delivered, and profit and loss by day.
//!
//! ```text
//! awards ────────────┐                                ┌ without an asset ─┐
//! 5-minute bars ─► positions (by location) ─ Position ┴► metered (by asset) ┴► settlement ─► pnl (by day)
//! meter readings ──────────────────────────────────────┘   └► refused, saved
//! ```
//! ```text
//! scheduled  = Σ sold − Σ bought              of the awards of an asset's bids in one series and interval
//! day-ahead  = Σ ±power × hours × clearing price
//! imbalance  = metered − scheduled            once readings cover the interval
//! amount     = imbalance × hours × real-time price                               + when more is delivered
//! penalty    = max(0, |imbalance| − tolerance × |scheduled|) × hours × |real-time price| × penalty
//! total      = day-ahead + amount − penalty
//! ```
//! The real-time price is the mean of the prices of the zone's real-time market ([`model::Zone::real_time_market`]) in the
//! interval, from its end on; where that market says nothing, of the continuous stream. What is not known yet is `None`
//! and never 0. A bid without an asset has no meter: it settles at its day-ahead amount.
//!
//! Late, corrected and withdrawn bids, readings and prices revise exactly the rows they touch, and P&L with them, until the
//! day of delivery has been over for `retention.minute`: then all of it is forgotten at once, as its auction is.
//! An asset that is scheduled in two markets at once is metered against each by itself.

mod metered;
mod pnl;
mod positions;
mod prices;

use auction::Rules;
use differential_dataflow::{AsCollection, VecCollection};
use model::{Award, BarRow, MeterReading, Pnl, SeriesKey, Settlement, T, Zones};
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::vec::Map;

use crate::Config;
use crate::keyed::{Barrier, Durable, keyed, keyed_durable};
use metered::{Metered, Record, settled};
use positions::{Place, Positions};
pub use prices::{BUCKET_MS, Priced};

/// A day of 25 hours, and an hour for prices of an interval that began before.
const LONGEST_REACH_MS: i64 = 26 * model::time::HOUR_MS;

/// How long after its start anything that settlement looks at is kept: as long as any day of delivery that holds it.
pub fn keep_ms(config: &Config) -> i64 {
    config.retention.minute.millis_i64().saturating_add(LONGEST_REACH_MS)
}

/// Whether what starts at `start_ms` is still looked at.
pub fn is_kept(config: &Config, start_ms: i64, t: T) -> bool {
    forgotten_at(keep_ms(config), start_ms) > t
}

fn forgotten_at(keep_ms: i64, start_ms: i64) -> T {
    T::try_from(start_ms.saturating_add(keep_ms)).unwrap_or(0)
}

/// What settlement yields.
pub struct Settled<'s> {
    /// One row for each interval of an asset, or of a bid without one.
    pub settlement: VecCollection<'s, T, Settlement, isize>,
    /// Profit and loss by day.
    pub pnl: VecCollection<'s, T, Pnl, isize>,
    /// Readings that came too late.
    pub refused: StreamVec<'s, T, MeterReading>,
    /// The winning readings that are new since the barrier before.
    pub saved: StreamVec<'s, T, MeterReading>,
}

/// What was awarded in one interval, at its real-time price.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Position {
    organisation: String,
    asset: String,
    bid: String,
    series: SeriesKey,
    start_ms: i64,
    duration_ms: u32,
    day_ms: (i64, i64),
    scheduled_kw: i64,
    day_ahead_micros: i64,
    real_time_price_micros: Option<i64>,
}

/// Settlement and P&L. `bars` are those of five minutes; others are passed over.
pub fn settlement<'s>(
    config: &Config,
    zones: &Zones,
    awards: VecCollection<'s, T, Award, isize>,
    bars: VecCollection<'s, T, BarRow, isize>,
    readings: StreamVec<'s, T, MeterReading>,
    barriers: Option<StreamVec<'s, T, Barrier>>,
) -> Settled<'s> {
    let (rules, priced) = (Rules::new(zones), Priced::new(zones));
    let retention_ms = config.retention.minute.millis_i64();
    let places = awards.inner.map(|(award, t, diff)| (Place::Award(award), t, diff));
    let chosen = priced.clone();
    let prices =
        bars.inner.flat_map(move |(row, t, diff)| chosen.price(&row).map(|price| (Place::Price(price), t, diff)));
    let machine = Positions::new(rules.clone(), retention_ms, keep_ms(config));
    let positions = keyed("Positions", places.concat(prices), |(place, _, _)| place.location(), machine).changes;

    let without = positions.clone().flat_map(|(position, t, diff)| match position.asset.is_empty() {
        true => Some((settled(&position, None, (0, 0)), t, diff)),
        false => None,
    });
    let with = positions.flat_map(|(position, t, diff)| match position.asset.is_empty() {
        true => None,
        false => Some(Record::Position(position, t, diff)),
    });
    let records = with.concat(readings.map(Record::Reading));
    let scope = records.scope();
    // A reading that was saved comes back as what it is: a record.
    let durable = barriers.map(|barriers| Durable { restore: empty(scope), barriers });
    let machine = Metered::new(zones, retention_ms, keep_ms(config), durable.is_some());
    let asset = |record: &Record| record.asset().to_owned();
    let saved_asset = |reading: &MeterReading| reading.asset.clone();
    let metered = keyed_durable("Settlement", records, durable, asset, saved_asset, machine);
    let settlement = metered.changes.concat(without);

    let machine = pnl::Days { retention_ms };
    let key_rules = rules;
    let rows = settlement.clone().map(move |(row, t, diff)| (pnl::Entry::new(&key_rules, &row), t, diff));
    let pnl = keyed("Pnl", rows, |(entry, _, _)| entry.day.clone(), machine).changes;
    Settled {
        settlement: settlement.as_collection(),
        pnl: pnl.as_collection(),
        refused: metered.side,
        saved: metered.saved,
    }
}
