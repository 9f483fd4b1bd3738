//! Settings of identity: `[platform]`. Every section says what it is for; [`Config::check`] names what cannot work.

pub(crate) mod check;

use std::collections::BTreeMap;

use model::humane::{Secret, Span};
use serde::{Deserialize, Serialize};

use crate::limit::Rate;

/// Accounts, sessions, keys and what they need.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether there are accounts at all.
    pub enabled: bool,
    /// What seals secrets at rest: 32 bytes in base64 (`openssl rand -base64 32`), or a passphrase of 20 characters or more.
    pub master_key: Secret,
    /// The master key before this one: still opens, never seals. Empty: none.
    pub previous_master_key: Secret,
    /// `iss` of our access tokens.
    pub issuer: String,
    /// `aud` of our access tokens.
    pub audience: String,
    /// Where people reach us: links in mails and the way back from identity providers begin with it.
    pub public_url: String,
    /// How long an access token is good.
    pub access_token_life: Span,
    /// How long a session lasts at most, however much it is used.
    pub refresh_token_life: Span,
    /// How long a session lasts without use.
    pub session_idle: Span,
    /// How long a key signs before the next one does.
    pub signing_key_life: Span,
    /// How long a link for a new password works.
    pub reset_life: Span,
    /// How long a link that verifies an e-mail address works.
    pub verification_life: Span,
    /// How long somebody may take between password and second factor, or at an identity provider.
    pub challenge_life: Span,
    /// Where accounts are kept: `postgres://user:password@host/database`, as a role that does not own the tables.
    pub postgres_url: Secret,
    /// Where limits and ended sessions are kept: `redis://…`. Empty: in memory of this process alone.
    pub redis_url: Secret,
    /// Start of every key in Redis.
    pub redis_prefix: String,
    /// Rules and cost of passwords.
    pub password: Password,
    /// How often what may be tried.
    pub limits: Limits,
    /// Outgoing mail.
    pub mail: Mail,
    /// Identity providers by the name that stands in our paths.
    pub oauth: BTreeMap<String, Oauth>,
    /// Cookies of browsers.
    pub cookies: Cookies,
    /// Calls to addresses of customers.
    pub webhooks: Webhooks,
}

/// Rules and cost of passwords.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Password {
    /// Characters at least.
    pub min_length: usize,
    /// Score of the estimator at least, 0 to 4; 3 is about 10⁸ guesses.
    pub min_score: u8,
    /// Memory of one hash.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Hashes at one time: bounds memory.
    pub concurrent: usize,
    /// Who may wait for that; more are told to come back.
    pub waiting: usize,
}

/// How often what may be tried; written like `5/15m`: five at once, and five more in each 15 minutes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Log-ins of one account.
    pub login_by_account: Rate,
    /// Log-ins from one address.
    pub login_by_address: Rate,
    /// Failures in a row, within `lock_for`, that lock an account.
    pub lock_after: u32,
    /// How long it stays locked.
    pub lock_for: Span,
    /// Registrations from one address.
    pub register_by_address: Rate,
    /// Mails (reset, verification) to one account.
    pub mail_by_account: Rate,
    /// Second factors of one account.
    pub mfa_by_account: Rate,
    /// New access tokens of one session.
    pub refresh_by_session: Rate,
    /// Requests of one person or API key.
    pub requests_by_caller: Rate,
    /// Requests without a token from one address.
    pub requests_by_address: Rate,
    /// Patience with Redis, after which memory counts.
    pub redis_timeout: Span,
}

/// Outgoing mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// `smtps://user:password@host`, or `smtp://user:password@host?tls=required`. Empty: no mail is sent.
    pub url: Secret,
    /// Sender: `OptiBid <no-reply@example.org>`.
    pub from: String,
    /// Whether mail may go in the clear to a server elsewhere. On this machine it always may.
    pub allow_plain: bool,
    /// Patience with the server.
    pub timeout: Span,
}

/// An identity provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth {
    /// Its issuer: `/.well-known/openid-configuration` is looked for under it.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Empty: a public client (PKCE is used in any case).
    pub client_secret: Secret,
    /// What is asked for; `openid` always is.
    pub scopes: Vec<String>,
    /// Whether the provider may be reached in the clear or inside our own network.
    pub trusted_network: bool,
}

/// Cookies of browsers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cookies {
    /// Only over TLS; off is for development without TLS.
    pub secure: bool,
    /// Whether other sites may send them.
    pub same_site: SameSite,
    /// Domain they are for. Empty: the host alone.
    pub domain: String,
}

/// `SameSite` of a cookie. `None` is not offered: our pages never live in other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Never from other sites.
    Strict,
    /// Only when somebody follows a link.
    Lax,
}

/// Calls to addresses of customers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Calls in all, the first one included.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each.
    pub first_pause: Span,
    /// Longest pause.
    pub longest_pause: Span,
    /// Patience with an answer.
    pub timeout: Span,
    /// How old a signature may be when it is verified.
    pub tolerance: Span,
    /// Whether `http://` will do.
    pub allow_http: bool,
    /// Whether private, loopback and link-local addresses may be called.
    pub allow_private: bool,
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            master_key: Secret::default(),
            previous_master_key: Secret::default(),
            issuer: "optibid".to_owned(),
            audience: "optibid-api".to_owned(),
            public_url: "http://127.0.0.1:8000".to_owned(),
            access_token_life: Span::from_millis(10 * MINUTE_MS),
            refresh_token_life: Span::from_millis(30 * DAY_MS),
            session_idle: Span::from_millis(7 * DAY_MS),
            signing_key_life: Span::from_millis(30 * DAY_MS),
            reset_life: Span::from_millis(HOUR_MS),
            verification_life: Span::from_millis(DAY_MS),
            challenge_life: Span::from_millis(10 * MINUTE_MS),
            postgres_url: Secret::default(),
            redis_url: Secret::default(),
            redis_prefix: "optibid:platform".to_owned(),
            password: Password::default(),
            limits: Limits::default(),
            mail: Mail::default(),
            oauth: BTreeMap::new(),
            cookies: Cookies { secure: true, same_site: SameSite::Lax, domain: String::new() },
            webhooks: Webhooks::default(),
        }
    }
}

impl Default for Password {
    fn default() -> Self {
        // OWASP's first recommendation for Argon2id.
        Self {
            min_length: 10,
            min_score: 3,
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            concurrent: 4,
            waiting: 64,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_by_account: Rate::new(10, 15 * MINUTE_MS),
            login_by_address: Rate::new(30, 5 * MINUTE_MS),
            lock_after: 8,
            lock_for: Span::from_millis(15 * MINUTE_MS),
            register_by_address: Rate::new(10, HOUR_MS),
            mail_by_account: Rate::new(3, HOUR_MS),
            mfa_by_account: Rate::new(5, 5 * MINUTE_MS),
            refresh_by_session: Rate::new(20, MINUTE_MS),
            requests_by_caller: Rate::new(6_000, MINUTE_MS),
            requests_by_address: Rate::new(600, MINUTE_MS),
            redis_timeout: Span::from_millis(250),
        }
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            from: "OptiBid <no-reply@optibid.invalid>".to_owned(),
            allow_plain: false,
            timeout: Span::from_millis(10_000),
        }
    }
}

impl Default for Cookies {
    fn default() -> Self {
        Config::default().cookies
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_pause: Span::from_millis(5_000),
            longest_pause: Span::from_millis(HOUR_MS),
            timeout: Span::from_millis(10_000),
            tolerance: Span::from_millis(5 * MINUTE_MS),
            allow_http: false,
            allow_private: false,
        }
    }
}
