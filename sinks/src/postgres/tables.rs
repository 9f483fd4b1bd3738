//! What goes into which Postgres table, and the SQL that puts it there. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{Datelike, NaiveDate};
use model::Batch;
use model::table::Table;
use model::time::to_utc;

use super::encode::column_list;
use crate::rows::{self, Cell, Keep};
use crate::{Context, Error};

/// Tables partitioned by time.
pub(super) const TIME_SERIES: [&str; 6] = ["bars", "anomalies", "anomaly_life", "notices", "bid_events", "auctions"];
/// Every table the sink writes.
pub(super) const ALL: [&str; 10] = [
    "zones",
    "locations",
    "progress",
    "bars",
    "anomalies",
    "anomaly_life",
    "notices",
    "bids",
    "bid_events",
    "auctions",
];

/// Rows for one table.
pub(super) struct Load {
    pub(super) table: &'static str,
    /// Primary key.
    key: &'static [&'static str],
    pub(super) rows: RecordBatch,
    /// Months that the rows fall in; none where the table is not partitioned.
    pub(super) months: BTreeSet<i64>,
}

/// What a run puts where; tables without rows are left out.
pub(super) fn loads(context: &Context, batches: &[Arc<Batch>]) -> Result<Vec<Load>, Error> {
    let bars = rows::encode(context, Table::Bars, batches, Keep::Newest)?;
    let anomalies = rows::encode(context, Table::Anomalies, batches, Keep::Newest)?;
    let life = rows::encode(context, Table::Anomalies, batches, Keep::Every)?;
    let bids = rows::encode(context, Table::Bids, batches, Keep::Newest)?;
    let events = rows::encode(context, Table::Bids, batches, Keep::Every)?;
    let auctions = rows::encode(context, Table::Clearing, batches, Keep::Newest)?;
    let loads = [
        ("bars", Table::Bars.key(), bars, Some("start_time")),
        ("anomalies", &["id", "start_time"] as &[_], anomalies, Some("start_time")),
        ("anomaly_life", &["id", "t", "start_time"], life, Some("start_time")),
        ("notices", &["id", "event_time"], rows::notices(batches)?, Some("event_time")),
        ("bids", Table::Bids.key(), bids, None),
        ("bid_events", &["bid", "t"], events, Some("t")),
        ("auctions", Table::Clearing.key(), auctions, Some("start_time")),
    ];
    let filled = loads.into_iter().filter(|(_, _, rows, _)| rows.num_rows() > 0);
    filled
        .map(|(table, key, rows, time_column)| {
            let months = time_column.map_or_else(|| Ok(BTreeSet::new()), |column| months(&rows, column))?;
            Ok(Load { table, key, rows, months })
        })
        .collect()
}

impl Load {
    fn staging(&self) -> String {
        format!("incoming_{}", self.table)
    }

    pub(super) fn staging_sql(&self) -> String {
        let (staging, table) = (self.staging(), self.table);
        format!("CREATE TEMPORARY TABLE IF NOT EXISTS {staging} (LIKE {table}) ON COMMIT DELETE ROWS")
    }

    pub(super) fn copy_sql(&self) -> String {
        format!("COPY {} ({}) FROM STDIN", self.staging(), column_list(&self.rows))
    }

    /// Inserts what is new and replaces what is older. Of rows that share a key (a notice said twice) the newest stands.
    pub(super) fn upsert_sql(&self) -> String {
        let (staging, table, columns, key) = (self.staging(), self.table, column_list(&self.rows), self.key.join(", "));
        let schema = self.rows.schema();
        let others = schema.fields().iter().map(|field| field.name()).filter(|name| !self.key.contains(&name.as_str()));
        let set: Vec<String> = others.map(|name| format!("\"{name}\" = excluded.\"{name}\"")).collect();
        format!(
            "INSERT INTO {table} ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM {staging} ORDER BY {key}, t DESC \
             ON CONFLICT ({key}) DO UPDATE SET {} WHERE excluded.t >= {table}.t",
            set.join(", ")
        )
    }
}

fn months(rows: &RecordBatch, time_column: &str) -> Result<BTreeSet<i64>, Error> {
    let Some(column) = rows.column_by_name(time_column) else {
        return Err(Error::Schema(format!("rows have no column {time_column}")));
    };
    let mut months = BTreeSet::new();
    for row in 0..rows.num_rows() {
        if let Cell::Time(ms) = rows::cell(column.as_ref(), row)? {
            months.insert(month(ms));
        }
    }
    Ok(months)
}

/// UTC months since year 0.
pub(super) fn month(ms: i64) -> i64 {
    to_utc(ms).map_or(0, |at| i64::from(at.year()) * 12 + i64::from(at.month0()))
}

/// First instant of a month, UTC ms.
pub(super) fn month_start_ms(month: i64) -> i64 {
    let year = i32::try_from(month.div_euclid(12)).unwrap_or(1970);
    let month0 = u32::try_from(month.rem_euclid(12)).unwrap_or(0);
    NaiveDate::from_ymd_opt(year, month0 + 1, 1)
        .map_or(0, |date| date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis())
}
