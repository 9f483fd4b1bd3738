//! What a provider says of itself: its endpoints and keys, read when needed and kept for an hour.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Provider;
use crate::Error;
use crate::jws::JwkSet;
use crate::outgoing::Request;

/// How long what was read is believed.
const KEPT_S: i64 = 3_600;
/// How often keys are read again because a token names one that is not among them.
const AGAIN_S: i64 = 60;

/// What stands in `/.well-known/openid-configuration`, as far as it is used.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What was read, and when.
#[derive(Clone, Debug)]
pub(super) struct Known {
    metadata: Metadata,
    keys: JwkSet,
    read_s: i64,
}

impl Metadata {
    /// Whether our secret may go in a header: the default, and better than in a body.
    pub(super) fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }
}

impl Provider {
    pub(super) async fn metadata(&self, now_s: i64) -> Result<Metadata, Error> {
        Ok(self.known(now_s, KEPT_S).await?.metadata)
    }

    /// Its keys; read again if `kid` is not among them, because providers change keys too.
    pub(super) async fn keys(&self, now_s: i64, kid: Option<&str>) -> Result<JwkSet, Error> {
        let keys = self.known(now_s, KEPT_S).await?.keys;
        let has = |keys: &JwkSet| kid.is_none() || keys.keys.iter().any(|key| key.kid.as_deref() == kid);
        if has(&keys) { Ok(keys) } else { Ok(self.known(now_s, AGAIN_S).await?.keys) }
    }

    /// One reads, the others wait for it.
    async fn known(&self, now_s: i64, kept_s: i64) -> Result<Known, Error> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| now_s.abs_diff(known.read_s) < kept_s.unsigned_abs()) {
            return Ok(known.clone());
        }
        let issuer = &self.config.issuer;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Metadata = self.read(&place).await?;
        if metadata.issuer != *issuer {
            return Err(self.says("calls itself by another issuer than the configuration does"));
        }
        let keys = self.read(&metadata.jwks_uri).await?;
        Ok(known.insert(Known { metadata, keys, read_s: now_s }).clone())
    }

    async fn read<V: DeserializeOwned>(&self, url: &str) -> Result<V, Error> {
        let response = self.client.call(self.rules, url, Request::default()).await?;
        if response.status != 200 {
            let host = self.config.issuer.clone();
            return Err(Error::Unreachable { host, reason: format!("status {}", response.status) });
        }
        serde_json::from_slice(&response.body)
            .map_err(|error| self.says(format!("answers what is not expected: {error}")))
    }
}
