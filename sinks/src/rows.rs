//! Rows as every store sees them: the columns of [`model::table`], made from a run of batches.
//!
//! One shape for all stores: a Parquet file, a ClickHouse block, a Postgres COPY, a Redis hash and a Kafka value have
//! the same columns with the same names as SQL. What differs is which versions of a row a store wants ([`Keep`]).

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::array::{TimestampMillisecondArray, UInt32Array};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use model::table::{self, Table, Version};
use model::time::MINUTE_MS;
use model::{Alert, Award, Batch, BidKpi, Change, Clearing, Correlation, DeadLetter, Kpi, Notice, Pnl, Settlement, T};

use crate::{Context, Error};

const LONGEST_ID_BYTES: usize = 512;

/// Which versions of a row, of all in a run, are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Each one.
    Every,
    /// The newest of each key.
    Newest,
    /// The newest of each key in each minute of T: a series of points, not of every flicker.
    NewestPerMinute,
}

/// What histories keep of `table`: every tick and every step of a life; of the rest what stands, and KPIs and
/// correlations as one point a minute.
pub(crate) fn history_keep(table: Table) -> Keep {
    match table {
        Table::Ticks | Table::Anomalies | Table::Bids => Keep::Every,
        Table::Bars | Table::Clearing | Table::Awards | Table::Settlement | Table::Pnl | Table::BidKpis => Keep::Newest,
        Table::Kpis | Table::Correlations => Keep::NewestPerMinute,
    }
}

/// The rows of `table` in a run, oldest first.
pub(crate) fn encode(
    context: &Context,
    table: Table,
    batches: &[Arc<Batch>],
    keep: Keep,
) -> Result<RecordBatch, Error> {
    let with = table::Context { names: &context.names, zones: &context.zones };
    Ok(match table {
        Table::Ticks => {
            table::ticks(with, batches.iter().flat_map(|batch| batch.ticks.iter().map(|row| (batch.t, false, row))))?
        }
        Table::Bars => table::bars(with, select(batches, |batch| &batch.bars, |row| row.key, keep))?,
        Table::Kpis => table::kpis(with, select(batches, |batch| &batch.kpis, Kpi::key, keep))?,
        Table::Anomalies => table::anomalies(with, alerts(batches, keep))?,
        Table::Correlations => {
            table::correlations(with, select(batches, |batch| &batch.correlations, Correlation::key, keep))?
        }
        Table::Bids => table::bids(with, select(batches, |batch| &batch.bids, |row| row.bid.clone(), keep))?,
        Table::Clearing => table::clearing(with, select(batches, |batch| &batch.clearing, Clearing::key, keep))?,
        Table::Awards => table::awards(with, select(batches, |batch| &batch.awards, Award::key, keep))?,
        Table::Settlement => {
            table::settlement(with, select(batches, |batch| &batch.settlement, Settlement::key, keep))?
        }
        Table::Pnl => table::pnl(with, select(batches, |batch| &batch.pnl, Pnl::key, keep))?,
        Table::BidKpis => table::bid_kpis(with, select(batches, |batch| &batch.bid_kpis, BidKpi::key, keep))?,
    })
}

/// The versions that `keep` wants, oldest first.
pub(crate) fn select<'a, R, K: Hash + Eq>(
    batches: &'a [Arc<Batch>],
    list: impl Fn(&'a Batch) -> &'a Vec<Change<R>>,
    key: impl Fn(&R) -> K,
    keep: Keep,
) -> Vec<Version<'a, R>> {
    let mut seen = HashSet::new();
    let mut chosen: Vec<Version<'a, R>> = Vec::new();
    for batch in batches.iter().rev() {
        for change in list(batch).iter().rev() {
            let wanted = match keep {
                Keep::Every => true,
                Keep::Newest => seen.insert((key(change.row()), 0)),
                Keep::NewestPerMinute => seen.insert((key(change.row()), batch.t / MINUTE_MS as u64)),
            };
            if wanted {
                chosen.push((batch.t, change.is_remove(), change.row()));
            }
        }
    }
    chosen.reverse();
    chosen
}

/// Alerts of a run: every step of each life, or only where each stands.
pub(crate) fn alerts(batches: &[Arc<Batch>], keep: Keep) -> Vec<&Alert> {
    let mut seen = HashSet::new();
    let all = batches.iter().rev().flat_map(|batch| batch.alerts.iter().rev());
    let mut chosen: Vec<&Alert> = all.filter(|alert| keep == Keep::Every || seen.insert(alert.anomaly.id)).collect();
    chosen.reverse();
    chosen
}

/// Notices with the T they passed at.
pub(crate) fn notices(batches: &[Arc<Batch>]) -> Result<RecordBatch, Error> {
    let all: Vec<(T, &Notice)> =
        batches.iter().flat_map(|batch| batch.notices.iter().map(|notice| (batch.t, notice))).collect();
    let text = |of: fn(&Notice) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(all.iter().map(|(_, notice)| of(notice))))
    };
    columns([
        ("t", times(all.iter().map(|(t, _)| millis(*t)))),
        ("id", Arc::new(StringArray::from_iter_values(all.iter().map(|(_, notice)| short_id(&notice.id))))),
        ("zone", text(|notice| &notice.zone)),
        ("class", text(|notice| &notice.class)),
        ("alert_type", text(|notice| &notice.alert_type)),
        ("message", text(|notice| &notice.message)),
        ("severity", text(|notice| notice.severity.as_str())),
        ("event_time", times(all.iter().map(|(_, notice)| notice.event_ms))),
    ])
}

