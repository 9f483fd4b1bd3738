//! Changes of bids. Each is judged, published whole, and answered when the broker has it.

use chrono::Utc;
use model::bid::{BidEvent, BidStatus};
use model::time::T;
use model::wire::json::Timestamp;
use model::wire::{TopicKind, WireKind, WireStep};
use model::{LiveBid, bid_rules};
use serde::{Deserialize, Serialize};
use serde_json::json as object;
use utoipa::ToSchema;
use warp::Reply;
use warp::http::StatusCode;

use super::super::{Answer, Shared, broadcast, from_json};
use super::{NewBid, judge};
use crate::error::{Error, ErrorBody};
use crate::params::{Params, decode};
use crate::view::Labels;
use crate::view::bid::{BidView, wire};

/// A bid that the broker has.
#[derive(Serialize, ToSchema)]
pub(crate) struct BidAnswer {
    /// The moment the state is at, UTC ms; it has the bid a little later.
    t: T,
    bid: BidView,
}

/// A change of a bid's steps or kind.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"revision": 0, "steps": [{"price": 34, "power": 12}]}))]
pub(crate) struct Amendment {
    /// The revision that is amended: the one that stands.
    revision: i64,
    /// What is asked of its acceptance; as it was without.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    kind: Option<WireKind>,
    /// All steps; as they were without.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    steps: Option<Vec<WireStep>>,
}

/// Enters a bid.
#[utoipa::path(post, path = "/api/bids", tag = "bids", request_body = NewBid,
    security(("admin_key" = []), ("bearer" = [])),
    responses((status = 201, description = "The broker has it", body = BidAnswer),
        (status = 400, description = "Not the body expected", body = ErrorBody),
        (status = 401, description = "Not the administrator", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 409, description = "There is a bid with that id", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 422, description = "Against a rule of the market: details have rule, value and bound", body = ErrorBody),
        (status = 503, description = "The broker does not take it", body = ErrorBody)))]
pub(crate) async fn create_bid(query: &str, body: &[u8], app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let body: NewBid = from_json(body)?;
    let new = body.into_wire(app.reader(), Utc::now().timestamp_millis(), || uuid::Uuid::new_v4().to_string())?;
    if let Some((_, known)) = app.snapshot().bids.get(&new.bid) {
        if !app.reader().sees(&known.organisation) {
            // Ids are the market's: that this one is taken can be told, by whom cannot.
            return Err(Error::Clash { code: "conflict", message: format!("there is a bid {}", new.bid) });
        }
        return Err(conflict(format!("there is a bid {}", known.bid), known));
    }
    let (bid, labels) = judge(app, &new)?;
    published(app, &labels, &bid, StatusCode::CREATED).await
}

/// Amends a bid: its steps or its kind. Whose it is, where and on which side stays.
#[utoipa::path(patch, path = "/api/bids/{id}", tag = "bids", request_body = Amendment,
    params(("id" = String, Path, description = "The bid", example = "b-1")),
    security(("admin_key" = []), ("bearer" = [])),
    responses((status = 200, description = "The broker has it", body = BidAnswer),
        (status = 400, description = "Not the body expected", body = ErrorBody),
        (status = 401, description = "Not the administrator", body = ErrorBody),
        (status = 404, description = "No such bid", body = ErrorBody),
        (status = 409, description = "Another revision stands, or it is live no more: details have what stands", body = ErrorBody),
        (status = 413, description = "Body too large", body = ErrorBody),
        (status = 422, description = "The gate is closed, or against another rule of the market", body = ErrorBody),
        (status = 503, description = "The broker does not take it", body = ErrorBody)))]
pub(crate) async fn amend_bid(id: &str, query: &str, body: &[u8], app: &Shared) -> Answer {
    Params::parse(query, &[])?;
    let id = decode(id)?;
    let Amendment { revision, kind, steps } = from_json(body)?;
    if kind.is_none() && steps.is_none() {
        return Err(Error::BadBody("an amendment has steps, a kind, or both".to_owned()));
    }
    let standing = standing(app, &id, revision)?;
    let mut amended = wire(&app.labels, &standing);
    (amended.revision, amended.status) = (revision.saturating_add(1), BidStatus::Amended);
    amended.timestamp = Timestamp::Millis(Utc::now().timestamp_millis());
    amended.kind = kind.unwrap_or(amended.kind);
    amended.steps = steps.unwrap_or(amended.steps);
    gate(app, &standing)?;
    let (bid, labels) = judge(app, &amended)?;
    published(app, &labels, &bid, StatusCode::OK).await
}

