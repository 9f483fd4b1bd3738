//! Closed batches as Kafka messages. Pure.
//!
//! | topic (under the prefix) | key | value |
//! |---|---|---|
//! | `changelog.bars`, `.kpis`, `.anomalies`, `.correlations`, `.bids`, `.clearing`, `.awards`, `.bid_kpis` | key columns joined by `\|` | JSON row; nothing for a removal |
//! | `changelog.settlement`, `.pnl` | the same, `%` and `\|` within a column as `%25` and `%7C` | the same |
//! | `changelog.withdrawn` | id | JSON row of an alert, as of `anomalies`, that was withdrawn |
//! | `changelog.names` | location id, hexadecimal | `{"zone":…,"location":…}` |
//! | `changelog.rules` | rule | JSON rule; nothing for one that is no more |
//! | `changelog.notices` | id | JSON notice |
//! | `changelog.ticks` | T | `{"partitions":[[topic,n],…],"rows":[…]}`; header `rows` is their number |
//! | `changelog.moments` | `moment` | the marker ([`super::marker`]) |
//! | `deadletters` | `topic/partition/offset/row` | JSON; `size` of the record, its (first 512 KiB of) `bytes` in base64 |
//!
//! Header `t` on every message is the T it was closed at. The tables are for everybody; what is not a table is what a
//! replica needs besides to have the whole live state ([`super::decode`] reads it all back).

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use model::table::{self, Table};
use model::{Alert, AlertState, Batch, Notice, T, TickRow};
use serde::{Deserialize, Serialize};

use super::topics::{Kind, TABLES};
use crate::rows::{self, Cell, Keep};
use crate::{Context, Error};

/// Bytes of a refused record that a dead letter carries: a message must stay below the usual limit of 1 MB.
const DEAD_LETTER_BYTES: usize = 512 << 10;

/// Bytes of ticks in one message, and of a notice's text: far below that limit.
const CHUNK_BYTES: usize = 256 << 10;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) key: String,
    /// `None` is a tombstone.
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Tick records as one message: ids of partitions are hashes, so their names go along.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticks {
    pub(super) partitions: BTreeSet<(Arc<str>, i32)>,
    pub(super) rows: Vec<TickRow>,
}

/// The names of a location, as a message has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name {
    pub(super) zone: Arc<str>,
    pub(super) location: Arc<str>,
}

/// Everything in a run, in order; of each key only what stands, as compaction would leave it.
pub(super) fn messages(context: &Context, batches: &[Arc<Batch>]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    names(batches, &mut messages)?;
    for table in TABLES {
        let rows = rows::encode(context, table, batches, Keep::Newest)?;
        for (row, json) in rows::json(&rows)?.into_iter().enumerate() {
            let (t, removed) = version(&rows, row)?;
            messages.push(Message {
                kind: Kind::Table(table),
                key: key(&rows, table, row)?,
                value: (!removed).then_some(json),
                headers: vec![("t", t.to_string())],
            });
        }
    }
    withdrawn(context, batches, &mut messages)?;
    for (t, removed, rule) in rows::select(batches, |batch| &batch.rules, |rule| rule.rule.clone(), Keep::Newest) {
        let value = if removed { None } else { Some(serde_json::to_vec(rule)?) };
        messages.push(Message { kind: Kind::Rules, key: rule.rule.clone(), value, headers: at(t) });
    }
    for batch in batches {
        for notice in &batch.notices {
            let notice = shortened(notice);
            let value = Some(serde_json::to_vec(&notice)?);
            messages.push(Message { kind: Kind::Notices, key: notice.id, value, headers: at(batch.t) });
        }
        ticks(context, batch, &mut messages)?;
        dead_letters(batch, &mut messages)?;
    }
    Ok(messages)
}

fn at(t: T) -> Vec<(&'static str, String)> {
    vec![("t", t.to_string())]
}

fn names(batches: &[Arc<Batch>], messages: &mut Vec<Message>) -> Result<(), Error> {
    for batch in batches {
        for name in &batch.names {
            let value = Name { zone: Arc::clone(&name.zone), location: Arc::clone(&name.location) };
            let (key, value) = (format!("{:016x}", name.id.0), Some(serde_json::to_vec(&value)?));
            messages.push(Message { kind: Kind::Names, key, value, headers: at(batch.t) });
        }
    }
    Ok(())
}

