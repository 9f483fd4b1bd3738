//! The gate: who asks, and whether they may. Every request passes it before the filter tree sees it.
//!
//! ```text
//! Authorization: Bearer <token or API key> ─┐
//! X-API-Key, cookie, ?token= (sockets) ─────┼─► platform: who ─► the route's row of the table: may they? ─► Caller on the request
//! X-Admin-Key: the house ───────────────────┘
//! ```
//! Where there are no accounts everybody is the one user there is, and only what is the administrator's needs the key.

use platform::identity::{Credential, Origin};
use platform::refusal::Failure;
use warp::http::header::{AUTHORIZATION, HeaderMap, USER_AGENT};
use warp::http::{Request, Uri};

use super::{Access, Caller};
use crate::app::App;
use crate::error::Error;

/// A credential as it came.
#[derive(Debug, PartialEq, Eq)]
enum Given<'r> {
    /// A token or an API key.
    Bearer(&'r str),
    /// An API key.
    ApiKey(&'r str),
}

/// Finds out who asks; an error when they may not use the route.
pub(crate) async fn pass<B>(app: &App, request: &Request<B>, access: Access, origin: Origin) -> Result<Caller, Error> {
    let caller = who(app, request, access, origin).await?;
    // What is public is not counted: prices are for everybody. Trying to become somebody is.
    let is_counted = access != Access::Public || request.uri().path().starts_with("/api/auth/");
    if let Some(platform) = app.deps.platform.as_ref().filter(|_| is_counted) {
        platform.admit(caller.account().ok(), &caller.origin, chrono::Utc::now()).await?;
    }
    caller.may(access)?;
    Ok(caller)
}

async fn who<B>(app: &App, request: &Request<B>, access: Access, origin: Origin) -> Result<Caller, Error> {
    let headers = request.headers();
    if app.admin.check(headers).is_ok() {
        return Ok(Caller::house(origin));
    }
    let Some(platform) = &app.deps.platform else { return Ok(Caller::only_user(origin)) };
    let given = given(headers, request.uri());
    let Some(given) = given else { return Ok(Caller::anybody(origin)) };
    let credential = match given {
        Given::Bearer(text) => Credential::Bearer(text),
        Given::ApiKey(text) => Credential::ApiKey(text),
    };
    match platform.identify(credential, &origin, chrono::Utc::now()).await {
        Ok(caller) => Ok(Caller::known(caller, origin)),
        // Signing in again with an old token in hand must work.
        Err(Failure::Refused(_)) if access == Access::Public && !is_socket(headers) => Ok(Caller::anybody(origin)),
        Err(failure) => Err(failure.into()),
    }
}

/// What a request brings to prove who sends it. A socket of a browser can set no header: it may say `?token=`.
fn given<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Option<Given<'r>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(value) = headers.get(AUTHORIZATION) {
        // Something that is no token is none that is good: it must not pass for nobody's.
        let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return Some(Given::Bearer(bearer.map_or("", |(_, token)| token.trim())));
    }
    if let Some(key) = text("x-api-key") {
        return Some(Given::ApiKey(key.trim()));
    }
    if is_socket(headers) {
        let query = uri.query().unwrap_or_default();
        return query.split('&').find_map(|pair| pair.strip_prefix("token=")).map(Given::Bearer);
    }
    None
}

fn is_socket(headers: &HeaderMap) -> bool {
    headers.get("upgrade").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What a request says of where it comes from. `X-Forwarded-For` is believed only where the configuration says so: there
/// the last entry is what our own proxy saw.
pub(crate) fn origin<B>(app: &App, request: &Request<B>, peer: std::net::SocketAddr, id: &str) -> Origin {
    let headers = request.headers();
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let forwarded = forwarded.and_then(|list| list.rsplit(',').next()).and_then(|text| text.trim().parse().ok());
    let address = if app.config.behind_proxy { forwarded } else { None };
    let device = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Origin {
        address: Some(address.unwrap_or_else(|| peer.ip())),
        request: Some(id.to_owned()),
        device: Some(device.chars().take(400).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_where_clients_put_them() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        let uri: Uri = "/api/ws/ws/prices?zones=PJM&token=abc".parse().unwrap();
        let bearer = headers(&[("authorization", "bearer abc")]);
        assert_eq!(given(&bearer, &uri), Some(Given::Bearer("abc")));
        // What cannot be read is a credential that is wrong, not none.
        assert_eq!(given(&headers(&[("authorization", "Basic YWJj")]), &uri), Some(Given::Bearer("")));
        assert_eq!(given(&headers(&[("x-api-key", "obk_1")]), &uri), Some(Given::ApiKey("obk_1")));
        // In the address only of a socket: addresses end up in logs.
        assert_eq!(given(&headers(&[]), &uri), None);
        assert_eq!(given(&headers(&[("upgrade", "websocket")]), &uri), Some(Given::Bearer("abc")));
    }
}
