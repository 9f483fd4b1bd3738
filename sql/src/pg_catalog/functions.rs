//! PostgreSQL's information functions, and OptiBid's own `now_t()`.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use model::T;

use crate::session::SessionUser;

/// Registers the functions that are the same for everybody.
pub(crate) fn register(_state: &mut SessionState) -> Result<()> {
    Ok(())
}

/// The functions whose answer depends on who asks, and when.
pub(crate) fn of_session(_user: &SessionUser, t: T) -> Vec<Arc<ScalarUDF>> {
    let now = ScalarValue::TimestampMillisecond(i64::try_from(t).ok(), Some("UTC".into()));
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    vec![constant("now_t", instant, now)]
}

/// A function without arguments that always says the same.
fn constant(name: &str, data_type: DataType, value: ScalarValue) -> Arc<ScalarUDF> {
    let answer = Arc::new(move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(value.clone())));
    Arc::new(create_udf(name, Vec::new(), data_type, Volatility::Stable, answer))
}
