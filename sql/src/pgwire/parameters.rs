//! Values of `$1`, `$2` … from the wire.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use datafusion::common::{ParamValues, ScalarValue};
use pgwire::api::Type;
use pgwire::api::portal::Portal;
use tokio_postgres::types::FromSql;

use crate::error::Error;
use crate::pg_catalog::types::{arrow_type, pg_type};

/// The types of the parameters in their order: what the client said, else what the plan needs.
pub(super) fn types(inferred: &BTreeMap<String, Option<DataType>>, given: &[Option<Type>]) -> Vec<Type> {
    let count = inferred.keys().filter_map(|name| number(name)).max().unwrap_or(0).max(given.len());
    (1..=count)
        .map(|number| {
            let given = given.get(number - 1).cloned().flatten().filter(|pg| *pg != Type::UNKNOWN);
            let needed = inferred.get(&format!("${number}")).cloned().flatten();
            given.or_else(|| needed.map(|data_type| pg_type(&data_type))).unwrap_or(Type::TEXT)
        })
        .collect()
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok()
}

/// The values that a portal binds.
pub(super) fn values<S>(
    portal: &Portal<S>,
    types: &[Type],
    inferred: &BTreeMap<String, Option<DataType>>,
) -> Result<Option<ParamValues>, Error> {
    if portal.parameters.len() != types.len() {
        let message = format!("bind has {} parameters, the statement {}", portal.parameters.len(), types.len());
        return Err(Error::query("08P01", message));
    }
    let mut values = Vec::with_capacity(types.len());
    for (index, (bytes, pg)) in portal.parameters.iter().zip(types).enumerate() {
        let needed = inferred.get(&format!("${}", index + 1)).cloned().flatten();
        let data_type = needed.or_else(|| arrow_type(pg)).unwrap_or(DataType::Utf8);
        let value = match bytes {
            None => ScalarValue::try_from(&data_type),
            Some(bytes) => {
                let binary = portal.parameter_format.is_binary(index);
                let value = if binary { from_binary(pg, bytes) } else { from_text(bytes) };
                let value = value.ok_or_else(|| invalid(index, pg))?;
                value.cast_to(&data_type)
            }
        };
        values.push(value.map_err(|_| invalid(index, pg))?);
    }
    Ok((!values.is_empty()).then(|| ParamValues::from(values)))
}

fn invalid(index: usize, pg: &Type) -> Error {
    Error::query("22P02", format!("parameter ${} is no {}", index + 1, pg.name()))
}

fn from_text(bytes: &[u8]) -> Option<ScalarValue> {
    std::str::from_utf8(bytes).ok().map(ScalarValue::from)
}

fn from_binary(pg: &Type, bytes: &[u8]) -> Option<ScalarValue> {
    fn read<'a, V: FromSql<'a>>(pg: &Type, bytes: &'a [u8]) -> Option<V> {
        V::from_sql(pg, bytes).ok()
    }
    Some(match *pg {
        Type::BOOL => ScalarValue::from(read::<bool>(pg, bytes)?),
        Type::INT2 => ScalarValue::from(read::<i16>(pg, bytes)?),
        Type::INT4 => ScalarValue::from(read::<i32>(pg, bytes)?),
        Type::INT8 => ScalarValue::from(read::<i64>(pg, bytes)?),
        Type::OID => ScalarValue::from(i64::from(read::<u32>(pg, bytes)?)),
        Type::FLOAT4 => ScalarValue::from(read::<f32>(pg, bytes)?),
        Type::FLOAT8 => ScalarValue::from(read::<f64>(pg, bytes)?),
        Type::DATE => ScalarValue::from(read::<NaiveDate>(pg, bytes)?.to_string().as_str()),
        Type::TIMESTAMP => {
            let at = read::<NaiveDateTime>(pg, bytes)?.and_utc().timestamp_micros();
            ScalarValue::TimestampMicrosecond(Some(at), None)
        }
        Type::TIMESTAMPTZ => {
            let at = read::<DateTime<Utc>>(pg, bytes)?.timestamp_micros();
            ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into()))
        }
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => from_text(bytes)?,
        _ => return None,
    })
}
