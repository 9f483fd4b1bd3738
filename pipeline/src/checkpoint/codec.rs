//! Rows to Parquet and back, exactly: everything is an integer or a name.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::{Decimal128Type, Int64Type, SchemaRef, UInt32Type, UInt64Type};
use bytes::Bytes;
use model::{Bar, BarKey, BarRow, Granularity, LocationId, Market, SeriesKey, T};
use operators::bars::{SavedMinute, SavedTick};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is wrong with a file.
pub(super) type Wrong = String;

fn writer(schema: SchemaRef) -> Result<ArrowWriter<Vec<u8>>, Wrong> {
    let level = ZstdLevel::try_new(1).map_err(|error| error.to_string())?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(|error| error.to_string())
}

fn parquet(batch: &RecordBatch) -> Result<Bytes, Wrong> {
    let mut writer = writer(batch.schema())?;
    writer.write(batch).map_err(|error| error.to_string())?;
    Ok(writer.into_inner().map_err(|error| error.to_string())?.into())
}

/// Files of one form, one after the other as one; and how many rows that is. Holds a batch of rows at a time, not all.
pub(super) fn concat(files: Vec<Bytes>) -> Result<(Bytes, usize), Wrong> {
    let (mut merged, mut rows) = (None, 0);
    for file in files {
        for batch in batches(file)? {
            let batch = batch?;
            rows += batch.num_rows();
            let into = match &mut merged {
                Some(into) => into,
                none => none.insert(writer(batch.schema())?),
            };
            into.write(&batch).map_err(|error| error.to_string())?;
        }
    }
    let merged = merged.ok_or("there is nothing to merge")?;
    Ok((merged.into_inner().map_err(|error| error.to_string())?.into(), rows))
}

fn batches(bytes: Bytes) -> Result<impl Iterator<Item = Result<RecordBatch, Wrong>>, Wrong> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| error.to_string())?;
    let reader = reader.with_batch_size(65_536).build().map_err(|error| error.to_string())?;
    Ok(reader.map(|batch| batch.map_err(|error| error.to_string())))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, Wrong> {
    // Nullable or not is the same to us: what must be there is checked when it is read.
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| error.to_string())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Wrong> {
    batch.column_by_name(name).ok_or_else(|| format!("it lacks column {name}"))
}

fn longs<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array, Wrong> {
    column(batch, name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| format!("column {name} is no bigint"))
}

fn ids<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a UInt64Array, Wrong> {
    column(batch, name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| format!("column {name} is no id"))
}

fn wide<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Decimal128Array, Wrong> {
    column(batch, name)?.as_primitive_opt::<Decimal128Type>().ok_or_else(|| format!("column {name} is no decimal"))
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, Wrong> {
    column(batch, name)?.as_string_opt::<i32>().ok_or_else(|| format!("column {name} is no text"))
}

fn market(text: &str) -> Result<Market, Wrong> {
    Market::ALL.into_iter().find(|market| market.as_str() == text).ok_or_else(|| format!("no market {text:?}"))
}

fn granularity(text: &str) -> Result<Granularity, Wrong> {
    Granularity::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| format!("no granularity {text:?}"))
}

