//! One's own account, as far as it is no flow of signing in: the profile, other issuers, one's data, and the keys that tokens
//! are verified by.

use chrono::Utc;
use futures::future::BoxFuture;
use platform::identity::leave::{ErasePerson, ErasedPerson};
use platform::identity::me::{Me, MePatch};
use platform::identity::oauth::{OauthEnd, OauthStarted, StartOauth};
use platform::oidc::Callback;
use platform::validate;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{KnownFormat, Object, SchemaFormat, Type};
use uuid::Uuid;
use warp::Reply;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::super::resources::query_parameter;
use super::super::resources::work::{Asked, described};
use super::super::{Answer, Shared};
use super::{Action, Version, line, told, wish};
use crate::auth::Access::{Login, Public};
use crate::error::Error;

type Doing<V> = BoxFuture<'static, Result<V, Error>>;

/// Holds what ties a log-in at another issuer to the browser that began it.
const COOKIE: &str = "optibid_oauth";

/// Public keys (RFC 7517) that access tokens are verified by.
#[derive(Serialize, ToSchema)]
pub(crate) struct PublicKeys {
    /// Each as a JWK.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Value>,
}

/// Everything that is kept of a person: a list of rows for each source, by its name.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(crate) struct PersonalData(Value);

pub(super) fn all() -> Vec<Action> {
    const POST: Method = Method::POST;
    const GET: Method = Method::GET;
    let text = |name, says| query_parameter(name, says, Object::builder().schema_type(Type::String).build());
    vec![
        line("change_me", Method::PATCH, "/api/auth/me", Login, "Changes your profile. What it does not name stays.")
            .version(Version::May)
            .takes_all(change_me),
        line("start_oauth", POST, "/api/auth/oauth/{provider}/start", Public, "Begins a log-in at another issuer: send the browser to the address. Of somebody who is signed in, begins to link that identity.")
            .answers::<OauthStarted>(Some(described::<StartOauth>), start_oauth),
        line("finish_oauth", GET, "/api/auth/oauth/{provider}/callback", Public, "Where the other issuer sends the browser back to. A browser is sent on to the page, with the answer behind #oauth=, in base64url.")
            .parameters(vec![
                text("state", "From the address that the browser was sent to"),
                text("code", "From the issuer"),
                text("iss", "The issuer"),
                text("error", "From the issuer, when it did not succeed"),
                text("error_description", "Not read"),
                text("error_uri", "Not read"),
                text("session_state", "Not read"),
                text("scope", "Not read"),
            ])
            .answers::<OauthEnd>(None, finish_oauth),
        line("unlink_identity", Method::DELETE, "/api/auth/identities/{identity}", Login, "Parts with a log-in at another issuer.")
            .does(unlink),
        line("public_keys", GET, "/.well-known/jwks.json", Public, "Public keys that access tokens are verified by. They may be kept for five minutes.")
            .answers::<PublicKeys>(None, keys),
        line("export_person", GET, "/api/privacy/export", Login, "Everything that is kept of you; of a member, for admins whose organisation is the member's only one.")
            .tag("privacy")
            .parameters(vec![user_parameter()])
            .tells(export),
        line("erase_person", POST, "/api/privacy/erase", Login, "Erases you, or a member, for good: what is left is an id. Takes your password.")
            .tag("privacy")
            .takes(erase),
    ]
}

fn user_parameter() -> Parameter {
    let schema = Object::builder().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
    query_parameter("user_id", "A member, for admins; you without it", schema.build())
}

/// A parameter that may be there, once.
pub(super) fn given<'a>(asked: &'a Asked, name: &str) -> Result<Option<&'a str>, Error> {
    let mut values = asked.parameters.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (_, Some(second)) => Err(Error::parameter(name, second, "give it once")),
        (first, None) => Ok(first),
    }
}

/// What the path names as the `place`th, which is an id of a `what`.
pub(super) fn named(asked: &[String], place: usize, what: &str) -> Result<Uuid, Error> {
    let text = asked.get(place).map_or("", String::as_str);
    validate::uuid(text).map_err(|_| Error::NotFound(format!("no such {what}")))
}

