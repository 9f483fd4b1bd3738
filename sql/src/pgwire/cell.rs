//! One value on the wire, in PostgreSQL's text and binary forms.

use std::error::Error as StdError;
use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    IntervalUnit, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta};
use pgwire::api::Type;
use pgwire::types::ToSqlText;
use pgwire::types::format::FormatOptions;
use tokio_postgres::types::{IsNull, ToSql, to_sql_checked};

use crate::encode::texts;
use crate::error::Error;
use crate::pg_catalog::types::pg_type;

/// Microseconds between 1970 and 2000, where PostgreSQL's time begins.
const EPOCH_US: i64 = 946_684_800_000_000;
/// Days between 1970 and 2000.
const EPOCH_DAYS: i32 = 10_957;

/// A value.
#[derive(Debug)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Digits without the point, and how many stand behind it.
    Numeric(i128, i8),
    /// Microseconds since 1970; whether in UTC.
    Instant(i64, bool),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Months, days, microseconds.
    Interval(i32, i32, i64),
    /// Type of the elements, elements.
    List(Type, Vec<Self>),
}

impl Cell {
    /// Reads the value in one row of a column.
    pub(super) fn read(column: &ArrayRef, row: usize) -> Result<Self, Error> {
        if column.is_null(row) {
            return Ok(Self::Null);
        }
        let to = |data_type: DataType| converted(column, row, &data_type);
        Ok(match column.data_type() {
            DataType::Boolean => Self::Bool(column.as_boolean().value(row)),
            DataType::Int16 => Self::Int2(column.as_primitive::<Int16Type>().value(row)),
            DataType::Int8 | DataType::UInt8 => Self::Int2(to(DataType::Int16)?.as_primitive::<Int16Type>().value(0)),
            DataType::Int32 => Self::Int4(column.as_primitive::<Int32Type>().value(row)),
            DataType::UInt16 => Self::Int4(to(DataType::Int32)?.as_primitive::<Int32Type>().value(0)),
            DataType::Int64 => Self::Int8(column.as_primitive::<Int64Type>().value(row)),
            DataType::UInt32 => Self::Int8(to(DataType::Int64)?.as_primitive::<Int64Type>().value(0)),
            DataType::UInt64 => Self::Numeric(i128::from(column.as_primitive::<UInt64Type>().value(row)), 0),
            DataType::Float32 => Self::Float4(column.as_primitive::<Float32Type>().value(row)),
            DataType::Float16 => Self::Float4(to(DataType::Float32)?.as_primitive::<Float32Type>().value(0)),
            DataType::Float64 => Self::Float8(column.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8 => Self::Text(column.as_string::<i32>().value(row).to_owned()),
            DataType::Utf8View => Self::Text(column.as_string_view().value(row).to_owned()),
            DataType::Decimal128(_, scale) => Self::Numeric(column.as_primitive::<Decimal128Type>().value(row), *scale),
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                let wide = to(DataType::Decimal128(38, *scale))?;
                Self::Numeric(wide.as_primitive::<Decimal128Type>().value(0), *scale)
            }
            DataType::Timestamp(_, zone) => {
                let us = to(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
                Self::Instant(us.as_primitive::<TimestampMicrosecondType>().value(0), zone.is_some())
            }
            DataType::Date32 | DataType::Date64 => {
                let days = converted(&to(DataType::Date32)?, 0, &DataType::Int32)?;
                Self::Date(days.as_primitive::<Int32Type>().value(0))
            }
            DataType::Time32(_) | DataType::Time64(_) => {
                let us = to(DataType::Time64(TimeUnit::Microsecond))?;
                Self::Time(us.as_primitive::<Time64MicrosecondType>().value(0))
            }
            DataType::Interval(_) => {
                let all = to(DataType::Interval(IntervalUnit::MonthDayNano))?;
                let interval = all.as_primitive::<IntervalMonthDayNanoType>().value(0);
                Self::Interval(interval.months, interval.days, interval.nanoseconds / 1000)
            }
            DataType::Duration(_) => {
                let us = converted(&to(DataType::Duration(TimeUnit::Microsecond))?, 0, &DataType::Int64)?;
                Self::Interval(0, 0, us.as_primitive::<Int64Type>().value(0))
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes(to(DataType::Binary)?.as_binary::<i32>().value(0).to_vec())
            }
            DataType::Dictionary(_, value) => Self::read(&to(value.as_ref().clone())?, 0)?,
            DataType::List(item) | DataType::LargeList(item) => {
                let element = array_element(item.data_type());
                let list = to(DataType::List(std::sync::Arc::clone(item)))?;
                let values = list.as_list::<i32>().value(0);
                let values = match element == Type::TEXT {
                    true => {
                        std::sync::Arc::new(texts(&values).map_err(|e| Error::Internal(e.to_string()))?) as ArrayRef
                    }
                    false => values,
                };
                Self::List(element, (0..values.len()).map(|at| Self::read(&values, at)).collect::<Result<_, _>>()?)
            }
            _ => {
                let text = texts(&column.slice(row, 1)).map_err(|e| Error::Internal(e.to_string()))?;
                Self::Text(text.value(0).to_owned())
            }
        })
    }

    fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
            Self::Int2(value) => value.to_string(),
            Self::Int4(value) => value.to_string(),
            Self::Int8(value) => value.to_string(),
            Self::Float4(value) => float(f64::from(*value), &value.to_string()),
            Self::Float8(value) => float(*value, &value.to_string()),
            Self::Text(value) => value.clone(),
            Self::Bytes(bytes) => bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a string takes all");
                text
            }),
            Self::Numeric(digits, scale) => decimal(*digits, *scale),
            Self::Instant(us, zoned) => instant(*us, *zoned),
            Self::Date(days) => date(*days),
            Self::Time(us) => time(*us),
            Self::Interval(months, days, us) => interval(*months, *days, *us),
            Self::List(_, cells) => {
                let cells: Vec<String> = cells.iter().map(Self::element).collect();
                format!("{{{}}}", cells.join(","))
            }
        }
    }

    /// As an element of an array's text.
    fn element(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Text(text) => {
                let plain = !text.is_empty()
                    && !text.eq_ignore_ascii_case("null")
                    && text.chars().all(|c| c.is_alphanumeric() || "_-.:/+".contains(c));
                if plain { text.clone() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
            }
            other => other.text(),
        }
    }
}

