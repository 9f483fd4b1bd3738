//! What a query's filters say about time and names, so that a scan touches only the days, files and live rows it needs.
//!
//! Everything here is a superset: DataFusion applies every filter again on what comes out. Comparisons that are not
//! understood restrict nothing.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator, TryCast};
use model::time::{DAY_MS, T};

/// What may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// First instant of the table's time column, ms.
    pub(crate) from_ms: i64,
    /// Last instant (inclusive) of the table's time column, ms.
    pub(crate) to_ms: i64,
    /// Least `t`.
    pub(crate) from_t: i64,
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { from_ms: i64::MIN, to_ms: i64::MAX, from_t: i64::MIN, names: BTreeMap::new() }
    }
}

impl Wanted {
    /// Reads filters on `time_column`, `t` and text columns.
    pub(crate) fn read(filters: &[Expr], time_column: &str) -> Self {
        let mut wanted = Self::default();
        for filter in filters {
            wanted.restrict(filter, time_column);
        }
        wanted
    }

    /// Whether nothing restricts the scan.
    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether rows with this text in this column may match.
    pub(crate) fn admits(&self, column: &str, value: &str) -> bool {
        self.names.get(column).is_none_or(|names| names.contains(value))
    }

    /// Whether rows with this time may match.
    pub(crate) fn admits_time(&self, time_ms: i64) -> bool {
        (self.from_ms..=self.to_ms).contains(&time_ms)
    }

    /// Whether a partition (days since 1970) may hold matching rows.
    pub(crate) fn admits_day(&self, day: i64) -> bool {
        self.from_ms.div_euclid(DAY_MS) <= day && day <= self.to_ms.div_euclid(DAY_MS)
    }

    /// Whether a file whose newest version is `last_t` may hold matching rows.
    pub(crate) fn admits_t(&self, last_t: T) -> bool {
        i64::try_from(last_t).unwrap_or(i64::MAX) >= self.from_t
    }

    fn restrict(&mut self, filter: &Expr, time_column: &str) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.restrict(left, time_column);
                self.restrict(right, time_column);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if let (Some(column), Some(value)) = (column_of(left), literal_of(right)) {
                    self.compare(column, *op, value, time_column);
                } else if let (Some(value), Some(column)) = (literal_of(left), column_of(right))
                    && let Some(op) = op.swap()
                {
                    self.compare(column, op, value, time_column);
                }
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                if let (Some(column), Some(low), Some(high)) = (column_of(expr), literal_of(low), literal_of(high)) {
                    self.compare(column, Operator::GtEq, low, time_column);
                    self.compare(column, Operator::LtEq, high, time_column);
                }
            }
            Expr::InList(list) if !list.negated => {
                let texts: Option<BTreeSet<String>> =
                    list.list.iter().map(|item| literal_of(item).and_then(text_of)).collect();
                if let (Some(column), Some(texts)) = (column_of(&list.expr), texts) {
                    self.keep(column, texts);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, column: &str, op: Operator, value: &ScalarValue, time_column: &str) {
        if let Some(text) = text_of(value) {
            if op == Operator::Eq {
                self.keep(column, BTreeSet::from([text]));
            }
            return;
        }
        let Some((floor, exact)) = millis_of(value) else { return };
        let (from, to) = match op {
            Operator::Eq => (floor, floor),
            Operator::Gt => (floor.saturating_add(1), i64::MAX),
            Operator::GtEq => (if exact { floor } else { floor.saturating_add(1) }, i64::MAX),
            Operator::Lt => (i64::MIN, if exact { floor.saturating_sub(1) } else { floor }),
            Operator::LtEq => (i64::MIN, floor),
            _ => return,
        };
        if column == time_column {
            self.from_ms = self.from_ms.max(from);
            self.to_ms = self.to_ms.min(to);
        }
        if column == "t" {
            self.from_t = self.from_t.max(from);
        }
    }

    fn keep(&mut self, column: &str, texts: BTreeSet<String>) {
        let kept = match self.names.get(column) {
            Some(known) => known.intersection(&texts).cloned().collect(),
            None => texts,
        };
        self.names.insert(column.to_owned(), kept);
    }
}

