//! The open-access electricity price forecasting benchmark (Lago, Marcjasz, De Schutter, Weron: "Forecasting day-ahead
//! electricity prices", Applied Energy 293, 2021): hourly day-ahead prices, one market a file.
//!
//! Which market is told by the other columns: `COMED` → PJM's ComEd zone, `Ampirion` → Germany, `Wind power forecast` →
//! Nord Pool; Belgium and France share a header and are told apart by name (`BE`, `FR`).
//!
//! Assumed: stamps are interval starts in the market's own wall time, forced into 24-hour days. The hour that
//! spring skips holds a made-up value (the data show the mean of its neighbours): left out. Of the hour that
//! autumn repeats the file has one value, by the paper the mean of the two: both hours get it, so that the
//! day has its 25 hours. Header cells carry a leading space.

use chrono::{LocalResult, TimeZone};
use model::time::HOUR_MS;
use model::{Market, Zones};

use super::quote::{Quote, zone};
use super::stamp::{DateOrder, parse};
use super::table::Table;
use super::{Parsed, Source};
use crate::error::Error;

/// Reads one market.
pub fn read(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let table = Table::open(source)?;
    let (code, location) = place(source, &table)?;
    let zone = zone(zones, code, source)?;
    let mut parsed = Parsed::default();
    table.each(&mut parsed, |_, row, parsed| {
        let text = row.text(0)?;
        let local = parse(text, DateOrder::DayFirst).ok_or_else(|| format!("stamp {text:?} is no time"))?;
        let price = row.number(1)?;
        let starts = match zone.timezone.from_local_datetime(&local) {
            LocalResult::Single(at) => vec![at],
            LocalResult::Ambiguous(first, second) => vec![first, second],
            LocalResult::None => vec![],
        };
        match starts.len() {
            0 => parsed.note("made-up values for the hour that spring skips, left out"),
            2 => parsed.note("means of the hour that autumn repeats, given to both hours"),
            _ => {}
        }
        for start in starts {
            let start_ms = start.timestamp_millis();
            let quote = Quote {
                source: "epf",
                zone,
                location: zone.canonical_location(location),
                market: Market::DayAheadHourly,
                start_ms,
                duration_ms: HOUR_MS,
                published_ms: start_ms,
                price,
                components: None,
                volume: None,
                revision: 0,
                cancelled: false,
            };
            parsed.records.push(quote.record()?);
        }
        Ok(())
    });
    Ok(parsed)
}

/// Zone and location of a file.
fn place(source: &Source, table: &Table<'_>) -> Result<(&'static str, &'static str), Error> {
    let columns = [1, 2, 3].map(|index| table.header(index)).join(" ");
    if columns.contains("comed") {
        return Ok(("PJM", "COMED"));
    }
    if columns.contains("ampirion") || columns.contains("amprion") {
        return Ok(("EPEX-DE", "EPEX-DE"));
    }
    if columns.contains("wind power") {
        return Ok(("NORDPOOL", "NORDPOOL"));
    }
    match source.stem().as_str() {
        "be" => Ok(("EPEX-BE", "EPEX-BE")),
        "fr" => Ok(("EPEX-FR", "EPEX-FR")),
        stem => Err(Error::Malformed {
            file: source.file.to_string(),
            reason: format!("no market known by these columns, nor by the name {stem:?}"),
        }),
    }
}
