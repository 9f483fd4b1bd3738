//! PostgreSQL's own tables and functions, as far as its clients ask for them: psql's `\d`, Grafana, drivers.
//!
//! The tables describe what exists here (tables, columns, types, one database, one owner); what does not exist here
//! (indexes, policies, publications …) is an empty table. Made once: the tables' columns never change.

pub(crate) mod functions;
mod relations;
pub(crate) mod rewrite;
pub(crate) mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::error::{DataFusionError, Result};
use serde_json::Value;

/// The tables of the schema `pg_catalog`.
pub(crate) fn tables() -> Result<BTreeMap<&'static str, Arc<dyn TableProvider>>> {
    let mut tables = BTreeMap::new();
    for (name, columns, rows) in relations::filled() {
        tables.insert(name, table(columns, &rows)?);
    }
    for (name, columns) in relations::EMPTY {
        tables.insert(*name, table(columns, &[])?);
    }
    Ok(tables)
}

/// A table of columns like `oid:int relname:text datacl:text[]` and JSON rows; what a row does not name is null.
fn table(columns: &str, rows: &[Value]) -> Result<Arc<dyn TableProvider>> {
    let fields: Vec<Field> = columns.split_whitespace().map(field).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(rows.len().max(1)).build_decoder()?;
    decoder.serialize(rows).map_err(DataFusionError::from)?;
    let batch = decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&schema)));
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

fn field(column: &str) -> Field {
    let (name, kind) = column.split_once(':').unwrap_or((column, "text"));
    let data_type = match kind {
        "int" => DataType::Int64,
        "flag" => DataType::Boolean,
        "text[]" => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        "int[]" => DataType::List(Arc::new(Field::new("item", DataType::Int64, true))),
        _ => DataType::Utf8,
    };
    Field::new(name, data_type, true)
}
