//! What can go wrong in a sink, and whether waiting helps.
//!
//! Transient: the store is away, busy, restarting or out of room, so the same run succeeds later. Permanent: the
//! store refuses this data or this configuration, so a person must act; the driver goes on trying, slowly.

use std::time::Duration;

/// Why a check or a write failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Redis.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// Postgres; the text has the server's message, detail and code.
    #[error("postgres: {}", postgres_text(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// ClickHouse.
    #[error("clickhouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    /// Kafka.
    #[error("kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    /// Object store of the history.
    #[error("object store: {0}")]
    ObjectStore(#[from] object_store::Error),
    /// Parquet of the history.
    #[error("parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Rows that do not fit their table.
    #[error("encode: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Rows that do not fit their JSON.
    #[error("encode: {0}")]
    Json(#[from] serde_json::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Tables or topics are missing, or not as they should be.
    #[error("{0}")]
    Schema(String),
    /// Another instance writes what this one wrote: this one must not write again.
    #[error("another instance has taken {0} over: this one writes no more (end it; two of one prefix must not run)")]
    Fenced(String),
    /// A setting that cannot work.
    #[error("configuration: {0}")]
    Config(String),
    /// Said by a test double.
    #[error("{0}")]
    Scripted(String, bool),
    /// A task of ours died.
    #[error("background task: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// Whether the same write may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Redis(error) => redis_is_transient(error),
            Self::Postgres(error) => postgres_is_transient(error),
            Self::ClickHouse(error) => clickhouse_is_transient(error),
            Self::Kafka(error) => kafka_is_transient(error),
            Self::ObjectStore(error) => object_store_is_transient(error),
            Self::Timeout(_) | Self::Task(_) => true,
            // Migrations may still be running, or topics be on their way: look again soon.
            Self::Schema(_) => true,
            Self::Scripted(_, transient) => *transient,
            Self::Parquet(_) | Self::Arrow(_) | Self::Json(_) | Self::Fenced(_) | Self::Config(_) => false,
        }
    }
}

fn postgres_text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let detail = db.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
            format!("{}{detail} [{}]", db.message(), db.code().code())
        }
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

fn redis_is_transient(error: &redis::RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::UnexpectedReturnType
        | ErrorKind::Client => false,
        // A plain error reply (wrong type, script bug) stays; `OOM`, `LOADING` and the like pass.
        ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::NoSub) => {
            error.code().is_some_and(|code| matches!(code, "OOM" | "MISCONF" | "NOREPLICAS"))
        }
        ErrorKind::Extension => error.code().is_some_and(|code| matches!(code, "OOM" | "MISCONF" | "NOREPLICAS")),
        _ => true,
    }
}

fn postgres_is_transient(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code().map(tokio_postgres::error::SqlState::code) else {
        // No answer from the server: connection refused, reset, closed. Wrong parameters are a bug of ours.
        return !error.to_string().contains("serializing parameter");
    };
    // Classes: connection, transaction rollback (deadlock, serialisation), resources, operator intervention,
    // system; lock not available; undefined table or function (migrations not yet applied), missing database.
    matches!(code.get(..2), Some("08" | "40" | "53" | "57" | "58"))
        || matches!(code, "55P03" | "55006" | "42P01" | "42883" | "3D000")
}

fn clickhouse_is_transient(error: &clickhouse::error::Error) -> bool {
    use clickhouse::error::Error as E;
    match error {
        E::Network(_) | E::TimedOut => true,
        // `Code: N.` of the server: timeouts, too many queries or parts, memory, network, keeper, shutting down,
        // read-only replica, missing table (migrations not yet applied). Anything without a code is a proxy's page.
        E::BadResponse(text) => match clickhouse_code(text) {
            Some(code) => {
                matches!(
                    code,
                    60 | 81
                        | 159
                        | 160
                        | 202
                        | 209
                        | 210
                        | 225
                        | 236
                        | 241
                        | 242
                        | 243
                        | 252
                        | 285
                        | 319
                        | 425
                        | 439
                        | 999
                )
            }
            None => true,
        },
        _ => false,
    }
}

fn clickhouse_code(text: &str) -> Option<u32> {
    let rest = &text[text.find("Code: ")? + 6..];
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

fn kafka_is_transient(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(code) => !matches!(
            code,
            Code::MessageSizeTooLarge
                | Code::InvalidMessage
                | Code::InvalidTopic
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed
                | Code::SaslAuthenticationFailed
                | Code::Authentication
                | Code::InvalidConfig
                | Code::PolicyViolation
        ),
        None => !matches!(
            error,
            rdkafka::error::KafkaError::ClientConfig(..) | rdkafka::error::KafkaError::ClientCreation(_)
        ),
    }
}

fn object_store_is_transient(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    !matches!(
        error,
        E::InvalidPath { .. }
            | E::NotSupported { .. }
            | E::PermissionDenied { .. }
            | E::Unauthenticated { .. }
            | E::UnknownConfigurationKey { .. }
    )
}
