//! The keys that sign access tokens: sealed in Postgres, shared by all instances, a new one from time to time.
//!
//! ```text
//! signing_keys ─► rows by time ─► each signs until the next one begins, and verifies until its last token has died
//! ```
//! Whoever signs has looked at the table within the last seconds, which is less than the slack that a retired key has, so
//! all instances agree. Whoever verifies looks again when a token names a key that it does not know, but not more often than
//! once a second: anybody can write such tokens.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use parking_lot::RwLock;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::sealed::Sealed;
use super::{Now, row};
use crate::database::{Actor, Database, DatabaseRole, begin};
use crate::seal::Sealer;
use crate::token::{KeySet, StoredKey};
use crate::{Config, Error};

/// How old what is known may be for signing, and for a second look when verifying.
const FRESH_MS: i64 = 5_000;
const AGAIN_MS: i64 = 1_000;
/// One instance at a time makes a key: "optisign" in ASCII.
const LOCK: i64 = 0x6f70_7469_7369_676e;
const TABLE: &str = "signing_keys";

/// The key set of this instance.
pub(crate) struct Signing {
    config: Config,
    sealer: Sealer,
    known: RwLock<Option<(Arc<KeySet>, i64)>>,
    /// One asks the database, the others wait for it.
    turn: tokio::sync::Mutex<()>,
}

impl Signing {
    pub(crate) fn new(config: &Config, sealer: Sealer) -> Self {
        Self { config: config.clone(), sealer, known: RwLock::new(None), turn: tokio::sync::Mutex::new(()) }
    }

    /// Keys to verify with.
    pub(crate) async fn verifying(&self, database: &Database, now: Now) -> Result<Arc<KeySet>, Error> {
        match self.known(i64::MAX, now) {
            Some(set) => Ok(set),
            None => self.read(database, i64::MAX, now).await,
        }
    }

    /// Keys to verify with, looked at again.
    pub(crate) async fn again(&self, database: &Database, now: Now) -> Result<Arc<KeySet>, Error> {
        self.read(database, AGAIN_MS, now).await
    }

    /// Keys to sign with: the current one is not due.
    pub(crate) async fn signing(&self, database: &Database, now: Now) -> Result<Arc<KeySet>, Error> {
        let set = self.read(database, FRESH_MS, now).await?;
        if set.is_due(now.timestamp()) { self.rotate(database, now, false).await } else { Ok(set) }
    }

    fn known(&self, within_ms: i64, now: Now) -> Option<Arc<KeySet>> {
        let known = self.known.read();
        let (set, read_ms) = known.as_ref()?;
        let age_ms = now.timestamp_millis().saturating_sub(*read_ms);
        (within_ms == i64::MAX || (0..within_ms).contains(&age_ms)).then(|| set.clone())
    }

    async fn read(&self, database: &Database, within_ms: i64, now: Now) -> Result<Arc<KeySet>, Error> {
        if let Some(set) = self.known(within_ms, now) {
            return Ok(set);
        }
        let _turn = self.turn.lock().await;
        if let Some(set) = self.known(within_ms, now) {
            return Ok(set);
        }
        let mut client = database.client().await?;
        let transaction = begin(&mut client, &itself()).await?;
        let keys = self.rows(&transaction, now).await?;
        transaction.commit().await?;
        self.keep(keys, now)
    }

    /// Makes a new key and lets the others go; unless `force`, only if the current one is due. The one that signs from now on.
    pub(crate) async fn rotate(&self, database: &Database, now: Now, force: bool) -> Result<Arc<KeySet>, Error> {
        let _turn = self.turn.lock().await;
        let mut client = database.client().await?;
        let transaction = begin(&mut client, &itself()).await?;
        row::all(&transaction, "SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        let mut keys = self.rows(&transaction, now).await?;
        if force || KeySet::new(&self.config, keys.clone())?.is_due(now.timestamp()) {
            // Later than all others, whatever this clock says.
            let newest_s = keys.iter().map(|key| key.made_s).max().unwrap_or(i64::MIN);
            let key = StoredKey::new(now.timestamp().max(newest_s.saturating_add(1)))?;
            self.insert(&transaction, &key, now).await?;
            for old in &mut keys {
                old.retired_s = old.retired_s.or(Some(key.made_s));
            }
            tracing::info!(kid = key.kid, "a new key signs access tokens");
            keys.push(key);
        }
        transaction.commit().await?;
        self.keep(keys, now)
    }

    async fn insert(&self, transaction: &Transaction<'_>, key: &StoredKey, now: Now) -> Result<(), Error> {
        let begins = chrono::DateTime::from_timestamp(key.made_s, 0).unwrap_or(now);
        let last_token = self.config.access_token_life.0 + Duration::from_secs(60);
        let ends = begins + 2 * self.config.signing_key_life.0 + last_token;
        let sql = "UPDATE signing_keys SET not_after_time = greatest(least(not_after_time, $1), not_before_time \
            + interval '1 second')";
        row::run(transaction, sql, &[&(begins + last_token)]).await?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&key.seed)
            .map_err(|_| Error::Config(format!("signing key {} has no 32 bytes", key.kid)))?;
        let sealed = Sealed::new(&self.sealer, TABLE, &key.kid, &key.seed)?;
        let sql = "INSERT INTO signing_keys (kid, algorithm, public_key, private_key_encrypted, nonce, key_id, \
            not_before_time, not_after_time) VALUES ($1, 'EdDSA', $2, $3, $4, $5, $6, $7)";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&key.kid, &pair.public_key().as_ref(), &sealed.bytes, &sealed.nonce, &sealed.key_id, &begins, &ends];
        row::run(transaction, sql, &values).await?;
        Ok(())
    }

    /// All keys that may still verify, in order.
    async fn rows(&self, transaction: &Transaction<'_>, now: Now) -> Result<Vec<StoredKey>, Error> {
        let sql = "SELECT kid, private_key_encrypted, extract(epoch FROM not_before_time)::bigint FROM signing_keys \
            WHERE algorithm = 'EdDSA' AND not_after_time > $1 ORDER BY not_before_time, created_time";
        let rows = row::all(transaction, sql, &[&now]).await?;
        let mut keys = Vec::with_capacity(rows.len());
        for (n, found) in rows.iter().enumerate() {
            let kid: String = found.try_get(0)?;
            let retired_s = rows.get(n + 1).map(|next| next.try_get(2)).transpose()?;
            match self.sealer.open(TABLE, &kid, found.try_get(1)?) {
                Ok(seed) => keys.push(StoredKey { kid, seed, made_s: found.try_get(2)?, retired_s }),
                // Its tokens are good no more; a new key is made.
                Err(error) => tracing::error!(kid, %error, "a signing key cannot be opened"),
            }
        }
        Ok(keys)
    }

    fn keep(&self, keys: Vec<StoredKey>, now: Now) -> Result<Arc<KeySet>, Error> {
        let set = Arc::new(KeySet::new(&self.config, keys)?);
        *self.known.write() = Some((set.clone(), now.timestamp_millis()));
        Ok(set)
    }
}

/// The platform, in the role that reads keys.
fn itself() -> Actor {
    Actor { role: DatabaseRole::Identity, ..Actor::system() }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signing(***)")
    }
}
