//! Bids as clients send them, and the judgement of them: by the same code, and so by the same rules, as on the stream.

use std::sync::Arc;

use model::bid::{BidEvent, BidStatus, Side};
use model::wire::decode::Refusal;
use model::wire::json::Timestamp;
use model::wire::{Decoded, Decoder, Limits, Origin, WireBid, WireKind, WireStep};
use model::{BidRule, Broken, Market, Names, PartitionId, Reader, Reason};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::Shared;
use crate::error::Error;
use crate::series;
use crate::view::Labels;

/// A bid to enter. The server says when it came.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "organisation": "Acme", "market_zone": "ES", "market": "DAY_AHEAD_HOURLY", "delivery": "2030-06-20T22:00:00Z",
    "side": "sell", "steps": [{"price": 35.5, "power": 10}, {"price": 60, "power": 5}]
}))]
pub(crate) struct NewBid {
    /// Its id, unique in the market; a UUID without.
    #[serde(default)]
    pub(crate) bid: Option<String>,
    /// 0, if given.
    #[serde(default)]
    revision: Option<i64>,
    /// `submitted`, if given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    status: Option<BidStatus>,
    /// Whose bid: your own organisation's, which need not be said.
    #[serde(default)]
    organisation: Option<String>,
    /// The unit behind it.
    #[serde(default)]
    asset: Option<String>,
    /// Zone by any name.
    market_zone: String,
    /// Location inside the zone; the zone's own index without.
    #[serde(default)]
    location: Option<String>,
    /// Market.
    #[schema(value_type = String)]
    market: Market,
    /// Start of the (first) delivery interval: RFC 3339 or UTC milliseconds.
    #[schema(value_type = String)]
    delivery: Timestamp,
    /// Length of each delivery interval; the market's own without.
    #[serde(default)]
    duration_ms: Option<u32>,
    /// `buy` or `sell`.
    #[schema(value_type = String)]
    side: Side,
    /// What is asked of its acceptance: `"curve"` (without), `{"block":{"min_acceptance_ratio":1}}`,
    /// `{"minimum_income":{"fixed":1000}}`, `{"capacity":{"to":"PT"}}`.
    #[serde(default)]
    #[schema(value_type = Object)]
    kind: WireKind,
    /// `{"price", "power", "delivery"?, "end_price"?, "min_power"?}`: currency per MWh, MW.
    #[schema(value_type = Vec<Object>)]
    steps: Vec<WireStep>,
}

impl NewBid {
    /// As it goes on the wire, entered at `now_ms` by somebody who reads as `reader`. `name` gives it an id where it has none.
    pub(crate) fn into_wire(
        self,
        reader: &Reader,
        now_ms: i64,
        name: impl FnOnce() -> String,
    ) -> Result<WireBid, Error> {
        let organisation = match (reader.organisation(), self.organisation) {
            (None, Some(said)) => said,
            (None, None) => return Err(Error::BadBody("organisation is missing: whose bid".to_owned())),
            (Some(own), None) => own.to_owned(),
            (Some(own), Some(said)) if said == own => said,
            (Some(own), Some(_)) => {
                return Err(Error::Denied(format!("you bid for {own} alone: leave organisation out")));
            }
        };
        if self.revision.is_some_and(|revision| revision != 0) {
            return Err(Error::BadBody(
                "revision: a new bid has revision 0; amend with PATCH /api/bids/{id}".to_owned(),
            ));
        }
        if self.status.is_some_and(|status| status != BidStatus::Submitted) {
            return Err(Error::BadBody("status: a new bid is submitted".to_owned()));
        }
        Ok(WireBid {
            v: 1,
            bid: self.bid.unwrap_or_else(name),
            revision: 0,
            status: BidStatus::Submitted,
            organisation,
            asset: self.asset,
            market_zone: self.market_zone,
            location: self.location,
            market: self.market,
            delivery: self.delivery,
            duration_ms: self.duration_ms,
            side: self.side,
            kind: self.kind,
            steps: self.steps,
            timestamp: Timestamp::Millis(now_ms),
            published: None,
        })
    }
}

/// Judges a bid as the dataflow will. Also returns labels that know its location.
///
/// Names are registered apart: the process announces a name once, and that is for the dataflow to do, should the bid
/// ever get there.
pub(crate) fn judge(app: &Shared, wire: &WireBid) -> Result<(BidEvent, Labels), Error> {
    let labels = Labels { names: Arc::new(Names::default()), zones: app.deps.zones.clone() };
    let decoder = Decoder { zones: labels.zones.clone(), names: Arc::clone(&labels.names), limits: Limits::default() };
    let origin = Origin {
        topic: "api".into(),
        partition: 0,
        partition_id: PartitionId::default(),
        offset: 0,
        timestamp_ms: wire.timestamp.millis().unwrap_or(0),
    };
    match decoder.bid(&origin, wire, &mut Decoded::default()) {
        Ok(bid) => Ok((bid, labels)),
        Err(refusal) => Err(refused(app, wire, refusal)),
    }
}

fn refused(app: &Shared, wire: &WireBid, (reason, detail): Refusal) -> Error {
    if reason == Reason::UnknownZone
        && let Err(error) = series::zone(&app.deps.zones, &wire.market_zone)
    {
        return error;
    }
    match broken(&detail).filter(|_| reason == Reason::BadBid) {
        Some(broken) => Error::BidRefused { bid: wire.bid.clone(), broken },
        None => Error::BadBody(format!("bid {}: {detail}", wire.bid)),
    }
}

/// Reads `rule: value; allowed: bound`, as [`Broken`] writes it: a refusal on the stream is text.
fn broken(detail: &str) -> Option<Broken> {
    let (rule, rest) = detail.split_once(": ")?;
    let rule: BidRule = serde_json::from_value(rule.into()).ok()?;
    let (value, bound) = rest.rsplit_once("; allowed: ")?;
    Some(Broken::new(rule, value, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_back_from_its_text() {
        let said = Broken::new(BidRule::PriceTick, "10.005", "multiples of 0.01");
        assert_eq!(broken(&said.to_string()), Some(said));
        assert_eq!(broken("no zone \"x\" in the zone table"), None);
    }
}