/// Withdraws a bid.
#[utoipa::path(delete, path = "/api/bids/{id}", tag = "bids",
    params(("id" = String, Path, description = "The bid", example = "b-1"),
        ("revision" = i64, Query, description = "The revision that is withdrawn: the one that stands", example = 0)),
    security(("admin_key" = []), ("bearer" = [])),
    responses((status = 200, description = "The broker has it", body = BidAnswer),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 401, description = "Not the administrator", body = ErrorBody),
        (status = 404, description = "No such bid", body = ErrorBody),
        (status = 409, description = "Another revision stands, or it is live no more: details have what stands", body = ErrorBody),
        (status = 422, description = "The gate is closed", body = ErrorBody),
        (status = 503, description = "The broker does not take it", body = ErrorBody)))]
pub(crate) async fn withdraw_bid(id: &str, query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["revision"])?;
    let id = decode(id)?;
    params.required("revision", "0")?;
    let revision = params.number("revision", 0..=i64::MAX)?.unwrap_or(0);
    let standing = standing(app, &id, revision)?;
    let mut withdrawn = wire(&app.labels, &standing);
    (withdrawn.revision, withdrawn.status) = (revision.saturating_add(1), BidStatus::Withdrawn);
    withdrawn.timestamp = Timestamp::Millis(Utc::now().timestamp_millis());
    let (bid, labels) = judge(app, &withdrawn)?;
    published(app, &labels, &bid, StatusCode::OK).await
}

/// The version of a bid that stands, if it is live and of this revision.
fn standing(app: &Shared, id: &str, revision: i64) -> Result<LiveBid, Error> {
    let snapshot = app.snapshot();
    let unknown = || Error::NotFound(format!("no bid {id}; a new one is here as soon as the state has it"));
    let found = snapshot.bids.get(id).filter(|(_, bid)| app.reader().sees(&bid.organisation));
    let (_, standing) = found.ok_or_else(unknown)?;
    if standing.revision != revision {
        let message = format!("revision {} of {id} stands, not {revision}", standing.revision);
        return Err(conflict(message, standing));
    }
    if !standing.is_live() {
        return Err(conflict(format!("{id} is {}", standing.status.as_str()), standing));
    }
    Ok(standing.clone())
}

fn conflict(message: String, standing: &LiveBid) -> Error {
    let details = object!({"bid": standing.bid, "revision": standing.revision, "status": standing.status.as_str()});
    Error::Conflict { message, details }
}

/// What leaves a day whose gate is closed would escape its gate: the standing bid's own must be open, too.
fn gate(app: &Shared, standing: &LiveBid) -> Result<(), Error> {
    let Some(zone) = app.deps.zones.of(standing.series.location) else { return Ok(()) };
    let event_ms = Utc::now().timestamp_millis();
    let leaving = BidEvent { status: BidStatus::Withdrawn, steps: Vec::new(), event_ms, ..BidEvent::clone(standing) };
    bid_rules::check(&leaving, zone, app.deps.zones.assets())
        .map_err(|broken| Error::BidRefused { bid: standing.bid.clone(), broken })
}

async fn published(app: &Shared, labels: &Labels, bid: &BidEvent, status: StatusCode) -> Answer {
    let bytes = serde_json::to_vec(&wire(labels, bid));
    let bytes = bytes.map_err(|error| Error::Internal(format!("encode bid: {error}")))?;
    broadcast::publish(app, TopicKind::Bids, None, &bid.bid, bytes).await?;
    let body = BidAnswer { t: app.snapshot().t, bid: BidView::new(labels, None, bid) };
    Ok(warp::reply::with_status(warp::reply::json(&body), status).into_response())
}
