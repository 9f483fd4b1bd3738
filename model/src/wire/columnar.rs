//! Many ticks in one message: an Arrow IPC stream with the columns of [`WireTick`], one row a tick.
//!
//! Times are `timestamp(ms, UTC)` or `int64` UTC ms, prices `float64`, names `utf8`. Required columns are
//! `market_zone`, `timestamp` and `price`; the rest may be missing or null. An unknown column refuses the
//! message, like an unknown JSON field does; a bad row refuses only itself.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::root_as_message;
use arrow::ipc::writer::StreamWriter;

use crate::dead_letter::Reason;
use crate::market::{Currency, Market};

use super::decode::Refusal;
use super::json::{RawTick, RawTimestamp, Timestamp, WireTick};

/// Most rows in one message.
const MAX_ROWS: usize = 1 << 20;

/// Whether the bytes start like an Arrow IPC stream (its continuation marker); no JSON does.
pub(super) fn is_stream(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff; 4])
}

/// Encodes ticks as one Arrow IPC stream message. Columns that no tick uses are left out.
pub fn encode(ticks: &[WireTick]) -> Result<Vec<u8>, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    let mut add = |name: &str, array: ArrayRef, required: bool| {
        if required || array.null_count() < array.len() {
            fields.push(Field::new(name, array.data_type().clone(), !required));
            columns.push(array);
        }
    };
    let millis =
        |at: &Timestamp| at.millis().ok_or_else(|| ArrowError::InvalidArgumentError(format!("{at:?} is no instant")));
    let text = |of: fn(&WireTick) -> Option<&str>| Arc::new(StringArray::from_iter(ticks.iter().map(of))) as ArrayRef;
    let float = |of: fn(&WireTick) -> Option<f64>| Arc::new(Float64Array::from_iter(ticks.iter().map(of))) as ArrayRef;

    add("market_zone", text(|tick| Some(&tick.market_zone)), true);
    let times = ticks.iter().map(|tick| millis(&tick.timestamp)).collect::<Result<Vec<_>, _>>()?;
    add("timestamp", Arc::new(Int64Array::from(times)), true);
    add("price", float(|tick| Some(tick.price)), true);
    add("volume", float(|tick| tick.volume), false);
    add("location", text(|tick| tick.location.as_deref()), false);
    add("market", text(|tick| tick.market.map(Market::as_str)), false);
    add("duration_ms", Arc::new(UInt32Array::from_iter(ticks.iter().map(|tick| tick.duration_ms))), false);
    let currencies: Vec<Option<&str>> = ticks.iter().map(|t| t.currency.as_ref().map(Currency::as_str)).collect();
    add("currency", Arc::new(StringArray::from(currencies)), false);
    add("energy", float(|tick| tick.energy), false);
    add("congestion", float(|tick| tick.congestion), false);
    add("loss", float(|tick| tick.loss), false);
    add("id", text(|tick| tick.id.as_deref()), false);
    add("revision", Arc::new(Int64Array::from_iter(ticks.iter().map(|tick| tick.revision))), false);
    let cancelled = ticks.iter().map(|tick| tick.cancelled.then_some(true));
    add("cancelled", Arc::new(BooleanArray::from_iter(cancelled)), false);
    add("source", text(|tick| tick.source.as_deref()), false);
    let published =
        ticks.iter().map(|tick| tick.published.as_ref().map(millis).transpose()).collect::<Result<Vec<_>, _>>()?;
    add("published", Arc::new(Int64Array::from(published)), false);

    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// Reads a message into columns of the right types. `Err` is the detail for the dead letter.
///
/// Arrow's reader panics on some corrupt streams (found by the fuzz test: a buffer shorter than its
/// header says). Nothing is shared with the closure, so catching the panic leaves nothing half done.
pub(super) fn decode(bytes: &[u8]) -> Result<Rows, String> {
    std::panic::catch_unwind(|| read(bytes)).unwrap_or_else(|_| Err("corrupt Arrow stream".into()))
}

