//! The files of the Iberian day-ahead market (OMIE): the complete order book of a day, its interconnections, its prices.
//!
//! ```text
//!  CAB  order(10) version(5) unit(7) name(30) C|V(1) default(1) fixed EUR(17) max MW(7) border(2) inserted(14)
//!  DET  order(10) version(5) period(3) block(2) step(2) group(2) EUR/MWh(17) MW(7) MAV MW(7) MAR(5)
//! ```
//! Fixed width in bytes, Latin-1 (a byte is a character). A row that is not what the table says is reported with its line
//! and the reason; the others stand. Periods count the intervals of the local day in Madrid ([`day`]); those beyond it are
//! reported: the real files carry stray ones. The day of `CAB` and `DET` is in their names, and one needs the other.
//!
//! How an order becomes ours ([`book`]): each version that the files hold is sent; the highest stands, and what an earlier
//! one had and a later one has not is withdrawn. Block 0 is the order's curve: a scalable complex order if `CAB` has a
//! fixed term or any step has a `MAV`, plain otherwise. Blocks 1.. are one block bid each; those with the same group are
//! exclusive.
//!
//! A border whose units bid in the book (Spain 1, Portugal 2, Morocco 5) is in it already; the flow over any other border
//! (France 3, Andorra 4) was decided elsewhere and is taken as published ([`borders`]). Between Spain and Portugal the
//! published capacity holds.

mod book;
mod borders;
mod day;
mod prices;
mod rows;

use chrono::NaiveDate;

use super::{Companions, Parsed, Source};
use crate::error::Error;

pub(crate) use book::read_details;
pub(crate) use borders::read_borders;
pub(crate) use prices::read_prices;
pub(crate) use rows::{Header, headers, unit_zones};

/// A zone of the market, by its code in the zone table.
pub(crate) type Zone = &'static str;
/// Zone of Spain.
pub(crate) const SPAIN: Zone = "MIBEL-ES";
/// Zone of Portugal.
pub(crate) const PORTUGAL: Zone = "MIBEL-PT";
/// Code of the border with Portugal, and of units that are at home there.
const PORTUGUESE_BORDER: u8 = 2;
/// Whose bids flows and capacities are.
const OPERATOR: &str = "OMIE";
const REPLACED: &str = "files of which the replay has a later version, left out";

/// The day in a file's name, as in `CAB_20250621.1`.
pub(crate) fn date_in_name(source: &Source) -> Option<NaiveDate> {
    let stem = source.stem();
    stem.split(|character: char| !character.is_ascii_digit())
        .filter(|digits| digits.len() == 8)
        .find_map(|digits| NaiveDate::parse_from_str(digits, "%Y%m%d").ok())
}

/// The version at the end of a file's name, as the 1 of `CAB_20250621.1`; 0 where there is none.
pub(crate) fn version_in_name(source: &Source) -> i64 {
    let end = source.file.rsplit('.').next().unwrap_or_default();
    end.parse().ok().filter(|version| (0..1_000_000).contains(version)).unwrap_or(0)
}

/// The day of a file that has it in its name only.
fn day_of(source: &Source) -> Result<NaiveDate, Error> {
    date_in_name(source).ok_or_else(|| malformed(source, "the day of delivery (yyyymmdd) is not in its name"))
}

fn malformed(source: &Source, reason: impl Into<String>) -> Error {
    Error::Malformed { file: source.file.to_string(), reason: reason.into() }
}

/// Reads order headers for what is wrong with them: the orders come with their steps.
pub(crate) fn read_headers(source: &Source, companions: &Companions) -> Result<Parsed, Error> {
    let date = day_of(source)?;
    let mut parsed = Parsed::default();
    if companions.headers.get(&date).is_some_and(|held| held.file != source.file) {
        parsed.note(REPLACED);
        return Ok(parsed);
    }
    if !companions.details.contains_key(&date) {
        let reason = format!("order headers without their steps: DET_{} is not among the files", date.format("%Y%m%d"));
        return Err(malformed(source, reason));
    }
    parsed.bad_rows = rows::headers(source).refused;
    Ok(parsed)
}

/// Reads the zones of units for what is wrong with them: they are used where orders are.
pub(crate) fn read_units(source: &Source) -> Result<Parsed, Error> {
    Ok(Parsed { bad_rows: rows::unit_zones(source).refused, ..Parsed::default() })
}
