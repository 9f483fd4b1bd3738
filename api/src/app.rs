//! What every handler gets: the live state, the names, the stores, the publisher. Passed down, never global.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use model::health::{ServiceHealth, ServiceState};
use model::wire::TopicKind;
use model::{Batch, Names, Snapshot, Zone, Zones};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::AdminKey;
use crate::books::Books;
use crate::config::Config;
use crate::error::Error;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::routes::Templates;
use crate::series;
use crate::view::Labels;

/// Publishes to Kafka for clients. Answers when the broker has the message.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes one message; `zone` is the canonical code where the topic is a zone's own.
    async fn publish(&self, kind: TopicKind, zone: Option<&str>, key: &str, payload: Vec<u8>) -> Result<(), String>;
}

/// Tells how every service is doing.
pub type Health = Arc<dyn Fn() -> Vec<ServiceHealth> + Send + Sync>;

/// What the server is built on.
#[derive(Clone)]
pub struct Deps {
    /// The current state, swapped by the pipeline at every closed T.
    pub live: Arc<ArcSwap<Snapshot>>,
    /// The stream of closed batches.
    pub batches: broadcast::Sender<Arc<Batch>>,
    /// The zone table.
    pub zones: Zones,
    /// Names behind ids.
    pub names: Arc<Names>,
    /// The SQL engine.
    pub engine: sql::Engine,
    /// Typed reads over the live state and the history.
    pub store: sql::Store,
    /// Publishes for clients.
    pub publisher: Arc<dyn Publisher>,
    /// Services' health.
    pub health: Health,
    /// Whether the state is as new as anything that anybody has seen of it; not so while a restart repeats the past.
    pub is_current: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Where metrics live.
    pub registry: prometheus::Registry,
    /// Accounts and what they have, where there are any.
    pub platform: Option<platform::Platform>,
}

/// The state shared by all handlers.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) deps: Deps,
    pub(crate) labels: Labels,
    pub(crate) hub: Arc<Hub>,
    pub(crate) admin: AdminKey,
    pub(crate) books: Books,
    pub(crate) metrics: Metrics,
    pub(crate) templates: Templates,
    /// Sockets' tasks, so that the server can wait for their close frames.
    pub(crate) sockets: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl App {
    /// The state now. Take it once a request: then the whole answer is at one T.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.deps.live.load_full()
    }

    /// A zone by any name.
    pub(crate) fn zone(&self, name: &str) -> Result<&Arc<Zone>, Error> {
        series::zone(&self.deps.zones, name)
    }

    /// Zones by any names; all of them for none.
    pub(crate) fn zones_or_all(&self, names: &[String]) -> Result<Vec<(String, Arc<Zone>)>, Error> {
        if names.is_empty() {
            return Ok(self.deps.zones.iter().map(|zone| (zone.code.clone(), Arc::clone(zone))).collect());
        }
        names.iter().map(|name| Ok((name.clone(), Arc::clone(self.zone(name)?)))).collect()
    }

    /// Every service with its state, the WebSocket included.
    pub(crate) fn services(&self) -> Vec<ServiceHealth> {
        let mut services = (self.deps.health)();
        let (open, opened) = self.hub.sockets();
        let limit = self.config.websocket.max_sockets;
        services.push(ServiceHealth {
            name: "websocket".to_owned(),
            state: if open < limit { ServiceState::Up } else { ServiceState::Degraded },
            detail: format!("{open} of at most {limit} sockets open, {opened} since the start"),
            required: false,
        });
        services
    }

    /// What backs the live state for clients: `redis` where it works, else the memory of this process.
    pub(crate) fn storage_backend(&self) -> &'static str {
        let up = |service: &ServiceHealth| {
            service.name == "redis" && matches!(service.state, ServiceState::Up | ServiceState::Degraded)
        };
        if (self.deps.health)().iter().any(up) { "redis" } else { "memory" }
    }
}
