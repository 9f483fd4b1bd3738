//! What people do that is no row of a table: sign in, prove who they are, acknowledge an alert, change a plan. Each has a body
//! that is read by field, an answer in JSON, and a line in the `all` of one of these files.
//!
//! ```text
//! request ─► gate ─► action: body ─► wish ─► `platform` ─► answer; its route and its documentation follow from the same line
//!                               └─► work in a transaction as the caller: `platform::desk`, as resources do it
//! ```

mod account;
mod billing;
mod document;
mod identity;
mod line;
mod mfa;
mod organisation;

use std::sync::LazyLock;

use platform::refusal::Failure;
use platform::resource;
use platform::resource::Needs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Reply};

pub(crate) use document::document;
use line::line;

use super::resources::work::{Asked, Described, Request, Run, body, expected_version, perform};
use super::{Answer, Shared, answer, read_body, with};
use crate::auth::Access;
use crate::error::Error;
use crate::params::{Params, decode, raw_query};
use crate::routes::{Route, fits};

/// Something that can be done.
pub(crate) struct Action {
    method: Method,
    template: &'static str,
    access: Access,
    tag: &'static str,
    /// What it does, in a sentence.
    says: &'static str,
    /// Name of the operation.
    name: &'static str,
    status: StatusCode,
    /// Of the query.
    parameters: Vec<Parameter>,
    version: Version,
    body: Option<Described>,
    answer: Option<Described>,
    how: How,
}

/// Whether the caller says which version it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// There are none.
    None,
    /// If they like.
    May,
    /// They must.
    Must,
}

/// How it is done.
enum How {
    /// By a flow of the platform's, which makes its own transactions.
    Flow(line::Flow),
    /// In a transaction as the caller.
    Work(Run),
}

/// Everything that can be done.
static ALL: LazyLock<Vec<Action>> = LazyLock::new(|| {
    let people = [identity::all(), mfa::all(), identity::places(), account::all()];
    let organisations = [organisation::all(), billing::all(), organisation::operators()];
    people.into_iter().chain(organisations).flatten().collect()
});

impl Action {
    async fn serve(&'static self, app: Shared, request: Request) -> Answer {
        let known: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        Params::parse(&request.query, &known)?;
        let parts = self.template.split('/').zip(request.path.split('/')).filter(|(part, _)| part.starts_with('{'));
        let named: Vec<String> = parts.map(|(_, given)| decode(given)).collect::<Result<_, _>>()?;
        let has_version = request.headers.contains_key(header::IF_MATCH);
        let version = match self.version {
            Version::Must => expected_version(&request.headers)?,
            Version::May if has_version => expected_version(&request.headers)?,
            Version::May | Version::None => None,
        };
        let body = if self.body.is_some() { body(&request.body)? } else { Value::Null };
        let asked = Asked { named, parameters: Params::all(&request.query)?, body, version };
        match &self.how {
            How::Flow(run) => run(app, asked, request.headers).await,
            How::Work(run) => perform(&app, (needs(self.access), Vec::new()), &request, asked, run).await,
        }
    }
}

/// What is asked of the caller once more, where the work is done.
fn needs(access: Access) -> Needs {
    match access {
        Access::Public | Access::Login => Needs::Login,
        Access::Member(permission) => Needs::Permission(permission),
        Access::Operator => Needs::Operator,
    }
}

/// A body by field.
fn wish<W: DeserializeOwned + ToSchema>(body: &Value) -> Result<W, Error> {
    Ok(resource::read(body).map_err(Failure::from)?)
}

/// An answer that may hold secrets: nobody on the way keeps it. What has a version has it as the ETag.
fn told(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_value(body).map_err(|error| Error::Internal(format!("encode an answer: {error}")))?;
    let mut response = warp::reply::with_status(warp::reply::json(&body), status).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let version = body.get("version").and_then(Value::as_i64).map(|version| format!("\"v{version}\""));
    if let Some(tag) = version.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Their routes.
pub(crate) fn table() -> impl Iterator<Item = Route> {
    ALL.iter().map(|action| Route {
        method: action.method.clone(),
        template: action.template.to_owned(),
        access: action.access,
    })
}

/// The one filter that serves them all.
pub(crate) fn routes(app: &Shared) -> BoxedFilter<(Response,)> {
    let find = |method: Method, path: FullPath| async move {
        let found = ALL.iter().find(|action| action.method == method && fits(action.template, path.as_str()));
        found.map(|action| (action, path)).ok_or_else(warp::reject::not_found)
    };
    warp::method()
        .and(warp::path::full())
        .and_then(find)
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .and(with(app))
        .then(|(action, path): (&'static Action, FullPath), query: String, headers: HeaderMap, body, app: Shared| {
            answer(async move {
                let body = read_body(body, app.config.body_limit_bytes).await?;
                let (method, path) = (action.method.clone(), path.as_str().to_owned());
                action.serve(app, Request { method, path, query, headers, body }).await
            })
        })
        .boxed()
}
