//! Rows of the files: each is read or refused with its line and the reason.

use std::collections::BTreeMap;

use model::bid::Side;

use super::day::Day;
use super::{PORTUGAL, SPAIN, Zone};
use crate::replay::{BadRow, Source};

/// Rows that stand, and rows that were refused, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Rows<T> {
    pub(crate) rows: T,
    pub(crate) refused: Vec<BadRow>,
}

/// Header of an order (CAB).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Order number.
    pub(super) order: u64,
    /// Version; the highest counts.
    pub(super) version: u32,
    /// Bidding unit.
    pub(super) unit: String,
    /// Buy or sell.
    pub(super) side: Side,
    /// Fixed term, micro-EUR.
    pub(super) fixed: i64,
    /// Border or country code: 1 Spain, 2 Portugal, 3 France, 4 Andorra, 5 Morocco.
    pub(super) border: u8,
    /// When it was inserted, UTC ms.
    pub(super) inserted_ms: i64,
}

/// One step (DET).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    /// Line in the file, from 1.
    pub(super) line: u64,
    /// Order number.
    pub(super) order: u64,
    /// Version.
    pub(super) version: u32,
    /// Start of its interval, UTC ms.
    pub(super) start_ms: i64,
    /// 0: simple curve; else the number of the block.
    pub(super) block: u8,
    /// Exclusive group; 0: none.
    pub(super) group: u8,
    /// Micro-EUR per MWh.
    pub(super) price: i64,
    /// kW.
    pub(super) power: i64,
    /// Minimum acceptable quantity, kW.
    pub(super) min_power: i64,
    /// Minimum acceptance ratio, ppm.
    pub(super) min_ratio: u32,
}

/// Capacity and flow at a border in one period, kW; import into Spain is negative, as in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Border {
    /// Line in the file, from 1.
    pub(super) line: u64,
    /// Period of the day, from 1.
    pub(super) period: u16,
    /// 2 Portugal, 3 France, 4 Andorra, 5 Morocco.
    pub(super) border: u8,
    /// Import capacity, <= 0.
    pub(super) import_capacity: i64,
    /// Import flow, <= 0.
    pub(super) import: i64,
    /// Export capacity, >= 0.
    pub(super) export_capacity: i64,
    /// Export flow, >= 0.
    pub(super) export: i64,
}

/// The largest amount that is believed, in scaled units: sums of a few stay far inside an `i64`.
const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

/// A decimal like `-12.5` with at most `digits` decimals, scaled by 10^digits.
pub(super) fn decimal(text: &str, digits: usize) -> Option<i64> {
    let text = text.trim();
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > digits || !plain(whole) || !plain(fraction) {
        return None;
    }
    let value: i64 = format!("{whole}{fraction:0<digits$}").parse().ok()?;
    (value <= MAX_AMOUNT).then_some(if negative { -value } else { value })
}

/// The text of a row's columns `from..to`; Latin-1.
pub(super) fn column(row: &[u8], from: usize, to: usize) -> String {
    row.get(from..to).unwrap_or_default().iter().map(|byte| char::from(*byte)).collect()
}

fn lines(source: &Source) -> impl Iterator<Item = (u64, &[u8])> {
    let rows = source.body().split(|byte| *byte == b'\n').map(|row| row.strip_suffix(b"\r").unwrap_or(row));
    (1..).zip(rows).filter(|(_, row)| !row.is_empty())
}

/// Reads rows; `parse` is given the line and yields nothing for titles.
pub(super) fn read<T>(source: &Source, parse: impl Fn(u64, &[u8]) -> Result<Option<T>, String>) -> Rows<Vec<T>> {
    let mut read = Rows { rows: Vec::new(), refused: Vec::new() };
    for (line, row) in lines(source) {
        match parse(line, row) {
            Ok(value) => read.rows.extend(value),
            Err(reason) => read.refused.push(BadRow { file: source.file.clone(), line, reason }),
        }
    }
    read
}

fn field<T>(row: &[u8], name: &str, from: usize, to: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let text = column(row, from, to);
    parse(&text).ok_or_else(|| format!("{name} is '{text}' in columns {from}..{to}"))
}

pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

