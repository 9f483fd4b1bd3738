//! Closed batches as Kafka messages. Pure.
//!
//! | topic (under the prefix) | key | value |
//! |---|---|---|
//! | `changelog.bars`, `.kpis`, `.anomalies`, `.correlations`, `.bids` | key columns joined by `\|` | JSON row; nothing for a removal |
//! | `changelog.moments` | `moment` | `{"t":T,"first_t":T,"batches":n,"rows":n}` |
//! | `deadletters` | `topic/partition/offset/row` | JSON; `size` of the record, its (first 512 KiB of) `bytes` in base64 |
//!
//! Header `t` on every message is the T it was closed at. A reader knows whole moments by the marker: once it has
//! read the marker for T, everything up to T has been written before it.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use model::table::Table;
use model::{AlertState, Batch, T};

use crate::rows::{self, Cell, Keep};
use crate::{Context, Error};

/// Tables with a changelog.
pub(super) const TABLES: [Table; 5] = [Table::Bars, Table::Kpis, Table::Anomalies, Table::Correlations, Table::Bids];

/// Bytes of a refused record that a dead letter carries: a message must stay below the usual limit of 1 MB.
const DEAD_LETTER_BYTES: usize = 512 << 10;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) key: String,
    /// `None` is a tombstone.
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Topic of a table's changelog.
pub(super) fn changelog(prefix: &str, table: &str) -> String {
    format!("{prefix}.changelog.{table}")
}

/// Topic of dead letters.
pub(super) fn dead_letters_topic(prefix: &str) -> String {
    format!("{prefix}.deadletters")
}

/// The rows and dead letters of a run, in order; of each key only what stands, as compaction would leave it.
pub(super) fn messages(context: &Context, prefix: &str, batches: &[Arc<Batch>]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for table in TABLES {
        let rows = rows::encode(context, table, batches, Keep::Newest)?;
        let topic = changelog(prefix, table.name());
        for (row, json) in rows::json(&rows)?.into_iter().enumerate() {
            let (t, removed) = version(&rows, row)?;
            messages.push(Message {
                topic: topic.clone(),
                key: key(&rows, table.key(), row)?,
                value: (!removed).then_some(json),
                headers: vec![("t", t.to_string())],
            });
        }
    }
    for batch in batches {
        for letter in &batch.dead_letters {
            let kept = &letter.bytes[..letter.bytes.len().min(DEAD_LETTER_BYTES)];
            let value = serde_json::json!({
                "t": batch.t, "topic": letter.topic, "partition": letter.partition, "offset": letter.offset,
                "row": letter.row, "reason": letter.reason, "detail": letter.detail, "size": letter.bytes.len(),
                "bytes": base64(kept),
            });
            messages.push(Message {
                topic: dead_letters_topic(prefix),
                key: format!("{}/{}/{}/{}", letter.topic, letter.partition, letter.offset, letter.row),
                value: Some(serde_json::to_vec(&value)?),
                headers: vec![
                    ("t", batch.t.to_string()),
                    ("topic", letter.topic.to_string()),
                    ("partition", letter.partition.to_string()),
                    ("offset", letter.offset.to_string()),
                    ("row", letter.row.to_string()),
                    ("reason", letter.reason.as_str().to_owned()),
                ],
            });
        }
    }
    Ok(messages)
}

/// What says that a run is whole; to be sent when all its messages have arrived.
pub(super) fn marker(prefix: &str, batches: &[Arc<Batch>]) -> Option<Message> {
    let (first, last) = (batches.first()?, batches.last()?);
    let rows: usize = batches.iter().map(|batch| batch.rows()).sum();
    let value = serde_json::json!({"t": last.t, "first_t": first.t, "batches": batches.len(), "rows": rows});
    Some(Message {
        topic: changelog(prefix, "moments"),
        key: "moment".to_owned(),
        value: Some(value.to_string().into_bytes()),
        headers: vec![("t", last.t.to_string())],
    })
}

fn key(rows: &RecordBatch, columns: &[&str], row: usize) -> Result<String, Error> {
    let mut key = String::new();
    for (index, name) in columns.iter().enumerate() {
        if index > 0 {
            key.push('|');
        }
        match cell(rows, name, row)? {
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
    use super::*;

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
        let (context, batch) = crate::sample::batch();
        let messages = messages(&context, "p", std::slice::from_ref(&batch)).unwrap();
        let lines: Vec<String> = messages
            .iter()
            .map(|message| {
                let value = message.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
                format!("{} {} {}", message.topic, message.key, value.unwrap_or_else(|| "gone".to_owned()))
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
        let marker = marker("p", &[batch]).unwrap();
        assert_eq!((marker.topic.as_str(), marker.key.as_str()), ("p.changelog.moments", "moment"));
        assert_eq!(marker.value.unwrap(), br#"{"batches":1,"first_t":1763460000000,"rows":4,"t":1763460000000}"#);
    }

    #[test]
    fn a_large_refused_record_is_cut_to_what_a_broker_takes() {
        let (context, batch) = crate::sample::batch();
        let mut batch = model::Batch::clone(&batch);
        batch.dead_letters[0].bytes = vec![b'x'; 1 << 20];
        let messages = messages(&context, "p", &[Arc::new(batch)]).unwrap();
        let letter = messages.last().unwrap().value.as_ref().unwrap();
        assert!(letter.len() < 1_000_000, "{}", letter.len());
        assert_eq!(serde_json::from_slice::<serde_json::Value>(letter).unwrap()["size"], 1 << 20);
    }
}
