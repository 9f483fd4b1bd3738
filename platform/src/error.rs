//! What can go wrong while finding out who somebody is, and whether waiting helps.
//!
//! What a *person* does wrong (a false password, an expired token, a bad field) is not here: those are answers, not
//! errors, and have types of their own.

use std::time::Duration;

/// Why something could not be found out or done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot work.
    #[error("configuration: {0}")]
    Config(String),
    /// Redis.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// PostgreSQL.
    #[error("postgres: {}", postgres(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// A connection to PostgreSQL.
    #[error("connections to postgres: {0}")]
    Pool(#[source] deadpool_postgres::PoolError),
    /// The mail server.
    #[error("mail: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// A message that cannot be sent to anybody.
    #[error("mail: {0}")]
    Message(String),
    /// A host that somebody named could not be reached.
    #[error("calling {host}: {reason}")]
    Unreachable {
        /// Host of the address, without path and query: those may hold secrets.
        host: String,
        /// What happened.
        reason: String,
    },
    /// An address that must not be called.
    #[error("refused to call {host}: {reason}")]
    Forbidden {
        /// Host of the address.
        host: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// An identity provider says what it must not say.
    #[error("identity provider {provider}: {reason}")]
    Provider {
        /// Its name in the configuration.
        provider: String,
        /// What is wrong.
        reason: String,
    },
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// As much is going on as may: memory for password hashes is bounded.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// As much waits as may: queues are bounded.
    #[error("{0} are as many as may wait")]
    Full(&'static str),
    /// A stored hash is no hash of ours.
    #[error("stored password hash: {0}")]
    Hash(String),
    /// Sealed bytes are damaged, belong elsewhere, or were sealed under another master key.
    #[error("sealed bytes cannot be opened: damaged, of another row, or under another master key")]
    Sealed,
    /// No key to sign with.
    #[error("no signing key is current")]
    NoSigningKey,
    /// The operating system gives no random bytes.
    #[error("no random bytes from the operating system")]
    Random,
}

impl Error {
    /// Whether the same may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Redis(error) => !matches!(
                error.kind(),
                redis::ErrorKind::AuthenticationFailed
                    | redis::ErrorKind::InvalidClientConfig
                    | redis::ErrorKind::UnexpectedReturnType
            ),
            // Connection, resources, shutting down, serialisation and deadlock; no answer at all.
            Self::Postgres(error) => error.code().map_or(error.is_closed(), |code| {
                ["08", "40", "53", "57"].iter().any(|class| code.code().starts_with(class))
            }),
            Self::Pool(_) => true,
            Self::Smtp(error) => !error.is_permanent() && !error.is_client(),
            Self::Unreachable { .. } | Self::Timeout(_) | Self::Busy | Self::Full(_) | Self::Random => true,
            Self::Config(_)
            | Self::Message(_)
            | Self::Forbidden { .. }
            | Self::Provider { .. }
            | Self::Hash(_)
            | Self::Sealed
            | Self::NoSigningKey => false,
        }
    }
}

fn postgres(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} [{}]", db.message(), db.code().code()),
        None => error.to_string(),
    }
}

impl From<ring::error::Unspecified> for Error {
    /// Only what draws random bytes returns this with `?`; everything else maps it to what it means there.
    fn from(_: ring::error::Unspecified) -> Self {
        Self::Random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_helps_when_somebody_is_away_but_not_when_something_is_wrong() {
        assert!(Error::Timeout(Duration::from_secs(1)).is_transient());
        assert!(Error::Busy.is_transient());
        assert!(Error::Unreachable { host: "idp".into(), reason: "refused".into() }.is_transient());
        assert!(!Error::Sealed.is_transient());
        assert!(!Error::Forbidden { host: "10.0.0.1".into(), reason: "private" }.is_transient());
    }
}