/// One value of a column as a column of another type.
fn converted(column: &ArrayRef, row: usize, data_type: &DataType) -> Result<ArrayRef, Error> {
    let one = column.slice(row, 1);
    cast(&one, data_type).map_err(|error| Error::Internal(format!("encode result: {error}")))
}

/// The element type of the PostgreSQL array that carries a list.
fn array_element(item: &DataType) -> Type {
    match pg_type(item) {
        element @ (Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8) => element,
        _ => Type::TEXT,
    }
}

fn float(value: f64, text: &str) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        _ => text.to_owned(),
    }
}

fn decimal(digits: i128, scale: i8) -> String {
    if scale <= 0 {
        return format!("{digits}{}", "0".repeat(usize::from(scale.unsigned_abs())));
    }
    let places = usize::from(scale.unsigned_abs());
    let text = format!("{:0>width$}", digits.unsigned_abs(), width = places + 1);
    let (whole, part) = text.split_at(text.len() - places);
    format!("{}{whole}.{part}", if digits < 0 { "-" } else { "" })
}

fn instant(us: i64, zoned: bool) -> String {
    let zone = if zoned { "+00" } else { "" };
    match DateTime::from_timestamp_micros(us) {
        Some(at) => format!("{}{zone}", trimmed(at.format("%Y-%m-%d %H:%M:%S%.6f").to_string())),
        None => if us < 0 { "-infinity" } else { "infinity" }.to_owned(),
    }
}

fn date(days: i32) -> String {
    let epoch = NaiveDate::default();
    let day = epoch.checked_add_signed(TimeDelta::days(i64::from(days)));
    day.map_or_else(|| "infinity".to_owned(), |day| day.to_string())
}

fn time(us: i64) -> String {
    let at = NaiveTime::MIN.overflowing_add_signed(TimeDelta::microseconds(us)).0;
    trimmed(at.format("%H:%M:%S%.6f").to_string())
}

fn interval(months: i32, days: i32, us: i64) -> String {
    let mut parts = Vec::new();
    let mut part = |number: i64, name: &str| {
        if number != 0 {
            parts.push(format!("{number} {name}{}", if number == 1 { "" } else { "s" }));
        }
    };
    part(i64::from(months / 12), "year");
    part(i64::from(months % 12), "mon");
    part(i64::from(days), "day");
    if us != 0 || parts.is_empty() {
        let (sign, whole) = (if us < 0 { "-" } else { "" }, us.unsigned_abs());
        let seconds = whole / 1_000_000;
        let text = format!(
            "{sign}{:02}:{:02}:{:02}.{:06}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            whole % 1_000_000
        );
        parts.push(trimmed(text));
    }
    parts.join(" ")
}

