//! What faces the clients: SQL, the Postgres protocol, REST, the WebSocket and the page, around a live state. The same
//! for the program that makes the state (`run`) and for those that follow it (`serve`).

use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use model::{Batch, Names, Snapshot, Zones};
use pipeline::Shutdown;
use prometheus::Registry;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::services::KafkaPublisher;
use crate::{accounts, rules};

/// What the front is built on.
pub(crate) struct Parts {
    /// The current state, swapped at every whole moment.
    pub(crate) live: Arc<ArcSwap<Snapshot>>,
    /// The stream of moments.
    pub(crate) batches: broadcast::Sender<Arc<Batch>>,
    pub(crate) zones: Zones,
    pub(crate) names: Arc<Names>,
    /// The history's folder or bucket; only read.
    pub(crate) history: Option<String>,
    /// Sends what clients publish.
    pub(crate) producer: simulator::Producer,
    pub(crate) health: api::Health,
    pub(crate) is_current: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) registry: Registry,
    /// Accounts, where there are any.
    pub(crate) platform: Option<platform::Platform>,
}

/// The front, bound to its addresses and subscribed to the moments.
pub(crate) struct Front {
    server: api::Server,
    pgwire: JoinHandle<()>,
}

impl Front {
    /// Takes over from `starting`; the Postgres protocol answers from here on.
    pub(crate) async fn open(
        config: &Config,
        parts: Parts,
        starting: api::Starting,
        shutdown: &Shutdown,
    ) -> Result<Self> {
        let history = parts.history.map(sql::HistoryConfig::at);
        let engine = sql::Engine::new(
            config.sql.clone(),
            parts.zones.clone(),
            Arc::clone(&parts.names),
            Arc::clone(&parts.live),
            history.as_ref(),
            sql::Metrics::new(&parts.registry)?,
        )?;
        if let Some(platform) = &parts.platform {
            let publisher = KafkaPublisher(parts.producer.clone());
            tokio::spawn(rules::publish(platform.clone(), publisher, shutdown.clone()));
        }
        let pgwire = serve_pgwire(config, engine.clone(), parts.platform.clone(), shutdown).await?;
        let deps = api::Deps {
            live: parts.live,
            batches: parts.batches,
            zones: parts.zones,
            names: parts.names,
            store: sql::Store::new(engine.clone()),
            engine,
            publisher: Arc::new(KafkaPublisher(parts.producer)),
            health: parts.health,
            is_current: parts.is_current,
            registry: parts.registry,
            platform: parts.platform,
        };
        let server = api::Server::new(config.api.clone(), deps, starting).await?;
        if let Some(address) = server.address() {
            tracing::info!(
                "page and API: http://127.0.0.1:{0}/  documentation: http://127.0.0.1:{0}/api/docs",
                address.port()
            );
        }
        Ok(Self { server, pgwire })
    }

    /// Answers until the shutdown, in the background.
    pub(crate) fn start(self, shutdown: &Shutdown) -> Answering {
        Answering { api: tokio::spawn(self.server.run(token(shutdown))), pgwire: self.pgwire }
    }
}

/// The front at work.
pub(crate) struct Answering {
    api: JoinHandle<Result<(), api::Error>>,
    pgwire: JoinHandle<()>,
}

impl Answering {
    /// Waits until every client has been told, after the shutdown.
    pub(crate) async fn end(self) -> Result<()> {
        self.pgwire.await.context("pgwire")?;
        self.api.await.context("the API")??;
        Ok(())
    }
}

async fn serve_pgwire(
    config: &Config,
    engine: sql::Engine,
    platform: Option<platform::Platform>,
    shutdown: &Shutdown,
) -> Result<JoinHandle<()>> {
    if !config.sql.pgwire.enabled {
        return Ok(tokio::spawn(async {}));
    }
    let (pgwire, stopping) = (config.sql.pgwire.clone(), shutdown.stopping());
    let listener = sql::pgwire::bind(&pgwire).await?;
    tracing::info!(listen = pgwire.listen, "PostgreSQL protocol");
    let logins = platform.map(|platform| Arc::new(accounts::SqlLogins(platform)) as Arc<dyn sql::pgwire::Logins>);
    Ok(tokio::spawn(async move { sql::pgwire::serve(listener, engine, &pgwire, logins, stopping).await }))
}

fn token(shutdown: &Shutdown) -> CancellationToken {
    let (token, stopping) = (CancellationToken::new(), shutdown.stopping());
    tokio::spawn({
        let token = token.clone();
        async move {
            stopping.await;
            token.cancel();
        }
    });
    token
}