/// A withdrawn alert leaves the table, but not the live state.
fn withdrawn(context: &Context, batches: &[Arc<Batch>], messages: &mut Vec<Message>) -> Result<(), Error> {
    let mut alerts: Vec<&Alert> = rows::alerts(batches, Keep::Newest);
    alerts.retain(|alert| alert.state == AlertState::Withdrawn);
    let with = table::Context { names: &context.names, zones: &context.zones };
    let rows = rows::json(&table::anomalies(with, alerts.iter().copied())?)?;
    messages.extend(alerts.into_iter().zip(rows).map(|(alert, json)| Message {
        kind: Kind::Withdrawn,
        key: format!("{:016x}", alert.anomaly.id),
        value: Some(json),
        headers: at(alert.changed_t),
    }));
    Ok(())
}

/// What a person wrote may be of any length; a message may not.
fn shortened(notice: &Notice) -> Notice {
    let mut notice = notice.clone();
    for text in [&mut notice.message, &mut notice.alert_type, &mut notice.id] {
        let end = (0..=text.len().min(CHUNK_BYTES / 4)).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
    notice
}

fn ticks(context: &Context, batch: &Batch, messages: &mut Vec<Message>) -> Result<(), Error> {
    let mut rest: &[TickRow] = &batch.ticks;
    while !rest.is_empty() {
        let (mut chunk, mut bytes) = (Ticks::default(), 0);
        while let Some((row, after)) = rest.split_first()
            && bytes < CHUNK_BYTES
        {
            // A guess at what the row takes: fields of fixed size, and texts that senders choose.
            let texts = row
                .tick
                .extra
                .as_deref()
                .map_or(0, |extra| [&extra.id, &extra.source].into_iter().flatten().map(|text| text.len()).sum());
            bytes += 300 + texts;
            let mut row = row.clone();
            if texts > CHUNK_BYTES {
                row.tick.extra = None;
            }
            chunk.partitions.extend(context.names.partition_name(row.tick.partition));
            chunk.rows.push(row);
            rest = after;
        }
        let mut headers = at(batch.t);
        headers.push(("rows", chunk.rows.len().to_string()));
        let value = Some(serde_json::to_vec(&chunk)?);
        messages.push(Message { kind: Kind::Ticks, key: batch.t.to_string(), value, headers });
    }
    Ok(())
}

fn dead_letters(batch: &Batch, messages: &mut Vec<Message>) -> Result<(), Error> {
    for letter in &batch.dead_letters {
        let kept = &letter.bytes[..letter.bytes.len().min(DEAD_LETTER_BYTES)];
        let value = serde_json::json!({
            "t": batch.t, "topic": letter.topic, "partition": letter.partition, "offset": letter.offset,
            "row": letter.row, "reason": letter.reason, "detail": letter.detail, "size": letter.bytes.len(),
            "bytes": base64(kept),
        });
        let mut headers = at(batch.t);
        headers.extend([
            ("topic", letter.topic.to_string()),
            ("partition", letter.partition.to_string()),
            ("offset", letter.offset.to_string()),
            ("row", letter.row.to_string()),
            ("reason", letter.reason.as_str().to_owned()),
        ]);
        messages.push(Message {
            kind: Kind::DeadLetters,
            key: format!("{}/{}/{}/{}", letter.topic, letter.partition, letter.offset, letter.row),
            value: Some(serde_json::to_vec(&value)?),
            headers,
        });
    }
    Ok(())
}

fn key(rows: &RecordBatch, table: Table, row: usize) -> Result<String, Error> {
    // With two names of senders' choice side by side only this tells where one ends.
    let escapes = matches!(table, Table::Settlement | Table::Pnl);
    let mut key = String::new();
    for (index, name) in table.key().iter().enumerate() {
        if index > 0 {
            key.push('|');
        }
        match cell(rows, name, row)? {
            Cell::Text(text) if escapes => key.push_str(&text.replace('%', "%25").replace('|', "%7C")),
            Cell::Text(text) => key.push_str(text),
            Cell::Int(number) | Cell::Time(number) => key.push_str(&number.to_string()),
            other => return Err(Error::Schema(format!("{name} = {other:?} cannot be part of a key"))),
        }
    }
    Ok(key)
}

fn version(rows: &RecordBatch, row: usize) -> Result<(T, bool), Error> {
    let Cell::Time(t) = cell(rows, "t", row)? else { return Err(Error::Schema("column t is no time".to_owned())) };
    let withdrawn = rows::text(rows, "state", row) == AlertState::Withdrawn.as_str();
    let removed = cell(rows, "removed", row)? == Cell::Flag(true);
    Ok((T::try_from(t).unwrap_or(0), removed || withdrawn))
}

fn cell<'a>(rows: &'a RecordBatch, column: &str, row: usize) -> Result<Cell<'a>, Error> {
    let found: &dyn Array =
        rows.column_by_name(column).ok_or_else(|| Error::Schema(format!("rows have no column {column}")))?;
    rows::cell(found, row)
}

/// RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let index = (group >> (18 - 6 * position) & 63) as usize;
            text.push(if position <= chunk.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::marker::Marker;
    use super::*;
    use crate::sample;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_batch_is_keyed_rows_tombstones_and_dead_letters() {
        let (context, batch) = sample::batch();
        let messages = messages(&context, std::slice::from_ref(&batch)).unwrap();
        let lines: Vec<String> = messages
            .iter()
            .map(|message| {
                let value = message.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
                format!("{} {} {}", message.kind.topic("p"), message.key, value.unwrap_or_else(|| "gone".to_owned()))
            })
            .collect();
        let bar = concat!(
            r#"{"t":"2025-11-18T10:00:00Z","zone":"PJM","location":"PJM","market":"CONTINUOUS","granularity":"1m","#,
            r#""start_time":"2025-11-18T09:59:00Z","end_time":"2025-11-18T10:00:00Z","open":52.5,"high":52.5,"low":52.5,"#,
            r#""close":52.5,"mean":52.5,"vwap":52.5,"volume":1.0,"count":1,"first_time":"2025-11-18T09:59:00.500Z","#,
            r#""last_time":"2025-11-18T09:59:00.500Z","currency":"USD","sum_price":"52500000","#,
            r#""sum_price_sq":"2756250000000000","sum_price_volume":"52500000000","removed":false}"#
        );
        assert_eq!(lines[0], format!("p.changelog.bars PJM|PJM|CONTINUOUS|1m|1763459940000 {bar}"));
        assert_eq!(lines[1], "p.changelog.bars PJM|PJM|CONTINUOUS|1h|1763456400000 gone");
        assert!(lines[2].starts_with("p.changelog.anomalies 0000000000000abc {"), "{}", lines[2]);
        let letter = concat!(
            r#"{"bytes":"e29vcHM=","detail":"no JSON","offset":7,"partition":3,"reason":"malformed","row":0,"size":5,"#,
            r#""t":1763460000000,"topic":"optibid.ticks.pjm"}"#
        );
        assert_eq!(lines[3], format!("p.deadletters optibid.ticks.pjm/3/7/0 {letter}"));
        assert!(messages.iter().all(|message| message.headers[0] == ("t", "1763460000000".to_owned())));
        let marker = Marker::default().next(&[batch], "me").unwrap();
        let message = marker.message().unwrap();
        assert_eq!((message.kind.topic("p"), message.key.as_str()), ("p.changelog.moments".to_owned(), "moment"));
        let value: serde_json::Value = serde_json::from_slice(&message.value.unwrap()).unwrap();
        assert_eq!((&value["batches"], &value["rows"], &value["by"]), (&1.into(), &4.into(), &"me".into()));
        assert_eq!((&value["t"], &value["first_t"]), (&sample::T.into(), &sample::T.into()));
    }

    #[test]
    fn a_large_refused_record_is_cut_to_what_a_broker_takes() {
        let (context, batch) = sample::batch();
        let mut batch = model::Batch::clone(&batch);
        batch.dead_letters[0].bytes = vec![b'x'; 1 << 20];
        let messages = messages(&context, &[Arc::new(batch)]).unwrap();
        let letter = messages.last().unwrap().value.as_ref().unwrap();
        assert!(letter.len() < 1_000_000, "{}", letter.len());
        assert_eq!(serde_json::from_slice::<serde_json::Value>(letter).unwrap()["size"], 1 << 20);
    }
}