/// Without zeros at the end of a fraction.
fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// PostgreSQL's numeric: groups of four digits around the point.
fn put_numeric(digits: i128, scale: i8, out: &mut BytesMut) {
    let text = decimal(digits.checked_abs().unwrap_or(i128::MAX), scale);
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.trim_start_matches('0');
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let padded = format!("{part}{}", "0".repeat((4 - part.len() % 4) % 4));
    let group = |chunk: &[u8]| chunk.iter().fold(0_i16, |sum, digit| sum * 10 + i16::from(digit - b'0'));
    let mut groups: Vec<i16> = whole.as_bytes().chunks(4).chain(padded.as_bytes().chunks(4)).map(group).collect();
    let mut weight = i16::try_from(whole.len() / 4).expect("at most 39 digits") - 1;
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    out.put_i16(i16::try_from(groups.len()).expect("at most 39 digits"));
    out.put_i16(if groups.is_empty() { 0 } else { weight });
    out.put_u16(if digits < 0 { 0x4000 } else { 0 });
    out.put_i16(i16::try_from(part.len()).expect("at most 127 places"));
    groups.into_iter().for_each(|group| out.put_i16(group));
}

impl ToSqlText for Cell {
    fn to_sql_text(
        &self,
        _: &Type,
        out: &mut BytesMut,
        _: &FormatOptions,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        if matches!(self, Self::Null) {
            return Ok(IsNull::Yes);
        }
        out.put_slice(self.text().as_bytes());
        Ok(IsNull::No)
    }
}

impl ToSql for Cell {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Bool(value) => out.put_u8(u8::from(*value)),
            Self::Int2(value) => out.put_i16(*value),
            Self::Int4(value) => out.put_i32(*value),
            Self::Int8(value) => out.put_i64(*value),
            Self::Float4(value) => out.put_f32(*value),
            Self::Float8(value) => out.put_f64(*value),
            Self::Text(value) => out.put_slice(value.as_bytes()),
            Self::Bytes(value) => out.put_slice(value),
            Self::Numeric(digits, scale) => put_numeric(*digits, *scale, out),
            Self::Instant(us, _) => out.put_i64(us.saturating_sub(EPOCH_US)),
            Self::Date(days) => out.put_i32(days.saturating_sub(EPOCH_DAYS)),
            Self::Time(us) => out.put_i64(*us),
            Self::Interval(months, days, us) => {
                out.put_i64(*us);
                out.put_i32(*days);
                out.put_i32(*months);
            }
            Self::List(element, cells) => {
                let length = i32::try_from(cells.len())?;
                out.put_i32(i32::from(length > 0));
                out.put_i32(i32::from(cells.iter().any(|cell| matches!(cell, Self::Null))));
                out.put_u32(element.oid());
                if length > 0 {
                    out.put_i32(length);
                    out.put_i32(1);
                }
                for cell in cells {
                    let mut bytes = BytesMut::new();
                    match cell.to_sql(element, &mut bytes)? {
                        IsNull::Yes => out.put_i32(-1),
                        IsNull::No => {
                            out.put_i32(i32::try_from(bytes.len())?);
                            out.put_slice(&bytes);
                        }
                    }
                }
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_postgres_texts() {
        for (cell, text) in [
            (Cell::Instant(1_700_000_000_120_000, true), "2023-11-14 22:13:20.12+00"),
            (Cell::Instant(0, false), "1970-01-01 00:00:00"),
            (Cell::Date(-1), "1969-12-31"),
            (Cell::Interval(14, -1, 3_661_000_000), "1 year 2 mons -1 days 01:01:01"),
            (Cell::Interval(0, 0, -500_000), "-00:00:00.5"),
            (Cell::Numeric(-5, 2), "-0.05"),
            (Cell::Numeric(12, -2), "1200"),
            (Cell::Float8(f64::NEG_INFINITY), "-Infinity"),
            (Cell::Bytes(vec![0, 255]), "\\x00ff"),
            (
                Cell::List(Type::TEXT, vec![Cell::Text("a b".into()), Cell::Null, Cell::Text("x\"".into())]),
                r#"{"a b",NULL,"x\""}"#,
            ),
        ] {
            assert_eq!(cell.text(), text);
        }
    }

    #[test]
    fn numerics_are_groups_of_four_digits() {
        let bytes = |digits, scale| {
            let mut out = BytesMut::new();
            put_numeric(digits, scale, &mut out);
            out.chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect::<Vec<_>>()
        };
        assert_eq!(bytes(0, 0), [0, 0, 0, 0]);
        assert_eq!(bytes(12_345, 0), [2, 1, 0, 0, 1, 2345]);
        assert_eq!(bytes(-123_456, 2), [2, 0, 0x4000, 2, 1234, 5600]);
        assert_eq!(bytes(5, 6), [1, -2, 0, 6, 500]);
    }
}