/// Walks the stream's frames before Arrow's reader does: that one allocates whatever length a header claims
/// (found by the fuzz test: two exabytes), so a claim beyond the message must be refused first. Compressed
/// bodies claim a length of their own and are refused whole: Kafka compresses messages already.
fn check_frames(bytes: &[u8]) -> Result<(), String> {
    let mut rest = bytes;
    while let Some((prefix, after)) = rest.split_first_chunk::<8>() {
        let (marker, length) = prefix.split_at(4);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if marker != [0xff; 4] {
            return Err("a frame of the Arrow stream does not start with its marker".into());
        }
        if length == 0 {
            return Ok(());
        }
        let metadata = after.get(..length).ok_or("a frame of the Arrow stream is cut short")?;
        let message = root_as_message(metadata).map_err(|error| format!("read Arrow frame: {error}"))?;
        if message.header_as_record_batch().is_some_and(|batch| batch.compression().is_some()) {
            return Err("compressed Arrow bodies are not accepted: compress the Kafka message instead".into());
        }
        let body = usize::try_from(message.bodyLength()).map_err(|_| "a frame's body has a negative length")?;
        rest = after.get(length..).and_then(|after| after.get(body..)).ok_or("a frame's body is cut short")?;
    }
    Ok(())
}

fn read(bytes: &[u8]) -> Result<Rows, String> {
    check_frames(bytes)?;
    let wrong = |error: ArrowError| format!("read Arrow stream: {error}");
    let reader = StreamReader::try_new(bytes, None).map_err(wrong)?;
    let schema = reader.schema();
    let mut batches = Vec::new();
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(wrong)?;
        rows += batch.num_rows();
        if rows > MAX_ROWS {
            return Err(format!("more than {MAX_ROWS} rows in one message"));
        }
        batches.push(batch);
    }
    Rows::new(&concat_batches(&schema, &batches).map_err(wrong)?).map_err(wrong)
}

/// The typed columns of a message.
pub(super) struct Rows {
    len: usize,
    zones: StringArray,
    times: Int64Array,
    prices: Float64Array,
    volumes: Option<Float64Array>,
    locations: Option<StringArray>,
    markets: Option<StringArray>,
    durations: Option<UInt32Array>,
    currencies: Option<StringArray>,
    energies: Option<Float64Array>,
    congestions: Option<Float64Array>,
    losses: Option<Float64Array>,
    ids: Option<StringArray>,
    revisions: Option<Int64Array>,
    cancelled: Option<BooleanArray>,
    sources: Option<StringArray>,
    published: Option<Int64Array>,
}

const COLUMNS: [&str; 16] = [
    "market_zone",
    "timestamp",
    "price",
    "volume",
    "location",
    "market",
    "duration_ms",
    "currency",
    "energy",
    "congestion",
    "loss",
    "id",
    "revision",
    "cancelled",
    "source",
    "published",
];

impl Rows {
    fn new(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let schema = batch.schema();
        if let Some(field) = schema.fields().iter().find(|field| !COLUMNS.contains(&field.name().as_str())) {
            return Err(ArrowError::SchemaError(format!("unknown column {:?}", field.name())));
        }
        let column = |name: &str, to: &DataType| -> Result<Option<ArrayRef>, ArrowError> {
            batch.column_by_name(name).map(|array| cast(array, to)).transpose()
        };
        let text =
            |name: &str| Ok::<_, ArrowError>(column(name, &DataType::Utf8)?.map(|a| a.as_string::<i32>().clone()));
        let float = |name: &str| {
            Ok::<_, ArrowError>(column(name, &DataType::Float64)?.map(|array| array.as_primitive().clone()))
        };
        let millis = |name: &str| -> Result<Option<Int64Array>, ArrowError> {
            let Some(array) = batch.column_by_name(name) else { return Ok(None) };
            let array = match array.data_type() {
                DataType::Timestamp(_, _) => cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?,
                _ => Arc::clone(array),
            };
            Ok(Some(cast(&array, &DataType::Int64)?.as_primitive().clone()))
        };
        let required = |name: &str| ArrowError::SchemaError(format!("column {name:?} is missing"));
        Ok(Self {
            len: batch.num_rows(),
            zones: text("market_zone")?.ok_or_else(|| required("market_zone"))?,
            times: millis("timestamp")?.ok_or_else(|| required("timestamp"))?,
            prices: float("price")?.ok_or_else(|| required("price"))?,
            volumes: float("volume")?,
            locations: text("location")?,
            markets: text("market")?,
            durations: column("duration_ms", &DataType::UInt32)?.map(|array| array.as_primitive().clone()),
            currencies: text("currency")?,
            energies: float("energy")?,
            congestions: float("congestion")?,
            losses: float("loss")?,
            ids: text("id")?,
            revisions: column("revision", &DataType::Int64)?.map(|array| array.as_primitive().clone()),
            cancelled: column("cancelled", &DataType::Boolean)?.map(|array| array.as_boolean().clone()),
            sources: text("source")?,
            published: millis("published")?,
        })
    }

