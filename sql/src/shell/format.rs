//! Results for people (a table, or one column a line) and for programs (CSV, JSON).

use std::io::{self, Write};
use std::str::FromStr;

use arrow::array::Array;
use model::time::rfc3339;

use crate::encode::{self, texts};
use crate::shell::{Answer, Options};

/// Form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Aligned columns.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// An array of objects.
    Json,
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is none of table, csv, json")),
        }
    }
}

/// Writes a result.
pub(super) fn write(answer: &Answer, options: &Options, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let encoded = |bytes: Result<Vec<u8>, crate::Error>| bytes.map_err(io::Error::other);
    match options.format {
        OutputFormat::Csv => out.write_all(&encoded(encode::csv(&answer.schema, &answer.batches))?),
        OutputFormat::Json => {
            out.write_all(&encoded(encode::json_rows(&answer.schema, &answer.batches))?)?;
            writeln!(out)
        }
        OutputFormat::Table => {
            let rows = cells(answer)?;
            if options.expanded {
                expanded(answer, &rows, out)?
            } else {
                aligned(answer, &rows, out)?
            }
            let t = rfc3339(i64::try_from(answer.t).unwrap_or(i64::MAX));
            writeln!(out, "({} row{} at T {t})", rows.len(), if rows.len() == 1 { "" } else { "s" })
        }
    }
}

type Row = Vec<String>;

fn cells(answer: &Answer) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in &answer.batches {
        let columns = batch.columns().iter().map(texts).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        let cell = |column: &arrow::array::StringArray, row| match column.is_null(row) {
            true => String::new(),
            false => column.value(row).replace('\n', "↵"),
        };
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect::<Row>()));
    }
    Ok(rows)
}

fn aligned(answer: &Answer, rows: &[Row], out: &mut (dyn Write + Send)) -> io::Result<()> {
    let fields = answer.schema.fields();
    let width = |index: usize| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.chain([fields[index].name().chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..fields.len()).map(width).collect();
    let header: Vec<String> =
        fields.iter().zip(&widths).map(|(field, width)| format!(" {:^width$} ", field.name())).collect();
    writeln!(out, "{}", header.join("|").trim_end())?;
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    writeln!(out, "{}", rule.join("+"))?;
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .zip(fields.iter())
            .map(|((cell, width), field)| match field.data_type().is_numeric() {
                true => format!(" {cell:>width$} "),
                false => format!(" {cell:<width$} "),
            })
            .collect();
        writeln!(out, "{}", line.join("|").trim_end())?;
    }
    Ok(())
}

fn expanded(answer: &Answer, rows: &[Row], out: &mut (dyn Write + Send)) -> io::Result<()> {
    let fields = answer.schema.fields();
    let width = fields.iter().map(|field| field.name().chars().count()).max().unwrap_or(0);
    for (number, row) in rows.iter().enumerate() {
        writeln!(out, "-[ RECORD {} ]{}", number + 1, "-".repeat(width))?;
        for (field, cell) in fields.iter().zip(row) {
            writeln!(out, "{:<width$} | {cell}", field.name())?;
        }
    }
    Ok(())
}
