//! Columns of a table, one after the other.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;

use super::{Context, Version};
use crate::location::{LocationName, SeriesKey};
use crate::time::T;

/// The table of versions of rows: `t` first, then what `fill` adds, and `removed` last.
pub(super) fn versions<'a, R: 'a>(
    versions: impl IntoIterator<Item = Version<'a, R>>,
    fill: impl FnOnce(&mut Columns, &[&'a R]),
) -> Result<RecordBatch, ArrowError> {
    let versions: Vec<_> = versions.into_iter().collect();
    let rows: Vec<&R> = versions.iter().map(|(_, _, row)| *row).collect();
    let mut columns = Columns { fields: Vec::new(), arrays: Vec::new() };
    columns.time("t", versions.iter().map(|(t, _, _)| millis(*t)));
    fill(&mut columns, &rows);
    columns.flag("removed", versions.iter().map(|(_, removed, _)| *removed));
    RecordBatch::try_new(Arc::new(Schema::new(columns.fields)), columns.arrays)
}

/// Collects columns in order.
pub(super) struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    pub(super) fn add(&mut self, name: &str, array: ArrayRef, nullable: bool) {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(array);
    }

    pub(super) fn time(&mut self, name: &str, values: impl Iterator<Item = i64>) {
        let array = TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC");
        debug_assert_eq!(array.timezone(), Some("UTC"));
        self.add(name, Arc::new(array), false);
    }

    pub(super) fn text<S: AsRef<str>>(&mut self, name: &str, values: impl Iterator<Item = S>) {
        self.add(name, Arc::new(StringArray::from_iter_values(values)), false);
    }

    pub(super) fn maybe_text<S: AsRef<str>>(&mut self, name: &str, values: impl Iterator<Item = Option<S>>) {
        self.add(name, Arc::new(StringArray::from_iter(values)), true);
    }

    pub(super) fn float(&mut self, name: &str, values: impl Iterator<Item = f64>) {
        self.add(name, Arc::new(Float64Array::from_iter_values(values)), false);
    }

    pub(super) fn maybe_float(&mut self, name: &str, values: impl Iterator<Item = Option<f64>>) {
        self.add(name, Arc::new(Float64Array::from_iter(values)), true);
    }

    pub(super) fn int(&mut self, name: &str, values: impl Iterator<Item = i64>) {
        self.add(name, Arc::new(Int64Array::from_iter_values(values)), false);
    }

    pub(super) fn minutes(&mut self, name: &str, values: impl Iterator<Item = u32>) {
        self.add(name, Arc::new(UInt32Array::from_iter_values(values)), false);
    }

    pub(super) fn flag(&mut self, name: &str, values: impl Iterator<Item = bool>) {
        self.add(name, Arc::new(BooleanArray::from_iter(values.map(Some))), false);
    }

    /// `zone`, `location`, `market` with a suffix.
    pub(super) fn series(&mut self, context: Context<'_>, suffix: &str, series: impl Iterator<Item = SeriesKey>) {
        let series: Vec<SeriesKey> = series.collect();
        let names: Vec<LocationName> = series.iter().map(|series| context.name(series.location)).collect();
        self.text(&format!("zone{suffix}"), names.iter().map(|name| &name.zone));
        self.text(&format!("location{suffix}"), names.iter().map(|name| &name.location));
        self.text(&format!("market{suffix}"), series.iter().map(|series| series.market.as_str()));
    }
}

pub(super) fn millis(t: T) -> i64 {
    i64::try_from(t).unwrap_or(i64::MAX)
}
