//! Results as bytes, for `/api/sql`: JSON with an envelope, CSV with a header, Arrow's IPC stream.
//!
//! Times are RFC 3339 in UTC, integers exact, undefined numbers `null`. Encoding is pure and happens once the whole
//! result is there, so that a query that fails half-way is an error, not a torn document.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{JsonArray, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use model::T;
use model::time::rfc3339;
use serde_json::json;

use crate::error::Error;

/// A form of result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `{"t":…,"schema":[…],"rows":[{…}]}`.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// Arrow IPC stream.
    Arrow,
}

impl Format {
    /// The form that an `Accept` header asks for; JSON where it does not say, `None` where it asks for something else.
    pub fn accepted(accept: &str) -> Option<Self> {
        let kinds =
            accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        for kind in kinds {
            match kind.as_str() {
                "" | "*/*" | "application/*" | "application/json" => return Some(Self::Json),
                "text/csv" | "text/*" => return Some(Self::Csv),
                "application/vnd.apache.arrow.stream" => return Some(Self::Arrow),
                _ => {}
            }
        }
        None
    }

    /// The `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// Encodes a whole result.
    pub fn encode(self, t: T, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Json => json(t, schema, batches),
            Self::Csv => csv(schema, batches),
            Self::Arrow => arrow_stream(t, schema, batches),
        }
    }
}

/// `{"t": instant, "t_ms": number, "schema": [{"name","type","nullable"}], "row_count": n, "rows": [{…}]}`.
pub fn json(t: T, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, Error> {
    let schema = distinct(schema);
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| json!({"name": field.name(), "type": type_name(field.data_type()), "nullable": field.is_nullable()}))
        .collect();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let instant = rfc3339(i64::try_from(t).unwrap_or(i64::MAX));
    let head = json!({"t": instant, "t_ms": t, "schema": fields, "row_count": rows}).to_string();
    let mut out = head.into_bytes();
    out.pop();
    out.extend_from_slice(b",\"rows\":");
    out.append(&mut json_rows(&schema, batches)?);
    out.push(b'}');
    Ok(out)
}

/// The rows alone, an array of objects.
pub fn json_rows(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, Error> {
    let schema = distinct(schema);
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    for batch in batches {
        writer.write(&renamed(&schema, batch).map_err(internal)?).map_err(internal)?;
    }
    writer.finish().map_err(internal)?;
    let rows = writer.into_inner();
    Ok(if rows.is_empty() { b"[]".to_vec() } else { rows })
}

/// CSV with a header; nested values as text.
pub fn csv(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, Error> {
    let schema = distinct(schema);
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(Vec::new());
    // Without rows the header is all there is to say.
    let none = [RecordBatch::new_empty(Arc::clone(&schema))];
    for batch in if batches.is_empty() { &none } else { batches } {
        let batch = renamed(&schema, batch).and_then(|batch| flat(&batch)).map_err(internal)?;
        writer.write(&batch).map_err(internal)?;
    }
    Ok(writer.into_inner())
}

/// Arrow's IPC stream; the schema's metadata has `t`.
pub fn arrow_stream(t: T, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, Error> {
    let mut metadata = schema.metadata().clone();
    metadata.insert("t".to_owned(), t.to_string());
    let schema = Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata));
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(internal)?;
    for batch in batches {
        let columns = batch.columns().to_vec();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options).map_err(internal)?;
        writer.write(&batch).map_err(internal)?;
    }
    writer.into_inner().map_err(internal)
}

/// A type's name for people: SQL's where it has one.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".to_owned(),
        DataType::Int32 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 => "bigint".to_owned(),
        DataType::UInt64 => "numeric".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => "text".to_owned(),
        DataType::Dictionary(_, value) => type_name(value),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        DataType::List(item) | DataType::LargeList(item) => format!("{}[]", type_name(item.data_type())),
        other => other.to_string(),
    }
}

/// The schema with every column's name its own: `price`, `price_2`.
fn distinct(schema: &SchemaRef) -> SchemaRef {
    let mut seen = HashSet::new();
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let mut name = field.name().clone();
            let mut number = 2;
            while !seen.insert(name.clone()) {
                name = format!("{}_{number}", field.name());
                number += 1;
            }
            field.as_ref().clone().with_name(name)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn renamed(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options)
}

/// The batch with nested columns as text.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(Arc::new(texts(column)?));
        } else {
            fields.push(field.as_ref().clone());
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// A column as text, the way tables show it.
pub(crate) fn texts(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let text = |row| if column.is_null(row) { Ok(None) } else { formatter.value(row).try_to_string().map(Some) };
    (0..column.len()).map(text).collect()
}

fn internal(error: ArrowError) -> Error {
    Error::Internal(format!("encode result: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, ListArray, TimestampMillisecondArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn sample() -> (SchemaRef, RecordBatch) {
        let times = TimestampMillisecondArray::from(vec![1_700_000_000_123, 0]).with_timezone("UTC");
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("at", Arc::new(times) as ArrayRef, false),
            ("n", Arc::new(Int64Array::from(vec![9_007_199_254_740_993, -1])), false),
            ("n", Arc::new(Float64Array::from(vec![Some(1.5), None])), true),
            ("l", Arc::new(lists), true),
        ])
        .unwrap();
        (batch.schema(), batch)
    }

    #[test]
    fn json_keeps_integers_times_and_both_of_two_like_named_columns() {
        let (schema, batch) = sample();
        let text = String::from_utf8(json(7, &schema, &[batch]).unwrap()).unwrap();
        assert!(
            text.starts_with(r#"{"row_count":2,"schema":[{"name":"at","nullable":false,"type":"timestamp with"#),
            "{text}"
        );
        assert!(text.contains(r#""t":"1970-01-01T00:00:00.007Z","t_ms":7"#), "{text}");
        assert!(
            text.ends_with(
                r#""rows":[{"at":"2023-11-14T22:13:20.123Z","n":9007199254740993,"n_2":1.5,"l":[1,null]},{"at":"1970-01-01T00:00:00Z","n":-1,"n_2":null,"l":null}]}"#
            ),
            "{text}"
        );
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn csv_has_a_header_even_without_rows() {
        let (schema, batch) = sample();
        assert_eq!(csv(&schema, &[]).unwrap(), b"at,n,n_2,l\n");
        let text = String::from_utf8(csv(&schema, &[batch]).unwrap()).unwrap();
        assert_eq!(
            text,
            "at,n,n_2,l\n2023-11-14T22:13:20.123Z,9007199254740993,1.5,\"[1, ]\"\n1970-01-01T00:00:00Z,-1,,\n"
        );
    }

    #[test]
    fn arrow_comes_back_as_it_went() {
        let (schema, batch) = sample();
        let bytes = arrow_stream(9, &schema, std::slice::from_ref(&batch)).unwrap();
        let mut reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
        assert_eq!(reader.schema().metadata()["t"], "9");
        assert_eq!(reader.next().unwrap().unwrap().columns(), batch.columns());
    }

    #[test]
    fn accept_headers() {
        for (accept, format) in [
            ("", Some(Format::Json)),
            ("text/csv", Some(Format::Csv)),
            ("application/vnd.apache.arrow.stream;q=1, */*", Some(Format::Arrow)),
            ("image/png", None),
            ("image/png, */*;q=0.1", Some(Format::Json)),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
