//! Work that a request asks for, done as whoever asks: reads what all such requests have in common, has it done in one
//! transaction (once, if the request has an `Idempotency-Key`), writes the answer.

use bytes::Bytes;
use platform::desk::{Desk, Doing, Job, Keyed, Once};
use platform::idempotency;
use platform::refusal::{Failure, Refusal};
use platform::resource::Needs;
use platform::validate::Problem;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;

use super::super::{Answer, Shared};
use crate::error::Error;

/// The header that makes a request one that is done once.
pub(crate) const KEY: &str = "Idempotency-Key";

/// Names and schemas of a type, with those it is made of.
pub(crate) type Schemas = Vec<(String, RefOr<Schema>)>;
/// Puts a type among the schemas; its name.
pub(crate) type Described = fn(&mut Schemas) -> String;

/// A request, as it came.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a piece of work is given of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// What the path names, in its order.
    pub(crate) named: Vec<String>,
    /// Parameters, of which there are none that the route does not know.
    pub(crate) parameters: Vec<(String, String)>,
    /// Null where there is none.
    pub(crate) body: Value,
    /// The version that the caller has read; `None` for whatever stands.
    pub(crate) version: Option<i64>,
}

/// What comes of it.
pub(crate) struct Reply {
    status: StatusCode,
    view: Option<Value>,
    /// Whether it is something new, with a place of its own.
    is_new: bool,
}

/// A piece of work.
pub(crate) type Run = Box<dyn for<'d> Fn(&'d Desk<'d>, Asked) -> Doing<'d, Reply> + Send + Sync>;

pub(crate) fn described<S: ToSchema>(schemas: &mut Schemas) -> String {
    let name = S::name().into_owned();
    schemas.push((name.clone(), S::schema()));
    S::schemas(schemas);
    name
}

impl Reply {
    /// With something to show.
    pub(crate) fn of(status: StatusCode, view: &impl Serialize) -> Self {
        let view = serde_json::to_value(view).unwrap_or_default();
        Self { status, view: Some(view), is_new: false }
    }

    /// Something new.
    pub(crate) fn made(view: &impl Serialize) -> Self {
        Self { is_new: true, ..Self::of(StatusCode::CREATED, view) }
    }

    /// With nothing to say.
    pub(crate) fn done() -> Self {
        Self { status: StatusCode::NO_CONTENT, view: None, is_new: false }
    }

    /// As it is kept and sent: the version as the ETag, of something new its place below `path`.
    fn answer(&self, path: &str) -> idempotency::Answer {
        let mut headers = Map::new();
        let field = |name: &str| self.view.as_ref().and_then(|view| view.get(name));
        if let Some(version) = field("version").and_then(Value::as_i64) {
            headers.insert(header::ETAG.to_string(), format!("\"v{version}\"").into());
        }
        let name = field("id").or_else(|| field("code")).and_then(Value::as_str);
        if let Some(name) = name.filter(|_| self.is_new) {
            headers.insert(header::LOCATION.to_string(), format!("{path}/{name}").into());
        }
        let body = self.view.as_ref().map(|view| view.to_string().into_bytes()).unwrap_or_default();
        idempotency::Answer { status: self.status.as_u16(), headers, body }
    }
}

fn response(answer: idempotency::Answer, is_repeated: bool) -> Answer {
    let status = StatusCode::from_u16(answer.status)
        .map_err(|_| Error::Internal(format!("an answer with the status {}", answer.status)))?;
    let has_body = !answer.body.is_empty();
    let mut response = Response::new(answer.body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in &answer.headers {
        let name = HeaderName::try_from(name.as_str()).ok();
        let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
        headers.extend(name.zip(value));
    }
    if is_repeated {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Has it done, as whoever asks. A `POST` with a key is done once.
pub(crate) async fn perform(
    app: &Shared,
    (needs, scope): (Needs, Vec<(&'static str, Uuid)>),
    request: &Request,
    asked: Asked,
    run: &'static Run,
) -> Answer {
    let (platform, caller) = app.platform()?;
    let job = Job { needs, scope, now: chrono::Utc::now() };
    let key = request.headers.get(KEY).filter(|_| request.method == Method::POST);
    let Some(key) = key else {
        let reply = platform.work(caller, &job, move |desk| run(desk, asked)).await?;
        return response(reply.answer(&request.path), false);
    };
    // What is no text is no key either.
    let key = key.to_str().unwrap_or_default();
    let keyed = Keyed { key, method: request.method.as_str(), path: &request.path, body: &request.body };
    let path = request.path.clone();
    let done = platform
        .once(caller, &job, keyed, move |desk| Box::pin(async move { Ok(run(desk, asked).await?.answer(&path)) }));
    match done.await? {
        Once::Now(answer) => response(answer, false),
        Once::Before(answer) => response(answer, true),
    }
}

/// A JSON body. Its shape is judged by whom it is for; an empty one counts as `{}`.
pub(crate) fn body(bytes: &[u8]) -> Result<Value, Error> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| Error::BadBody(format!("the body is no JSON: {error}")))
}

/// The version that the caller has read; `None` for whatever stands.
pub(crate) fn expected_version(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(given) = headers.get(header::IF_MATCH) else { return Err(Error::NoVersion) };
    let text = given.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.trim_start_matches("W/").trim_matches('"').strip_prefix('v').and_then(|n| n.parse().ok());
    let wrong =
        || Problem::allowed("invalid_etag", "is no ETag of ours", "\"v3\" as it was answered, or *").of("If-Match");
    Ok(Some(version.ok_or_else(|| Failure::from(Refusal::Invalid(vec![wrong()])))?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_read_from_etags() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, text.parse().unwrap());
            expected_version(&headers)
        };
        assert_eq!(of("\"v3\"").unwrap(), Some(3));
        assert_eq!(of("W/\"v3\"").unwrap(), Some(3));
        assert_eq!(of("*").unwrap(), None);
        assert!(of("\"3\"").is_err() && of("v").is_err());
        assert!(matches!(expected_version(&HeaderMap::new()), Err(Error::NoVersion)));
    }

    #[test]
    fn something_new_has_a_place_and_a_version() {
        let answer = Reply::made(&json!({"id": "7", "version": 1})).answer("/api/sites");
        assert_eq!((answer.status, &answer.headers["etag"]), (201, &json!("\"v1\"")));
        assert_eq!(answer.headers["location"], json!("/api/sites/7"));
        let sent = response(answer, true).unwrap();
        assert_eq!(
            (sent.status().as_u16(), &sent.headers()["location"]),
            (201, &HeaderValue::from_static("/api/sites/7"))
        );
        assert!(Reply::done().answer("/api/sites").headers.is_empty());
    }
}
