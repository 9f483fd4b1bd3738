//! `C`, `I` and `D` rows: the `D` rows of the tables that an adapter knows, their columns by name.

use std::collections::HashMap;

use csv::StringRecord;

use super::MARKET_OFFSET_MS;
use crate::replay::stamp::{DateOrder, parse};
use crate::replay::table::number;
use crate::replay::{Parsed, Source};

/// A table's columns, from its `I` row.
struct Columns<K> {
    kind: K,
    by_name: HashMap<String, usize>,
}

/// A `D` row of a table of kind `K`.
pub(crate) struct Row<'a, K> {
    columns: &'a Columns<K>,
    cells: &'a StringRecord,
    /// Line in the file, from 1.
    pub(crate) line: u64,
}

/// Calls `on_row` for each `D` row of the tables that have a `kind`; what it refuses is reported with the line. `others`
/// is the note for rows of other tables. Says whether the file has a table known.
pub(crate) fn each<K>(
    source: &Source,
    parsed: &mut Parsed,
    others: &'static str,
    kind: impl Fn(&str, &str) -> Option<K>,
    mut on_row: impl FnMut(&Row<'_, K>, &mut Parsed) -> Result<(), String>,
) -> bool {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source.body());
    let mut tables: HashMap<(String, String), Option<Columns<K>>> = HashMap::new();
    let mut cells = StringRecord::new();
    let mut known = false;
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut cells) {
            Ok(false) => return known,
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
                let columns = kind(&name.0, &name.1).map(|kind| Columns { kind, by_name: names(&cells) });
                known |= columns.is_some();
                tables.insert(name, columns);
                Ok(())
            }
            "D" => match tables.get(&name) {
                Some(Some(columns)) => on_row(&Row { columns, cells: &cells, line }, parsed),
                Some(None) => {
                    parsed.note(others);
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
}

/// Columns by name. The first four cells of an `I` row name none: they are the row's kind, the table, its subtable and version.
fn names(cells: &StringRecord) -> HashMap<String, usize> {
    cells.iter().enumerate().skip(4).map(|(index, name)| (name.trim().to_ascii_uppercase(), index)).collect()
}

impl<K> Row<'_, K> {
    /// Of which table it is.
    pub(crate) fn kind(&self) -> &K {
        &self.columns.kind
    }

    /// A cell that is there and not empty.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        let index = *self.columns.by_name.get(name)?;
        self.cells.get(index).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A cell that must be there.
    pub(crate) fn text(&self, name: &str) -> Result<&str, String> {
        self.optional(name).ok_or_else(|| format!("no {name}"))
    }

    /// A cell that must hold a finite number.
    pub(crate) fn number(&self, name: &str) -> Result<f64, String> {
        let text = self.text(name)?;
        number(text).ok_or_else(|| format!("{name} is {text:?}, which is no number"))
    }

    /// A cell that must hold a finite number if it holds anything.
    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<f64>, String> {
        self.optional(name).map(|_| self.number(name)).transpose()
    }

    /// A cell that must hold a time, UTC ms.
    pub(crate) fn instant(&self, name: &str) -> Result<i64, String> {
        let text = self.text(name)?;
        let at = parse(text, DateOrder::DayFirst).ok_or_else(|| format!("{name} {text:?} is no time"))?;
        Ok(at.and_utc().timestamp_millis() - MARKET_OFFSET_MS)
    }

    /// A cell that must hold a time if it holds anything, UTC ms.
    pub(crate) fn optional_instant(&self, name: &str) -> Result<Option<i64>, String> {
        self.optional(name).map(|_| self.instant(name)).transpose()
    }

    /// Whether it describes the physical run of an intervention. A number, because some archives write it as 0.0.
    pub(crate) fn is_intervention(&self) -> bool {
        self.optional("INTERVENTION").and_then(number).is_some_and(|run| run != 0.0)
    }
}
