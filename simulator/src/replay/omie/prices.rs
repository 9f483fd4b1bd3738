//! The official prices of a day (`marginalpdbc`): a title, then year;month;day;period;Portugal;Spain; and an asterisk.

use chrono::NaiveDate;
use model::money::price;
use model::{Zone, Zones};

use super::day::Day;
use super::rows::{column, decimal, number, read};
use super::{PORTUGAL, SPAIN, version_in_name};
use crate::error::Error;
use crate::replay::quote::{Quote, zone};
use crate::replay::{Parsed, Source};

/// Prices of one period, micro-EUR per MWh.
struct Row {
    line: u64,
    date: NaiveDate,
    period: u16,
    portugal: i64,
    spain: i64,
}

/// Reads the prices; the file's version is their revision.
pub(crate) fn read_prices(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let (spain, portugal) = (zone(zones, SPAIN, source)?, zone(zones, PORTUGAL, source)?);
    let read = read(source, row);
    let mut parsed = Parsed { bad_rows: read.refused, ..Parsed::default() };
    for rows in read.rows.chunk_by(|one, other| one.date == other.date) {
        let Some(first) = rows.first() else { continue };
        let day = Day::new(first.date, rows.iter().map(|row| row.period));
        for row in rows {
            for (zone, micros) in [(spain, row.spain), (portugal, row.portugal)] {
                let record = day
                    .start_ms(row.period)
                    .and_then(|start_ms| quote(&day, zone, start_ms, price(micros), version_in_name(source)).record());
                match record {
                    Ok(record) => parsed.records.push(record),
                    // What is wrong with a row is wrong for both zones: it is said once.
                    Err(_) if zone.code == portugal.code => {}
                    Err(reason) => parsed.bad(&source.file, row.line, reason),
                }
            }
        }
    }
    Ok(parsed)
}

fn quote<'a>(day: &Day, zone: &'a Zone, start_ms: i64, price: f64, revision: i64) -> Quote<'a> {
    Quote {
        source: "omie",
        zone,
        location: &zone.code,
        market: day.market,
        start_ms,
        duration_ms: day.duration_ms(),
        published_ms: start_ms,
        price,
        components: None,
        volume: None,
        revision,
        cancelled: false,
    }
}

fn row(line: u64, row: &[u8]) -> Result<Option<Row>, String> {
    let text = column(row, 0, row.len());
    let cells: Vec<&str> = text.split(';').map(str::trim).collect();
    if cells.len() < 6 {
        let is_frame = cells[0].starts_with("MARGINAL") || cells[0] == "*";
        return if is_frame { Ok(None) } else { Err("too few cells".to_owned()) };
    }
    let price = |at: usize| decimal(cells[at], 6).ok_or_else(|| format!("cell {} is '{}'", at + 1, cells[at]));
    let date = (|| NaiveDate::from_ymd_opt(number(cells[0])?, number(cells[1])?, number(cells[2])?))();
    let date = date.ok_or_else(|| format!("{}-{}-{} is no day", cells[0], cells[1], cells[2]))?;
    let period = number(cells[3]).ok_or_else(|| format!("period is '{}'", cells[3]))?;
    Ok(Some(Row { line, date, period, portugal: price(4)?, spain: price(5)? }))
}
