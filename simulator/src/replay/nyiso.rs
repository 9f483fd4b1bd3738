//! NYISO zonal prices and load, as `mis.nyiso.com` publishes them a day a file.
//!
//! * `realtime_zone` (5 min): the stamp is the interval's *end*, Eastern wall time without a zone. Extra dispatch
//!   runs stand off the grid (`04:18:02`), so an interval starts at the previous stamp of its zone; the first
//!   of a file, and one after a gap of more than 15 min, is taken as 5 min long. The hour that repeats is told
//!   apart by order. Congestion has the opposite sign to ours: LBMP = energy + losses − congestion.
//! * `damlbmp_zone`, `rtlbmp_zone` (hourly): the same header, but the stamp is the *start* and every stamp is on
//!   the hour. Nothing inside tells day-ahead from real time, so here alone the name counts (`rtlbmp`).
//! * `pal` (5 min load): the stamp carries EDT or EST and is when the load was read; it holds until the next.

use std::collections::HashMap;

use chrono::Timelike;
use model::time::HOUR_MS;
use model::{Market, Zone, Zones};

use super::load::Load;
use super::quote::{Components, Quote, zone};
use super::stamp::{DateOrder, LocalSeries, Step, parse};
use super::table::{Row, Table};
use super::{Parsed, Source};
use crate::error::Error;

const MINUTES_5_MS: i64 = 300_000;
/// A longer gap between two stamps means that rows are missing, not that one price held.
const MAX_INTERVAL_MS: i64 = 900_000;

/// Reads zonal prices.
pub fn read(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let nyiso = zone(zones, "NYISO", source)?;
    let market = product(source)?;
    let table = Table::open(source)?;
    let columns = [
        table.column("Time Stamp")?,
        table.column("Name")?,
        table.column("LBMP ($/MWHr)")?,
        table.column("Marginal Cost Losses ($/MWHr)")?,
        table.column("Marginal Cost Congestion ($/MWHr)")?,
    ];
    let mut parsed = Parsed::default();
    let mut series = HashMap::new();
    table.each(&mut parsed, |_, row, parsed| {
        let priced = Priced::from_row(row, columns)?;
        let state = series.entry(priced.name.clone()).or_insert_with(|| Series::new(nyiso, market));
        let Some((start_ms, end_ms, revision)) = state.interval(&priced, market, parsed)? else { return Ok(()) };
        let quote = Quote {
            source: "nyiso",
            zone: nyiso,
            location: nyiso.canonical_location(&priced.name),
            market,
            start_ms,
            duration_ms: end_ms - start_ms,
            published_ms: if market.is_day_ahead() { start_ms } else { end_ms },
            price: priced.lbmp,
            components: Some(priced.components),
            volume: None,
            revision,
            cancelled: false,
        };
        parsed.records.push(quote.record()?);
        Ok(())
    });
    Ok(parsed)
}

/// Which of the products that share the header: hourly ones have every stamp on the hour.
fn product(source: &Source) -> Result<Market, Error> {
    let table = Table::open(source)?;
    let column = table.column("Time Stamp")?;
    let (mut seen, mut off_hour) = (0_u64, 0_u64);
    table.each(&mut Parsed::default(), |_, row, _| {
        if let Some(at) = parse(row.text(column)?, DateOrder::MonthFirst) {
            seen += 1;
            off_hour += u64::from(at.minute() != 0 || at.second() != 0);
        }
        Ok(())
    });
    Ok(match (seen > 0 && off_hour == 0, source.stem().contains("rtlbmp")) {
        (false, _) => Market::RealTime5Min,
        (true, true) => Market::RealTimeHourly,
        (true, false) => Market::DayAheadHourly,
    })
}

struct Priced {
    stamp: String,
    name: String,
    lbmp: f64,
    components: Components,
}

impl Priced {
    fn from_row(row: &Row<'_>, [stamp, name, lbmp, losses, congestion]: [usize; 5]) -> Result<Self, String> {
        let price = row.number(lbmp)?;
        let name = row.text(name)?;
        if name.is_empty() {
            return Err("no zone name".to_owned());
        }
        Ok(Self {
            stamp: row.text(stamp)?.to_owned(),
            name: name.to_owned(),
            lbmp: price,
            components: Components::nyiso(price, row.number(losses)?, row.number(congestion)?),
        })
    }
}

/// The intervals of one zone, in file order.
pub(super) struct Series {
    stamps: LocalSeries,
    /// Start, end, price and revision of the latest interval.
    latest: Option<(i64, i64, f64, i64)>,
}

