//! Settings of the Redis sink: `[sinks.redis]`.

use model::humane::{Secret, Span};
use serde::{Deserialize, Serialize};

use crate::driver::Limits;

/// Where Redis is and how much it keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether batches are written to Redis.
    pub enabled: bool,
    /// `redis://[user:password@]host:port/database`.
    pub url: Secret,
    /// Start of every key and channel.
    pub prefix: String,
    /// Entries kept of each price history and of the alert stream (about: Redis trims in blocks of 100).
    pub stream_entries: usize,
    /// Minute bars kept of each series, so that the latest price survives the withdrawal of the newest bar.
    pub recent_bars: usize,
    /// How long alerts (from their bar) and bids (from their delivery) stay on the boards of current ones.
    pub retention: Span,
    /// Patience with connecting.
    pub connect_timeout: Span,
    /// Gathering, queueing and retrying.
    pub driver: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            url: Secret::new("redis://127.0.0.1:6379/0".to_owned()),
            prefix: "optibid".to_owned(),
            stream_entries: 10_000,
            recent_bars: 120,
            retention: Span::from_millis(48 * 3_600_000),
            connect_timeout: Span::from_millis(5_000),
            // Readers of Redis want to see things at once: whatever is there is written, nothing waits.
            driver: Limits::DEFAULT.gathering(5_000, 0),
        }
    }
}
