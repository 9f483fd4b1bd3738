//! Brings the stores' schemas up to date before their sinks write. A store that is down is waited for in the
//! background: its queue fills meanwhile, and nobody else is held up.

use std::time::Duration;

use pipeline::Shutdown;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the migrations of every store that is switched on.
pub(crate) fn start(sinks: &sinks::Config, shutdown: &Shutdown) {
    if sinks.postgres.enabled {
        let url = sinks.postgres.url.expose().clone();
        retry("postgres", shutdown, move || {
            let url = url.clone();
            async move { sql::migrate::postgres(&url).await }
        });
    }
    if sinks.clickhouse.enabled {
        let store = sinks.clickhouse.clone();
        retry("clickhouse", shutdown, move || {
            let store = store.clone();
            async move {
                let (url, database) = (store.url.as_str(), store.database.as_str());
                let (user, password) = (store.user.as_str(), store.password.expose().as_str());
                sql::migrate::clickhouse(sql::migrate::ClickHouse { url, database, user, password }).await
            }
        });
    }
}

fn retry<F, R>(store: &'static str, shutdown: &Shutdown, migrate: F)
where
    F: Fn() -> R + Send + 'static,
    R: Future<Output = Result<Vec<&'static str>, sql::migrate::Error>> + Send,
{
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let mut told = false;
        loop {
            match migrate().await {
                Ok(applied) => {
                    tracing::info!(store, ?applied, "schema is up to date");
                    return;
                }
                Err(error) if error.is_transient() => {
                    if !told {
                        tracing::warn!(store, %error, "cannot bring the schema up to date yet; trying again");
                    }
                    told = true;
                }
                Err(error) => {
                    tracing::error!(store, %error, "the schema cannot be brought up to date; its sink waits");
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = shutdown.stopping() => return,
            }
        }
    });
}