impl Series {
    pub(super) fn new(zone: &Zone, market: Market) -> Self {
        let is_hourly = i64::from(market.interval_ms()) == HOUR_MS;
        let stamps = if is_hourly { LocalSeries::hourly(zone.timezone) } else { LocalSeries::new(zone.timezone) };
        Self { stamps, latest: None }
    }

    fn interval(
        &mut self,
        row: &Priced,
        market: Market,
        parsed: &mut Parsed,
    ) -> Result<Option<(i64, i64, i64)>, String> {
        let local =
            parse(&row.stamp, DateOrder::MonthFirst).ok_or_else(|| format!("stamp {:?} is no time", row.stamp))?;
        if market == Market::RealTime5Min {
            return self.ending_at(local, row.lbmp, parsed);
        }
        let (start, step) = self.stamps.next(local)?;
        Ok(self
            .follow(step, start, start + HOUR_MS, row.lbmp, parsed)?
            .map(|revision| (start, start + HOUR_MS, revision)))
    }

    /// Start, end and revision of the five-minute interval that ends at a stamp; `None` for an exact repetition.
    pub(super) fn ending_at(
        &mut self,
        local: chrono::NaiveDateTime,
        price: f64,
        parsed: &mut Parsed,
    ) -> Result<Option<(i64, i64, i64)>, String> {
        let (end, step) = self.stamps.next(local)?;
        let start = match (step, self.latest) {
            (Step::Repeat, Some((start, ..))) => start,
            (Step::Forward(previous), _) if end - previous <= MAX_INTERVAL_MS => previous,
            _ => end - MINUTES_5_MS,
        };
        Ok(self.follow(step, start, end, price, parsed)?.map(|revision| (start, end, revision)))
    }

    /// The revision of a row: a repeated stamp with another price is a correction, with the same price a duplicate.
    fn follow(
        &mut self,
        step: Step,
        start: i64,
        end: i64,
        price: f64,
        parsed: &mut Parsed,
    ) -> Result<Option<i64>, String> {
        let revision = match (step, self.latest) {
            (Step::Back, _) => return Err("stamp goes back in time".to_owned()),
            (Step::Repeat, Some((.., latest, _))) if latest.to_bits() == price.to_bits() => {
                parsed.note("rows that repeat the one before, left out");
                return Ok(None);
            }
            (Step::Repeat, Some((.., revision))) => revision + 1,
            _ => 0,
        };
        self.latest = Some((start, end, price, revision));
        Ok(Some(revision))
    }
}

/// Reads load: it becomes the volume of five-minute prices in the same replay.
pub fn read_load(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let nyiso = zone(zones, "NYISO", source)?;
    let table = Table::open(source)?;
    let [stamp, name, load] = [table.column("Time Stamp")?, table.column("Name")?, table.column("Load")?];
    let offset = table.optional("Time Zone");
    let mut series = HashMap::new();
    let mut parsed = Parsed::default();
    table.each(&mut parsed, |_, row, parsed| {
        let text = row.text(stamp)?;
        let local = parse(text, DateOrder::MonthFirst).ok_or_else(|| format!("stamp {text:?} is no time"))?;
        let name = row.text(name)?;
        let start_ms = match offset {
            Some(column) => eastern(local, row.text(column)?, nyiso)?,
            None => series.entry(name.to_owned()).or_insert_with(|| LocalSeries::new(nyiso.timezone)).next(local)?.0,
        };
        if row.text(load)?.is_empty() {
            parsed.note("rows without a load, left out");
            return Ok(());
        }
        parsed.loads.push(Load { location: nyiso.location(name), start_ms, power_mw: row.number(load)? });
        Ok(())
    });
    Ok(parsed)
}

/// The instant of a wall time whose zone is written beside it; an error where the two do not go together.
pub(super) fn eastern(local: chrono::NaiveDateTime, flag: &str, zone: &Zone) -> Result<i64, String> {
    let offset_ms = match flag.to_ascii_uppercase().as_str() {
        "EDT" => -4 * HOUR_MS,
        "EST" => -5 * HOUR_MS,
        _ => return Err(format!("time zone {flag:?} is neither EDT nor EST")),
    };
    let at = local.and_utc().timestamp_millis() - offset_ms;
    if model::time::utc_offset_ms(at, zone.timezone) == offset_ms {
        Ok(at)
    } else {
        Err(format!("{local} {flag} does not exist"))
    }
}
