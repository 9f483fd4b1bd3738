//! `/simulate/…`: an administrator pretends that something happened. The records are real from here on: they go
//! to Kafka, so everything downstream sees them.

use serde::Deserialize;
use utoipa::ToSchema;
use warp::Filter;

use super::broadcast::{self, Published, notice, published};
use super::{Answer, Routes, Shared, answer, from_json, read_body, with};
use crate::error::{Error, ErrorBody};
use crate::params::{Params, raw_query};
use crate::series;

/// `/simulate/…`.
pub(crate) fn routes(app: &Shared) -> Routes {
    let post = warp::post().and(raw_query()).and(warp::body::stream()).and(with(app));
    let price = warp::path!("simulate" / "price-update").and(post.clone()).then(|query: String, body, app: Shared| {
        answer(async move {
            let body = read_body(body, app.config.body_limit_bytes).await?;
            price_update(&query, &body, &app).await
        })
    });
    let events = warp::path!("simulate" / "market-events").and(post).then(|query: String, body, app: Shared| {
        answer(async move {
            let body = read_body(body, app.config.body_limit_bytes).await?;
            market_events(&query, &body, &app).await
        })
    });
    price.or(events).unify().boxed()
}

/// A price that is to have happened.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceUpdate {
    /// Zone by any name; PJM without.
    #[schema(example = "pjm")]
    #[serde(default)]
    market_zone: Option<String>,
    /// Currency per MWh; without one, the zone's latest price moved by up to ±2 %.
    #[schema(example = 52.5)]
    #[serde(default)]
    price: Option<f64>,
    /// MWh; 0 without.
    #[serde(default)]
    volume: Option<f64>,
}

/// Something that is to have happened in the market.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarketEvent {
    /// Zone by any name, or `*` for everybody, which is what absence means.
    #[serde(default)]
    market_zone: Option<String>,
    /// E.g. `outage`, `congestion`, `weather`, `demand_surge`; `market_event` without.
    #[schema(example = "outage")]
    #[serde(default)]
    event_type: Option<String>,
    /// For people; made from type and zone without.
    #[serde(default)]
    message: Option<String>,
    /// `info`, `warning` or `critical`; info without.
    #[serde(default)]
    severity: Option<String>,
}

/// Several events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Several {
    /// At most 100, published in order.
    events: Vec<MarketEvent>,
}

/// One event, or several.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "documents the body; reading it goes by whether it has `events`, for the better error")]
#[serde(untagged)]
pub(crate) enum MarketEvents {
    /// Several.
    Many(Several),
    /// One.
    One(MarketEvent),
}

fn read_events(body: &[u8]) -> Result<Vec<MarketEvent>, Error> {
    let value: serde_json::Value = from_json(body)?;
    if value.get("events").is_none() {
        return Ok(vec![from_json(body)?]);
    }
    let Several { events } = from_json(body)?;
    if (1..=100).contains(&events.len()) {
        return Ok(events);
    }
    Err(Error::BadBody(format!("{} events given, 1 to 100 are taken at a time", events.len())))
}

/// Pretends a price.
#[utoipa::path(post, path = "/simulate/price-update", tag = "simulate", request_body = PriceUpdate,
    security(("admin_key" = []), ("bearer" = [])),
    params(("market_zone" = Option<String>, Query, description = "As in the body"),
        ("price" = Option<f64>, Query, description = "As in the body"),
        ("volume" = Option<f64>, Query, description = "As in the body")),
    responses((status = 200, description = "The broker has it", body = Published),
        (status = 400, description = "Not the body expected, or no price and none to start from", body = ErrorBody),
        (status = 401, description = "Not the administrator", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 503, description = "The broker does not take it", body = ErrorBody)))]
pub(crate) async fn price_update(query: &str, body: &[u8], app: &Shared) -> Answer {
    let params = Params::parse(query, &["market_zone", "price", "volume"])?;
    let body: PriceUpdate = from_json(body)?;
    let asked = params.text("market_zone")?.map(str::to_owned).or(body.market_zone).unwrap_or_else(|| "PJM".to_owned());
    let any = -1e9..=1e9;
    let price = match params.number("price", any)?.or(body.price) {
        Some(price) => price,
        None => near_the_latest(app, &asked)?,
    };
    let volume = params.number("volume", 0.0..=1e9)?.or(body.volume).unwrap_or(0.0);
    let now = chrono::Utc::now().timestamp_millis();
    let id = broadcast::tick(app, &asked, price, volume, now, "simulate").await?;
    published(&format!("price {price} for {asked} published"), asked, vec![id])
}

fn near_the_latest(app: &Shared, zone: &str) -> Result<f64, Error> {
    let snapshot = app.snapshot();
    let series = series::headline(&snapshot, app.zone(zone)?);
    let latest = series.and_then(|series| snapshot.latest.get(&series));
    let (_, row) = latest.ok_or_else(|| Error::BadBody(format!("{zone} has no price yet to start from: give one")))?;
    // A random step of up to ±2 %, at least a cent, so that something visibly happens.
    let step = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX) * 2.0 - 1.0;
    let last = model::money::price(row.bar.close);
    Ok(((last + step * (last.abs() * 0.02).max(0.01)) * 100.0).round() / 100.0)
}

/// Pretends market events: notices that every socket of the zone receives.
#[utoipa::path(post, path = "/simulate/market-events", tag = "simulate", request_body = MarketEvents,
    security(("admin_key" = []), ("bearer" = [])),
    responses((status = 200, description = "The broker has them", body = Published),
        (status = 400, description = "Not the body expected", body = ErrorBody),
        (status = 401, description = "Not the administrator", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 503, description = "The broker does not take it", body = ErrorBody)))]
pub(crate) async fn market_events(query: &str, body: &[u8], app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let events = read_events(body)?;
    // All or nothing as far as can be told beforehand: a wrong zone in the last must not leave the first published.
    for event in &events {
        if let Some(zone) = event.market_zone.as_deref().filter(|zone| *zone != "*") {
            app.zone(zone)?;
        }
    }
    let (mut ids, mut zones) = (Vec::new(), Vec::new());
    for event in events {
        let zone = event.market_zone.unwrap_or_else(|| "*".to_owned());
        let kind = event.event_type.unwrap_or_else(|| "market_event".to_owned());
        let place = if zone == "*" { "all markets" } else { &zone };
        let message = event.message.unwrap_or_else(|| format!("Simulated {} in {place}", kind.replace('_', " ")));
        ids.push(notice(app, &zone, "market_event", kind, message, event.severity).await?);
        zones.push(zone);
    }
    zones.dedup();
    published(&format!("{} market events published", ids.len()), zones.join(","), ids)
}
