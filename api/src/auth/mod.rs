//! Who may do what: the gate finds out who asks, and the table of routes says what is asked of them.
//!
//! The house itself has a key, for the time before there are accounts and for what they cannot do: it comes as
//! `X-Admin-Key: …` or `Authorization: Bearer …` and is compared in constant time.

mod access;
mod caller;
pub(crate) mod gate;

use model::humane::Secret;
use subtle::ConstantTimeEq;
use warp::http::HeaderMap;
use warp::http::header::AUTHORIZATION;

pub(crate) use access::Access;
pub(crate) use caller::Caller;

use crate::error::Error;

/// The administrator's key.
#[derive(Clone, Debug)]
pub(crate) struct AdminKey(Secret);

impl AdminKey {
    /// The configured key. Without one a random key is made and logged, this once.
    pub(crate) fn new(configured: &Secret) -> Self {
        if !configured.expose().is_empty() {
            return Self(configured.clone());
        }
        let key = uuid::Uuid::new_v4().simple().to_string();
        tracing::info!(admin_key = %key, "no admin key is configured: this one holds until the next start");
        Self(Secret::new(key))
    }

    /// Whether a request comes from the administrator.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let given = headers.get("x-admin-key").and_then(|value| value.to_str().ok()).or(bearer);
        let matches = given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(self.0.expose().as_bytes())));
        if matches { Ok(()) } else { Err(Error::Unauthorized) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_either_header_and_nothing_else() {
        let key = AdminKey::new(&Secret::new("s3cret".to_owned()));
        let check = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            key.check(&headers).is_ok()
        };
        assert!(check("x-admin-key", "s3cret") && check("authorization", "bearer s3cret"));
        assert!(!check("x-admin-key", "s3cre") && !check("x-admin-key", "") && !check("authorization", "s3cret"));
        assert!(key.check(&HeaderMap::new()).is_err());
        let random = AdminKey::new(&Secret::default());
        assert!(random.check(&HeaderMap::new()).is_err());
    }
}
