//! Rows of the files: each is read or refused with its line number and the reason.

use crate::omie::{PORTUGAL, SPAIN};
use crate::order::Side;
use std::collections::BTreeMap;
use std::fmt;

/// A refused row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Rows that stand, and rows that were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<T> {
    /// In the order of the file.
    pub rows: Vec<T>,
    /// In the order of the file.
    pub refused: Vec<BadRow>,
}

/// Header of an order (CAB).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Order number.
    pub order: u64,
    /// Version; the highest counts.
    pub version: u32,
    /// Bidding unit.
    pub unit: String,
    /// Its name.
    pub name: String,
    /// Buy or sell.
    pub side: Side,
    /// Fixed term, micro-EUR.
    pub fixed: i64,
    /// Greatest power, kW.
    pub max_power: i64,
    /// Border or country code: 1 Spain, 2 Portugal, 3 France, 4 Andorra, 5 Morocco.
    pub border: u8,
    /// Local time of insertion, yyyymmddhhmmss.
    pub inserted: u64,
}

/// One step (DET).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Order number.
    pub order: u64,
    /// Version.
    pub version: u32,
    /// Period of the day, from 1.
    pub period: u16,
    /// 0: simple curve; else the number of the block.
    pub block: u8,
    /// Number of the step.
    pub step: u8,
    /// Exclusive group; 0: none.
    pub group: u8,
    /// Micro-EUR per MWh.
    pub price: i64,
    /// kW.
    pub power: i64,
    /// Minimum acceptable quantity, kW.
    pub min_power: i64,
    /// Minimum acceptance ratio, ppm.
    pub min_ratio: u32,
}

/// Capacity and flow at a border in one period, kW; import into Spain is negative, as in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Border {
    /// Period of the day, from 1.
    pub period: u16,
    /// 2 Portugal, 3 France, 4 Andorra, 5 Morocco.
    pub border: u8,
    /// Import capacity, <= 0.
    pub import_capacity: i64,
    /// Import flow, <= 0.
    pub import: i64,
    /// Export capacity, >= 0.
    pub export_capacity: i64,
    /// Export flow, >= 0.
    pub export: i64,
}

/// Official price of one period, micro-EUR per MWh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Official {
    /// Period of the day, from 1.
    pub period: u16,
    /// Portugal.
    pub portugal: i64,
    /// Spain.
    pub spain: i64,
}

/// A decimal like `-12.5` with at most `digits` decimals, scaled by 10^digits.
fn decimal(text: &str, digits: usize) -> Option<i64> {
    let text = text.trim();
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > digits || !plain(whole) || !plain(fraction) {
        return None;
    }
    let value: i64 = format!("{whole}{fraction:0<digits$}").parse().ok()?;
    Some(if negative { -value } else { value })
}

/// The text of a row's columns `from..to`; Latin-1.
fn column(row: &[u8], from: usize, to: usize) -> String {
    row.get(from..to).unwrap_or_default().iter().map(|byte| char::from(*byte)).collect()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let rows = bytes.split(|byte| *byte == b'\n').map(|row| row.strip_suffix(b"\r").unwrap_or(row));
    (1..).zip(rows).filter(|(_, row)| !row.is_empty())
}

fn read<T>(bytes: &[u8], parse: impl Fn(&[u8]) -> Result<T, String>) -> Rows<T> {
    let mut read = Rows { rows: Vec::new(), refused: Vec::new() };
    for (line, row) in lines(bytes) {
        match parse(row) {
            Ok(value) => read.rows.push(value),
            Err(reason) => read.refused.push(BadRow { line, reason }),
        }
    }
    read
}

