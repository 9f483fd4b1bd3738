//! Accounts: opened where they are switched on, and given to the API and to the PostgreSQL protocol.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use model::Reader;
use pipeline::Shutdown;
use platform::Platform;
use platform::identity::{Credential, Origin};
use platform::permission::Permission;

use crate::migrations::Migrated;

/// Opens the accounts, if there are to be any. What they are kept in may be away: then requests say so.
pub(crate) fn open(config: &platform::Config, shutdown: &Shutdown) -> Result<Option<Platform>> {
    if !config.enabled {
        return Ok(None);
    }
    let platform = Platform::open(config).context("accounts")?;
    let (background, stopping) = (platform.clone(), shutdown.stopping());
    tokio::spawn(async move { background.background(stopping, chrono::Utc::now).await });
    Ok(Some(platform))
}

/// Makes the demo's organisation and people, as soon as there are tables for them.
pub(crate) async fn seed_demo(platform: Platform, migrated: Migrated, shutdown: Shutdown) {
    migrated.tried("postgres").await;
    loop {
        match platform.seed_demo(true, chrono::Utc::now()).await {
            Ok(_) => {
                tracing::info!("demo login: admin@optibid.io / admin123");
                return;
            }
            Err(error) => tracing::debug!(%error, "the demo's accounts cannot be made yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = shutdown.stopping() => return,
        }
    }
}

/// Log-ins of the PostgreSQL protocol: the password is an access token or an API key that may ask in SQL; what the user is
/// called does not matter.
pub(crate) struct SqlLogins(pub(crate) Platform);

#[async_trait]
impl sql::pgwire::Logins for SqlLogins {
    async fn login(&self, _: &str, password: &str, address: &str) -> Result<Reader, String> {
        let address = address.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
        let from = Origin { address, request: None, device: Some("postgresql".to_owned()) };
        let known = self.0.identify(Credential::Bearer(password), &from, chrono::Utc::now()).await;
        let caller = known.map_err(|failure| failure.to_string())?;
        caller.needs(Permission::SqlQuery).map_err(|failure| failure.to_string())?;
        let (_, code) = caller.organisation.ok_or("it is of no organisation")?;
        Ok(Reader::Organisation(code))
    }
}
