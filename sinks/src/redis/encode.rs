//! Closed batches as Redis keys. Pure: a run becomes a list of [`Op`]s, each one call of `apply.lua`.
//!
//! | key (under the prefix) | type | what |
//! |---|---|---|
//! | `price:ZONE:LOCATION:MARKET` | hash | the newest minute bar that stands: `price` (its close), open, high, low, volume … |
//! | `history:ZONE:LOCATION:MARKET` | stream, capped, id `T-n` | every change of a minute bar |
//! | `kpi:ZONE:LOCATION:MARKET:WINDOW` | hash | key figures of the last WINDOW minutes |
//! | `correlation:A…:B…:WINDOW:LAG` | hash | correlation of two series |
//! | `alerts` | stream, capped, id `T-n` | every step of every alert's life, and notices |
//! | `alerts:current`, `bids`, `clearing` | hash id → JSON | what stands, within retention (`:dates`, `:versions` beside them); of the clearing the id is `ZONE:LOCATION:MARKET:START` (UTC ms), and top of book is in it |
//! | `series` | set | `ZONE:LOCATION:MARKET` of every price |
//! | `changes:KIND:ZONE` | channel | `{"t":T,"rows":[…]}`, once per batch |
//!
//! Fields are the columns of the SQL tables; `version` is the T of the change.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use model::table::Table;
use model::time::rfc3339;
use model::{AlertState, Batch, Granularity, T};

use super::Config;
use crate::rows::{self, Cell, Keep};
use crate::{Context, Error};

/// One call of the script, or one plain command, in the order of the run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// The row with a key of its own.
    State { key: String, t: T, removed: bool, fields: Vec<(String, String)> },
    /// A minute bar of a series, from which the latest price follows.
    Price { series: String, t: T, start_ms: i64, fields: Option<Vec<(String, String)>> },
    /// A thing on a board.
    Board { board: &'static str, t: T, id: String, date_ms: i64, value: Option<Vec<u8>> },
    /// A stream entry.
    Append { stream: String, t: T, n: usize, fields: Vec<(String, String)> },
    /// A message to subscribers.
    Publish { channel: String, t: T, payload: Vec<u8> },
}

const ALERTS: &str = "alerts:current";
const BIDS: &str = "bids";
const CLEARING: &str = "clearing";
/// The set of every series that has had a price.
pub(crate) const SERIES: &str = "series";
/// What the keys of [`Op::State`] begin with.
pub(crate) const STATES: [&str; 2] = ["kpi", "correlation"];
/// Boards that expire.
pub(crate) const BOARDS: [&str; 3] = [ALERTS, BIDS, CLEARING];

/// Everything that a run changes in Redis.
pub(crate) fn encode(context: &Context, config: &Config, batches: &[Arc<Batch>]) -> Result<Vec<Op>, Error> {
    let mut ops = Vec::new();
    standing(context, batches, &mut ops)?;
    for batch in batches {
        passing(context, config, std::slice::from_ref(batch), &mut ops)?;
    }
    Ok(ops)
}

/// What stands after the run: of each key only the newest version.
fn standing(context: &Context, batches: &[Arc<Batch>], ops: &mut Vec<Op>) -> Result<(), Error> {
    let bars = rows::encode(context, Table::Bars, &minute_bars(batches), Keep::Newest)?;
    for row in 0..bars.num_rows() {
        let (t, removed) = version(&bars, row)?;
        let fields = if removed { None } else { Some(price_fields(&bars, row)?) };
        let start_ms = time(&bars, "start_time", row)?;
        ops.push(Op::Price { series: series(&bars, "", row), t, start_ms, fields });
    }
    let kpis = rows::encode(context, Table::Kpis, batches, Keep::Newest)?;
    for row in 0..kpis.num_rows() {
        let key = format!("kpi:{}:{}", series(&kpis, "", row), number(&kpis, "window_min", row)?);
        let (t, removed) = version(&kpis, row)?;
        ops.push(Op::State { key, t, removed, fields: fields(&kpis, row)? });
    }
    let correlations = rows::encode(context, Table::Correlations, batches, Keep::Newest)?;
    for row in 0..correlations.num_rows() {
        let (a, b) = (series(&correlations, "_a", row), series(&correlations, "_b", row));
        let (window, lag) = (number(&correlations, "window_min", row)?, number(&correlations, "lag_min", row)?);
        let (t, removed) = version(&correlations, row)?;
        let key = format!("correlation:{a}:{b}:{window}:{lag}");
        ops.push(Op::State { key, t, removed, fields: fields(&correlations, row)? });
    }
    let column = |name: &'static str| move |rows: &RecordBatch, row: usize| Ok(rows::text(rows, name, row).to_owned());
    let alerts = rows::encode(context, Table::Anomalies, batches, Keep::Newest)?;
    board(&alerts, ALERTS, column("id"), "start_time", ops)?;
    board(&rows::encode(context, Table::Bids, batches, Keep::Newest)?, BIDS, column("bid"), "delivery_time", ops)?;
    let interval =
        |rows: &RecordBatch, row: usize| Ok(format!("{}:{}", series(rows, "", row), time(rows, "start_time", row)?));
    board(&rows::encode(context, Table::Clearing, batches, Keep::Newest)?, CLEARING, interval, "start_time", ops)
}

