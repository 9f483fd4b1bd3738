//! Runs as Parquet files: one a table and UTC day. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::TimestampMillisecondType;
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use model::table::Table;
use model::time::{DAY_MS, MINUTE_MS, to_utc};
use model::{Batch, T};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::rows::{self, Keep, history_keep};
use crate::{Context, Error};

/// A file to be written.
#[derive(Debug)]
pub(super) struct File {
    pub(super) table: Table,
    /// `2025-11-18`.
    pub(super) day: String,
    pub(super) first_t: T,
    pub(super) last_t: T,
    pub(super) bytes: Bytes,
}

/// The files of a run: the same run makes the same files.
pub(super) fn files(context: &Context, batches: &[Arc<Batch>]) -> Result<Vec<File>, Error> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for table in Table::ALL {
        let rows = rows::encode(context, table, batches, history_keep(table))?;
        for (day, rows) in by_day(table, &rows)? {
            files.push(File { table, day, first_t: first.t, last_t: last.t, bytes: parquet(&rows)? });
        }
    }
    Ok(files)
}

fn by_day(table: Table, rows: &RecordBatch) -> Result<Vec<(String, RecordBatch)>, Error> {
    let mut days: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (row, ms) in times(rows, table.time_column())?.values().iter().enumerate() {
        days.entry(ms.div_euclid(DAY_MS)).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
    }
    let named = days.into_iter().map(|(day, rows_of_day)| {
        let name = to_utc(day * DAY_MS).map_or_else(|| day.to_string(), |at| at.date_naive().to_string());
        Ok((name, take_record_batch(rows, &UInt32Array::from(rows_of_day))?))
    });
    named.collect()
}

fn times<'a>(rows: &'a RecordBatch, column: &str) -> Result<&'a arrow::array::TimestampMillisecondArray, Error> {
    rows.column_by_name(column)
        .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
        .ok_or_else(|| Error::Schema(format!("column {column} is no time")))
}

fn parquet(rows: &RecordBatch) -> Result<Bytes, Error> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("optibid".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    writer.write(rows)?;
    Ok(writer.into_inner()?.into())
}

/// Rows of a file, from its footer.
pub(super) fn rows(file: &Bytes) -> Result<usize, Error> {
    let footer = ParquetRecordBatchReaderBuilder::try_new(file.clone())?;
    Ok(usize::try_from(footer.metadata().file_metadata().num_rows()).unwrap_or(0))
}

/// One file's content of several': of versions with the same key and T one, and of the rest what history keeps.
pub(super) fn merge(table: Table, parts: &[Bytes]) -> Result<Bytes, Error> {
    let mut batches = Vec::new();
    for part in parts {
        for batch in ParquetRecordBatchReaderBuilder::try_new(part.clone())?.build()? {
            batches.push(batch?);
        }
    }
    let rows = concat_batches(&table.schema(), &batches)?;
    let keep = survivors(table, &rows)?;
    parquet(&take_record_batch(&rows, &keep)?)
}

/// Rows to keep, in order of (key, t), which compresses well and lets readers skip.
fn survivors(table: Table, rows: &RecordBatch) -> Result<UInt32Array, Error> {
    let t = times(rows, "t")?;
    let slot: Int64Array = match history_keep(table) {
        Keep::Every => t.values().iter().copied().collect(),
        Keep::Newest => t.values().iter().map(|_| 0).collect(),
        Keep::NewestPerMinute => t.values().iter().map(|ms| ms.div_euclid(MINUTE_MS)).collect(),
    };
    let mut columns: Vec<ArrayRef> = Vec::new();
    for name in table.key() {
        let column = rows.column_by_name(name).ok_or_else(|| Error::Schema(format!("rows have no column {name}")))?;
        columns.push(Arc::clone(column));
    }
    columns.push(Arc::new(slot));
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let keys = RowConverter::new(fields)?.convert_columns(&columns)?;
    let mut newest: HashMap<&[u8], usize> = HashMap::new();
    for row in 0..rows.num_rows() {
        let kept = newest.entry(keys.row(row).data()).or_insert(row);
        if t.value(row) >= t.value(*kept) {
            *kept = row;
        }
    }
    let mut kept: Vec<usize> = newest.into_values().collect();
    kept.sort_by(|a, b| keys.row(*a).cmp(&keys.row(*b)).then(t.value(*a).cmp(&t.value(*b))));
    Ok(kept.into_iter().map(|row| u32::try_from(row).unwrap_or(u32::MAX)).collect())
}