fn field<T>(row: &[u8], name: &str, from: usize, to: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let text = column(row, from, to);
    parse(&text).ok_or_else(|| format!("{name} is '{text}' in columns {from}..{to}"))
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

fn width(row: &[u8], least: usize) -> Result<(), String> {
    if row.len() < least { Err(format!("row has {} bytes, fewer than {least}", row.len())) } else { Ok(()) }
}

/// Read a CAB file.
#[must_use]
pub fn headers(bytes: &[u8]) -> Rows<Header> {
    read(bytes, |row| {
        width(row, 94)?;
        Ok(Header {
            order: field(row, "order", 0, 10, number)?,
            version: field(row, "version", 10, 15, number)?,
            unit: field(row, "unit", 15, 22, |text| Some(text.trim().to_owned()).filter(|unit| !unit.is_empty()))?,
            name: column(row, 22, 52).trim().to_owned(),
            side: field(row, "side", 52, 53, |text| match text {
                "C" => Some(Side::Buy),
                "V" => Some(Side::Sell),
                _ => None,
            })?,
            fixed: field(row, "fixed term", 54, 71, |text| decimal(text, 6).filter(|fixed| *fixed >= 0))?,
            max_power: field(row, "maximum power", 71, 78, |text| decimal(text, 3))?,
            border: field(row, "border", 78, 80, number)?,
            inserted: field(row, "time of insertion", 80, 94, number)?,
        })
    })
}

/// Read a DET file of a day with `periods` periods; others are stray and refused.
#[must_use]
pub fn details(bytes: &[u8], periods: u16) -> Rows<Detail> {
    read(bytes, |row| {
        width(row, 60)?;
        let detail = Detail {
            order: field(row, "order", 0, 10, number)?,
            version: field(row, "version", 10, 15, number)?,
            period: field(row, "period", 15, 18, number)?,
            block: field(row, "block", 18, 20, number)?,
            step: field(row, "step", 20, 22, number)?,
            group: field(row, "exclusive group", 22, 24, number)?,
            price: field(row, "price", 24, 41, |text| decimal(text, 6))?,
            power: field(row, "power", 41, 48, |text| decimal(text, 3))?,
            min_power: field(row, "minimum quantity", 48, 55, |text| decimal(text, 3))?,
            min_ratio: field(row, "minimum acceptance ratio", 55, 60, |text| {
                decimal(text, 6).and_then(|ratio| u32::try_from(ratio).ok()).filter(|ratio| *ratio <= 1_000_000)
            })?,
        };
        if !(1..=periods).contains(&detail.period) {
            return Err(format!("period {} is outside the day of {periods}", detail.period));
        }
        if !(0..=detail.power).contains(&detail.min_power) {
            return Err(format!("minimum quantity {} kW is outside 0..={}", detail.min_power, detail.power));
        }
        Ok(detail)
    })
}

/// Read a `capacidad_inter` file: a title, a heading, then one row a period and border.
#[must_use]
pub fn borders(bytes: &[u8]) -> Rows<Border> {
    let mut read = read(bytes, |row| {
        let text = column(row, 0, row.len());
        let cells: Vec<&str> = text.split(';').collect();
        if !cells[0].bytes().all(|byte| byte.is_ascii_digit()) || cells[0].is_empty() {
            return Ok(None);
        }
        let power = |at: usize| {
            // 3.960,0: points group thousands, a comma starts the decimals
            let cell = cells.get(at).copied().unwrap_or_default();
            decimal(&cell.replace('.', "").replace(',', "."), 3).ok_or_else(|| format!("cell {} is '{cell}'", at + 1))
        };
        Ok(Some(Border {
            period: number(cells[0]).ok_or_else(|| format!("period is '{}'", cells[0]))?,
            border: cells.get(2).copied().and_then(number).ok_or("border is not a number")?,
            import_capacity: power(3)?,
            import: power(4)?,
            export_capacity: power(6)?,
            export: power(7)?,
        }))
    });
    Rows { rows: read.rows.drain(..).flatten().collect(), refused: read.refused }
}

/// Read the official prices (`marginalpdbc`): a title, then year;month;day;period;Portugal;Spain;
#[must_use]
pub fn official(bytes: &[u8]) -> Rows<Official> {
    let mut read = read(bytes, |row| {
        let text = column(row, 0, row.len());
        let cells: Vec<&str> = text.split(';').collect();
        if cells.len() < 6 {
            // the title, and the asterisk that ends the file
            return if cells[0].starts_with("MARGINAL") || cells[0] == "*" {
                Ok(None)
            } else {
                Err("too few cells".into())
            };
        }
        let price = |at: usize| decimal(cells[at], 6).ok_or_else(|| format!("cell {} is '{}'", at + 1, cells[at]));
        let period = number(cells[3]).ok_or_else(|| format!("period is '{}'", cells[3]))?;
        Ok(Some(Official { period, portugal: price(4)?, spain: price(5)? }))
    });
    Rows { rows: read.rows.drain(..).flatten().collect(), refused: read.refused }
}

/// Read the zones of the bidding units: `unit,ES|PT` with a heading.
#[must_use]
pub fn zones(bytes: &[u8]) -> BTreeMap<String, u8> {
    let mut zones = BTreeMap::new();
    for (_, row) in lines(bytes) {
        let text = column(row, 0, row.len());
        if let Some((unit, zone)) = text.split_once(',') {
            match zone.trim() {
                "ES" => zones.insert(unit.trim().to_owned(), SPAIN),
                "PT" => zones.insert(unit.trim().to_owned(), PORTUGAL),
                _ => None,
            };
        }
    }
    zones
}