/// Minutes with their records; a minute without any is one row without an event time.
pub(super) fn encode_minutes(minutes: &[SavedMinute]) -> Result<Bytes, Wrong> {
    let rows: Vec<(&SavedMinute, Option<&SavedTick>)> = minutes
        .iter()
        .flat_map(|minute| {
            let none = minute.records.is_empty().then_some((minute, None));
            none.into_iter().chain(minute.records.iter().map(move |record| (minute, Some(record))))
        })
        .collect();
    let long = |value: &dyn Fn(&SavedTick) -> i64| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, record)| record.map(value)).collect::<Int64Array>())
    };
    let id = rows.iter().map(|(_, record)| record.map(|record| record.id)).collect::<UInt64Array>();
    let partition = rows.iter().map(|(_, record)| record.map(|record| record.partition)).collect::<UInt32Array>();
    let cancelled = rows.iter().map(|(_, record)| record.map(|record| record.cancelled)).collect::<BooleanArray>();
    parquet(&batch(vec![
        ("location", Arc::new(rows.iter().map(|(m, _)| Some(m.series.location.0)).collect::<UInt64Array>())),
        ("market", Arc::new(rows.iter().map(|(m, _)| Some(m.series.market.as_str())).collect::<StringArray>())),
        ("start_ms", Arc::new(rows.iter().map(|(m, _)| Some(m.start_ms)).collect::<Int64Array>())),
        ("event_ms", long(&|record| record.event_ms)),
        ("price_micros", long(&|record| record.price_micros)),
        ("volume_kwh", long(&|record| record.volume_kwh)),
        ("id", Arc::new(id)),
        ("revision", long(&|record| record.revision)),
        ("offset", long(&|record| record.offset)),
        ("partition", Arc::new(partition)),
        ("cancelled", Arc::new(cancelled)),
    ])?)
}

/// The minutes of a file, each once.
pub(super) fn decode_minutes(bytes: Bytes) -> Result<Vec<SavedMinute>, Wrong> {
    let mut minutes: Vec<SavedMinute> = Vec::new();
    for batch in batches(bytes)? {
        let batch = batch?;
        let (location, market_name) = (ids(&batch, "location")?, texts(&batch, "market")?);
        let (start_ms, event_ms) = (longs(&batch, "start_ms")?, longs(&batch, "event_ms")?);
        let (price, volume) = (longs(&batch, "price_micros")?, longs(&batch, "volume_kwh")?);
        let (id, revision, offset) = (ids(&batch, "id")?, longs(&batch, "revision")?, longs(&batch, "offset")?);
        let partition = column(&batch, "partition")?.as_primitive_opt::<UInt32Type>().ok_or("partition is no id")?;
        let cancelled = column(&batch, "cancelled")?.as_boolean_opt().ok_or("cancelled is no boolean")?;
        for row in 0..batch.num_rows() {
            let location = LocationId(location.value(row));
            let series = SeriesKey { location, market: market(market_name.value(row))? };
            let start_ms = start_ms.value(row);
            if minutes.last().is_none_or(|last| last.series != series || last.start_ms != start_ms) {
                minutes.push(SavedMinute { series, start_ms, records: Vec::new() });
            }
            let Some(minute) = minutes.last_mut().filter(|_| event_ms.is_valid(row)) else { continue };
            minute.records.push(SavedTick {
                event_ms: event_ms.value(row),
                price_micros: price.value(row),
                volume_kwh: volume.value(row),
                id: id.value(row),
                revision: revision.value(row),
                offset: offset.value(row),
                partition: partition.value(row),
                cancelled: cancelled.value(row),
            });
        }
    }
    Ok(minutes)
}

/// Bars with the T of their last change.
pub(super) fn encode_bars(rows: &[(T, BarRow)]) -> Result<Bytes, Wrong> {
    let long = |value: &dyn Fn(&BarRow) -> i64| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, row)| Some(value(row))).collect::<Int64Array>())
    };
    let wide = |value: &dyn Fn(&Bar) -> i128| -> Result<ArrayRef, Wrong> {
        let column = rows.iter().map(|(_, row)| Some(value(&row.bar))).collect::<Decimal128Array>();
        Ok(Arc::new(column.with_precision_and_scale(38, 0).map_err(|error| error.to_string())?))
    };
    let text = |value: &dyn Fn(&BarRow) -> &'static str| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, row)| Some(value(row))).collect::<StringArray>())
    };
    parquet(&batch(vec![
        ("t", Arc::new(rows.iter().map(|(t, _)| Some(*t)).collect::<UInt64Array>())),
        ("location", Arc::new(rows.iter().map(|(_, row)| Some(row.key.series.location.0)).collect::<UInt64Array>())),
        ("market", text(&|row| row.key.series.market.as_str())),
        ("granularity", text(&|row| row.key.granularity.as_str())),
        ("start_ms", long(&|row| row.key.start_ms)),
        ("end_ms", long(&|row| row.end_ms)),
        ("open", long(&|row| row.bar.open)),
        ("high", long(&|row| row.bar.high)),
        ("low", long(&|row| row.bar.low)),
        ("close", long(&|row| row.bar.close)),
        ("count", long(&|row| row.bar.count)),
        ("sum_price", wide(&|bar| bar.sum_price)?),
        ("sum_price_sq", wide(&|bar| bar.sum_price_sq)?),
        ("sum_volume_kwh", long(&|row| row.bar.sum_volume_kwh)),
        ("sum_price_volume", wide(&|bar| bar.sum_price_volume)?),
        ("first_ms", long(&|row| row.bar.first_ms)),
        ("last_ms", long(&|row| row.bar.last_ms)),
    ])?)
}

