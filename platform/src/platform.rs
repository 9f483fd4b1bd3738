//! Everything that accounts need, made from one configuration and handed down: [`Platform`].
//!
//! ```text
//! Config ─► open ─► Platform (clone it freely) ─► register, login, identify, … each with who asks from where, and when
//!                       └─► background: letters and what else is done afterwards, new signing keys, sweeping
//! ```
//! Opening asks nobody: when Postgres, Redis or the mail server is away, requests that need it fail with an error that is
//! transient, and all is well when it is back.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use model::humane::Span;
use ring::hmac;

use crate::database::{Database, begin};
use crate::identity::{ApiKeys, Codes, Ended, Errand, Errands, Now, Origin, Signing, Standing};
use crate::jws::JwkSet;
use crate::limit::{self, Key, Limiter, Rate, Verdict};
use crate::mail::{Letter, Mailer};
use crate::oidc::Provider;
use crate::outgoing::Client;
use crate::password::Hasher;
use crate::refusal::{Outcome, Refusal};
use crate::seal::{self, Sealer};
use crate::{Config, Error};

/// Connections to Postgres, and how long one is waited for.
const CONNECTIONS: usize = 16;
const PATIENCE: Span = Span::from_millis(5_000);
/// Bytes of an answer of an identity provider.
const ANSWER_BYTES: usize = 1 << 20;
/// How often the background task looks round, and how often it sweeps.
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS_TO_SWEEP: u64 = 300;

/// Accounts, and all that serves them.
#[derive(Clone, Debug)]
pub struct Platform(pub(crate) Arc<Parts>);

/// What a platform is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) database: Database,
    pub(crate) limiter: Limiter,
    pub(crate) limit_keys: limit::Keys,
    pub(crate) hasher: Arc<Hasher>,
    pub(crate) seal_keys: seal::Keys,
    pub(crate) mfa_sealer: Sealer,
    pub(crate) oauth_sealer: Sealer,
    pub(crate) challenge_sealer: Sealer,
    pub(crate) recovery_pepper: hmac::Key,
    pub(crate) signing: Signing,
    pub(crate) standing: Standing,
    pub(crate) api_keys: ApiKeys,
    pub(crate) codes: Codes,
    pub(crate) providers: BTreeMap<String, Provider>,
    pub(crate) client: Client,
    pub(crate) mailer: Mailer,
    pub(crate) errands: Errands,
}

/// Whether what the platform needs answers.
#[derive(Debug)]
pub struct Health {
    /// Postgres; without it nobody logs in.
    pub postgres: Result<(), Error>,
    /// Redis, if there is one; without it limits are counted in memory and sessions looked up in Postgres.
    pub redis: Option<Result<(), Error>>,
    /// Whether letters can be sent at all.
    pub mail: bool,
}

impl Platform {
    /// From a configuration that has been checked. Connects to nobody.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let keys = seal::Keys::new(config)?;
        let client = Client::new(Duration::from_secs(10), ANSWER_BYTES)?;
        let provider = |(name, oauth): (&String, &crate::config::Oauth)| {
            let back = format!("{}/api/auth/oauth/{name}/callback", config.public_url.trim_end_matches('/'));
            (name.clone(), Provider::new(name, oauth, &back, client.clone(), config.challenge_life))
        };
        Ok(Self(Arc::new(Parts {
            database: Database::new(config.postgres_url.expose(), CONNECTIONS, PATIENCE)?,
            limiter: Limiter::new(config)?,
            limit_keys: limit::Keys::new(&keys),
            hasher: Arc::new(Hasher::new(&config.password)?),
            mfa_sealer: keys.sealer("totp"),
            oauth_sealer: keys.sealer("oauth"),
            challenge_sealer: keys.sealer("challenge"),
            recovery_pepper: keys.pepper("recovery"),
            signing: Signing::new(config, keys.sealer("signing")),
            standing: Standing::new(config)?,
            api_keys: ApiKeys::default(),
            codes: Codes::default(),
            providers: config.oauth.iter().map(provider).collect(),
            mailer: Mailer::new(&config.mail)?,
            errands: Errands::default(),
            seal_keys: keys,
            client,
            config: config.clone(),
        })))
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Limits.
    pub fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// Calls to addresses that others chose.
    pub fn outgoing(&self) -> &Client {
        &self.0.client
    }

