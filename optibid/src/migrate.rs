//! `optibid migrate`: brings the schemas of Postgres and ClickHouse up to date, and ends.

use anyhow::{Result, ensure};
use model::humane::Span;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::migrations::{PAUSE, Store};

/// How patient to be.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long a store that does not answer is waited for.
    #[arg(long, default_value = "60s")]
    wait: Span,
}

/// Migrates every store that is switched on; fails when one of them cannot be.
pub(crate) async fn migrate(config: &Config, args: Args) -> Result<()> {
    let stores = Store::all(&config.sinks, &config.accounts());
    ensure!(!stores.is_empty(), "nothing to migrate: set DATABASE_URL or CLICKHOUSE_HOST, or enable a store");
    let deadline = Instant::now() + args.wait.0;
    // Side by side: one that is away does not hold up the other.
    let results = futures::future::join_all(stores.iter().map(|store| attempt(store, deadline))).await;
    let mut failures = Vec::new();
    for (store, result) in stores.iter().zip(results) {
        let name = store.name();
        match result {
            Ok(applied) if applied.is_empty() => println!("{name}: up to date, nothing to apply"),
            Ok(applied) => println!("{name}: applied {}", applied.join(", ")),
            Err(why) => {
                println!("{name}: {why}");
                failures.push(format!("{name}: {why}"));
            }
        }
    }
    ensure!(failures.is_empty(), "not migrated: {}", failures.join("; "));
    Ok(())
}

/// Tries until it succeeds, cannot succeed, or time is up.
async fn attempt(store: &Store, deadline: Instant) -> std::result::Result<Vec<&'static str>, String> {
    let mut last = "no answer".to_owned();
    loop {
        match timeout_at(deadline, store.migrate()).await {
            Ok(Ok(applied)) => return Ok(applied),
            Ok(Err(error)) if !error.is_transient() => return Err(error.to_string()),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => return Err(format!("gave up waiting: {last}")),
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(format!("gave up waiting: {last}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
