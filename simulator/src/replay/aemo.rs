//! AEMO market management system (MMS) files: `C`, `I` and `D` rows, usually in a zip, several tables in one file.
//!
//! An `I` row names the columns of the `D` rows of its table, and a table's version adds columns, so columns are
//! found by name. Read are `DISPATCH,PRICE` (5 min), `TRADING,PRICE` (30 min until the end of September 2021, 5 min
//! since five-minute settlement began on 2021-10-01) and, for volume, the demand in `DISPATCH,REGIONSUM`.
//!
//! * `SETTLEMENTDATE` is the interval's *end* in market time, UTC+10 all year.
//! * Where AEMO intervened a second row has `INTERVENTION=1`: the physical run. Prices are those of the run with 0.
//! * `LASTCHANGED` is when the row was written: the publication time, and the base of the revision, so that a row
//!   re-issued later replaces the earlier. Of two of one instant the trading price, which settles, outranks the
//!   dispatch price. `INVALIDFLAG=1` withdraws a trading price.

use std::collections::HashMap;

use csv::StringRecord;
use model::time::HOUR_MS;
use model::{Market, Zones};

use super::load::Load;
use super::quote::Quote;
use super::stamp::{DateOrder, parse};
use super::table::number;
use super::{Parsed, Source};
use crate::error::Error;

const MARKET_OFFSET_MS: i64 = 10 * HOUR_MS;
const MINUTES_5_MS: i64 = 300_000;
const MINUTES_30_MS: i64 = 1_800_000;
/// 2021-10-01 00:00 market time: the end of the last half-hourly trading interval.
const FIVE_MINUTE_SETTLEMENT_MS: i64 = 1_633_010_400_000;

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

/// A table's columns, from its `I` row.
struct Columns {
    kind: Kind,
    by_name: HashMap<String, usize>,
}

/// A `D` row with its table's columns.
struct Row<'a> {
    columns: &'a Columns,
    cells: &'a StringRecord,
}

/// Reads every table known in a file.
pub fn read(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source.body());
    let mut parsed = Parsed::default();
    let mut tables: HashMap<(String, String), Option<Columns>> = HashMap::new();
    let mut cells = StringRecord::new();
    let mut known = false;
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut cells) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                parsed.bad(&source.file, line, error.to_string());
                continue;
            }
        }
        let line = cells.position().map_or(line, csv::Position::line);
        let cell = |index: usize| cells.get(index).map_or("", str::trim).to_ascii_uppercase();
        let name = (cell(1), cell(2));
        let result = match cell(0).as_str() {
            "C" => Ok(()),
            "I" => {
                let columns = columns(&name, &cells);
                known |= columns.is_some();
                tables.insert(name, columns);
                Ok(())
            }
            "D" => match tables.get(&name) {
                Some(Some(columns)) => read_row(&Row { columns, cells: &cells }, zones, &mut parsed),
                Some(None) => {
                    parsed.note("rows of tables that hold no prices, left out");
                    Ok(())
                }
                None => Err(format!("no I row for table {}, {}", name.0, name.1)),
            },
            kind => Err(format!("row kind {kind:?} is not C, I or D")),
        };
        if let Err(reason) = result {
            parsed.bad(&source.file, line, reason);
        }
    }
    if !known {
        parsed.note("files without a price table");
    }
    Ok(parsed)
}

fn columns(name: &(String, String), cells: &StringRecord) -> Option<Columns> {
    let kind = Kind::of(&name.0, &name.1)?;
    let by_name = cells.iter().enumerate().skip(4).map(|(index, name)| (name.trim().to_ascii_uppercase(), index));
    Some(Columns { kind, by_name: by_name.collect() })
}

impl Row<'_> {
    fn optional(&self, name: &str) -> Option<&str> {
        let index = *self.columns.by_name.get(name)?;
        self.cells.get(index).map(str::trim).filter(|text| !text.is_empty())
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        self.optional(name).ok_or_else(|| format!("no {name}"))
    }

    fn number(&self, name: &str) -> Result<f64, String> {
        let text = self.text(name)?;
        number(text).ok_or_else(|| format!("{name} is {text:?}, which is no number"))
    }

    fn instant(&self, name: &str) -> Result<i64, String> {
        let text = self.text(name)?;
        let at = parse(text, DateOrder::DayFirst).ok_or_else(|| format!("{name} {text:?} is no time"))?;
        Ok(at.and_utc().timestamp_millis() - MARKET_OFFSET_MS)
    }
}

fn read_row(row: &Row<'_>, zones: &Zones, parsed: &mut Parsed) -> Result<(), String> {
    // A number, because some archives write it as 0.0.
    if row.optional("INTERVENTION").and_then(number).is_some_and(|run| run != 0.0) {
        parsed.note("rows of the intervention run (INTERVENTION=1), left out");
        return Ok(());
    }
    let region = row.text("REGIONID")?;
    let zone = zones.get(region).ok_or_else(|| format!("region {region:?} is not in the zone table"))?;
    let end_ms = row.instant("SETTLEMENTDATE")?;
    let kind = row.columns.kind;
    if kind == Kind::RegionSum {
        let power_mw = row.number("TOTALDEMAND")?;
        parsed.loads.push(Load { location: zone.index(), start_ms: end_ms - MINUTES_5_MS, power_mw });
        return Ok(());
    }
    let is_half_hour = kind == Kind::TradingPrice && end_ms <= FIVE_MINUTE_SETTLEMENT_MS;
    let (market, duration_ms) =
        if is_half_hour { (Market::RealTime30Min, MINUTES_30_MS) } else { (Market::RealTime5Min, MINUTES_5_MS) };
    let start_ms = end_ms - duration_ms;
    let changed_ms = row.optional("LASTCHANGED").map(|_| row.instant("LASTCHANGED")).transpose()?;
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