fn change_me(app: Shared, asked: Asked, wish: MePatch) -> Doing<Me> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.change_me(caller, &wish, asked.version, Utc::now()).await?)
    })
}

fn cookie(app: &Shared, provider: &str, value: &str, life_s: i64) -> Result<HeaderValue, Error> {
    let config = app.accounts()?.config();
    let secure = if config.cookies.secure && config.public_url.starts_with("https:") { "; Secure" } else { "" };
    let place = format!("/api/auth/oauth/{provider}/callback");
    // It comes back by a link of another site: `Strict` would keep it away.
    let text = format!("{COOKIE}={value}; Path={place}; Max-Age={life_s}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).map_err(|error| Error::Internal(format!("cookie: {error}")))
}

fn start_oauth(app: Shared, asked: Asked, _: HeaderMap) -> BoxFuture<'static, Answer> {
    Box::pin(async move {
        let wish: StartOauth = wish(&asked.body)?;
        let provider = asked.named.first().map_or("", String::as_str);
        let platform = app.accounts()?;
        let caller = app.platform().ok().map(|(_, caller)| caller);
        let started = platform.oauth_start(provider, &wish, caller, app.origin(), Utc::now()).await?;
        let life_s = platform.config().challenge_life.millis_i64() / 1_000;
        let mut response = told(StatusCode::OK, &started)?;
        let cookie = cookie(&app, provider, started.binding.expose(), life_s)?;
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        Ok(response)
    })
}

fn finish_oauth(app: Shared, asked: Asked, headers: HeaderMap) -> BoxFuture<'static, Answer> {
    Box::pin(async move {
        let provider = asked.named.first().map_or("", String::as_str);
        let text = |name: &str| given(&asked, name).map(|value| value.map(str::to_owned));
        let callback = Callback {
            state: text("state")?.unwrap_or_default(),
            code: text("code")?,
            iss: text("iss")?,
            error: text("error")?,
        };
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let binding = pairs.find(|(name, _)| *name == COOKIE).map_or("", |(_, value)| value);
        let end = app.accounts()?.oauth_callback(provider, &callback, binding, app.origin(), Utc::now()).await?;
        let wants_page = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let mut response = told(StatusCode::OK, &end)?;
        if wants_page.is_some_and(|accept| accept.contains("text/html")) {
            let place =
                HeaderValue::from_str(&end.place()).map_err(|error| Error::Internal(format!("redirect: {error}")))?;
            response = StatusCode::SEE_OTHER.into_response();
            response.headers_mut().insert(header::LOCATION, place);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response.headers_mut().insert(header::SET_COOKIE, cookie(&app, provider, "", 0)?);
        Ok(response)
    })
}

fn unlink(app: Shared, asked: Vec<String>) -> Doing<()> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.unlink_identity(caller, named(&asked, 0, "identity")?).await?)
    })
}

fn keys(app: Shared, _: Asked, _: HeaderMap) -> BoxFuture<'static, Answer> {
    Box::pin(async move {
        let set = app.accounts()?.jwks(Utc::now()).await?;
        let keys = set.keys.iter().map(|key| serde_json::to_value(key).unwrap_or_default()).collect();
        let mut response = told(StatusCode::OK, &PublicKeys { keys })?;
        let kept = HeaderValue::from_static("public, max-age=300");
        response.headers_mut().insert(header::CACHE_CONTROL, kept);
        Ok(response)
    })
}

fn export(app: Shared, asked: Asked) -> Doing<PersonalData> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        let user = given(&asked, "user_id")?;
        let wrong = |text: &str| Error::parameter("user_id", text, "a UUID");
        let user = user.map(|text| validate::uuid(text).map_err(|_| wrong(text))).transpose()?;
        Ok(PersonalData(platform.export_person(caller, user, Utc::now()).await?))
    })
}

fn erase(app: Shared, wish: ErasePerson) -> Doing<ErasedPerson> {
    Box::pin(async move {
        let (platform, caller) = app.platform()?;
        Ok(platform.erase_person(caller, &wish, Utc::now()).await?)
    })
}
