//! What goes over the wire for a log-in at another issuer.

use data_encoding::BASE64URL_NOPAD;
use model::humane::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::Revealed;
use crate::identity::login::ChallengeAnswer;
use crate::identity::me::LinkedIdentity;
use crate::identity::session::Tokens;

/// A provider that one can log in at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "corporate", "issuer": "https://idp.example"}))]
pub struct OauthProvider {
    /// Name, as it stands in paths.
    pub name: String,
    /// Issuer.
    pub issuer: String,
}

/// Begins a log-in there.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"return_to": "/profile"}))]
pub struct StartOauth {
    /// Path of ours to go to afterwards.
    #[schema(max_length = 500)]
    pub return_to: String,
    /// To link an identity: the caller's password, if there is one.
    #[schema(value_type = Option<String>, format = Password, max_length = 1024)]
    pub password: Option<Secret>,
}

impl Default for StartOauth {
    fn default() -> Self {
        Self { return_to: "/".to_owned(), password: None }
    }
}

/// Where the browser is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"url": "https://idp.example/authorize?…"}))]
pub struct OauthStarted {
    /// Address at the provider.
    pub url: String,
    /// For a cookie that only this browser has (`HttpOnly`, `SameSite=Lax`), never for a body.
    #[serde(skip, default = "nothing")]
    pub binding: Revealed,
}

fn nothing() -> Revealed {
    Revealed::new("")
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum OauthAnswer {
    /// A session has begun.
    SignedIn(Tokens),
    /// A code is needed, too.
    SecondFactor(ChallengeAnswer),
    /// The identity belongs to the account now.
    Linked(LinkedIdentity),
}

/// What comes of it, and where to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OauthEnd {
    /// What comes of it.
    pub answer: OauthAnswer,
    /// Path of ours.
    #[schema(example = "/profile")]
    pub return_path: String,
}

impl OauthEnd {
    /// Where the browser goes on: the answer, in base64url, behind `#oauth=`. What follows `#` reaches no server and no log.
    pub fn place(&self) -> String {
        let answer = serde_json::to_vec(&self.answer).unwrap_or_default();
        format!("{}#oauth={}", self.return_path, BASE64URL_NOPAD.encode(&answer))
    }
}
