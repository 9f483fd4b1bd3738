//! What answers before there is a state to answer from: a start may wait for its peers, or read a large checkpoint.
//! `/livez` says that the process lives, everything else says what is being waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply};

use crate::config::Config;
use crate::error::Error;
use crate::serve;

const PATIENCE: Duration = Duration::from_secs(1);

/// The bound address, answering for a program that is still starting. [`crate::Server::new`] takes its place.
pub struct Starting {
    listener: TcpListener,
    stop: CancellationToken,
    answering: JoinHandle<()>,
}

impl Starting {
    /// Binds the address and answers at once; `stage` tells what is being waited for. Fails when the address is taken.
    pub fn new(config: &Config, stage: impl Fn() -> String + Send + Sync + 'static) -> Result<Self, Error> {
        let both = serve::bind(config)?.into_std().and_then(|one| {
            let other = one.try_clone()?;
            Ok((TcpListener::from_std(one)?, TcpListener::from_std(other)?))
        });
        let (listener, shared) = both.map_err(|source| Error::Listen { address: config.listen, source })?;
        let stop = CancellationToken::new();
        let stage = Arc::new(stage);
        let live = warp::path("livez").and(warp::path::end()).map(|| "ok\n".into_response());
        let rest = warp::any().map(move || Error::NotReady(format!("starting: {}", stage())).into_response());
        let routes = live.or(rest).unify();
        let server = warp::serve(routes).incoming(shared).graceful(stop.clone().cancelled_owned());
        Ok(Self { listener, stop, answering: tokio::spawn(server.run()) })
    }

    /// The address, once nobody else accepts there any more.
    pub(crate) async fn done(self) -> TcpListener {
        self.stop.cancel();
        // Whoever is being answered has his answer at once.
        let _ = timeout(PATIENCE, self.answering).await;
        self.listener
    }
}
