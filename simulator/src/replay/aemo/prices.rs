//! Prices: `DISPATCH,PRICE` (5 min), `TRADING,PRICE` (30 min until the end of September 2021, 5 min since five-minute
//! settlement began on 2021-10-01) and, for volume, the demand in `DISPATCH,REGIONSUM`.
//!
//! * `SETTLEMENTDATE` is the interval's *end* in market time.
//! * Where AEMO intervened a second row has `INTERVENTION=1`: the physical run. Prices are those of the run with 0.
//! * `LASTCHANGED` is when the row was written: the publication time, and the base of the revision, so that a row
//!   re-issued later replaces the earlier. Of two of one instant the trading price, which settles, outranks the
//!   dispatch price. `INVALIDFLAG=1` withdraws a trading price.

use model::{Market, Zones};

use super::rows::{Row, each};
use super::{FIVE_MINUTE_SETTLEMENT_MS, INTERVENTION_LEFT_OUT, MINUTES_5_MS, MINUTES_30_MS};
use crate::error::Error;
use crate::replay::load::Load;
use crate::replay::quote::Quote;
use crate::replay::table::number;
use crate::replay::{Parsed, Source};

/// A table that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    DispatchPrice,
    TradingPrice,
    RegionSum,
}

impl Kind {
    fn of(report: &str, table: &str) -> Option<Self> {
        match (report, table) {
            ("DISPATCH", "PRICE") => Some(Self::DispatchPrice),
            ("TRADING", "PRICE") => Some(Self::TradingPrice),
            ("DISPATCH", "REGIONSUM") => Some(Self::RegionSum),
            _ => None,
        }
    }
}

/// Reads every table of prices or demand in a file.
pub fn read(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let mut parsed = Parsed::default();
    let others = "rows of tables that hold no prices, left out";
    if !each(source, &mut parsed, others, Kind::of, |row, parsed| read_row(row, zones, parsed)) {
        parsed.note("files without a price table");
    }
    Ok(parsed)
}

fn read_row(row: &Row<'_, Kind>, zones: &Zones, parsed: &mut Parsed) -> Result<(), String> {
    if row.is_intervention() {
        parsed.note(INTERVENTION_LEFT_OUT);
        return Ok(());
    }
    let region = row.text("REGIONID")?;
    let zone = zones.get(region).ok_or_else(|| format!("region {region:?} is not in the zone table"))?;
    let end_ms = row.instant("SETTLEMENTDATE")?;
    let kind = *row.kind();
    if kind == Kind::RegionSum {
        let power_mw = row.number("TOTALDEMAND")?;
        parsed.loads.push(Load { location: zone.index(), start_ms: end_ms - MINUTES_5_MS, power_mw });
        return Ok(());
    }
    let is_half_hour = kind == Kind::TradingPrice && end_ms <= FIVE_MINUTE_SETTLEMENT_MS;
    let (market, duration_ms) =
        if is_half_hour { (Market::RealTime30Min, MINUTES_30_MS) } else { (Market::RealTime5Min, MINUTES_5_MS) };
    let start_ms = end_ms - duration_ms;
    let changed_ms = row.optional_instant("LASTCHANGED")?;
    let age_s = changed_ms.map_or(0, |at| (at - start_ms).div_euclid(1000)).max(0);
    let quote = Quote {
        source: "aemo",
        zone,
        location: &zone.code,
        market,
        start_ms,
        duration_ms,
        published_ms: changed_ms.unwrap_or(end_ms).max(start_ms),
        price: row.number("RRP")?,
        components: None,
        volume: None,
        revision: 2 * age_s + i64::from(kind == Kind::TradingPrice),
        cancelled: row.optional("INVALIDFLAG").and_then(number).is_some_and(|flag| flag != 0.0),
    };
    parsed.records.push(quote.record()?);
    Ok(())
}
