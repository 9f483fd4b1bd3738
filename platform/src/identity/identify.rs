//! From what a request brings along to who it is from.

use super::{Caller, CallerKind, Credential, Now, Origin};
use crate::Platform;
use crate::refusal::{Outcome, Refusal};
use crate::token;

/// One text for every reason; the reason is in the log.
const REFUSED: &str = "this needs a valid access token or API key";

impl Platform {
    /// Who a request is from. Costs no question to the database as long as the session was looked at within two seconds.
    /// Refused is [`Refusal::Unknown`]; a failure says that it cannot be known now.
    pub async fn identify(&self, credential: Credential<'_>, origin: &Origin, now: Now) -> Outcome<Caller> {
        let parts = &self.0;
        let caller = match credential {
            Credential::Bearer(text) if !text.starts_with(crate::opaque::Kind::ApiKey.prefix()) => {
                return self.bearer(text, origin, now).await;
            }
            Credential::Bearer(text) | Credential::ApiKey(text) => {
                parts.api_keys.caller(&parts.database, text, origin, now).await?
            }
        };
        caller.ok_or_else(|| refused("no such API key, or not any more"))
    }

    async fn bearer(&self, text: &str, origin: &Origin, now: Now) -> Outcome<Caller> {
        let parts = &self.0;
        let mut verified = parts.signing.verifying(&parts.database, now).await?.verify(text, now.timestamp());
        if verified.as_ref().is_err_and(|refusal| *refusal == token::Refusal::UnknownKey) {
            // Another instance may have made a new key.
            verified = parts.signing.again(&parts.database, now).await?.verify(text, now.timestamp());
        }
        let claims = verified.map_err(|refusal| refused(refusal.reason()))?;
        if !parts.standing.is_good(&parts.database, &claims, now).await? {
            return Err(refused("its session, user, membership or organisation has ended"));
        }
        let organisation = match claims.org {
            Some(id) => {
                let code = parts.codes.of(&parts.database, id).await?;
                Some((id, code.ok_or_else(|| refused("its organisation is gone"))?))
            }
            None => None,
        };
        Ok(Caller {
            user: claims.sub,
            role: claims.role.filter(|_| organisation.is_some()),
            permissions: claims.permissions(),
            organisation,
            kind: CallerKind::Session(claims.sid),
            is_operator: claims.is_operator,
            address: origin.address,
            request: origin.request.clone(),
        })
    }

    /// Whether a request may be served now, by who it is from, or else by its address.
    pub async fn admit(&self, caller: Option<&Caller>, origin: &Origin, now: Now) -> Outcome<()> {
        let limits = &self.0.config.limits;
        match caller {
            Some(caller) => self.take("caller", &caller.name().to_string(), limits.requests_by_caller, now).await,
            None => self.take("address", &origin.place(), limits.requests_by_address, now).await,
        }
    }
}

fn refused(reason: &str) -> crate::refusal::Failure {
    tracing::debug!(reason, "a credential was refused");
    Refusal::Unknown(REFUSED).into()
}
