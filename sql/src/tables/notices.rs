//! `notices`: the recent messages for traders, oldest first.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use model::Notice;

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::snapshot_table::{Definition, instant, text};

/// The table.
pub(super) const TABLE: Definition = Definition { name: "notices", private: Privacy::Public, schema, rows };

fn schema() -> Schema {
    Schema::new(vec![
        instant("t"),
        text("id", false),
        text("zone", false),
        text("class", false),
        text("alert_type", false),
        text("message", false),
        text("severity", false),
        instant("event_time"),
    ])
}

fn rows(view: &View, _: &Wanted, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
    let notices = &view.snapshot.notices;
    let column = |value: fn(&Notice) -> &str| -> ArrayRef {
        Arc::new(notices.iter().map(|(_, notice)| Some(value(notice))).collect::<StringArray>())
    };
    let times: TimestampMillisecondArray = notices.iter().map(|(t, _)| i64::try_from(*t).ok()).collect();
    let events: TimestampMillisecondArray = notices.iter().map(|(_, notice)| Some(notice.event_ms)).collect();
    RecordBatch::try_new(
        schema,
        vec![
            Arc::new(times.with_timezone("UTC")),
            column(|notice| &notice.id),
            column(|notice| &notice.zone),
            column(|notice| &notice.class),
            column(|notice| &notice.alert_type),
            column(|notice| &notice.message),
            column(|notice| notice.severity.as_str()),
            Arc::new(events.with_timezone("UTC")),
        ],
    )
}
