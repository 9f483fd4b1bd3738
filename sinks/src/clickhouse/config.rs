//! Settings of the ClickHouse sink: `[sinks.clickhouse]`.

use model::humane::Secret;
use serde::{Deserialize, Serialize};

use crate::driver::Limits;

/// Where ClickHouse is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether batches are written to ClickHouse.
    pub enabled: bool,
    /// HTTP interface, `http://host:8123`.
    pub url: String,
    /// Database; the migrations make it.
    pub database: String,
    /// User; empty sends none.
    pub user: String,
    /// Password; empty sends none.
    pub password: Secret,
    /// Gathering, queueing and retrying. ClickHouse wants few large inserts.
    pub driver: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            url: "http://127.0.0.1:8123".to_owned(),
            database: "optibid".to_owned(),
            user: String::new(),
            password: Secret::new(String::new()),
            driver: Limits::DEFAULT.gathering(100_000, 1_000),
        }
    }
}

impl Config {
    /// A client for that server and database.
    pub fn client(&self) -> clickhouse::Client {
        let mut client = clickhouse::Client::default()
            .with_url(&self.url)
            .with_database(&self.database)
            .with_compression(clickhouse::Compression::None);
        if !self.user.is_empty() {
            client = client.with_user(&self.user);
        }
        if !self.password.expose().is_empty() {
            client = client.with_password(self.password.expose());
        }
        client
    }
}
