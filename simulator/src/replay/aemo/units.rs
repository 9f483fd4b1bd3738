//! Where a unit is, and whether it is a load: `PARTICIPANT_REGISTRATION,DUDETAILSUMMARY`, the table of the monthly archive,
//! where a replay has it; for the few units that real files were at hand of, a table here.

use std::collections::{BTreeMap, HashMap};

use super::rows::{Row, each};
use crate::error::Error;
use crate::replay::{Parsed, Source};

/// Regions from AEMO's "NEM Registration and Exemption List": Hallett power station and Hornsdale wind farm 2.
const KNOWN: [(&str, &str); 2] = [("AGLHAL", "SA1"), ("HDWF2", "SA1")];

/// A unit from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) region: String,
    pub(crate) participant: Option<String>,
    pub(crate) is_load: bool,
}

/// Every unit that the files of a replay tell of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Units {
    /// By unit, then by the instant from which it holds, UTC ms.
    found: HashMap<String, BTreeMap<i64, Unit>>,
}

/// Reads the table for what is wrong with it; what it says was learned before.
pub fn read(source: &Source) -> Result<Parsed, Error> {
    Ok(read_units(source).1)
}

fn read_units(source: &Source) -> (Units, Parsed) {
    let (mut units, mut parsed) = (Units::default(), Parsed::default());
    let kind =
        |report: &str, table: &str| (report == "PARTICIPANT_REGISTRATION" && table == "DUDETAILSUMMARY").then_some(());
    each(source, &mut parsed, "rows of other tables, left out", kind, |row, _| units.add(row));
    (units, parsed)
}

impl Units {
    pub(crate) fn learn(&mut self, source: &Source) {
        for (name, since) in read_units(source).0.found {
            self.found.entry(name).or_default().extend(since);
        }
    }

    fn add(&mut self, row: &Row<'_, ()>) -> Result<(), String> {
        let unit = Unit {
            region: row.text("REGIONID")?.to_owned(),
            participant: row.optional("PARTICIPANTID").map(str::to_owned),
            is_load: row.optional("DISPATCHTYPE").is_some_and(|kind| kind.eq_ignore_ascii_case("LOAD")),
        };
        let since_ms = row.instant("START_DATE")?;
        self.found.entry(row.text("DUID")?.to_ascii_uppercase()).or_default().insert(since_ms, unit);
        Ok(())
    }

    /// The unit as it is registered at `at_ms`; before its first record, as that says.
    pub(crate) fn at(&self, name: &str, at_ms: i64) -> Option<Unit> {
        let name = name.to_ascii_uppercase();
        if let Some(since) = self.found.get(&name) {
            let held = since.range(..=at_ms).next_back().or_else(|| since.first_key_value());
            return held.map(|(_, unit)| unit.clone());
        }
        let (_, region) = KNOWN.iter().find(|(known, _)| *known == name)?;
        Some(Unit { region: (*region).to_owned(), participant: None, is_load: false })
    }
}
