//! How a service is doing, as `/health` and `/readyz` tell it.

use serde::{Deserialize, Serialize};

/// State of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Works.
    Up,
    /// Works, but behind or with losses: see the detail.
    Degraded,
    /// Does not answer.
    Down,
    /// Switched off by configuration.
    Disabled,
}

/// One service with its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// `kafka`, `redis`, `clickhouse`, `postgres`, `history`, `websocket`, `dataflow` …
    pub name: String,
    /// How it is doing.
    pub state: ServiceState,
    /// For a person: what is wrong, how far behind, where it is.
    pub detail: String,
    /// Whether `/readyz` fails while it is down.
    pub required: bool,
}
