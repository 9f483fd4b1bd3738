//! The `[sinks]` section, and the sinks it asks for.

use model::health::{ServiceHealth, ServiceState};
use serde::{Deserialize, Serialize};

use crate::clickhouse::ClickHouse;
use crate::driver::Limits;
use crate::history::History;
use crate::kafka::Kafka;
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::{Context, Error, Sink};

/// Which stores closed batches are written to. Each has an `enabled`; only the embedded history is on by itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What stands now, and messages when it changes.
    pub redis: crate::redis::Config,
    /// Reference data, bars and alerts.
    pub postgres: crate::postgres::Config,
    /// Analytics over everything.
    pub clickhouse: crate::clickhouse::Config,
    /// Changelog topics and dead letters.
    pub kafka: crate::kafka::Config,
    /// Parquet files, no server needed.
    pub history: crate::history::Config,
}

/// A sink and the limits of its driver.
pub type Configured = (Box<dyn Sink>, Limits);

impl Config {
    /// No store at all: where batches do not close.
    pub fn none() -> Self {
        Self { history: crate::history::Config { enabled: false, ..Default::default() }, ..Self::default() }
    }

    /// The sinks that are switched on, with the limits of their drivers. Nothing connects yet.
    pub fn build(&self, context: &Context) -> Result<Vec<Configured>, Error> {
        let mut sinks: Vec<Configured> = Vec::new();
        if self.history.enabled {
            sinks.push((Box::new(History::new(&self.history, context.clone())?), self.history.limits()));
        }
        if self.redis.enabled {
            sinks.push((Box::new(Redis::new(self.redis.clone(), context.clone())?), self.redis.driver));
        }
        if self.postgres.enabled {
            sinks.push((Box::new(Postgres::new(self.postgres.clone(), context.clone())), self.postgres.driver));
        }
        if self.clickhouse.enabled {
            sinks.push((Box::new(ClickHouse::new(self.clickhouse.clone(), context.clone())), self.clickhouse.driver));
        }
        if self.kafka.enabled {
            sinks.push((Box::new(Kafka::new(self.kafka.clone(), context.clone())?), self.kafka.driver));
        }
        Ok(sinks)
    }

    /// Rows for `/health` of the stores that are switched off.
    pub fn disabled(&self) -> Vec<ServiceHealth> {
        let stores = [
            ("redis", self.redis.enabled),
            ("postgres", self.postgres.enabled),
            ("clickhouse", self.clickhouse.enabled),
            ("changelog", self.kafka.enabled),
            ("history", self.history.enabled),
        ];
        let off = stores.into_iter().filter(|(_, enabled)| !enabled);
        off.map(|(name, _)| ServiceHealth {
            name: name.to_owned(),
            state: ServiceState::Disabled,
            detail: "switched off by configuration".to_owned(),
            required: false,
        })
        .collect()
    }
}
