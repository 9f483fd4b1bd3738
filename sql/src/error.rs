//! What can go wrong with a query, in words for the person who wrote it, with the SQLSTATE for the programs.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use model::humane::Span;

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query is wrong: syntax, an unknown name, a type, a division by zero.
    #[error("{message}")]
    Query {
        /// What is wrong, and what exists instead.
        message: String,
        /// SQLSTATE.
        code: &'static str,
    },
    /// The statement would change something.
    #[error("{0} is refused: OptiBid's SQL is read-only, data comes in through Kafka")]
    ReadOnly(String),
    /// Result too large.
    #[error("the result has more than {limit} rows: add a LIMIT, aggregate, or ask for a time range")]
    TooManyRows {
        /// The limit.
        limit: usize,
    },
    /// It took too long.
    #[error("the query took longer than {limit}: ask for a shorter time range, or aggregate first")]
    Timeout {
        /// The limit.
        limit: Span,
    },
    /// It wanted too much memory.
    #[error("the query needs more memory than its limit: {0}")]
    Memory(String),
    /// No turn came up.
    #[error("all {limit} query slots were busy for {waited}")]
    Busy {
        /// The number of slots.
        limit: usize,
        /// How long it waited.
        waited: Span,
    },
    /// The client went away or asked to stop.
    #[error("the query was cancelled")]
    Cancelled,
    /// The embedded history cannot be read.
    #[error("read history: {0}")]
    History(String),
    /// A setting makes no sense.
    #[error("configure sql: {0}")]
    Config(String),
    /// Ours.
    #[error("run query: {0}")]
    Internal(String),
}

impl Error {
    /// A mistake in the query with its SQLSTATE.
    pub fn query(code: &'static str, message: impl Into<String>) -> Self {
        Self::Query { message: message.into(), code }
    }

    /// Whether the same query may work a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::History(_) | Self::Timeout { .. })
    }

    /// Whether the query is to blame rather than the server: a 400, not a 500.
    pub fn is_users(&self) -> bool {
        matches!(self, Self::Query { .. } | Self::ReadOnly(_) | Self::TooManyRows { .. } | Self::Memory(_))
    }

    /// The SQLSTATE that PostgreSQL would give.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Query { code, .. } => code,
            Self::ReadOnly(_) => "25006",
            Self::TooManyRows { .. } => "54000",
            Self::Timeout { .. } | Self::Cancelled => "57014",
            Self::Memory(_) => "53200",
            Self::Busy { .. } => "53300",
            Self::History(_) => "58030",
            Self::Config(_) => "F0000",
            Self::Internal(_) => "XX000",
        }
    }

    /// Sorts DataFusion's errors; `tables` are the names to offer when one is unknown.
    pub(crate) fn from_datafusion(error: &DataFusionError, tables: &[String]) -> Self {
        let root = error.find_root();
        match root {
            DataFusionError::SchemaError(schema, _) => from_schema(schema),
            DataFusionError::SQL(parser, _) => {
                Self::query("42601", format!("syntax error: {}", bare(parser.to_string())))
            }
            DataFusionError::ResourcesExhausted(text) => Self::Memory(first_line(text)),
            DataFusionError::NotImplemented(text) => {
                Self::query("0A000", format!("not supported: {}", first_line(text)))
            }
            DataFusionError::Plan(text) => from_plan(text, tables),
            DataFusionError::ObjectStore(store) => Self::History(store.to_string()),
            DataFusionError::ParquetError(parquet) => Self::History(parquet.to_string()),
            DataFusionError::IoError(io) => Self::History(io.to_string()),
            DataFusionError::ArrowError(arrow, _) => from_arrow(arrow),
            DataFusionError::Execution(text) => Self::query("22000", first_line(text)),
            DataFusionError::Configuration(text) => Self::query("22023", first_line(text)),
            DataFusionError::External(inner) => match inner.downcast_ref::<arrow::error::ArrowError>() {
                Some(arrow) => from_arrow(arrow),
                None => Self::Internal(inner.to_string()),
            },
            DataFusionError::Diagnostic(_, inner) => Self::from_datafusion(inner, tables),
            DataFusionError::Collection(all) => match all.first() {
                Some(first) => Self::from_datafusion(first, tables),
                None => Self::Internal(error.strip_backtrace()),
            },
            other => Self::Internal(other.strip_backtrace()),
        }
    }
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut known: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
            known.dedup();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::query("42703", format!("column \"{}\" does not exist; columns are: {known}", field.name))
        }
        SchemaError::AmbiguousReference { field } => {
            Error::query("42702", format!("column reference \"{}\" is ambiguous: say which table's", field.name))
        }
        other => Error::query("42701", other.to_string()),
    }
}

fn from_plan(text: &str, tables: &[String]) -> Error {
    let text = first_line(text);
    if let Some(rest) = text.strip_prefix("table '")
        && let Some(name) = rest.strip_suffix("' not found")
    {
        let name = name.strip_prefix("optibid.public.").unwrap_or(name);
        return Error::query("42P01", format!("table \"{name}\" does not exist; tables are: {}", tables.join(", ")));
    }
    if text.starts_with("Invalid function") {
        return Error::query("42883", text);
    }
    Error::query("42000", text)
}

fn from_arrow(error: &arrow::error::ArrowError) -> Error {
    use arrow::error::ArrowError;
    match error {
        ArrowError::DivideByZero => Error::query("22012", "division by zero"),
        ArrowError::ArithmeticOverflow(text) => Error::query("22003", text.clone()),
        ArrowError::CastError(text) | ArrowError::ParseError(text) => Error::query("22P02", text.clone()),
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => Error::from_datafusion(inner, &[]),
            None => Error::Internal(inner.to_string()),
        },
        other => Error::query("22000", other.to_string()),
    }
}

fn bare(text: String) -> String {
    let text = text.strip_prefix("sql parser error: ").unwrap_or(&text);
    first_line(text)
}

fn first_line(text: &str) -> String {
    let text = text.split("\n\nbacktrace").next().unwrap_or(text);
    text.lines().next().unwrap_or(text).to_owned()
}
