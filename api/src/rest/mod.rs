//! REST: one file a resource, each with its filter, its handler, its shapes and their documentation.

pub(crate) mod analytics;
pub(crate) mod auctions;
pub(crate) mod bids;
pub(crate) mod broadcast;
pub(crate) mod explain;
pub(crate) mod market;
pub(crate) mod settlement;
pub(crate) mod simulate;
pub(crate) mod sockets;
pub(crate) mod sql;
pub(crate) mod system;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::app::App;
use crate::error::Error;

/// What a handler yields.
pub(crate) type Answer = Result<Response, Error>;
/// What a resource's filter yields.
pub(crate) type Routes = BoxedFilter<(Response,)>;
/// How handlers hold the state.
pub(crate) type Shared = Arc<App>;

/// Hands the shared state to a handler.
pub(crate) fn with(app: &Shared) -> impl Filter<Extract = (Shared,), Error = Infallible> + Clone + use<> {
    let app = Arc::clone(app);
    warp::any().map(move || Arc::clone(&app))
}

/// Runs a handler and turns its error into an answer.
pub(crate) async fn answer(handler: impl Future<Output = Answer>) -> Response {
    handler.await.unwrap_or_else(Error::into_response)
}

/// A JSON answer.
pub(crate) fn json(body: &impl Serialize) -> Answer {
    Ok(warp::reply::json(body).into_response())
}

/// Reads a body up to a limit.
pub(crate) async fn read_body<S, B>(body: S, limit: usize) -> Result<Bytes, Error>
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let mut body = std::pin::pin!(body);
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(|error| Error::BadBody(format!("the body broke off: {error}")))?;
        if bytes.len() + chunk.remaining() > limit {
            return Err(Error::TooLarge { limit });
        }
        bytes.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
    }
    Ok(bytes.freeze())
}

/// Reads a JSON body; an empty one counts as `{}`.
pub(crate) fn from_json<D: DeserializeOwned>(bytes: &[u8]) -> Result<D, Error> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| Error::BadBody(format!("the body is not the JSON expected: {error}")))
}
