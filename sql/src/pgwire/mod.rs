//! The PostgreSQL wire protocol: psql, Grafana, BI tools and drivers connect as to any PostgreSQL.
//!
//! Simple and extended queries, text and binary values, parameters, portals with a row limit, cancelling, errors with
//! SQLSTATE, optional password (SCRAM-SHA-256) or account (API key). Read-only. `BEGIN … COMMIT` reads one T from beginning to end.
//! No TLS: put it behind a tunnel where the network is not yours.

mod auth;
mod cell;
mod command;
mod fields;
mod handler;
mod parameters;
mod session;

use std::future::Future;
use std::sync::Arc;

use pgwire::tokio::process_socket;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config::PgwireConfig;
use crate::engine::Engine;
use crate::error::Error;
pub use auth::Logins;
use handler::Handlers;

/// Opens the configured address.
pub async fn bind(config: &PgwireConfig) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(&config.listen).await;
    listener.map_err(|error| Error::Config(format!("listen on {}: {error}", config.listen)))
}

/// Serves connections until `shutdown` comes, then drops those that are left. With `logins` everybody needs an account.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    config: &PgwireConfig,
    logins: Option<Arc<dyn Logins>>,
    shutdown: impl Future<Output = ()>,
) {
    let handlers = Arc::new(Handlers::new(engine.clone(), config, logins));
    let places = Arc::new(Semaphore::new(config.max_connections));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file handles, or a client gone before it came: the next may do better.
                tracing::warn!(%error, "accept postgres connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            connections.spawn(refuse(socket));
            continue;
        };
        let (handlers, gauge) = (Arc::clone(&handlers), engine.metrics().connections.clone());
        connections.spawn(async move {
            gauge.inc();
            if let Err(error) = process_socket(socket, None, handlers).await {
                tracing::debug!(%error, "postgres connection ended");
            }
            gauge.dec();
            drop(place);
        });
    }
}

/// Tells a client that there is no place, in the protocol's words.
async fn refuse(mut socket: TcpStream) {
    let mut fields = Vec::new();
    for (kind, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "53300"), (b'M', "too many connections")] {
        fields.push(kind);
        fields.extend_from_slice(text.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).expect("a short message").to_be_bytes();
    let message = [&b"E"[..], &length, &fields].concat();
    // The client may be gone already: then there is nobody to tell.
    let _ = socket.write_all(&message).await;
    let _ = socket.shutdown().await;
}