/// The bars of a file.
pub(super) fn decode_bars(bytes: Bytes) -> Result<Vec<(T, BarRow)>, Wrong> {
    let mut rows = Vec::new();
    for batch in batches(bytes)? {
        let batch = batch?;
        let (t, location) = (ids(&batch, "t")?, ids(&batch, "location")?);
        let (market_name, width) = (texts(&batch, "market")?, texts(&batch, "granularity")?);
        let long = |name| longs(&batch, name);
        let (start_ms, end_ms) = (long("start_ms")?, long("end_ms")?);
        let (open, high, low, close) = (long("open")?, long("high")?, long("low")?, long("close")?);
        let (count, volume) = (long("count")?, long("sum_volume_kwh")?);
        let (first_ms, last_ms) = (long("first_ms")?, long("last_ms")?);
        let (price, squares) = (wide(&batch, "sum_price")?, wide(&batch, "sum_price_sq")?);
        let products = wide(&batch, "sum_price_volume")?;
        for row in 0..batch.num_rows() {
            let series =
                SeriesKey { location: LocationId(location.value(row)), market: market(market_name.value(row))? };
            let granularity = granularity(width.value(row))?;
            let bar = Bar {
                open: open.value(row),
                high: high.value(row),
                low: low.value(row),
                close: close.value(row),
                count: count.value(row),
                sum_price: price.value(row),
                sum_price_sq: squares.value(row),
                sum_volume_kwh: volume.value(row),
                sum_price_volume: products.value(row),
                first_ms: first_ms.value(row),
                last_ms: last_ms.value(row),
            };
            let key = BarKey { series, granularity, start_ms: start_ms.value(row) };
            rows.push((t.value(row), BarRow { key, end_ms: end_ms.value(row), bar }));
        }
    }
    Ok(rows)
}

/// Rows of few tables as JSON: (table, row).
pub(super) struct Texts {
    tables: Vec<&'static str>,
    rows: Vec<String>,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self { tables: Vec::new(), rows: Vec::new() }
    }

    pub(super) fn add<R: Serialize>(
        &mut self,
        table: &'static str,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<(), Wrong> {
        for row in rows {
            self.rows.push(serde_json::to_string(&row).map_err(|error| error.to_string())?);
            self.tables.push(table);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn encode(self) -> Result<Bytes, Wrong> {
        parquet(&batch(vec![
            ("table", Arc::new(StringArray::from(self.tables))),
            ("row", Arc::new(StringArray::from(self.rows))),
        ])?)
    }
}

/// Calls `each` with every (table, row) of a file.
pub(super) fn decode_texts(bytes: Bytes, mut each: impl FnMut(&str, &str) -> Result<(), Wrong>) -> Result<(), Wrong> {
    for batch in batches(bytes)? {
        let batch = batch?;
        let (tables, rows) = (texts(&batch, "table")?, texts(&batch, "row")?);
        for row in 0..batch.num_rows() {
            each(tables.value(row), rows.value(row))?;
        }
    }
    Ok(())
}

pub(super) fn parse<R: DeserializeOwned>(row: &str) -> Result<R, Wrong> {
    serde_json::from_str(row).map_err(|error| format!("{error}: {row}"))
}
