//! The WebSocket's routes: upgrade, health, stats, broadcasts; the same under `/api/ws/ws`, `/api/ws` and `/ws`.

use std::collections::BTreeMap;

use model::time::T;
use serde::Serialize;
use utoipa::ToSchema;
use warp::http::StatusCode;
use warp::ws::Ws;
use warp::{Filter, Reply};

use super::{Answer, Routes, Shared, answer, broadcast, json, read_body, with};
use crate::error::{Error, ErrorBody};
use crate::live::event::Channel;
use crate::live::moment::Format;
use crate::live::protocol::now;
use crate::live::session::{self, Opening};
use crate::live::subscription::{Subscription, all_zones, channels_by_name, zones_by_name};
use crate::params::{Params, decode, raw_query};
use crate::routes::NOT_CURRENT;

/// The upgrade, `health`, `stats` and `broadcast/…` under every prefix.
pub(crate) fn routes(app: &Shared) -> Routes {
    let prefix = warp::path!("api" / "ws" / "ws" / ..).or(warp::path!("api" / "ws" / ..)).unify();
    let prefix = prefix.or(warp::path!("ws" / ..)).unify().boxed();
    let upgrade = socket().and(raw_query()).and(with(app));
    let market = prefix
        .clone()
        .and(warp::path!("market" / String))
        .and(upgrade.clone())
        .then(|zone: String, ws, query: String, app| answer(async move { market_socket(&zone, ws, &query, app) }));
    let prices = prefix
        .clone()
        .and(warp::path!("prices"))
        .and(upgrade)
        .then(|ws, query: String, app| answer(async move { prices_socket(ws, &query, app) }));
    let get = warp::get().and(raw_query()).and(with(app));
    let health = prefix.clone().and(warp::path!("health")).and(get.clone());
    let health = health.then(|query: String, app| answer(async move { health_of_sockets(&query, &app) }));
    let stats = prefix.clone().and(warp::path!("stats")).and(get);
    let stats = stats.then(|query: String, app| answer(async move { stats_of_sockets(&query, &app) }));
    let post = warp::post().and(raw_query()).and(warp::body::stream()).and(with(app));
    let price = prefix.clone().and(warp::path!("broadcast" / "price")).and(post.clone()).then(
        |query: String, body, app: Shared| {
            answer(async move {
                let body = read_body(body, app.config.body_limit_bytes).await?;
                broadcast::price(&query, &body, &app).await
            })
        },
    );
    let alert = prefix.and(warp::path!("broadcast" / "alert")).and(post).then(|query: String, body, app: Shared| {
        answer(async move {
            let body = read_body(body, app.config.body_limit_bytes).await?;
            broadcast::alert(&query, &body, &app).await
        })
    });
    market.or(prices).unify().or(health).unify().or(stats).unify().or(price).unify().or(alert).unify().boxed()
}

/// The upgrade, or `None` for a plain GET, which is answered with an error that says so.
fn socket() -> warp::filters::BoxedFilter<(Option<Ws>,)> {
    warp::ws().map(Some).or(warp::get().map(|| None)).unify().boxed()
}

/// Parameters of both sockets; `zones` only of the second.
pub(crate) const ALLOWED: [&str; 5] = ["zones", "channels", "format", "since", "token"];

/// Follows one zone. First `connection_established`, then a `snapshot` at T (or, with `since`, what was missed),
/// then every closed moment after it, ended by `{"type":"closed","t":T}`.
#[utoipa::path(get, path = "/api/ws/ws/market/{zone}", tag = "websocket",
    params(("zone" = String, Path, description = "Zone by any name; messages spell it this way", example = "pjm"),
        ("channels" = Option<String>, Query, description = "prices, volumes, kpis, alerts, correlations, bids, book, clearing, comma-separated; all but book and clearing without"),
        ("format" = Option<String>, Query, description = "classic (one message an event) or batch (one message a moment); classic without"),
        ("since" = Option<u64>, Query, description = "Resume after this T; when it is too old a resync message and a snapshot follow"),
        ("token" = Option<String>, Query, description = "Access token or API key, where no header can be set: shows your own bids and alerts, too")),
    responses((status = 101, description = "Switches to the WebSocket protocol"),
        (status = 400, description = "Not a WebSocket request, or a bad parameter", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 503, description = "All sockets are taken", body = ErrorBody)))]
pub(crate) fn market_socket(zone: &str, ws: Option<Ws>, query: &str, app: Shared) -> Answer {
    let params = Params::parse(query, &ALLOWED[1..])?;
    let zone = decode(zone)?;
    let zones = zones_by_name(&app.deps.zones, &app.hub.spellings, std::slice::from_ref(&zone))?;
    open(zone.trim().to_lowercase(), zones, &params, ws, app)
}

/// Follows several zones, in the same way.
#[utoipa::path(get, path = "/api/ws/ws/prices", tag = "websocket",
    params(("zones" = Option<String>, Query, description = "Zones by any name, comma-separated; all without", example = "PJM,MUMBAI"),
        ("channels" = Option<String>, Query, description = "prices, volumes, kpis, alerts, correlations, bids, book, clearing, comma-separated; all but book and clearing without"),
        ("format" = Option<String>, Query, description = "classic (one message an event) or batch (one message a moment); classic without"),
        ("since" = Option<u64>, Query, description = "Resume after this T; when it is too old a resync message and a snapshot follow"),
        ("token" = Option<String>, Query, description = "Access token or API key, where no header can be set: shows your own bids and alerts, too")),
    responses((status = 101, description = "Switches to the WebSocket protocol"),
        (status = 400, description = "Not a WebSocket request, or a bad parameter", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 503, description = "All sockets are taken", body = ErrorBody)))]
