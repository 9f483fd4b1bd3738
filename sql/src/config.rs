//! Configuration of the SQL surface: what a query may cost, where history lies, where pgwire listens.

use std::collections::BTreeMap;

use model::humane::{Secret, Span};
use serde::{Deserialize, Serialize};

/// The `sql` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Most rows a result may have; a larger one is an error, never a silently shorter result.
    pub max_rows: usize,
    /// Most time a query may take, waiting for its turn and sending its rows included.
    pub timeout: Span,
    /// Most memory one query may hold, bytes.
    pub query_memory: usize,
    /// Most memory all queries together may hold, bytes.
    pub total_memory: usize,
    /// Queries that run at once; more wait their turn.
    pub concurrency: usize,
    /// Threads that run queries, apart from those that serve requests and the dataflow's.
    pub threads: usize,
    /// How far back a query without a lower bound on `t` looks for KPIs and correlations of earlier runs.
    pub lookback: Span,
    /// The PostgreSQL wire protocol.
    pub pgwire: PgwireConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_rows: 1_000_000,
            timeout: Span::from_millis(30_000),
            query_memory: 512 << 20,
            total_memory: 1 << 30,
            concurrency: 16,
            threads: 2,
            lookback: Span::from_millis(48 * 3_600_000),
            pgwire: PgwireConfig::default(),
        }
    }
}

/// The `sql.pgwire` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PgwireConfig {
    /// Whether to listen at all.
    pub enabled: bool,
    /// Address and port.
    pub listen: String,
    /// Connections at once; further ones are refused with SQLSTATE 53300.
    pub max_connections: usize,
    /// Password that every user must give (SCRAM-SHA-256); none is asked for when empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

impl Default for PgwireConfig {
    fn default() -> Self {
        Self { enabled: true, listen: "127.0.0.1:5433".to_owned(), max_connections: 100, password: None }
    }
}

/// Where the embedded history lies: the folder that the history sink writes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// A folder, or a URL: `file:///…`, `s3://bucket/prefix`.
    pub url: String,
    /// Options of the object store (`aws_access_key_id`, `aws_endpoint` …).
    pub options: BTreeMap<String, Secret>,
    /// How long a listing of files is believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listing_ttl: Option<Span>,
}

impl HistoryConfig {
    /// A local folder or URL without options.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

/// What one query may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most rows in the result.
    pub max_rows: usize,
    /// Most time.
    pub timeout: Span,
    /// Most memory, bytes.
    pub memory: usize,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self { max_rows: config.max_rows, timeout: config.timeout, memory: config.query_memory }
    }
}