fn board(
    rows: &RecordBatch,
    board: &'static str,
    id: impl Fn(&RecordBatch, usize) -> Result<String, Error>,
    date: &str,
    ops: &mut Vec<Op>,
) -> Result<(), Error> {
    for (row, value) in rows::json(rows)?.into_iter().enumerate() {
        let (t, removed) = version(rows, row)?;
        let withdrawn = removed || rows::text(rows, "state", row) == AlertState::Withdrawn.as_str();
        ops.push(Op::Board {
            board,
            t,
            id: id(rows, row)?,
            date_ms: time(rows, date, row)?,
            value: (!withdrawn).then_some(value),
        });
    }
    Ok(())
}

/// What one batch says in passing: streams and messages.
fn passing(context: &Context, config: &Config, batch: &[Arc<Batch>], ops: &mut Vec<Op>) -> Result<(), Error> {
    let Some(t) = batch.first().map(|batch| batch.t) else { return Ok(()) };
    let bars = rows::encode(context, Table::Bars, &minute_bars(batch), Keep::Every)?;
    for row in 0..bars.num_rows() {
        let mut fields = price_fields(&bars, row)?;
        if version(&bars, row)?.1 {
            fields.push(("removed".to_owned(), "true".to_owned()));
        }
        ops.push(Op::Append { stream: format!("history:{}", series(&bars, "", row)), t, n: row, fields });
    }
    let alerts = rows::encode(context, Table::Anomalies, batch, Keep::Every)?;
    let notices = rows::notices(batch)?;
    for (n, (rows, row)) in each(&alerts).chain(each(&notices)).enumerate() {
        ops.push(Op::Append { stream: "alerts".to_owned(), t, n, fields: fields(rows, row)? });
    }
    let kinds = [
        ("prices", bars),
        ("kpis", rows::encode(context, Table::Kpis, batch, Keep::Every)?),
        ("alerts", alerts),
        ("correlations", rows::encode(context, Table::Correlations, batch, Keep::Every)?),
        ("bids", rows::encode(context, Table::Bids, batch, Keep::Every)?),
        ("clearing", rows::encode(context, Table::Clearing, batch, Keep::Every)?),
        ("notices", notices),
    ];
    for (kind, rows) in &kinds {
        publish(&config.prefix, kind, t, rows, ops)?;
    }
    Ok(())
}

/// One message a zone.
fn publish(prefix: &str, kind: &str, t: T, rows: &RecordBatch, ops: &mut Vec<Op>) -> Result<(), Error> {
    let mut by_zone: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for (row, json) in rows::json(rows)?.into_iter().enumerate() {
        let zone = match rows::text(rows, "zone", row) {
            "" => rows::text(rows, "zone_a", row),
            zone => zone,
        };
        by_zone.entry(zone).or_default().push(json);
    }
    for (zone, rows) in by_zone {
        let mut payload = format!("{{\"t\":{t},\"rows\":[").into_bytes();
        payload.extend(rows.join(&b','));
        payload.extend(b"]}");
        ops.push(Op::Publish { channel: format!("{prefix}:changes:{kind}:{zone}"), t, payload });
    }
    Ok(())
}

/// The run with its minute bars only: prices are made of those.
fn minute_bars(batches: &[Arc<Batch>]) -> Vec<Arc<Batch>> {
    let minutes = |batch: &Arc<Batch>| Batch {
        t: batch.t,
        bars: batch.bars.iter().filter(|bar| bar.row().key.granularity == Granularity::M1).copied().collect(),
        ..Batch::default()
    };
    batches.iter().map(|batch| Arc::new(minutes(batch))).collect()
}

fn each(rows: &RecordBatch) -> impl Iterator<Item = (&RecordBatch, usize)> {
    (0..rows.num_rows()).map(move |row| (rows, row))
}

fn series(rows: &RecordBatch, suffix: &str, row: usize) -> String {
    let text = |column: &str| rows::text(rows, &format!("{column}{suffix}"), row);
    format!("{}:{}:{}", text("zone"), text("location"), text("market"))
}

