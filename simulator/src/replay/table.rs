//! CSV with a header, row by row. A row that cannot be read is reported and the next one is tried.

use std::sync::Arc;

use csv::StringRecord;

use super::Parsed;
use super::input::Source;
use crate::error::Error;

/// An open CSV file.
pub(crate) struct Table<'a> {
    file: Arc<str>,
    reader: csv::Reader<&'a [u8]>,
    headers: Vec<String>,
}

/// One row.
pub(crate) struct Row<'a> {
    cells: &'a StringRecord,
    headers: &'a [String],
}

impl<'a> Table<'a> {
    /// Reads the header: names are compared without case and without the spaces some feeds put around them.
    pub(crate) fn open(source: &'a Source) -> Result<Self, Error> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source.body());
        let refuse = |reason: String| Error::Malformed { file: source.file.to_string(), reason };
        let headers = reader.byte_headers().map_err(|error| refuse(error.to_string()))?;
        let headers = headers.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_ascii_lowercase()).collect();
        Ok(Self { file: source.file.clone(), reader, headers })
    }

    /// Index of a column that must be there.
    pub(crate) fn column(&self, name: &str) -> Result<usize, Error> {
        let name = name.to_ascii_lowercase();
        self.find(|column| column == name).ok_or_else(|| self.missing(&name))
    }

    /// Index of a column that may be there.
    pub(crate) fn optional(&self, name: &str) -> Option<usize> {
        let name = name.to_ascii_lowercase();
        self.find(|column| column == name)
    }

    /// Index of the first column whose lower-case name ends so; it must be there.
    pub(crate) fn ending(&self, suffix: &str) -> Result<usize, Error> {
        self.find(|column| column.ends_with(suffix)).ok_or_else(|| self.missing(suffix))
    }

    /// Lower-case name of a column.
    pub(crate) fn header(&self, index: usize) -> &str {
        self.headers.get(index).map_or("", String::as_str)
    }

    fn find(&self, mut wanted: impl FnMut(&str) -> bool) -> Option<usize> {
        self.headers.iter().position(|column| wanted(column))
    }

    fn missing(&self, name: &str) -> Error {
        let reason = format!("no column {name:?}; there are {}", self.headers.join(", "));
        Error::Malformed { file: self.file.to_string(), reason }
    }

    /// Calls `on_row` for every row; what it refuses is reported with the line.
    pub(crate) fn each(
        mut self,
        parsed: &mut Parsed,
        mut on_row: impl FnMut(u64, &Row<'_>, &mut Parsed) -> Result<(), String>,
    ) {
        let mut cells = StringRecord::new();
        loop {
            let line = self.reader.position().line();
            match self.reader.read_record(&mut cells) {
                Ok(false) => return,
                Ok(true) => {
                    let line = cells.position().map_or(line, csv::Position::line);
                    let row = Row { cells: &cells, headers: &self.headers };
                    if let Err(reason) = on_row(line, &row, parsed) {
                        parsed.bad(&self.file, line, reason);
                    }
                }
                // Bytes that are no UTF-8: the reader stands behind the row and can go on.
                Err(error) => parsed.bad(&self.file, line, error.to_string()),
            }
        }
    }
}

impl Row<'_> {
    /// A cell, trimmed; an error where the row is too short.
    pub(crate) fn text(&self, column: usize) -> Result<&str, String> {
        self.cells.get(column).map(str::trim).ok_or_else(|| format!("no cell for {:?}", self.name(column)))
    }

    /// A cell that holds a finite number.
    pub(crate) fn number(&self, column: usize) -> Result<f64, String> {
        let text = self.text(column)?;
        number(text).ok_or_else(|| format!("{:?} is {text:?}, which is no number", self.name(column)))
    }

    fn name(&self, column: usize) -> &str {
        self.headers.get(column).map_or("", String::as_str)
    }
}

/// A finite number; `None` for anything else, `NaN` and `inf` included.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}
