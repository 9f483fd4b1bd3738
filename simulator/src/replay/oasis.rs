//! NYISO OASIS exports: day-ahead hourly and real-time commitment (RTC, 15 min) or dispatch (RTD, 5 min).
//!
//! * Day-ahead: `Eastern Date Hour` is the interval's *start* and a column says EDT or EST, so the hour that repeats is clear.
//! * RTC, RTD: `… End Time Stamp` is the *end*, without a zone. RTC intervals are always 15 min: a missing
//!   row leaves a hole and does not stretch its neighbour. RTD stands off the grid like `realtime_zone`.
//! * `Price Version` is the revision: a corrected price carries a higher number (12208 instead of 1). Which version
//!   was published when is not in the file; versions of one hour follow each other in order.
//! * Congestion has the opposite sign to ours, as in all NYISO data.

use std::collections::HashMap;

use model::time::HOUR_MS;
use model::{Market, Zone, Zones};

use super::nyiso::{Series, eastern};
use super::quote::{Components, Quote, zone};
use super::stamp::{DateOrder, LocalSeries, Step, parse};
use super::table::{Row, Table};
use super::{Parsed, Source};
use crate::error::Error;

const MINUTES_15_MS: i64 = 900_000;

/// Reads a day-ahead or a real-time export.
pub fn read(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let nyiso = zone(zones, "NYISO", source)?;
    let table = Table::open(source)?;
    let columns = Columns::find(&table)?;
    let mut clocks = Clocks { zone: nyiso, rtc: HashMap::new(), rtd: HashMap::new() };
    let mut parsed = Parsed::default();
    table.each(&mut parsed, |_, row, parsed| {
        let (price, losses, congestion) =
            (row.number(columns.lbmp)?, row.number(columns.losses)?, row.number(columns.congestion)?);
        let name = row.text(columns.name)?;
        if name.is_empty() {
            return Err("no zone name".to_owned());
        }
        let Some(interval) = clocks.interval(&columns, row, name, price, parsed)? else { return Ok(()) };
        let version = match columns.version {
            Some(column) => {
                row.text(column)?.parse::<i64>().map_err(|_| "price version is no whole number".to_owned())?
            }
            None => 0,
        };
        let market = columns.market;
        let quote = Quote {
            source: "nyiso",
            zone: nyiso,
            location: nyiso.canonical_location(name),
            market,
            start_ms: interval.start_ms,
            duration_ms: interval.end_ms - interval.start_ms,
            published_ms: if market.is_day_ahead() { interval.start_ms } else { interval.end_ms },
            price,
            components: Some(Components::nyiso(price, losses, congestion)),
            volume: None,
            revision: version.max(0).saturating_add(interval.repetition),
            cancelled: false,
        };
        parsed.records.push(quote.record()?);
        Ok(())
    });
    Ok(parsed)
}

struct Columns {
    market: Market,
    stamp: usize,
    flag: Option<usize>,
    name: usize,
    lbmp: usize,
    losses: usize,
    congestion: usize,
    version: Option<usize>,
}

impl Columns {
    fn find(table: &Table<'_>) -> Result<Self, Error> {
        let (stamp, flag, market) = match table.optional("Eastern Date Hour") {
            Some(stamp) => (stamp, Some(table.column("Eastern Date Hour Time Zone")?), Market::DayAheadHourly),
            None => {
                let stamp = table.ending(" end time stamp")?;
                let market =
                    if table.header(stamp).starts_with("rtd") { Market::RealTime5Min } else { Market::RealTime15Min };
                (stamp, None, market)
            }
        };
        Ok(Self {
            market,
            stamp,
            flag,
            name: table.ending(" name")?,
            lbmp: table.ending(" lbmp")?,
            losses: table.ending(" losses")?,
            congestion: table.ending(" congestion")?,
            version: table.ending(" price version").ok(),
        })
    }
}

struct Interval {
    start_ms: i64,
    end_ms: i64,
    repetition: i64,
}

/// The wall clocks of every location in the file.
struct Clocks<'a> {
    zone: &'a Zone,
    rtc: HashMap<String, LocalSeries>,
    rtd: HashMap<String, Series>,
}

impl Clocks<'_> {
    fn interval(
        &mut self,
        columns: &Columns,
        row: &Row<'_>,
        name: &str,
        price: f64,
        parsed: &mut Parsed,
    ) -> Result<Option<Interval>, String> {
        let text = row.text(columns.stamp)?;
        let local = parse(text, DateOrder::MonthFirst).ok_or_else(|| format!("stamp {text:?} is no time"))?;
        if let Some(flag) = columns.flag {
            let start_ms = eastern(local, row.text(flag)?, self.zone)?;
            return Ok(Some(Interval { start_ms, end_ms: start_ms + HOUR_MS, repetition: 0 }));
        }
        if columns.market == Market::RealTime5Min {
            let series = self.rtd.entry(name.to_owned()).or_insert_with(|| Series::new(self.zone, columns.market));
            let found = series.ending_at(local, price, parsed)?;
            return Ok(found.map(|(start_ms, end_ms, repetition)| Interval { start_ms, end_ms, repetition }));
        }
        let series = self.rtc.entry(name.to_owned()).or_insert_with(|| LocalSeries::new(self.zone.timezone));
        match series.next(local)? {
            (_, Step::Back) => Err("stamp goes back in time".to_owned()),
            // The version tells a corrected row from a repeated one.
            (end_ms, _) => Ok(Some(Interval { start_ms: end_ms - MINUTES_15_MS, end_ms, repetition: 0 })),
        }
    }
}