    /// Seals and opens for a purpose.
    pub fn sealer(&self, purpose: &str) -> Sealer {
        self.0.seal_keys.sealer(purpose)
    }

    /// Sends a letter soon; fails when too many wait already.
    pub fn post(&self, letter: Letter) -> Result<(), Error> {
        self.0.errands.add(Errand::Letter(letter))
    }

    /// An address of ours, as it stands in letters. What follows `#` reaches no server and no log on the way.
    pub fn link(&self, path: &str, token: &str) -> String {
        format!("{}{path}#token={token}", self.0.config.public_url.trim_end_matches('/'))
    }

    /// Makes known that something ended, for those who hold a token: call it when the change is committed. It holds at once
    /// here, and within two seconds in all instances.
    pub async fn end(&self, what: Ended, now: Now) {
        self.0.api_keys.forget(what);
        self.0.standing.end(what, now).await;
    }

    /// Public keys of access tokens, for `/.well-known/jwks.json`.
    pub async fn jwks(&self, now: Now) -> Outcome<JwkSet> {
        Ok(self.0.signing.again(&self.0.database, now).await?.jwks(now.timestamp()))
    }

    /// Makes a new signing key at once: tokens of the one before stay good.
    pub async fn rotate_keys(&self, now: Now) -> Outcome<()> {
        self.0.signing.rotate(&self.0.database, now, true).await?;
        Ok(())
    }

    /// Whether people can log in.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &Origin::default().nobody()).await?;
        transaction.query_one("SELECT EXISTS (SELECT FROM signing_keys)", &[]).await?;
        Ok(())
    }

    /// Whether what the platform needs answers.
    pub async fn health(&self) -> Health {
        let (postgres, redis) = tokio::join!(self.ready(), self.0.standing.ping());
        Health { postgres, redis, mail: self.0.mailer.is_configured() }
    }

    /// Does what is to be done afterwards and from time to time, until `shutdown`; then what is left, for a few seconds.
    /// One for each process.
    pub async fn background(&self, shutdown: impl Future<Output = ()> + Send, clock: impl Fn() -> Now + Send) {
        let work = async {
            let mut rounds = tokio::time::interval(ROUND);
            rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for round in 0_u64.. {
                rounds.tick().await;
                self.look_round(clock(), round % ROUNDS_TO_SWEEP == 0).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = self.run_errands(shutdown, PATIENCE.0) => {}
        }
    }

    async fn look_round(&self, now: Now, sweep: bool) {
        let parts = &self.0;
        parts.standing.tell(now).await;
        // Signing looks whether its key is due.
        if let Err(error) = parts.signing.signing(&parts.database, now).await {
            tracing::warn!(%error, "signing keys were not looked after");
        } else if sweep && let Err(error) = self.sweep(now).await {
            tracing::warn!(%error, "what has expired was not swept away");
        }
    }

    /// Takes one of what may be done so often.
    pub(crate) async fn take(&self, purpose: &str, value: &str, rate: Rate, now: Now) -> Outcome<()> {
        let key = self.key(purpose, value);
        match self.0.limiter.take(&key, rate, now.timestamp_millis()).await {
            Verdict::Allowed { .. } => Ok(()),
            Verdict::Refused { retry_after_ms } => Err(Refusal::TooOften { retry_after_ms }.into()),
        }
    }

    pub(crate) fn key(&self, purpose: &str, value: &str) -> Key {
        self.0.limit_keys.of(purpose, value)
    }
}
