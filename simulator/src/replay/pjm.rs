//! PJM Data Miner LMPs: day-ahead hourly, real-time hourly and real-time five-minute.
//!
//! Stamps are the interval's *start*, once in UTC and once in Eastern prevailing time: UTC counts, the other is
//! checked. LMP = energy + congestion + loss, as ours. `version_nbr` is the revision. A row that is not
//! current was replaced: where the file also has the version that replaced it, both are sent in order, so
//! that the price is corrected as it was; where it has none, the row is sent as a cancellation of its version.
//! Hourly and five-minute files share their header: a stamp off the hour makes a file five-minute.

use std::collections::HashMap;

use chrono::Timelike;
use model::time::to_utc;
use model::{Market, Zones};

use super::quote::{Components, Quote, tidy, zone};
use super::stamp::{DateOrder, parse};
use super::table::{Row, Table};
use super::{Parsed, Source};
use crate::error::Error;

/// Rounding that PJM's own sum of components may be off by.
const ROUNDING: f64 = 0.02;

struct Columns {
    utc: usize,
    ept: Option<usize>,
    name: usize,
    total: usize,
    energy: Option<usize>,
    congestion: Option<usize>,
    loss: Option<usize>,
    current: Option<usize>,
    version: Option<usize>,
    is_day_ahead: bool,
}

impl Columns {
    fn find(table: &Table<'_>) -> Result<Self, Error> {
        let is_day_ahead = table.optional("total_lmp_da").is_some();
        let suffix = if is_day_ahead { "da" } else { "rt" };
        Ok(Self {
            utc: table.column("datetime_beginning_utc")?,
            ept: table.optional("datetime_beginning_ept"),
            name: table.column("pnode_name")?,
            total: table.column(&format!("total_lmp_{suffix}"))?,
            energy: table.optional(&format!("system_energy_price_{suffix}")),
            congestion: table.optional(&format!("congestion_price_{suffix}")),
            loss: table.optional(&format!("marginal_loss_price_{suffix}")),
            current: table.optional("row_is_current"),
            version: table.optional("version_nbr"),
            is_day_ahead,
        })
    }
}

/// One row, read.
struct Priced {
    start_ms: i64,
    name: String,
    price: f64,
    components: Option<Components>,
    version: i64,
    is_current: bool,
    line: u64,
}

/// Reads LMPs.
pub fn read(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let pjm = zone(zones, "PJM", source)?;
    let table = Table::open(source)?;
    let columns = Columns::find(&table)?;
    let mut parsed = Parsed::default();
    let mut rows: Vec<Priced> = Vec::new();
    table.each(&mut parsed, |line, row, parsed| {
        rows.push(columns.read(line, row, pjm.timezone, parsed)?);
        Ok(())
    });
    let is_hourly = rows.iter().all(|row| row.start_ms % model::time::HOUR_MS == 0);
    let market = match (columns.is_day_ahead, is_hourly) {
        (true, _) => Market::DayAheadHourly,
        (false, true) => Market::RealTimeHourly,
        (false, false) => Market::RealTime5Min,
    };
    let duration_ms = i64::from(market.interval_ms());
    let mut newest: HashMap<(i64, &str), i64> = HashMap::new();
    for row in &rows {
        let version = newest.entry((row.start_ms, row.name.as_str())).or_insert(row.version);
        *version = row.version.max(*version);
    }
    for row in &rows {
        let replaced = newest.get(&(row.start_ms, row.name.as_str())).is_some_and(|newest| *newest > row.version);
        let quote = Quote {
            source: "pjm",
            zone: pjm,
            location: pjm.canonical_location(&row.name),
            market,
            start_ms: row.start_ms,
            duration_ms,
            published_ms: if market.is_day_ahead() { row.start_ms } else { row.start_ms + duration_ms },
            price: row.price,
            components: row.components,
            volume: None,
            revision: row.version,
            cancelled: !row.is_current && !replaced,
        };
        match quote.record() {
            Ok(record) => parsed.records.push(record),
            Err(reason) => parsed.bad(&source.file, row.line, reason),
        }
    }
    Ok(parsed)
}

impl Columns {
    fn read(&self, line: u64, row: &Row<'_>, tz: chrono_tz::Tz, parsed: &mut Parsed) -> Result<Priced, String> {
        let start_ms = self.instant(row, tz)?;
        let name = row.text(self.name)?;
        if name.is_empty() {
            return Err("no pnode name".to_owned());
        }
        let price = row.number(self.total)?;
        let components = self.components(row)?;
        if let Some(parts) = components
            && (parts.energy + parts.congestion + parts.loss - price).abs() > ROUNDING
        {
            parsed.note("rows whose components do not add up to the price; the price is kept");
        }
        let version = match self.version.map(|column| row.text(column)).transpose()? {
            None | Some("") => 0,
            Some(text) => text.parse::<i64>().map_err(|_| format!("version_nbr {text:?} is no whole number"))?.max(0),
        };
        let is_current = match self.current.map(|column| row.text(column)).transpose()? {
            None | Some("") => true,
            Some(text) if text.eq_ignore_ascii_case("true") || text == "1" => true,
            Some(text) if text.eq_ignore_ascii_case("false") || text == "0" => false,
            Some(text) => return Err(format!("row_is_current is {text:?}, not True or False")),
        };
        Ok(Priced { start_ms, name: name.to_owned(), price, components, version, is_current, line })
    }

    fn instant(&self, row: &Row<'_>, tz: chrono_tz::Tz) -> Result<i64, String> {
        let read = |column: usize| {
            let text = row.text(column)?;
            parse(text, DateOrder::MonthFirst).ok_or_else(|| format!("stamp {text:?} is no time"))
        };
        let utc = read(self.utc)?;
        if utc.second() != 0 || utc.minute() % 5 != 0 {
            return Err(format!("{utc} is on no five-minute interval"));
        }
        let start_ms = utc.and_utc().timestamp_millis();
        if let Some(column) = self.ept {
            let (ept, expected) = (read(column)?, to_utc(start_ms).map(|at| at.with_timezone(&tz).naive_local()));
            if expected != Some(ept) {
                return Err(format!("{utc} UTC is not {ept} Eastern prevailing time"));
            }
        }
        Ok(start_ms)
    }

    fn components(&self, row: &Row<'_>) -> Result<Option<Components>, String> {
        let (Some(energy), Some(congestion), Some(loss)) = (self.energy, self.congestion, self.loss) else {
            return Ok(None);
        };
        Ok(Some(Components {
            energy: tidy(row.number(energy)?),
            congestion: tidy(row.number(congestion)?),
            loss: tidy(row.number(loss)?),
        }))
    }
}
