//! `rules`: the alert rules as they stand.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use model::{Rule, T};

use crate::history::wanted::Wanted;
use crate::tables::View;
use crate::tables::private::Privacy;
use crate::tables::snapshot_table::{Definition, instant, text};

/// The table.
pub(super) const TABLE: Definition = Definition { name: "rules", private: Privacy::Rule("rule"), schema, rows };

fn schema() -> Schema {
    Schema::new(vec![
        instant("t"),
        text("rule", false),
        text("kind", false),
        text("zone", true),
        text("location", true),
        text("market", true),
        Field::new("threshold", DataType::Float64, false),
        Field::new("window_bars", DataType::UInt32, false),
        text("severity", false),
        Field::new("enabled", DataType::Boolean, false),
        Field::new("revision", DataType::Int64, false),
    ])
}

fn rows(view: &View, _: &Wanted, schema: SchemaRef) -> Result<RecordBatch, ArrowError> {
    let rules: Vec<&(T, Rule)> = view.snapshot.rules.values().filter(|(_, rule)| !rule.deleted).collect();
    let column = |value: fn(&Rule) -> Option<String>| -> ArrayRef {
        Arc::new(rules.iter().map(|(_, rule)| value(rule)).collect::<StringArray>())
    };
    let times: TimestampMillisecondArray = rules.iter().map(|(t, _)| i64::try_from(*t).ok()).collect();
    RecordBatch::try_new(
        schema,
        vec![
            Arc::new(times.with_timezone("UTC")),
            column(|rule| Some(rule.rule.clone())),
            column(|rule| Some(rule.kind.as_str().to_owned())),
            column(|rule| rule.zone.clone()),
            column(|rule| rule.location.clone()),
            column(|rule| rule.market.map(|market| market.as_str().to_owned())),
            Arc::new(rules.iter().map(|(_, r)| Some(r.threshold_milli as f64 / 1000.0)).collect::<Float64Array>()),
            Arc::new(rules.iter().map(|(_, rule)| Some(rule.window_bars)).collect::<UInt32Array>()),
            column(|rule| Some(rule.severity.as_str().to_owned())),
            Arc::new(rules.iter().map(|(_, rule)| Some(rule.enabled)).collect::<BooleanArray>()),
            Arc::new(rules.iter().map(|(_, rule)| Some(rule.revision)).collect::<Int64Array>()),
        ],
    )
}
