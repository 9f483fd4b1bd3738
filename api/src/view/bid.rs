//! Bids as clients see them. Steps stand as they were given: price in currency per MWh, power in MW.

use model::bid::Step;
use model::money::{price, volume_mwh};
use model::time::{T, rfc3339};
use model::wire::{WireBid, WireKind, WireStep};
use model::{BidEvent, SeriesKey};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Labels, Series};

/// One version of a bid.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct BidView {
    /// Id, unique in the market.
    pub(crate) bid: String,
    /// Higher replaces lower.
    pub(crate) revision: i64,
    /// `submitted`, `amended`, `withdrawn`, `accepted`, `rejected` or `expired`.
    #[schema(example = "submitted")]
    pub(crate) status: String,
    /// Whose bid.
    pub(crate) organisation: String,
    /// The unit behind it.
    pub(crate) asset: Option<String>,
    #[serde(flatten)]
    pub(crate) series: Series,
    /// Start of its first delivery interval.
    pub(crate) delivery: String,
    /// Length of each delivery interval, ms.
    pub(crate) duration_ms: i64,
    /// `buy` or `sell`.
    #[schema(example = "sell")]
    pub(crate) side: String,
    /// What is asked of its acceptance: `"curve"`, `{"block":{…}}`, `{"minimum_income":{…}}` or `{"capacity":{…}}`.
    #[schema(value_type = Object)]
    pub(crate) kind: WireKind,
    /// By interval, then price.
    pub(crate) steps: Vec<StepView>,
    /// When it happened.
    pub(crate) timestamp: String,
    /// T at which the state took it in; null for one that was published just now.
    pub(crate) t: Option<T>,
}

/// One step of a bid.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct StepView {
    /// Start of its delivery interval.
    pub(crate) delivery: String,
    /// Price of its first kW, currency per MWh.
    pub(crate) price: f64,
    /// Price of its last kW: another one in a linear curve.
    pub(crate) end_price: f64,
    /// MW.
    pub(crate) power: f64,
    /// Smallest MW that may be accepted of it.
    pub(crate) min_power: f64,
}

impl BidView {
    pub(crate) fn new(labels: &Labels, t: Option<T>, bid: &BidEvent) -> Self {
        Self {
            bid: bid.bid.clone(),
            revision: bid.revision,
            status: bid.status.as_str().to_owned(),
            organisation: bid.organisation.clone(),
            asset: bid.asset.clone(),
            series: labels.series(bid.series),
            delivery: rfc3339(bid.delivery_ms),
            duration_ms: i64::from(bid.duration_ms),
            side: bid.side.as_str().to_owned(),
            kind: WireKind::of(&bid.kind, |to| labels.name(to).zone.to_string()),
            steps: bid.steps.iter().map(StepView::new).collect(),
            timestamp: rfc3339(bid.event_ms),
            t,
        }
    }
}

impl StepView {
    pub(crate) fn new(step: &Step) -> Self {
        Self {
            delivery: rfc3339(step.start_ms),
            price: price(step.price_micros),
            end_price: price(step.end_price_micros),
            power: volume_mwh(step.power_kw),
            min_power: volume_mwh(step.min_power_kw),
        }
    }
}

/// A bid as it goes to Kafka.
pub(crate) fn wire(labels: &Labels, bid: &BidEvent) -> WireBid {
    let SeriesKey { location, market } = bid.series;
    let name = labels.name(location);
    WireBid {
        v: 1,
        bid: bid.bid.clone(),
        revision: bid.revision,
        status: bid.status,
        organisation: bid.organisation.clone(),
        asset: bid.asset.clone(),
        market_zone: name.zone.to_string(),
        location: (name.location != name.zone).then(|| name.location.to_string()),
        market,
        delivery: model::wire::json::Timestamp::Millis(bid.delivery_ms),
        duration_ms: Some(bid.duration_ms),
        side: bid.side,
        kind: WireKind::of(&bid.kind, |to| labels.name(to).zone.to_string()),
        steps: bid.steps.iter().map(|step| WireStep::of(step, bid.delivery_ms)).collect(),
        timestamp: model::wire::json::Timestamp::Millis(bid.event_ms),
        published: None,
    }
}
