//! Metered delivery: `DISPATCH,UNIT_SCADA`, what each unit's control system read in each dispatch interval of five minutes.
//!
//! * `SETTLEMENTDATE` is the interval's *end* in market time. The value is one reading of power, MW; it stands for the
//!   mean of its interval, the finest that is published of every unit.
//! * Generation is positive. A unit that the table of units calls a load reads what it takes: its sign is turned. Units that
//!   no table knows, and batteries with one name for both directions, read as they are.
//! * A reading is known at the end of its interval. `LASTCHANGED`, where a table has it, is the base of the revision.

use model::MeterReading;
use model::wire::WireMeter;
use model::wire::json::Timestamp;

use super::MINUTES_5_MS;
use super::rows::{Row, each};
use crate::error::Error;
use crate::replay::quote::tidy;
use crate::replay::{Body, Companions, Parsed, Record, Source};

/// Reads the readings of a file; `companions` know which units are loads.
pub fn read(source: &Source, companions: &Companions) -> Result<Parsed, Error> {
    let mut parsed = Parsed::default();
    let kind = |report: &str, table: &str| is_scada(report, table).then_some(());
    each(source, &mut parsed, "rows of tables that hold no readings, left out", kind, |row, parsed| {
        let record = reading(row, companions, parsed)?;
        parsed.records.push(record);
        Ok(())
    });
    Ok(parsed)
}

/// Whether a table is that of readings.
pub(crate) fn is_scada(report: &str, table: &str) -> bool {
    report == "DISPATCH" && table == "UNIT_SCADA"
}

fn reading(row: &Row<'_, ()>, companions: &Companions, parsed: &mut Parsed) -> Result<Record, String> {
    let unit = row.text("DUID")?.to_ascii_uppercase();
    let end_ms = row.instant("SETTLEMENTDATE")?;
    let start_ms = end_ms - MINUTES_5_MS;
    let value = row.number("SCADAVALUE")?;
    let is_load = companions.units.at(&unit, start_ms).is_some_and(|unit| unit.is_load);
    parsed.note_times("readings of loads, with their sign turned", u64::from(is_load));
    let power = tidy(if is_load { -value } else { value });
    if power.abs() > MeterReading::MAX_POWER_MW {
        return Err(format!("SCADAVALUE {value} is out of bounds"));
    }
    let changed_ms = row.optional_instant("LASTCHANGED")?;
    let published_ms = changed_ms.unwrap_or(end_ms).max(end_ms);
    let meter = WireMeter {
        revision: Some((published_ms - end_ms) / 1000),
        source: Some("aemo".to_owned()),
        published: Some(Timestamp::Millis(published_ms)),
        ..WireMeter::new(&unit, start_ms, MINUTES_5_MS as u32, power)
    };
    Ok(Record { body: Body::Meter(meter), published_ms })
}
