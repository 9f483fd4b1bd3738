//! PostgreSQL's information functions, and OptiBid's own `now_t()`.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility, create_udf,
};
use model::T;

use crate::catalog::{CATALOG, SCHEMA};
use crate::pg_catalog::{relations, types};
use crate::session::SessionUser;

/// What `version()` says: PostgreSQL's clients read the number to know what they may ask.
pub(crate) const VERSION: &str = concat!("PostgreSQL 15.0 (OptiBid ", env!("CARGO_PKG_VERSION"), ", DataFusion)");
/// What `server_version` says.
pub(crate) const SERVER_VERSION: &str = concat!("15.0 (OptiBid ", env!("CARGO_PKG_VERSION"), ")");

type Answer = fn(&[ArrayRef], usize) -> Result<ArrayRef>;

/// Registers the functions that are the same for everybody.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    for (name, data_type, answer) in FUNCTIONS {
        state.register_udf(Arc::new(ScalarUDF::from(PgFunction::new(name, data_type.clone(), *answer))))?;
    }
    for (name, value) in
        [("current_database", CATALOG), ("current_catalog", CATALOG), ("current_schema", SCHEMA), ("version", VERSION)]
    {
        state.register_udf(constant(name, DataType::Utf8, ScalarValue::from(value)))?;
    }
    state.register_udf(constant("pg_is_in_recovery", DataType::Boolean, ScalarValue::from(false)))?;
    state.register_udf(constant("pg_backend_pid", DataType::Int32, ScalarValue::from(1_i32)))?;
    Ok(())
}

/// The functions whose answer depends on who asks, and when.
pub(crate) fn of_session(user: &SessionUser, t: T) -> Vec<Arc<ScalarUDF>> {
    let now = ScalarValue::TimestampMillisecond(i64::try_from(t).ok(), Some("UTC".into()));
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let name = || ScalarValue::from(user.user.as_str());
    vec![
        constant("now_t", instant, now),
        constant("current_user", DataType::Utf8, name()),
        constant("session_user", DataType::Utf8, name()),
        constant("user", DataType::Utf8, name()),
        Arc::new(ScalarUDF::from(CurrentSetting { settings: Arc::clone(&user.settings), signature: any() })),
    ]
}

/// A function without arguments that always says the same.
fn constant(name: &str, data_type: DataType, value: ScalarValue) -> Arc<ScalarUDF> {
    let answer = Arc::new(move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(value.clone())));
    Arc::new(create_udf(name, Vec::new(), data_type, Volatility::Stable, answer))
}

fn any() -> Signature {
    Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable)
}

const FUNCTIONS: &[(&str, DataType, Answer)] = &[
    ("pg_table_is_visible", DataType::Boolean, yes),
    ("pg_type_is_visible", DataType::Boolean, yes),
    ("pg_function_is_visible", DataType::Boolean, yes),
    ("has_table_privilege", DataType::Boolean, yes),
    ("has_schema_privilege", DataType::Boolean, yes),
    ("has_database_privilege", DataType::Boolean, yes),
    ("has_column_privilege", DataType::Boolean, yes),
    ("pg_relation_is_publishable", DataType::Boolean, no),
    ("pg_get_expr", DataType::Utf8, nothing),
    ("obj_description", DataType::Utf8, nothing),
    ("shobj_description", DataType::Utf8, nothing),
    ("col_description", DataType::Utf8, nothing),
    ("pg_get_constraintdef", DataType::Utf8, nothing),
    ("pg_get_indexdef", DataType::Utf8, nothing),
    ("pg_get_viewdef", DataType::Utf8, nothing),
    ("pg_get_function_result", DataType::Utf8, nothing),
    ("pg_get_function_arguments", DataType::Utf8, nothing),
    ("pg_get_statisticsobjdef_columns", DataType::Utf8, nothing),
    ("pg_tablespace_location", DataType::Utf8, nothing),
    ("pg_get_userbyid", DataType::Utf8, |_, rows| Ok(Arc::new(StringArray::from(vec![CATALOG; rows])))),
    ("pg_encoding_to_char", DataType::Utf8, |_, rows| Ok(Arc::new(StringArray::from(vec!["UTF8"; rows])))),
    ("set_config", DataType::Utf8, |args, rows| Ok(args.get(1).map_or_else(|| null_text(rows), Arc::clone))),
    ("quote_ident", DataType::Utf8, quote_ident),
    ("format_type", DataType::Utf8, |args, rows| {
        named(args, rows, |oid| u32::try_from(oid).ok().map(types::formatted))
    }),
    ("optibid_regclass", DataType::Utf8, |args, rows| {
        named(args, rows, |oid| Some(relations::relation_name(oid).map_or_else(|| oid.to_string(), str::to_owned)))
    }),
    ("optibid_regnamespace", DataType::Utf8, |args, rows| {
        named(args, rows, |oid| relations::namespace_name(oid).map(str::to_owned))
    }),
    ("to_regclass", DataType::Int64, |args, rows| {
        let Some(names) = args.first() else { return Ok(Arc::new(Int64Array::new_null(rows))) };
        let names = cast(names, &DataType::Utf8)?;
        let oid = |name: Option<&str>| name.and_then(relations::relation_oid);
        Ok(Arc::new(names.as_string::<i32>().iter().map(oid).collect::<Int64Array>()))
    }),
];

