//! Settings of the Postgres sink: `[sinks.postgres]`.

use model::humane::{Secret, Span};
use serde::{Deserialize, Serialize};

use crate::driver::Limits;

/// Where Postgres is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether batches are written to Postgres.
    pub enabled: bool,
    /// `postgres://user[:password]@host:port/database`; `options=-c search_path=…` picks a schema.
    pub url: Secret,
    /// Numbers the lineage of T: rises when a replay starts anew rather than from a checkpoint. Progress is kept for each.
    pub generation: i64,
    /// Patience with connecting.
    pub connect_timeout: Span,
    /// How long rows are kept, by whole months; absent: for ever.
    pub retention: Option<Span>,
    /// Gathering, queueing and retrying.
    pub driver: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            url: Secret::new("postgres://postgres@127.0.0.1:5432/postgres".to_owned()),
            generation: 0,
            connect_timeout: Span::from_millis(5_000),
            retention: None,
            driver: Limits::DEFAULT.gathering(20_000, 200),
        }
    }
}
