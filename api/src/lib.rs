//! The API: REST over the live state and the history, a WebSocket of closed moments, OpenAPI, the page.
//!
//! ```text
//!            ArcSwap<Snapshot> ──► rest/* ──┐
//!                                           ├─► routes (the whole filter tree) ─► serve (hyper)
//! broadcast<Batch> ─► live::Hub ─► sessions ┘
//! ```
//!
//! Every answer is at one T. Knows neither Kafka nor timely: it publishes through [`Publisher`].

mod app;
mod auth;
mod books;
mod config;
mod docs;
mod error;
mod history;
mod live;
mod lives;
mod metrics;
mod params;
mod rest;
mod routes;
mod series;
mod serve;
mod starting;
mod view;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::Filter;

pub use app::{Deps, Health, Publisher};
pub use config::{Config, WebSocket};
pub use error::{Error, ErrorBody, ErrorDetail};
pub use metrics::Metrics;
pub use starting::Starting;

use app::App;
use auth::AdminKey;
use books::Books;
use live::Hub;
use view::Labels;

/// The server, bound to its address and following the batches, not yet answering.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    batches: broadcast::Receiver<Arc<model::Batch>>,
}

impl Server {
    /// Takes the address over and starts to follow the batches. Needs a tokio runtime.
    pub async fn new(config: Config, deps: Deps, starting: Starting) -> Result<Self, Error> {
        let metrics = Metrics::new(&deps.registry)?;
        let listener = starting.done().await;
        let labels = Labels { names: Arc::clone(&deps.names), zones: deps.zones.clone() };
        // The batches before the snapshot: what comes between the two is in both, and applied once.
        let batches = deps.batches.subscribe();
        let hub = Hub::new(config.websocket.clone(), labels.clone(), metrics.clone(), Arc::clone(&deps.live));
        let app = App {
            admin: AdminKey::new(&config.admin_key),
            hub: Arc::new(hub),
            books: Books::new(&deps.zones),
            templates: routes::Templates::new(),
            sockets: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
            deps,
            labels,
            metrics,
        };
        Ok(Self { app: Arc::new(app), listener, batches })
    }

    /// The address it listens on; the port is the real one when port 0 was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until `shutdown`, then closes every WebSocket with a close frame and lets requests finish.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { app, listener, batches } = self;
        let hub = tokio::spawn(Arc::clone(&app.hub).run(batches, app.stop.clone()));
        let tree = routes::tree(&app);
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "api listens");
        }
        let stop = app.stop.clone();
        tokio::spawn(async move {
            shutdown.cancelled().await;
            stop.cancel();
        });
        if app.config.cors_origins.is_empty() {
            serve::run(listener, TowerToHyperService::new(warp::service(tree)), Arc::clone(&app)).await;
        } else {
            let tree = tree.with(cors(&app.config.cors_origins)).recover(forbidden);
            serve::run(listener, TowerToHyperService::new(warp::service(tree)), Arc::clone(&app)).await;
        }
        hub.abort();
        Ok(())
    }
}

fn cors(origins: &[String]) -> warp::cors::Builder {
    let cors = warp::cors()
        .allow_methods(["GET", "POST", "PATCH", "DELETE", "OPTIONS"])
        .allow_headers(["accept", "authorization", "content-type", "x-admin-key", "x-request-id"])
        .expose_headers(["x-request-id"])
        .max_age(600);
    if origins.iter().any(|origin| origin == "*") {
        cors.allow_any_origin()
    } else {
        cors.allow_origins(origins.iter().map(String::as_str))
    }
}

async fn forbidden(_: warp::Rejection) -> Result<warp::reply::Response, std::convert::Infallible> {
    Ok(Error::Forbidden.into_response())
}
