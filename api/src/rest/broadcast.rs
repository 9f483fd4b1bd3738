//! What an administrator sends to everybody: a price or an alert. Both go to Kafka, so that the dataflow, the
//! stores and every other consumer see them too; the answer comes when the broker has them.

use model::Severity;
use model::money::{price_micros, volume_kwh};
use model::wire::json::Timestamp;
use model::wire::{TopicKind, WireNotice, WireTick};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, Shared, from_json, json};
use crate::error::{Error, ErrorBody};
use crate::params::Params;

/// A price for a zone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceBody {
    /// Zone by any name.
    #[schema(example = "pjm")]
    market_zone: String,
    /// Currency per MWh.
    #[schema(example = 52.50)]
    price: f64,
    /// MWh.
    #[schema(example = 1000)]
    #[serde(default)]
    volume: Option<f64>,
    /// RFC 3339; now without.
    #[serde(default)]
    timestamp: Option<String>,
}

/// An alert for a zone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertBody {
    /// Zone by any name, or `*` for everybody.
    #[schema(example = "pjm")]
    market_zone: String,
    /// The sender's own type.
    #[schema(example = "price_spike")]
    alert_type: String,
    /// For people.
    #[schema(example = "High price detected")]
    message: String,
    /// `info`, `warning` or `critical`; info without.
    #[schema(example = "warning")]
    #[serde(default)]
    severity: Option<String>,
}

/// What was published.
#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    /// Always `success`: failures are errors.
    status: &'static str,
    message: String,
    /// The zone as the request wrote it.
    market_zone: String,
    /// Ids of the records, in order.
    ids: Vec<String>,
    timestamp: String,
}

/// Publishes a price.
#[utoipa::path(post, path = "/api/ws/broadcast/price", tag = "websocket", request_body = PriceBody,
    security(("admin_key" = []), ("bearer" = [])),
    responses((status = 200, description = "The broker has it", body = Published),
        (status = 400, description = "Not the body expected, or a price that cannot be", body = ErrorBody),
        (status = 401, description = "Not the administrator", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 503, description = "The broker does not take it", body = ErrorBody)))]
pub(crate) async fn price(query: &str, body: &[u8], app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let body: PriceBody = from_json(body)?;
    let event_ms = match &body.timestamp {
        None => chrono::Utc::now().timestamp_millis(),
        Some(text) => model::time::parse_instant(text)
            .ok_or_else(|| Error::BadBody(format!("timestamp {text:?} is not RFC 3339")))?,
    };
    let id = tick(app, &body.market_zone, body.price, body.volume.unwrap_or(0.0), event_ms, "broadcast").await?;
    published(&format!("price for {} published", body.market_zone), body.market_zone, vec![id])
}

/// Publishes an alert.
#[utoipa::path(post, path = "/api/ws/broadcast/alert", tag = "websocket", request_body = AlertBody,
    security(("admin_key" = []), ("bearer" = [])),
    responses((status = 200, description = "The broker has it", body = Published),
        (status = 400, description = "Not the body expected", body = ErrorBody),
        (status = 401, description = "Not the administrator", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 503, description = "The broker does not take it", body = ErrorBody)))]
pub(crate) async fn alert(query: &str, body: &[u8], app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let body: AlertBody = from_json(body)?;
    let id = notice(app, &body.market_zone, "market_alert", body.alert_type, body.message, body.severity).await?;
    published(&format!("alert for {} published", body.market_zone), body.market_zone, vec![id])
}

/// The answer to a publication.
pub(crate) fn published(message: &str, market_zone: String, ids: Vec<String>) -> Answer {
    let timestamp = crate::live::protocol::now();
    json(&Published { status: "success", message: message.to_owned(), market_zone, ids, timestamp })
}

/// Publishes a tick of a zone's own index and returns its id.
pub(crate) async fn tick(
    app: &Shared,
    zone: &str,
    price: f64,
    volume: f64,
    event_ms: i64,
    source: &str,
) -> Result<String, Error> {
    let zone = app.zone(zone)?;
    if price_micros(price).is_none() {
        return Err(Error::BadBody(format!("price {price} is not a number within ±10⁹")));
    }
    if volume_kwh(volume).is_none() {
        return Err(Error::BadBody(format!("volume {volume} is not a number from 0 to 10⁹")));
    }
    let id = uuid::Uuid::new_v4().to_string();
    let mut tick = WireTick::minimal(&zone.code, event_ms, price, volume);
    tick.id = Some(id.clone());
    tick.source = Some(source.to_owned());
    publish(app, TopicKind::Ticks, Some(&zone.code), &zone.code, tick.to_json()).await?;
    Ok(id)
}

/// Publishes a notice and returns its id.
pub(crate) async fn notice(
    app: &Shared,
    zone: &str,
    class: &str,
    alert_type: String,
    message: String,
    severity: Option<String>,
) -> Result<String, Error> {
    let zone = if zone == "*" { "*".to_owned() } else { app.zone(zone)?.code.clone() };
    let severity = severity.unwrap_or_else(|| "info".to_owned());
    let level = Severity::parse(&severity).ok_or_else(|| {
        Error::BadBody(format!(
            "severity {severity:?} is not one of info, warning, critical (low, medium, high, error)"
        ))
    })?;
    if alert_type.trim().is_empty() || message.trim().is_empty() {
        return Err(Error::BadBody("type and message must not be empty".to_owned()));
    }
    let id = uuid::Uuid::new_v4().to_string();
    let notice = WireNotice {
        v: 1,
        id: Some(id.clone()),
        market_zone: zone.clone(),
        class: Some(class.to_owned()),
        alert_type,
        message,
        severity: Some(level.as_str().to_owned()),
        timestamp: Some(Timestamp::Millis(chrono::Utc::now().timestamp_millis())),
    };
    let bytes = serde_json::to_vec(&notice).map_err(|error| Error::Internal(format!("encode notice: {error}")))?;
    publish(app, TopicKind::Notices, None, &zone, bytes).await?;
    Ok(id)
}

/// Publishes a message and counts how that went.
pub(crate) async fn publish(
    app: &Shared,
    kind: TopicKind,
    zone: Option<&str>,
    key: &str,
    bytes: Vec<u8>,
) -> Result<(), Error> {
    let label = match kind {
        TopicKind::Ticks => "ticks",
        TopicKind::Bids => "bids",
        TopicKind::Meters => "meters",
        TopicKind::Rules => "rules",
        TopicKind::Notices => "notices",
    };
    let outcome = app.deps.publisher.publish(kind, zone, key, bytes).await;
    let result = if outcome.is_ok() { "ok" } else { "failed" };
    app.metrics.published.with_label_values(&[label, result]).inc();
    outcome.map_err(|error| Error::Unavailable(format!("the broker did not take the message: {error}")))
}