pub(crate) fn prices_socket(ws: Option<Ws>, query: &str, app: Shared) -> Answer {
    let params = Params::parse(query, &ALLOWED)?;
    let names = params.list("zones");
    let zones = match names.is_empty() {
        true => all_zones(&app.deps.zones),
        false => zones_by_name(&app.deps.zones, &app.hub.spellings, &names)?,
    };
    let label = if names.is_empty() { "all".to_owned() } else { names.join(",").to_lowercase() };
    open(label, zones, &params, ws, app)
}

fn open(label: String, zones: Vec<(u16, u8)>, params: &Params, ws: Option<Ws>, app: Shared) -> Answer {
    let channels = channels_by_name(&params.list("channels"))?;
    let channels = if channels.is_empty() { Channel::DEFAULT.to_vec() } else { channels };
    let format = params.one_of("format", &["classic", "batch"], |text| match text {
        "classic" => Some(Format::Classic),
        "batch" => Some(Format::Batch),
        _ => None,
    })?;
    let since = params.number("since", 0..=T::MAX)?;
    let ws = ws.ok_or_else(|| Error::BadBody("this is a WebSocket: connect with ws:// or wss://".to_owned()))?;
    if !(app.deps.is_current)() {
        // A client that resumes would be told that its T is of the future.
        return Err(Error::NotReady(NOT_CURRENT.to_owned()));
    }
    let full = || Error::Unavailable(format!("all {} sockets are taken", app.config.websocket.max_sockets));
    let seat = app.hub.admit().ok_or_else(full)?;
    let mut subscription = Subscription::of(app.reader().clone());
    subscription.add(0, &zones, &channels);
    let opening = Opening {
        market_zone: label,
        storage_backend: app.storage_backend(),
        subscription,
        format: format.unwrap_or(Format::Classic),
        since,
    };
    let limit = app.config.websocket.max_message_bytes;
    let token = app.sockets.token();
    let reply = ws.max_message_size(limit).max_frame_size(limit).on_upgrade(move |socket| async move {
        session::run(app.hub.clone(), seat, socket, opening, app.stop.clone()).await;
        drop(token);
    });
    Ok(reply.into_response())
}

/// How the sockets are doing.
#[derive(Serialize, ToSchema)]
pub(crate) struct SocketHealth {
    /// `healthy`, or `full` when no further socket is taken.
    status: &'static str,
    /// Sockets open now.
    active_connections: usize,
    /// Most sockets at one time.
    max_connections: usize,
    /// What really backs the live state: `redis` or `memory`.
    storage_backend: &'static str,
    /// The moment the state is at, UTC ms.
    t: T,
    timestamp: String,
}

/// How the sockets are doing.
#[utoipa::path(get, path = "/api/ws/health", tag = "websocket", responses(
    (status = 200, description = "Works", body = SocketHealth),
    (status = 400, description = "Unknown parameter", body = ErrorBody),
    (status = 503, description = "All sockets are taken", body = SocketHealth)))]
pub(crate) fn health_of_sockets(query: &str, app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let (open, _) = app.hub.sockets();
    let full = open >= app.config.websocket.max_sockets;
    let body = SocketHealth {
        status: if full { "full" } else { "healthy" },
        active_connections: open,
        max_connections: app.config.websocket.max_sockets,
        storage_backend: app.storage_backend(),
        t: app.hub.t(),
        timestamp: now(),
    };
    let status = if full { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Ok(warp::reply::with_status(warp::reply::json(&body), status).into_response())
}

/// What the sockets have done.
#[derive(Serialize, ToSchema)]
pub(crate) struct SocketStats {
    /// Sockets open now.
    active_connections: usize,
    /// Sockets opened since the start.
    total_connections: u64,
    /// Messages sent since the start.
    messages_sent: u64,
    /// Bytes of messages sent since the start.
    bytes_sent: u64,
    /// Moments folded into later ones for slow clients.
    conflated_moments: u64,
    /// Times a client had to start again from a snapshot.
    resyncs: u64,
    /// Sockets the server closed, by reason.
    disconnects: BTreeMap<&'static str, u64>,
    /// Moments a client can resume over.
    resumable_moments: usize,
    /// `since` works from this T on.
    resumable_since: T,
    /// The moment the state is at, UTC ms.
    t: T,
    timestamp: String,
}

/// What the sockets have done since the start.
#[utoipa::path(get, path = "/api/ws/stats", tag = "websocket", responses(
    (status = 200, description = "Counts", body = SocketStats),
    (status = 400, description = "Unknown parameter", body = ErrorBody)))]
pub(crate) fn stats_of_sockets(query: &str, app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let metrics = &app.metrics;
    let (open, opened) = app.hub.sockets();
    let (resumable_since, resumable_moments) = app.hub.resumable();
    let closed = |reason| (reason, metrics.websocket_disconnects.with_label_values(&[reason]).get());
    json(&SocketStats {
        active_connections: open,
        total_connections: opened,
        messages_sent: metrics.websocket_frames.get(),
        bytes_sent: metrics.websocket_bytes.get(),
        conflated_moments: metrics.websocket_conflated.get(),
        resyncs: metrics.websocket_resyncs.get(),
        disconnects: ["slow", "idle", "stopping"].map(closed).into(),
        resumable_moments,
        resumable_since,
        t: app.hub.t(),
        timestamp: now(),
    })
}
