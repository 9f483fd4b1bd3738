//! Rows as Postgres' COPY text format: tab-separated, `\N` for undefined, backslash escapes. Pure.

use std::fmt::Write;

use arrow::array::RecordBatch;
use model::time::rfc3339;

use crate::Error;
use crate::rows::{self, Cell};

/// Column names of `rows`, quoted, comma-separated.
pub(crate) fn column_list(rows: &RecordBatch) -> String {
    let names: Vec<String> = rows.schema().fields().iter().map(|field| format!("\"{}\"", field.name())).collect();
    names.join(", ")
}

/// The rows as COPY text.
pub(crate) fn copy_text(rows: &RecordBatch) -> Result<Vec<u8>, Error> {
    let mut text = String::with_capacity(rows.num_rows() * rows.num_columns() * 12);
    for row in 0..rows.num_rows() {
        for (index, column) in rows.columns().iter().enumerate() {
            if index > 0 {
                text.push('\t');
            }
            push(&mut text, rows::cell(column.as_ref(), row)?);
        }
        text.push('\n');
    }
    Ok(text.into_bytes())
}

fn push(text: &mut String, cell: Cell<'_>) {
    // Writing to a String cannot fail.
    let _ = match cell {
        Cell::Null => write!(text, "\\N"),
        Cell::Text(value) => {
            escape(text, value);
            Ok(())
        }
        Cell::Float(value) => write!(text, "{value}"),
        Cell::Int(value) => write!(text, "{value}"),
        Cell::Flag(value) => write!(text, "{}", if value { 't' } else { 'f' }),
        Cell::Time(ms) => write!(text, "{}", rfc3339(ms)),
        Cell::Bytes(bytes) => {
            text.push_str("\\\\x");
            bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}"))
        }
    };
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            // Postgres has no such character in text: a name or message with one is stored with the usual substitute.
            '\0' => text.push('\u{fffd}'),
            c => text.push(c),
        }
    }
}