/// The column behind casts to finer timestamp units or between text encodings, which change no comparison.
fn column_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            use arrow::datatypes::DataType::{Dictionary, LargeUtf8, Timestamp, Utf8, Utf8View};
            use arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Nanosecond};
            // A cast to seconds would cut milliseconds off.
            matches!(
                field.data_type(),
                Timestamp(Millisecond | Microsecond | Nanosecond, _) | Utf8 | LargeUtf8 | Utf8View | Dictionary(..)
            )
            .then(|| column_of(expr))
            .flatten()
        }
        _ => None,
    }
}

fn literal_of(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

fn text_of(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => text.clone(),
        ScalarValue::Dictionary(_, inner) => text_of(inner),
        _ => None,
    }
}

/// The last whole millisecond up to an instant, and whether it is the instant itself.
fn millis_of(value: &ScalarValue) -> Option<(i64, bool)> {
    let (value, per_ms) = match value {
        ScalarValue::TimestampSecond(Some(seconds), _) => return Some((seconds.checked_mul(1000)?, true)),
        ScalarValue::TimestampMillisecond(Some(ms), _) => return Some((*ms, true)),
        ScalarValue::TimestampMicrosecond(Some(us), _) => (*us, 1_000),
        ScalarValue::TimestampNanosecond(Some(ns), _) => (*ns, 1_000_000),
        _ => return None,
    };
    Some((value.div_euclid(per_ms), value.rem_euclid(per_ms) == 0))
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    fn at(ms: i64) -> Expr {
        lit(ScalarValue::TimestampMillisecond(Some(ms), Some("UTC".into())))
    }

    #[test]
    fn ranges_and_names_are_understood_from_either_side() {
        let ns = lit(ScalarValue::TimestampNanosecond(Some(2 * DAY_MS * 1_000_000 + 1), None));
        let filters = [
            at(DAY_MS).lt_eq(col("start_time")).and(col("zone").eq(lit("PJM"))),
            cast(
                col("start_time"),
                arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None),
            )
            .lt(ns),
            col("granularity").in_list(vec![lit("1m"), lit("5m")], false),
            col("t").gt(at(7)),
        ];
        let wanted = Wanted::read(&filters, "start_time");
        assert_eq!((wanted.from_ms, wanted.to_ms, wanted.from_t), (DAY_MS, 2 * DAY_MS, 8));
        assert!(wanted.admits("zone", "PJM") && !wanted.admits("zone", "NYISO") && wanted.admits("market", "X"));
        assert!(wanted.admits("granularity", "5m") && !wanted.admits("granularity", "1d"));
        assert!(wanted.admits_day(1) && wanted.admits_day(2) && !wanted.admits_day(0) && !wanted.admits_day(3));
        assert!(!wanted.admits_t(7) && wanted.admits_t(8));
        // The end of a half-open day is not a day more.
        let day =
            Wanted::read(&[col("start_time").gt_eq(at(DAY_MS)), col("start_time").lt(at(2 * DAY_MS))], "start_time");
        assert!(day.admits_day(1) && !day.admits_day(0) && !day.admits_day(2));
        let seconds = arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Second, None);
        let cut = Wanted::read(&[cast(col("start_time"), seconds).lt_eq(at(5000))], "start_time");
        assert!(cut.is_everything());
    }

    #[test]
    fn what_is_not_understood_restricts_nothing() {
        let filters = [
            col("start_time").gt(at(5)).or(col("zone").eq(lit("PJM"))),
            col("zone").not_eq(lit("PJM")),
            col("zone").in_list(vec![lit("PJM")], true),
            col("start_time").not_between(at(1), at(2)),
        ];
        assert!(Wanted::read(&filters, "start_time").is_everything());
    }
}
