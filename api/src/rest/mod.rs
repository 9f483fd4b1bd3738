//! REST: one file a resource, each with its filter, its handler, its shapes and their documentation.

pub(crate) mod actions;
pub(crate) mod analytics;
pub(crate) mod auctions;
pub(crate) mod bids;
pub(crate) mod broadcast;
pub(crate) mod explain;
pub(crate) mod market;
pub(crate) mod resources;
pub(crate) mod settlement;
pub(crate) mod simulate;
pub(crate) mod sockets;
pub(crate) mod sql;
pub(crate) mod system;

use std::convert::Infallible;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use model::Reader;
use platform::Platform;
use platform::identity::{self, Origin};
use serde::Serialize;
use serde::de::DeserializeOwned;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;

/// What a handler yields.
pub(crate) type Answer = Result<Response, Error>;
/// What a resource's filter yields.
pub(crate) type Routes = BoxedFilter<(Response,)>;
/// What a handler is given: the state that all share, and who asks.
#[derive(Clone)]
pub(crate) struct Shared {
    app: Arc<App>,
    caller: Caller,
}

impl Shared {
    /// With nobody asking: what routes are made of.
    pub(crate) fn of(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app), caller: Caller::anybody(Origin::default()) }
    }

    /// The accounts.
    pub(crate) fn accounts(&self) -> Result<&Platform, Error> {
        let none = || Error::NotReady("this process has no accounts: set platform.enabled".to_owned());
        self.app.deps.platform.as_ref().ok_or_else(none)
    }

    /// The accounts, and whose request it is.
    pub(crate) fn platform(&self) -> Result<(&Platform, &identity::Caller), Error> {
        Ok((self.accounts()?, self.caller.account()?))
    }

    /// Where the request comes from.
    pub(crate) fn origin(&self) -> &Origin {
        &self.caller.origin
    }

    /// What of the state the caller may see.
    pub(crate) fn reader(&self) -> &Reader {
        &self.caller.reader
    }
}

impl Deref for Shared {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// Hands state and caller to a handler. A request that came past the gate unseen is nobody's.
pub(crate) fn with(app: &Shared) -> impl Filter<Extract = (Shared,), Error = Infallible> + Clone + use<> {
    let app = Arc::clone(&app.app);
    warp::ext::optional().map(move |caller: Option<Caller>| {
        let caller = caller.unwrap_or_else(|| Caller::anybody(Origin::default()));
        Shared { app: Arc::clone(&app), caller }
    })
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