    /// Every row, or why it cannot be one.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<RawTick<'_>, Refusal>> {
        (0..self.len).map(|row| self.row(row))
    }

    fn row(&self, row: usize) -> Result<RawTick<'_>, Refusal> {
        if self.zones.is_null(row) {
            return Err((Reason::UnknownZone, "market_zone is null".into()));
        }
        if self.times.is_null(row) {
            return Err((Reason::BadTime, "timestamp is null".into()));
        }
        if self.prices.is_null(row) {
            return Err((Reason::BadPrice, "price is null".into()));
        }
        let market = named(&self.markets, row, "market", Market::parse)?;
        let currency = named(&self.currencies, row, "currency", Currency::parse)?;
        Ok(RawTick {
            v: 1,
            market_zone: Cow::Borrowed(self.zones.value(row)),
            location: text(&self.locations, row),
            market,
            timestamp: RawTimestamp::Millis(self.times.value(row)),
            duration_ms: self.durations.as_ref().filter(|a| a.is_valid(row)).map(|a| a.value(row)),
            price: self.prices.value(row),
            volume: float(&self.volumes, row),
            currency,
            energy: float(&self.energies, row),
            congestion: float(&self.congestions, row),
            loss: float(&self.losses, row),
            id: text(&self.ids, row),
            revision: int(&self.revisions, row),
            cancelled: self.cancelled.as_ref().is_some_and(|a| a.is_valid(row) && a.value(row)),
            source: text(&self.sources, row),
            published: int(&self.published, row).map(RawTimestamp::Millis),
        })
    }

    /// The row as JSON, for its dead letter: what could be read of it.
    pub(super) fn row_json(&self, row: usize) -> Vec<u8> {
        let value = serde_json::json!({
            "market_zone": self.zones.is_valid(row).then(|| self.zones.value(row)),
            "location": text(&self.locations, row),
            "market": text(&self.markets, row),
            "timestamp": self.times.is_valid(row).then(|| self.times.value(row)),
            // JSON has no NaN: as text it survives.
            "price": self.prices.is_valid(row).then(|| number(self.prices.value(row))),
            "volume": float(&self.volumes, row).map(number),
            "id": text(&self.ids, row),
            "revision": int(&self.revisions, row),
            "source": text(&self.sources, row),
        });
        value.to_string().into_bytes()
    }
}

fn number(value: f64) -> serde_json::Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Into::into)
}

fn text(column: &Option<StringArray>, row: usize) -> Option<Cow<'_, str>> {
    column.as_ref().filter(|array| array.is_valid(row)).map(|array| Cow::Borrowed(array.value(row)))
}

fn float(column: &Option<Float64Array>, row: usize) -> Option<f64> {
    column.as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row))
}

fn int(column: &Option<Int64Array>, row: usize) -> Option<i64> {
    column.as_ref().filter(|array| array.is_valid(row)).map(|array| array.value(row))
}

fn named<V>(
    column: &Option<StringArray>,
    row: usize,
    field: &str,
    parse: fn(&str) -> Option<V>,
) -> Result<Option<V>, Refusal> {
    match text(column, row) {
        None => Ok(None),
        Some(name) => parse(&name).map(Some).ok_or_else(|| (Reason::BadField, format!("no {field} {name:?}"))),
    }
}
