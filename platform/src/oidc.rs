//! Log-in at somebody else's: OpenID Connect, authorisation code with PKCE, any issuer.
//!
//! ```text
//! begin ─► 302 to the provider (state, nonce, challenge)      Flow: sealed into a cookie of the browser
//!            └─ the person logs in there ─► our callback (code, state)
//! finish ─► code + verifier ─► id_token ─► signature, issuer, audience, time, nonce ─► Identity
//! ```
//!
//! `state` ties the callback to the browser that began, `nonce` the id_token to this log-in, PKCE the code to us. An
//! address is only told as verified when the provider says so: accounts must not be joined by any other.

mod discovery;
mod id_token;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use model::humane::Span;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use url::Url;
use url::form_urlencoded::{Serializer as Form, byte_serialize};

use crate::config::Oauth;
use crate::outgoing::{Client, Request, Rules};
use crate::{Error, opaque};
use discovery::Metadata;

/// A provider of the configuration.
#[derive(Debug)]
pub struct Provider {
    name: String,
    config: Oauth,
    redirect_uri: String,
    client: Client,
    rules: Rules,
    patience: Span,
    known: tokio::sync::Mutex<Option<discovery::Known>>,
}

/// A log-in that has begun; to be sealed for the browser that began it, and taken back once.
#[derive(Clone, Serialize, Deserialize)]
pub struct Flow {
    /// Name of the provider.
    pub provider: String,
    state: String,
    nonce: String,
    verifier: String,
    /// Path of ours to go to afterwards.
    pub return_to: String,
    made_s: i64,
}

/// What the provider sends the browser back with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of RFC 6749 and RFC 9207")]
pub struct Callback {
    pub state: String,
    pub code: Option<String>,
    pub iss: Option<String>,
    pub error: Option<String>,
}

/// Who logged in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider's issuer: with `subject`, the only thing that names a person for good.
    pub issuer: String,
    /// Who it is there.
    pub subject: String,
    /// An address, as the provider wrote it.
    pub email: Option<String>,
    /// Whether the provider has verified it.
    pub email_verified: bool,
    /// A name to show, as the provider wrote it.
    pub name: Option<String>,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Provider {
    /// `redirect_uri` is our callback, as it is registered there; a log-in may take `patience`.
    pub fn new(name: &str, config: &Oauth, redirect_uri: &str, client: Client, patience: Span) -> Self {
        let trusted = config.trusted_network;
        Self {
            name: name.to_owned(),
            config: config.clone(),
            redirect_uri: redirect_uri.to_owned(),
            client,
            rules: Rules { allow_http: trusted, allow_private: trusted },
            patience,
            known: tokio::sync::Mutex::new(None),
        }
    }

    /// Where to send the browser, and what to keep for it. `return_to` must be a path of ours.
    pub async fn begin(&self, return_to: &str, now_s: i64) -> Result<(Url, Flow), Error> {
        let metadata = self.metadata(now_s).await?;
        let flow = Flow {
            provider: self.name.clone(),
            state: opaque::random_text::<24>()?,
            nonce: opaque::random_text::<24>()?,
            verifier: opaque::random_text::<32>()?,
            return_to: if is_local_path(return_to) { return_to.to_owned() } else { "/".to_owned() },
            made_s: now_s,
        };
        let mut url = Url::parse(&metadata.authorization_endpoint)
            .map_err(|_| self.says("its authorization_endpoint is no address"))?;
        let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, flow.verifier.as_bytes()).as_ref());
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.scope())
            .append_pair("state", &flow.state)
            .append_pair("nonce", &flow.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((url, flow))
    }

    /// Who came back. Every failure is [`Error::Provider`] with a reason for logs; aloud say only that it failed.
    pub async fn finish(&self, flow: &Flow, callback: &Callback, now_s: i64) -> Result<Identity, Error> {
        if flow.provider != self.name || !bool::from(flow.state.as_bytes().ct_eq(callback.state.as_bytes())) {
            return Err(self.says("state is not of this log-in"));
        }
        if now_s.saturating_sub(flow.made_s).saturating_mul(1_000) > self.patience.millis_i64() {
            return Err(self.says("the log-in took too long"));
        }
        if let Some(error) = &callback.error {
            // Anybody can write it: a few letters of it will do for a log.
            let error: String = error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            return Err(self.says(format!("refused with {error}")));
        }
        let metadata = self.metadata(now_s).await?;
        if callback.iss.as_ref().is_some_and(|iss| *iss != metadata.issuer) {
            return Err(self.says("the callback is of another issuer"));
        }
        let code = callback.code.as_deref().filter(|code| code.len() <= 4_096);
        let code = code.ok_or_else(|| self.says("the callback has no code"))?;
        let token = self.exchange(&metadata, code, &flow.verifier).await?;
        let expected = id_token::Expected {
            issuer: &metadata.issuer,
            client_id: &self.config.client_id,
            nonce: &flow.nonce,
            now_s,
        };
        let keys = self.keys(now_s, id_token::kid(&token).as_deref()).await?;
        id_token::verify(&token, &keys, &expected).map_err(|reason| self.says(reason))
    }

    /// What is sent for an id_token. Apart, since a form must not be held while one waits.
    fn request(&self, metadata: &Metadata, code: &str, verifier: &str) -> Result<Request, Error> {
        let mut form = Form::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("code_verifier", verifier);
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ];
        let (id, secret) = (&self.config.client_id, self.config.client_secret.expose());
        if secret.is_empty() {
            form.append_pair("client_id", id);
        } else if metadata.takes_basic() {
            // RFC 6749 2.3.1: both are form-encoded first.
            let escape = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = BASE64.encode(format!("{}:{}", escape(id), escape(secret)).as_bytes());
            let mut value = HeaderValue::from_str(&format!("Basic {pair}"))
                .map_err(|_| self.says("no header can hold our secret"))?;
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        } else {
            form.append_pair("client_id", id).append_pair("client_secret", secret);
        }
        Ok(Request { body: Some(form.finish().into()), headers })
    }

    /// The id_token for a code.
    async fn exchange(&self, metadata: &Metadata, code: &str, verifier: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: String,
        }
        let request = self.request(metadata, code, verifier)?;
        let response = self.client.call(self.rules, &metadata.token_endpoint, request).await?;
        if response.status >= 500 {
            let host = self.config.issuer.clone();
            return Err(Error::Unreachable { host, reason: format!("status {}", response.status) });
        }
        if response.status != 200 {
            return Err(self.says(format!("did not take the code: status {}", response.status)));
        }
        let answer: Answer = serde_json::from_slice(&response.body).map_err(|_| self.says("answered no id_token"))?;
        Ok(answer.id_token)
    }

    fn scope(&self) -> String {
        let others = self.config.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        let all: Vec<&str> = std::iter::once("openid").chain(others).collect();
        all.join(" ")
    }

    fn says(&self, reason: impl Into<String>) -> Error {
        Error::Provider { provider: self.name.clone(), reason: reason.into() }
    }
}

/// Whether a path leads nowhere but to us: browsers take `//` and `/\` for another host.
fn is_local_path(path: &str) -> bool {
    path.len() <= 1_024
        && path.starts_with('/')
        && !path[1..].starts_with(['/', '\\'])
        && !path.chars().any(|c| c.is_control() || c == '\\')
}

#[cfg(test)]
mod tests;