fn width(row: &[u8], least: usize) -> Result<(), String> {
    if row.len() < least { Err(format!("row has {} bytes, fewer than {least}", row.len())) } else { Ok(()) }
}

/// `yyyymmddhhmmss` by the clock of Madrid, as UTC ms.
fn instant(text: &str) -> Option<i64> {
    let local = chrono::NaiveDateTime::parse_from_str(text.trim(), "%Y%m%d%H%M%S").ok()?;
    model::time::local_to_utc_ms(local, chrono_tz::Europe::Madrid, false)
}

/// Reads a CAB file.
pub(crate) fn headers(source: &Source) -> Rows<Vec<Header>> {
    read(source, |_, row| {
        width(row, 94)?;
        Ok(Some(Header {
            order: field(row, "order", 0, 10, number)?,
            version: field(row, "version", 10, 15, number)?,
            unit: field(row, "unit", 15, 22, |text| Some(text.trim().to_owned()).filter(|unit| !unit.is_empty()))?,
            side: field(row, "side", 52, 53, |text| match text {
                "C" => Some(Side::Buy),
                "V" => Some(Side::Sell),
                _ => None,
            })?,
            fixed: field(row, "fixed term", 54, 71, |text| decimal(text, 6).filter(|fixed| *fixed >= 0))?,
            border: field(row, "border", 78, 80, number)?,
            inserted_ms: field(row, "time of insertion", 80, 94, instant)?,
        }))
    })
}

/// The periods of a DET file, as far as they can be read: they tell hours from quarter hours.
pub(super) fn periods(source: &Source) -> impl Iterator<Item = u16> + '_ {
    lines(source).filter_map(|(_, row)| number(&column(row, 15, 18)))
}

/// Reads a DET file.
pub(super) fn details(source: &Source, day: &Day) -> Rows<Vec<Detail>> {
    read(source, |line, row| {
        width(row, 60)?;
        let detail = Detail {
            line,
            order: field(row, "order", 0, 10, number)?,
            version: field(row, "version", 10, 15, number)?,
            start_ms: day.start_ms(field(row, "period", 15, 18, number)?)?,
            block: field(row, "block", 18, 20, number)?,
            group: field(row, "exclusive group", 22, 24, number)?,
            price: field(row, "price", 24, 41, |text| decimal(text, 6))?,
            power: field(row, "power", 41, 48, |text| decimal(text, 3))?,
            min_power: field(row, "minimum quantity", 48, 55, |text| decimal(text, 3))?,
            min_ratio: field(row, "minimum acceptance ratio", 55, 60, |text| {
                decimal(text, 6).and_then(|ratio| u32::try_from(ratio).ok()).filter(|ratio| *ratio <= 1_000_000)
            })?,
        };
        if !(0..=detail.power).contains(&detail.min_power) {
            return Err(format!("minimum quantity {} kW is outside 0..={}", detail.min_power, detail.power));
        }
        Ok(Some(detail))
    })
}

/// Reads a `capacidad_inter` file: a title, a heading, then one row a period and border.
pub(super) fn borders(source: &Source) -> Rows<Vec<Border>> {
    read(source, |line, row| {
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
            line,
            period: number(cells[0]).ok_or_else(|| format!("period is '{}'", cells[0]))?,
            border: cells.get(2).copied().and_then(number).ok_or("border is not a number")?,
            import_capacity: power(3)?,
            import: power(4)?,
            export_capacity: power(6)?,
            export: power(7)?,
        }))
    })
}

/// Reads the zones of the bidding units: `unit,ES|PT` with a heading.
pub(crate) fn unit_zones(source: &Source) -> Rows<BTreeMap<String, Zone>> {
    let read = read(source, |line, row| {
        let text = column(row, 0, row.len());
        let (unit, zone) = text.split_once(',').ok_or("too few cells")?;
        match zone.trim() {
            "ES" => Ok(Some((unit.trim().to_owned(), SPAIN))),
            "PT" => Ok(Some((unit.trim().to_owned(), PORTUGAL))),
            _ if line == 1 => Ok(None),
            zone => Err(format!("zone is '{zone}', neither ES nor PT")),
        }
    });
    Rows { rows: read.rows.into_iter().collect(), refused: read.refused }
}