/// Senders choose a notice's id, and stores have a limit on keys: a long one is cut and told apart by its hash.
fn short_id(id: &str) -> Cow<'_, str> {
    if id.len() <= LONGEST_ID_BYTES {
        return Cow::Borrowed(id);
    }
    let cut = (0..=LONGEST_ID_BYTES).rev().find(|at| id.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{}#{:016x}", &id[..cut], xxhash_rust::xxh3::xxh3_64(id.as_bytes())))
}

/// Dead letters with the T they were refused at.
pub(crate) fn dead_letters(batches: &[Arc<Batch>]) -> Result<RecordBatch, Error> {
    let all: Vec<(T, &DeadLetter)> =
        batches.iter().flat_map(|batch| batch.dead_letters.iter().map(|letter| (batch.t, letter))).collect();
    let letters = || all.iter().map(|(_, letter)| *letter);
    columns([
        ("t", times(all.iter().map(|(t, _)| millis(*t)))),
        ("topic", Arc::new(StringArray::from_iter_values(letters().map(|letter| &letter.topic)))),
        ("partition", Arc::new(Int32Array::from_iter_values(letters().map(|letter| letter.partition)))),
        ("offset", Arc::new(Int64Array::from_iter_values(letters().map(|letter| letter.offset)))),
        ("row", Arc::new(UInt32Array::from_iter_values(letters().map(|letter| letter.row)))),
        ("reason", Arc::new(StringArray::from_iter_values(letters().map(|letter| letter.reason.as_str())))),
        ("detail", Arc::new(StringArray::from_iter_values(letters().map(|letter| &letter.detail)))),
        ("bytes", Arc::new(BinaryArray::from_iter_values(letters().map(|letter| &letter.bytes)))),
    ])
}

fn columns<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, Error> {
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC"))
}

/// T as signed milliseconds.
pub(crate) fn millis(t: T) -> i64 {
    i64::try_from(t).unwrap_or(i64::MAX)
}

/// A value of a row, as stores without Arrow take it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Undefined.
    Null,
    /// Text.
    Text(&'a str),
    /// A finite number.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Flag(bool),
    /// UTC milliseconds.
    Time(i64),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

/// The value of `column` at `row`.
pub(crate) fn cell(column: &dyn Array, row: usize) -> Result<Cell<'_>, Error> {
    if column.is_null(row) {
        return Ok(Cell::Null);
    }
    Ok(match column.data_type() {
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row)),
        DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Int64 => Cell::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Int32 => Cell::Int(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::UInt32 => Cell::Int(column.as_primitive::<UInt32Type>().value(row).into()),
        DataType::Boolean => Cell::Flag(column.as_any().downcast_ref::<BooleanArray>().is_some_and(|c| c.value(row))),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, _) => {
            Cell::Time(column.as_primitive::<TimestampMillisecondType>().value(row))
        }
        DataType::Binary => Cell::Bytes(column.as_binary::<i32>().value(row)),
        other => return Err(Error::Schema(format!("no store has a form for column type {other}"))),
    })
}

/// The named text column of a row; the tables have it, or it is empty.
pub(crate) fn text<'a>(rows: &'a RecordBatch, column: &str, row: usize) -> &'a str {
    match rows.column_by_name(column).map(|column| cell(column.as_ref(), row)) {
        Some(Ok(Cell::Text(text))) => text,
        _ => "",
    }
}

/// Each row as a JSON object, columns as fields; undefined values are left out, times are RFC 3339.
pub(crate) fn json(rows: &RecordBatch) -> Result<Vec<Vec<u8>>, Error> {
    if rows.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    let mut writer = arrow::json::LineDelimitedWriter::new(&mut lines);
    writer.write(rows)?;
    writer.finish()?;
    drop(writer);
    Ok(lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn of_versions_the_wanted_ones_are_kept_oldest_first() {
        let (_, first) = sample::batch();
        let batch = |t: T| Arc::new(Batch { t, ..Batch::clone(&first) });
        let minute = MINUTE_MS as u64;
        let run = [batch(sample::T), batch(sample::T + 1), batch(sample::T + minute)];
        let kept = |keep| {
            let rows = select(&run, |batch| &batch.bars, |row| row.key, keep);
            rows.into_iter().map(|(t, removed, _)| (t - sample::T, removed)).collect::<Vec<_>>()
        };
        assert_eq!(kept(Keep::Newest), [(minute, false), (minute, true)]);
        assert_eq!(kept(Keep::NewestPerMinute), [(1, false), (1, true), (minute, false), (minute, true)]);
        assert_eq!(kept(Keep::Every).len(), 6);
        assert_eq!((alerts(&run, Keep::Newest).len(), alerts(&run, Keep::Every).len()), (1, 3));
    }

    #[test]
    fn long_ids_stay_apart_but_short_enough_for_an_index() {
        let long = "ü".repeat(3_000);
        let (one, other) = (short_id(&long), short_id(&long[2..]));
        assert!(one.len() < 600 && one != other && one.starts_with("üü"));
        assert_eq!(short_id("notice-1"), "notice-1");
    }
}
