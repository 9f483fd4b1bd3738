//! `/api/sql`: one read-only statement, answered as JSON, CSV or an Arrow stream, all of it at one T.

use serde::Deserialize;
use sql::encode::Format;
use utoipa::ToSchema;
use warp::Filter;
use warp::http::{HeaderMap, HeaderValue, header};
use warp::reply::Response;

use super::{Answer, Routes, Shared, answer, from_json, read_body, with};
use crate::error::{Error, ErrorBody};
use crate::params::{Params, raw_query};

/// `/api/sql`.
pub(crate) fn routes(app: &Shared) -> Routes {
    warp::path!("api" / "sql")
        .and(warp::post())
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .and(with(app))
        .then(|parameters: String, headers: HeaderMap, body, app: Shared| {
            answer(async move {
                let body = read_body(body, app.config.body_limit_bytes).await?;
                query(&parameters, &headers, &body, &app).await
            })
        })
        .boxed()
}

/// A statement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlBody {
    /// One SELECT, EXPLAIN or SHOW.
    #[schema(example = "SELECT zone, location, last FROM kpis WHERE window_min = 60 ORDER BY zone")]
    query: String,
}

/// What can be sent.
const FORMS: &str = "application/json, text/csv, application/vnd.apache.arrow.stream";

/// Runs one read-only statement. The answer's form goes by the Accept header, JSON without one; `X-OptiBid-T` has the T.
#[utoipa::path(post, path = "/api/sql", tag = "sql",
    request_body(content((SqlBody = "application/json"), (String = "text/plain")), description = "The statement, as JSON or as plain text"),
    responses(
        (status = 200, description = "The rows: JSON {t, schema, rows}, CSV with a header, or an Arrow IPC stream", content(
            (Object = "application/json"), (String = "text/csv"), (String = "application/vnd.apache.arrow.stream"))),
        (status = 400, description = "Not a statement, or one that would write; details have the SQLSTATE", body = ErrorBody),
        (status = 406, description = "None of the types asked for can be sent", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 422, description = "Over the limit of rows, time or memory", body = ErrorBody),
        (status = 503, description = "Too busy, or the history does not answer", body = ErrorBody)))]
pub(crate) async fn query(parameters: &str, headers: &HeaderMap, body: &[u8], app: &Shared) -> Answer {
    Params::parse(parameters, &[])?;
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let accept = text(header::ACCEPT).unwrap_or_default();
    let format =
        Format::accepted(accept).ok_or_else(|| Error::NotAcceptable { asked: accept.to_owned(), can: FORMS })?;
    // Plain text is a statement; anything that says nothing is taken for what it looks like.
    let kind = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let looks_json = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let statement = if kind.starts_with("application/json") || (!kind.starts_with("text/") && looks_json) {
        from_json::<SqlBody>(body)?.query
    } else {
        String::from_utf8(body.to_vec()).map_err(|_| Error::BadBody("the statement is not UTF-8".to_owned()))?
    };
    if statement.trim().is_empty() {
        return Err(Error::BadBody("there is no statement in the body".to_owned()));
    }
    let engine = &app.deps.engine;
    let result = engine.query(&statement, app.reader(), &engine.limits()).await?;
    let (t, schema) = (result.t, result.schema.clone());
    let batches = result.collect().await?;
    let encode = move || format.encode(t, &schema, &batches);
    let bytes = tokio::task::spawn_blocking(encode)
        .await
        .map_err(|error| Error::Internal(format!("encode result: {error}")))??;
    let mut response = Response::new(bytes.into());
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    out.insert("x-optibid-t", HeaderValue::from(t));
    Ok(response)
}
