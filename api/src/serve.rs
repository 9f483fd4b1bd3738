//! Accepts connections and runs the filter tree on them: request ids, metrics, time limits, connection limit,
//! graceful stop.
//!
//! warp's own server is not used because it gives no way to bound connections or the time a client takes to
//! send its request head, logs every reset by a client as an error, and panics when the address is taken.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use warp::http::{HeaderMap, HeaderValue, Method, Request};
use warp::reply::Response;

use crate::app::App;
use crate::auth::{Access, gate};
use crate::config::Config;
use crate::error::Error;

/// Binds the address with the socket options that every accepted connection inherits.
pub(crate) fn bind(config: &Config) -> Result<TcpListener, Error> {
    let address = config.listen;
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        if config.websocket.send_buffer_bytes > 0 {
            socket.set_send_buffer_size(config.websocket.send_buffer_bytes)?;
        }
        socket.bind(address)?;
        socket.listen(4_096)
    };
    bind().map_err(|source| Error::Listen { address, source })
}

/// Accepts until told to stop, then lets open requests finish for `stop_timeout`.
pub(crate) async fn run<S>(listener: TcpListener, service: S, app: Arc<App>)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(app.config.header_timeout.0);
    builder.http2().timer(TokioTimer::new());
    let builder = Arc::new(builder);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(app.config.max_connections.max(1)));
    loop {
        let accepted = tokio::select! {
            () = app.stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let (service, app) = (service.clone(), Arc::clone(&app));
        let (builder, watcher) = (Arc::clone(&builder), graceful.watcher());
        tokio::spawn(async move {
            app.metrics.connections.inc();
            let gauge = app.metrics.connections.clone();
            let scoped = hyper::service::service_fn(move |request| {
                let (service, app) = (service.clone(), Arc::clone(&app));
                async move { Ok::<_, Infallible>(respond(&service, &app, request, peer).await) }
            });
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), scoped);
            // A client that resets its connection is no event.
            if let Err(error) = watcher.watch(connection.into_owned()).await {
                tracing::debug!(%peer, %error, "connection ended");
            }
            gauge.dec();
            drop(place);
        });
    }
    drop(listener);
    app.sockets.close();
    let finished = async { tokio::join!(graceful.shutdown(), app.sockets.wait()) };
    if timeout(app.config.stop_timeout.0, finished).await.is_err() {
        tracing::warn!("some connections did not finish in time and are dropped");
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Without this a small message waits for the acknowledgement of the one before: 40 ms.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "set TCP_NODELAY");
            }
            Some((stream, peer, place))
        }
        Err(error) => {
            // Out of file descriptors, most likely: wait for some to come back instead of spinning.
            tracing::warn!(%error, "accept a connection");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            None
        }
    }
}

async fn respond<S>(service: &S, app: &App, mut request: Request<Incoming>, peer: SocketAddr) -> Response
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // hyper leaves the body of an answer to HEAD out by itself.
    if method == Method::HEAD {
        *request.method_mut() = Method::GET;
    }
    let (route, access) = app.templates.find(request.method(), &path);
    let origin = gate::origin(app, &request, peer, &id);
    app.metrics.requests_in_flight.inc();
    let answer = async {
        match gate::pass(app, &request, access, origin).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                match service.call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            Err(error) => error.into_response(),
        }
    };
    let answered = timeout(app.config.request_timeout.0, answer).await;
    let mut response = answered.unwrap_or_else(|_| Error::Timeout(app.config.request_timeout).into_response());
    app.metrics.requests_in_flight.dec();
    let (status, elapsed) = (response.status(), started.elapsed());
    app.metrics.requests.with_label_values(&[route, method.as_str(), status.as_str()]).inc();
    app.metrics.request_seconds.with_label_values(&[route]).observe(elapsed.as_secs_f64());
    tracing::debug!(%id, %method, path, status = status.as_u16(), micros = elapsed.as_micros() as u64, "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    guard(response.headers_mut(), access != Access::Public || path.starts_with("/api/auth/"));
    response
}

/// What browsers are told of every answer: it is of the type that it says, and where one came from is nobody's business;
/// what belongs to an account is kept nowhere on the way.
fn guard(headers: &mut HeaderMap, is_somebodys: bool) {
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    if is_somebodys {
        headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
    }
}

/// The client's own request id if it is a sensible one, else a new one.
fn request_id(request: &Request<Incoming>) -> String {
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let sensible = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    given.filter(sensible).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}