fn yes(_: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    Ok(Arc::new(BooleanArray::from(vec![true; rows])))
}

fn no(_: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    Ok(Arc::new(BooleanArray::from(vec![false; rows])))
}

fn nothing(_: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    Ok(null_text(rows))
}

fn null_text(rows: usize) -> ArrayRef {
    Arc::new(StringArray::new_null(rows))
}

/// Names of the oids in the first argument.
fn named(args: &[ArrayRef], rows: usize, name: impl Fn(i64) -> Option<String>) -> Result<ArrayRef> {
    let Some(oids) = args.first() else { return Ok(null_text(rows)) };
    let oids = cast(oids, &DataType::Int64)?;
    let names = oids.as_primitive::<Int64Type>().iter().map(|oid| oid.and_then(&name));
    Ok(Arc::new(names.collect::<StringArray>()))
}

fn quote_ident(args: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let Some(names) = args.first() else { return Ok(null_text(rows)) };
    let names = cast(names, &DataType::Utf8)?;
    let quote = |name: &str| {
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
    };
    Ok(Arc::new(names.as_string::<i32>().iter().map(|name| name.map(quote)).collect::<StringArray>()))
}

/// A function of any arguments.
struct PgFunction {
    name: &'static str,
    returns: DataType,
    answer: Answer,
    signature: Signature,
}

impl PgFunction {
    fn new(name: &'static str, returns: DataType, answer: Answer) -> Self {
        Self { name, returns, answer, signature: any() }
    }
}

impl fmt::Debug for PgFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for PgFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for PgFunction {}

impl Hash for PgFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for PgFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        (self.answer)(&arrays, rows).map(ColumnarValue::Array)
    }
}

/// `current_setting(name [, missing_ok])` of one session.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentSetting {
    settings: Arc<BTreeMap<String, String>>,
    signature: Signature,
}

impl ScalarUDFImpl for CurrentSetting {
    fn name(&self) -> &str {
        "current_setting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(names) = args.args.first() else { return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None))) };
        let names = cast(&names.to_array(args.number_rows)?, &DataType::Utf8)?;
        let value = |name: Option<&str>| {
            let name = name?.to_ascii_lowercase();
            self.settings.get(&name).cloned().or_else(|| setting(&name).map(str::to_owned))
        };
        let values: StringArray = names.as_string::<i32>().iter().map(value).collect();
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

/// Settings that every session begins with.
pub(crate) fn setting(name: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// Settings, names in lower case.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("server_version", SERVER_VERSION),
    ("server_version_num", "150000"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("search_path", "public"),
    ("timezone", "UTC"),
    ("datestyle", "ISO, MDY"),
    ("intervalstyle", "postgres"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("transaction_isolation", "repeatable read"),
    ("transaction_read_only", "on"),
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_read_only", "on"),
    ("extra_float_digits", "1"),
    ("statement_timeout", "0"),
    ("max_identifier_length", "63"),
    ("is_superuser", "off"),
    ("in_hot_standby", "off"),
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("lc_collate", "C.UTF-8"),
    ("lc_ctype", "C.UTF-8"),
    ("lc_messages", "C.UTF-8"),
    ("lc_monetary", "C.UTF-8"),
    ("row_security", "off"),
];
