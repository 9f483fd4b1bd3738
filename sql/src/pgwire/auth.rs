//! Who may connect: everybody on an open port; whoever knows the password (SCRAM-SHA-256, never sent in clear); or whoever
//! has an account, with an API key for a password. A key is known here by its hash alone, so it is sent as it is: put the
//! port behind a tunnel where the network is not yours.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Sink, SinkExt};
use model::Reader;
use model::humane::Secret;
use pgwire::api::auth::cleartext::CleartextPasswordAuth;
use pgwire::api::auth::driver::{AuthDriver, AuthOutcome};
use pgwire::api::auth::mechanism::AuthMechanismFactory;
use pgwire::api::auth::sasl::SASLAuthStartupHandler;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password, random_nonce};
use pgwire::api::auth::{
    AuthSource, LoginInfo, Password, ServerParameterProvider, StartupHandler, finish_authentication,
    protocol_negotiation, save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, ConnectionManager, PidSecretKeyGenerator, RandomPidSecretKeyGenerator};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use crate::pg_catalog::functions::SERVER_VERSION;
use crate::pgwire::session::ConnectionState;

/// Those who know who may connect.
#[async_trait]
pub trait Logins: Send + Sync {
    /// With whose eyes somebody reads who says to be `user` and to have this password; `Err` says why nobody does, for the
    /// log alone.
    async fn login(&self, user: &str, password: &str, address: &str) -> Result<Reader, String>;
}

/// The start of a connection.
pub(super) enum Startup {
    /// Nobody is asked for a password.
    Open(Arc<ConnectionManager>, RandomPidSecretKeyGenerator),
    /// Everybody is, for the same one.
    Scram(SASLAuthStartupHandler<Parameters>),
    /// Everybody is, for their own.
    Accounts(AuthDriver<Parameters, Reader>, CleartextPasswordAuth<Accounts>),
}

impl Startup {
    /// A start that asks those who know, if there are any; else for `password`, if there is one.
    pub(super) fn new(
        logins: Option<Arc<dyn Logins>>,
        password: Option<&Secret>,
        connections: Arc<ConnectionManager>,
    ) -> Self {
        if let Some(logins) = logins {
            let driver = AuthDriver::new(Parameters).with_connection_manager(connections);
            return Self::Accounts(driver, CleartextPasswordAuth::new(Arc::new(Accounts(logins))));
        }
        match password.filter(|password| !password.expose().is_empty()) {
            None => Self::Open(connections, RandomPidSecretKeyGenerator::default()),
            Some(password) => {
                let scram = ScramAuth::new(Arc::new(OnePassword(password.clone())));
                let handler = SASLAuthStartupHandler::new(Arc::new(Parameters)).with_scram(scram);
                Self::Scram(handler.with_connection_manager(connections))
            }
        }
    }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match self {
            Self::Scram(scram) => scram.on_startup(client, message).await,
            Self::Accounts(driver, mechanism) => match message {
                PgWireFrontendMessage::Startup(startup) => {
                    protocol_negotiation(client, &startup).await?;
                    save_startup_parameters_to_metadata(client, &startup);
                    driver.begin_authentication(client, mechanism.create()).await.map(drop)
                }
                PgWireFrontendMessage::PasswordMessageFamily(message) => {
                    let outcome = driver.advance_authentication(client, message).await?;
                    let AuthOutcome::Authenticated { identity, final_message } = outcome else { return Ok(()) };
                    let nobody = || PgWireError::InvalidPassword(String::new());
                    ConnectionState::of(client).read_as(identity.ok_or_else(nobody)?);
                    driver.complete_authentication(client, final_message).await.map(drop)
                }
                _ => Ok(()),
            },
            Self::Open(connections, generator) => {
                if let PgWireFrontendMessage::Startup(startup) = &message {
                    protocol_negotiation(client, startup).await?;
                    save_startup_parameters_to_metadata(client, startup);
                    let (pid, secret) = generator.generate(client);
                    client.set_pid_and_secret_key(pid, secret.clone());
                    // Both live as long as the connection: a cancel request finds the handle, the guard forgets it.
                    let (handle, guard) = connections.register(pid, secret);
                    client.session_extensions().insert(handle);
                    client.session_extensions().insert(guard);
                    finish_authentication(client, &Parameters).await?;
                    client.flush().await?;
                }
                Ok(())
            }
        }
    }
}

/// What the server says of itself when a connection starts.
#[derive(Debug)]
pub(super) struct Parameters;

impl ServerParameterProvider for Parameters {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<HashMap<String, String>> {
        let mut parameters: HashMap<String, String> = [
            ("server_version", SERVER_VERSION),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("IntervalStyle", "postgres"),
            ("integer_datetimes", "on"),
            ("standard_conforming_strings", "on"),
            ("is_superuser", "off"),
            ("in_hot_standby", "off"),
            ("default_transaction_read_only", "on"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        if let Some(name) = client.metadata().get("application_name") {
            parameters.insert("application_name".to_owned(), name.clone());
        }
        Some(parameters)
    }
}

/// A password of each one's own.
pub(super) struct Accounts(Arc<dyn Logins>);

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

#[async_trait]
impl AuthSource<Reader> for Accounts {
    /// Not to be had: only hashes are kept.
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        Err(PgWireError::InvalidPassword(login.user().unwrap_or_default().to_owned()))
    }

    async fn verify_password(&self, login: &LoginInfo, presented: &[u8]) -> PgWireResult<Option<Reader>> {
        let user = login.user().unwrap_or_default();
        let known = match std::str::from_utf8(presented) {
            Ok(password) => self.0.login(user, password, login.host()).await,
            Err(_) => Err("the password is not UTF-8".to_owned()),
        };
        known.map(Some).map_err(|reason| {
            tracing::info!(user, reason, "refused a connection of the PostgreSQL protocol");
            PgWireError::InvalidPassword(user.to_owned())
        })
    }
}

/// The same password for everybody.
#[derive(Debug)]
struct OnePassword(Secret);

#[async_trait]
impl AuthSource for OnePassword {
    async fn get_password(&self, _: &LoginInfo) -> PgWireResult<Password> {
        let salt = random_nonce().into_bytes();
        let salted = gen_salted_password(self.0.expose(), &salt, SCRAM_ITERATIONS);
        Ok(Password::new(Some(salt), salted))
    }
}
