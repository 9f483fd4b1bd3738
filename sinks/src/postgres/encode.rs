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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;

    #[test]
    fn rows_are_copy_text() {
        let rows = RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![Some("tab\there \\ line\nend"), None])) as _),
            ("price", Arc::new(Float64Array::from(vec![-0.1, 1e9])) as _),
            ("count", Arc::new(Int64Array::from(vec![i64::MIN, 7])) as _),
            ("removed", Arc::new(BooleanArray::from(vec![true, false])) as _),
            ("t", Arc::new(TimestampMillisecondArray::from(vec![0, 1_764_453_600_123]).with_timezone("UTC")) as _),
            ("bytes", Arc::new(BinaryArray::from(vec![b"\x00\xff".as_slice(), b""])) as _),
        ])
        .unwrap();
        assert_eq!(column_list(&rows), r#""name", "price", "count", "removed", "t", "bytes""#);
        let expected = concat!(
            "tab\\there \\\\ line\\nend\t-0.1\t-9223372036854775808\tt\t1970-01-01T00:00:00.000Z\t\\\\x00ff\n",
            "\\N\t1000000000\t7\tf\t2025-11-29T22:00:00.123Z\t\\\\x\n",
        );
        assert_eq!(String::from_utf8(copy_text(&rows).unwrap()).unwrap(), expected);
    }
}
