//! AEMO market management system (MMS) files: `C`, `I` and `D` rows, usually in a zip, several tables in one file.
//!
//! An `I` row names the columns of the `D` rows of its table, and a table's version adds columns, so columns are
//! found by name ([`rows`]). Times are market time, UTC+10 all year, and stamps are interval *ends*.
//!
//! | tables | become |
//! |---|---|
//! | `DISPATCH,PRICE`, `TRADING,PRICE`, `DISPATCH,REGIONSUM` | [`prices`] and their volume |
//! | `BID,BIDDAYOFFER_D` (prices of the bands), `BID,BIDPEROFFER_D` (quantities) | [`bids`] |
//! | `DISPATCH,UNIT_SCADA` | meter readings ([`scada`]) |
//! | `PARTICIPANT_REGISTRATION,DUDETAILSUMMARY` | the region of a unit ([`units`]) |

pub mod bids;
pub(crate) mod offers;
pub mod prices;
pub(crate) mod rows;
pub mod scada;
pub mod units;

pub use prices::read;

use model::time::HOUR_MS;

/// Market time is this far ahead of UTC.
const MARKET_OFFSET_MS: i64 = 10 * HOUR_MS;
const MINUTES_5_MS: i64 = 300_000;
const MINUTES_30_MS: i64 = 1_800_000;
/// 2021-10-01 00:00 market time: the end of the last half-hourly trading interval.
const FIVE_MINUTE_SETTLEMENT_MS: i64 = 1_633_010_400_000;
/// What is said of rows that describe the physical run of an intervention.
const INTERVENTION_LEFT_OUT: &str = "rows of the intervention run (INTERVENTION=1), left out";
