//! From what an adapter read to the wire's bid, held against the rules of its market before it is sent.
//!
//! A bid that the rules refuse would become a dead letter further down, far from its file. Here it becomes a bad row, with
//! the line it stands in and the rule it breaks.

use std::sync::Arc;

use model::bid::{BidStatus, Side, Step};
use model::wire::json::Timestamp;
use model::wire::{Decoded, Decoder, Limits, Origin, WireBid, WireKind, WireStep};
use model::{Market, Names, PartitionId, Zones};

use super::{Body, Record};

/// One version of a bid, in our units.
#[derive(Clone, Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) id: String,
    pub(crate) revision: i64,
    pub(crate) status: BidStatus,
    pub(crate) organisation: &'a str,
    /// The unit behind it.
    pub(crate) asset: Option<&'a str>,
    /// Canonical code.
    pub(crate) zone: &'a str,
    pub(crate) market: Market,
    /// Start of its first interval, UTC ms; for a bid without steps, that of the version before.
    pub(crate) delivery_ms: i64,
    pub(crate) side: Side,
    pub(crate) kind: WireKind,
    /// In any order.
    pub(crate) steps: Vec<Step>,
    /// When it was entered, UTC ms.
    pub(crate) entered_ms: i64,
    /// When the book of its day opened, UTC ms: what was entered before was standing until then.
    pub(crate) opens_ms: i64,
}

/// Holds bids against the rules of their markets.
#[derive(Debug)]
pub(crate) struct Judge {
    decoder: Decoder,
    origin: Origin,
    decoded: Decoded,
}

impl Judge {
    pub(crate) fn new(zones: &Zones) -> Self {
        let (zones, names) = (zones.clone(), Arc::new(Names::default()));
        let topic: Arc<str> = "replay".into();
        let partition_id = PartitionId::new(&topic, 0);
        Self {
            decoder: Decoder { zones, names, limits: Limits::default() },
            origin: Origin { topic, partition: 0, partition_id, offset: 0, timestamp_ms: 0 },
            decoded: Decoded::default(),
        }
    }

    /// (floor, cap) of bids, micros per MWh; no limits where the table has none.
    pub(crate) fn limits(&self, zone: &str, market: Market, at_ms: i64) -> (i64, i64) {
        let limits = self.decoder.zones.get(zone).and_then(|zone| zone.bid_limits_at(market, at_ms));
        limits.unwrap_or((i64::MIN, i64::MAX))
    }

    /// The record; or the rule that it breaks, for a person.
    pub(crate) fn record(&mut self, offer: Offer<'_>) -> Result<Record, String> {
        let record = offer.record();
        let Body::Bid(bid) = &record.body else { return Ok(record) };
        self.decoded.clear();
        let judged = self.decoder.bid(&self.origin, bid, &mut self.decoded);
        judged.map_err(|(_, reason)| format!("bid {}: {reason}", bid.bid))?;
        Ok(record)
    }
}

impl Offer<'_> {
    fn record(mut self) -> Record {
        sort(&mut self.steps, self.side);
        let delivery_ms = self.steps.first().map_or(self.delivery_ms, |first| first.start_ms);
        let published_ms = self.entered_ms.max(self.opens_ms);
        let bid = WireBid {
            v: 1,
            bid: self.id,
            revision: self.revision,
            status: self.status,
            organisation: self.organisation.to_owned(),
            asset: self.asset.map(str::to_owned),
            market_zone: self.zone.to_owned(),
            location: None,
            market: self.market,
            delivery: Timestamp::Millis(delivery_ms),
            duration_ms: Some(self.market.interval_ms()),
            side: self.side,
            kind: self.kind,
            steps: self.steps.iter().map(|step| WireStep::of(step, delivery_ms)).collect(),
            timestamp: Timestamp::Millis(self.entered_ms),
            published: Some(Timestamp::Millis(published_ms)),
        };
        Record { body: Body::Bid(bid), published_ms }
    }
}

/// By interval; within one the way prices must go. Steps at one price stay as they came.
fn sort(steps: &mut [Step], side: Side) {
    let sign = if side == Side::Sell { 1 } else { -1 };
    steps.sort_by_key(|step| (step.start_ms, sign * step.price_micros));
}
