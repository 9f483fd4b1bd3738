//! Brings the stores' schemas up to date, in the background before their sinks write (`run`), or once and for all
//! (`migrate`). A store that is down is waited for: its queue fills meanwhile, and nobody else is held up.

use std::collections::BTreeMap;
use std::time::Duration;

use model::humane::Secret;
use pipeline::Shutdown;
use tokio::sync::watch;

/// Pause between two attempts.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// A store with a schema.
#[derive(Clone)]
pub(crate) enum Store {
    /// Of the stream, of accounts, or of both.
    Postgres(Secret),
    ClickHouse(sinks::clickhouse::Config),
}

impl Store {
    /// Those that are switched on.
    pub(crate) fn all(sinks: &sinks::Config, platform: &platform::Config) -> Vec<Self> {
        let stream = sinks.postgres.enabled.then(|| sinks.postgres.url.clone());
        let accounts = platform.enabled.then(|| platform.postgres_url.clone());
        let accounts = accounts.filter(|url| stream.as_ref().is_none_or(|stream| stream.expose() != url.expose()));
        let postgres = stream.into_iter().chain(accounts).map(Self::Postgres);
        let clickhouse = sinks.clickhouse.enabled.then(|| Self::ClickHouse(sinks.clickhouse.clone()));
        postgres.chain(clickhouse).collect()
    }

    /// As its sink is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::ClickHouse(_) => "clickhouse",
        }
    }

    /// Brings it up to date; the files applied now.
    pub(crate) async fn migrate(&self) -> Result<Vec<&'static str>, sql::migrate::Error> {
        match self {
            Self::Postgres(url) => sql::migrate::postgres(url.expose()).await,
            Self::ClickHouse(store) => {
                let (url, database) = (store.url.as_str(), store.database.as_str());
                let (user, password) = (store.user.as_str(), store.password.expose().as_str());
                sql::migrate::clickhouse(sql::migrate::ClickHouse { url, database, user, password }).await
            }
        }
    }
}

/// Tells which stores somebody has tried to bring up to date.
#[derive(Clone, Default)]
pub(crate) struct Migrated(BTreeMap<&'static str, watch::Receiver<bool>>);

impl Migrated {
    /// Waits for the first attempt on this store, however it ends; not at all for a store without a schema.
    pub(crate) async fn tried(&self, store: &str) {
        if let Some(tried) = self.0.get(store) {
            // Whoever tries is gone only when the program ends.
            let _ = tried.clone().wait_for(|tried| *tried).await;
        }
    }
}

/// Starts the migrations of every store that is switched on.
pub(crate) fn start(sinks: &sinks::Config, platform: &platform::Config, shutdown: &Shutdown) -> Migrated {
    let started = Store::all(sinks, platform).into_iter().map(|store| {
        let (tell, tried) = watch::channel(false);
        let name = store.name();
        tokio::spawn(persist(store, tell, shutdown.clone()));
        (name, tried)
    });
    Migrated(started.collect())
}

async fn persist(store: Store, tried: watch::Sender<bool>, shutdown: Shutdown) {
    let (name, mut told) = (store.name(), false);
    loop {
        let attempt = tokio::select! {
            attempt = store.migrate() => attempt,
            () = shutdown.stopping() => return,
        };
        tried.send_replace(true);
        match attempt {
            Ok(applied) => {
                tracing::info!(store = name, ?applied, "schema is up to date");
                return;
            }
            Err(error) if error.is_transient() => {
                if !told {
                    tracing::warn!(store = name, %error, "cannot bring the schema up to date yet; trying again");
                }
                told = true;
            }
            Err(error) => {
                tracing::error!(store = name, %error, "the schema cannot be brought up to date; its sink waits");
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.stopping() => return,
        }
    }
}
