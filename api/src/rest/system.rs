//! How the program is doing: `/livez`, `/readyz`, `/health`, `/metrics`.

use std::collections::BTreeMap;

use model::health::{ServiceHealth, ServiceState};
use serde::Serialize;
use utoipa::ToSchema;
use warp::http::{HeaderValue, StatusCode, header};
use warp::{Filter, Reply};

use super::{Answer, Routes, Shared, answer, json, with};
use crate::error::{Error, ErrorBody};
use crate::live::protocol::now;
use crate::params::{Params, raw_query};

/// `/livez`, `/readyz`, `/health`, `/metrics`.
pub(crate) fn routes(app: &Shared) -> Routes {
    let get = |name: &'static str| warp::path(name).and(warp::path::end()).and(warp::get()).and(raw_query());
    let livez = get("livez").then(|query: String| answer(async move { livez(&query) }));
    let readyz = get("readyz").and(with(app)).then(|query: String, app| answer(async move { readyz(&query, &app) }));
    let health = get("health").and(with(app)).then(|query: String, app| answer(async move { health(&query, &app) }));
    let metrics = get("metrics").and(with(app)).then(|query: String, app| answer(async move { metrics(&query, &app) }));
    livez.or(readyz).unify().or(health).unify().or(metrics).unify().boxed()
}

/// A service with its state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Service {
    #[schema(example = "kafka")]
    name: String,
    /// `up`, `degraded`, `down` or `disabled`.
    state: &'static str,
    /// For a person: what is wrong, how far behind, where it is.
    detail: String,
    /// Whether `/readyz` fails while it is down.
    required: bool,
}

impl From<ServiceHealth> for Service {
    fn from(health: ServiceHealth) -> Self {
        let state = match health.state {
            ServiceState::Up => "up",
            ServiceState::Degraded => "degraded",
            ServiceState::Down => "down",
            ServiceState::Disabled => "disabled",
        };
        Self { name: health.name, state, detail: health.detail, required: health.required }
    }
}

/// The process runs.
#[utoipa::path(get, path = "/livez", tag = "system", responses(
    (status = 200, description = "The process runs", body = String, content_type = "text/plain"),
    (status = 400, description = "Unknown parameter", body = ErrorBody)))]
pub(crate) fn livez(query: &str) -> Answer {
    Params::parse(query, &[])?;
    Ok("ok\n".into_response())
}

/// Whether requests should be sent here.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    ready: bool,
    /// The moment the state is at, UTC ms; 0 before the first.
    t: u64,
    /// Required services that are down.
    down: Vec<Service>,
}

/// Ready to serve: every required service works.
#[utoipa::path(get, path = "/readyz", tag = "system", responses(
    (status = 200, description = "Ready", body = Ready),
    (status = 400, description = "Unknown parameter", body = ErrorBody),
    (status = 503, description = "A required service is down: it says which", body = Ready)))]
pub(crate) fn readyz(query: &str, app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let down: Vec<Service> = app
        .services()
        .into_iter()
        .filter(|service| service.required && service.state == ServiceState::Down)
        .map(Service::from)
        .collect();
    let ready = down.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Ready { ready, t: app.hub.t(), down };
    Ok(warp::reply::with_status(warp::reply::json(&body), status).into_response())
}

/// Every service with its state, and what became of the records.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`, `degraded` (something optional is down, or something is behind) or `unhealthy`.
    status: &'static str,
    timestamp: String,
    version: &'static str,
    /// The moment the state is at, UTC ms; 0 before the first.
    t: u64,
    services: Vec<Service>,
    summary: Summary,
    records: Records,
    /// Refused records since the start, by reason.
    dead_letters: BTreeMap<&'static str, u64>,
}

/// How many services work.
#[derive(Serialize, ToSchema)]
pub(crate) struct Summary {
    /// Up or degraded.
    available_services: usize,
    /// Switched on.
    total_services: usize,
    availability_percentage: f64,
}

/// What became of the records: `received = applied + corrected + superseded + duplicates + dead_letters`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Records {
    received: u64,
    applied: u64,
    corrected: u64,
    superseded: u64,
    duplicates: u64,
    dead_letters: u64,
    /// Records the broker dropped before they could be read.
    lost: u64,
}

/// Every service with its state. Always 200: read `status`; `/readyz` is for load balancers.
#[utoipa::path(get, path = "/health", tag = "system", responses(
    (status = 200, description = "States", body = Health),
    (status = 400, description = "Unknown parameter", body = ErrorBody)))]
pub(crate) fn health(query: &str, app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let services = app.services();
    let available = |service: &ServiceHealth| matches!(service.state, ServiceState::Up | ServiceState::Degraded);
    let enabled: Vec<&ServiceHealth> = services.iter().filter(|s| s.state != ServiceState::Disabled).collect();
    let working = enabled.iter().filter(|service| available(service)).count();
    let broken = enabled.iter().any(|service| service.required && service.state == ServiceState::Down);
    let all_up = enabled.iter().all(|service| service.state == ServiceState::Up);
    let percentage = if enabled.is_empty() { 100.0 } else { working as f64 * 100.0 / enabled.len() as f64 };
    let summary = Summary {
        available_services: working,
        total_services: enabled.len(),
        availability_percentage: (percentage * 100.0).round() / 100.0,
    };
    let snapshot = app.snapshot();
    let counts = snapshot.counts;
    json(&Health {
        status: if broken {
            "unhealthy"
        } else if all_up {
            "healthy"
        } else {
            "degraded"
        },
        timestamp: now(),
        version: env!("CARGO_PKG_VERSION"),
        t: snapshot.t,
        summary,
        records: Records {
            received: counts.received,
            applied: counts.applied,
            corrected: counts.corrected,
            superseded: counts.superseded,
            duplicates: counts.duplicates,
            dead_letters: counts.dead_letters,
            lost: lost(app),
        },
        dead_letters: app.hub.dead_letters().map(|(reason, count)| (reason.as_str(), count)).collect(),
        services: services.into_iter().map(Service::from).collect(),
    })
}

/// Records lost, as the source counts them in its metric.
const LOST: &str = "optibid_pipeline_lost_records_total";

fn lost(app: &Shared) -> u64 {
    let families = app.deps.registry.gather();
    let counted = families.iter().filter(|family| family.name() == LOST).flat_map(|family| family.get_metric());
    counted.map(|metric| metric.get_counter().get_value() as u64).sum()
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "system", responses(
    (status = 200, description = "Metrics", body = String, content_type = "text/plain"),
    (status = 400, description = "Unknown parameter", body = ErrorBody)))]
pub(crate) fn metrics(query: &str, app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&app.deps.registry.gather())
        .map_err(|error| Error::Internal(format!("encode metrics: {error}")))?;
    let mut response = text.into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
