//! Columns and rows on the wire.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use futures::{Stream, StreamExt};
use pgwire::api::portal::Format;
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo, QueryResponse};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::data::DataRow;

use crate::error::Error;
use crate::pg_catalog::types::pg_type;
use crate::pgwire::cell::Cell;

/// The columns of a result, in the formats that the client asked for.
pub(super) fn describe(schema: &Schema, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
    if let Some(Format::Individual(formats)) = format
        && formats.len() != schema.fields().len()
    {
        let message =
            format!("bind asks for {} formats, the result has {} columns", formats.len(), schema.fields().len());
        return Err(failed(&Error::query("08P01", message)));
    }
    let field = |(index, field): (usize, &arrow::datatypes::FieldRef)| {
        let format = format.map_or(FieldFormat::Text, |format| format.format_for(index));
        FieldInfo::new(field.name().clone(), None, None, pg_type(field.data_type()), format)
    };
    Ok(schema.fields().iter().enumerate().map(field).collect())
}

/// A result whose columns are `schema`'s, row by row.
pub(super) fn respond<S>(schema: SchemaRef, format: Option<&Format>, batches: S) -> PgWireResult<QueryResponse>
where
    S: Stream<Item = Result<RecordBatch, Error>> + Send + 'static,
{
    let fields = Arc::new(describe(&schema, format)?);
    let encoded = Arc::clone(&fields);
    let rows = batches.flat_map(move |batch| {
        let rows = match batch.and_then(|batch| encode(&schema, &encoded, &batch)) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(failed(&error))],
        };
        futures::stream::iter(rows)
    });
    Ok(QueryResponse::new(fields, rows))
}

fn encode(schema: &Schema, fields: &Arc<Vec<FieldInfo>>, batch: &RecordBatch) -> Result<Vec<DataRow>, Error> {
    // What was described is what is sent, even where running the plan settled on another width.
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast(column, field.data_type()),
        })
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Internal(format!("encode result: {error}")))?;
    let mut encoder = DataRowEncoder::new(Arc::clone(fields));
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        for column in &columns {
            let cell = Cell::read(column, row)?;
            encoder.encode_field(&cell).map_err(|error| Error::Internal(format!("encode result: {error}")))?;
        }
        rows.push(encoder.take_row());
    }
    Ok(rows)
}

/// An error on the wire.
pub(super) fn failed(error: &Error) -> PgWireError {
    let info = ErrorInfo::new("ERROR".to_owned(), error.sqlstate().to_owned(), error.to_string());
    PgWireError::UserError(Box::new(info))
}