const PRICE_COLUMNS: [&str; 12] = [
    "start_time",
    "end_time",
    "open",
    "high",
    "low",
    "close",
    "vwap",
    "volume",
    "count",
    "last_time",
    "currency",
    "mean",
];

/// The columns of a bar that make a price, with the close once more as `price`.
fn price_fields(bars: &RecordBatch, row: usize) -> Result<Vec<(String, String)>, Error> {
    let mut all = fields(bars, row)?;
    all.retain(|(name, _)| PRICE_COLUMNS.contains(&name.as_str()));
    if let Some((_, close)) = all.iter().find(|(name, _)| name == "close") {
        let price = ("price".to_owned(), close.clone());
        all.insert(0, price);
    }
    Ok(all)
}

/// Every column of a row that is defined, as text; but for `removed`, which Redis tells by the key.
fn fields(rows: &RecordBatch, row: usize) -> Result<Vec<(String, String)>, Error> {
    let schema = rows.schema();
    let mut all = Vec::with_capacity(rows.num_columns());
    for (field, column) in schema.fields().iter().zip(rows.columns()) {
        let text = match rows::cell(column.as_ref(), row)? {
            Cell::Null => continue,
            Cell::Text(text) => text.to_owned(),
            Cell::Float(number) => number.to_string(),
            Cell::Int(number) => number.to_string(),
            Cell::Flag(flag) => flag.to_string(),
            Cell::Time(ms) => rfc3339(ms),
            Cell::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        };
        if field.name() != "removed" {
            all.push((field.name().clone(), text));
        }
    }
    Ok(all)
}

/// T of the row and whether it is a removal.
fn version(rows: &RecordBatch, row: usize) -> Result<(T, bool), Error> {
    let removed = match rows.column_by_name("removed") {
        Some(column) => rows::cell(column.as_ref(), row)? == Cell::Flag(true),
        None => false,
    };
    Ok((T::try_from(time(rows, "t", row)?).unwrap_or(0), removed))
}

fn time(rows: &RecordBatch, column: &str, row: usize) -> Result<i64, Error> {
    match rows.column_by_name(column).map(|column| rows::cell(column.as_ref(), row)).transpose()? {
        Some(Cell::Time(ms)) => Ok(ms),
        _ => Err(Error::Schema(format!("column {column} is no time"))),
    }
}

fn number(rows: &RecordBatch, column: &str, row: usize) -> Result<i64, Error> {
    match rows.column_by_name(column).map(|column| rows::cell(column.as_ref(), row)).transpose()? {
        Some(Cell::Int(number)) => Ok(number),
        _ => Err(Error::Schema(format!("column {column} is no whole number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_batch_is_a_price_a_board_entry_streams_and_messages() {
        let (context, batch) = sample::batch();
        let ops = encode(&context, &Config::default(), &[batch]).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fields = vec![
            pair("price", "52.5"),
            pair("start_time", "2025-11-18T09:59:00.000Z"),
            pair("end_time", "2025-11-18T10:00:00.000Z"),
            pair("open", "52.5"),
            pair("high", "52.5"),
            pair("low", "52.5"),
            pair("close", "52.5"),
            pair("mean", "52.5"),
            pair("vwap", "52.5"),
            pair("volume", "1"),
            pair("count", "1"),
            pair("last_time", "2025-11-18T09:59:00.500Z"),
            pair("currency", "USD"),
        ];
        let (series, start_ms) = ("PJM:PJM:CONTINUOUS".to_owned(), sample::T as i64 - 60_000);
        // The hourly bar is no price: only the minute bar is here.
        assert_eq!(ops[0], Op::Price { series, t: sample::T, start_ms, fields: Some(fields.clone()) });
        let Op::Board { board: "alerts:current", id, date_ms, value: Some(value), .. } = &ops[1] else {
            panic!("{:?}", ops[1])
        };
        assert_eq!((id.as_str(), *date_ms), ("0000000000000abc", start_ms));
        assert!(String::from_utf8_lossy(value).contains(r#""state":"raised""#));
        assert_eq!(ops[2], Op::Append { stream: "history:PJM:PJM:CONTINUOUS".to_owned(), t: sample::T, n: 0, fields });
        assert!(matches!(&ops[3], Op::Append { stream, n: 0, .. } if stream == "alerts"));
        let channels: Vec<&str> = ops[4..]
            .iter()
            .map(|op| match op {
                Op::Publish { channel, payload, .. } => {
                    assert!(payload.starts_with(br#"{"t":1763460000000,"rows":[{"#) && payload.ends_with(b"}]}"));
                    channel.as_str()
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(channels, ["optibid:changes:prices:PJM", "optibid:changes:alerts:PJM"]);
    }
}
