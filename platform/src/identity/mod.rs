//! Who somebody is, from the first registration to the last session: one file a flow, each with its wire forms.
//!
//! ```text
//! register ─► letter ─► verify          forgot ─► letter ─► reset           invitation ─► letter ─► accept
//!                         │                                   │                                       │
//! login ── password ──► [challenge ── code] ──► session: access token (minutes) + refresh token (once)
//! oauth ── provider ──►       as above                  │            │
//!                                                       ▼            ▼ refresh, switch, log out
//! every request: credential ─► identify ─► Caller ─► what may be done (permissions), what may be seen (Actor)
//! ```
//!
//! What an answer does not tell, its time does not tell either: whatever depends on whether an address has an account is
//! done afterwards, as an [`errand`], or is done for nobody too. Whoever is refused by a wrong password, an unknown address,
//! an address that nobody verified or a lost account gets one text. Accounts are read and written as the database's
//! `optibid_identity`, in transactions whose last statement leaves a trace in the audit log.

mod account;
mod api_key;
pub mod caller;
mod codes;
pub mod demo;
pub mod email;
mod errand;
mod factor;
mod identify;
pub mod invitation;
pub mod leave;
pub mod login;
pub mod me;
pub mod mfa;
pub mod oauth;
pub mod password;
pub mod register;
mod row;
mod sealed;
pub mod session;
mod signing;
mod standing;
mod tongue;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use self::api_key::ApiKeys;
pub use self::caller::{Caller, CallerKind, Credential};
pub(crate) use self::codes::Codes;
pub(crate) use self::errand::{Errand, Errands};
pub(crate) use self::signing::Signing;
pub use self::standing::Ended;
pub(crate) use self::standing::Standing;
use crate::database::Actor;

/// When something happens: who calls says so.
pub type Now = chrono::DateTime<chrono::Utc>;

/// What is answered to a wrong password, an unknown address, and everything else that must look the same.
pub(crate) const NOT_KNOWN: &str =
    "the e-mail address or the password is not right, or the address has not been verified yet";
/// What is answered to a link that was used, is too old, or never was one.
pub(crate) const NO_LINK: &str = "this link is not valid: it works once, and for a limited time";

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Network address.
    pub address: Option<IpAddr>,
    /// Id of the request.
    pub request: Option<String>,
    /// What the device says that it is.
    pub device: Option<String>,
}

/// A secret that is handed out in an answer: serialised as it is, never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Revealed(String);

/// The answer to what is done afterwards, and is the same whatever comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"status": "accepted"}))]
pub struct Accepted {
    /// Always `accepted`.
    pub status: String,
}

impl Accepted {
    fn new() -> Self {
        Self { status: "accepted".to_owned() }
    }
}

impl Revealed {
    /// To be handed out.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Origin {
    /// Whoever asks from there: nobody yet.
    pub(crate) fn nobody(&self) -> Actor {
        Actor::identity(self.address, self.request.clone())
    }

    /// What limits by address are counted under. IPv6 by /64: that is what one customer of a provider has.
    pub(crate) fn place(&self) -> String {
        match self.address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            None => "nowhere".to_owned(),
        }
    }

    /// The device as it may be kept: one line, without what cannot be printed.
    pub(crate) fn device(&self) -> Option<String> {
        let kept = |c: &char| c.is_ascii_graphic() || *c == ' ';
        let text: String = self.device.as_ref()?.chars().filter(kept).take(400).collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_handed_out_but_not_printed() {
        let secret = Revealed::new("obr_secret");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""obr_secret""#);
    }

    #[test]
    fn an_origin_is_one_place_however_it_is_written() {
        let place = |text: &str| Origin { address: Some(text.parse().unwrap()), ..Origin::default() }.place();
        assert_eq!(place("192.0.2.7"), place("::ffff:192.0.2.7"));
        assert_eq!(place("2001:db8:1:2:3:4:5:6"), place("2001:db8:1:2::1"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        let device = |text: &str| Origin { device: Some(text.into()), ..Origin::default() }.device();
        assert_eq!(device(" Firefox\r\n\u{202E}/1 ").as_deref(), Some("Firefox/1"));
        assert_eq!(device("\u{202E}"), None);
        assert_eq!(device(&"x".repeat(9_000)).unwrap().len(), 400);
    }
}
