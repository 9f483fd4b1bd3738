//! Bids and market events: made-up traders who enter, change and withdraw, and a market that answers.

use std::sync::Arc;

use model::bid::{BidStatus, Side};
use model::time::HOUR_MS;
use model::wire::json::Timestamp;
use model::wire::{TopicKind, WireBid, WireKind, WireNotice, WireStep};
use model::{Market, Zone, money};

use crate::message::{Body, Expected, Message, Truth};
use crate::random::Dice;

const ORGANISATIONS: [&str; 8] = [
    "Northwind Power",
    "Delta Hydro",
    "Sunfield Solar",
    "Granite Peak Energy",
    "Harbor Gas and Electric",
    "Monsoon Renewables",
    "Ironbridge Trading",
    "Lighthouse Utilities",
];

/// Kind, severity and text of market events.
const EVENTS: [(&str, &str, &str); 6] = [
    ("unit_outage", "warning", "A generating unit tripped"),
    ("transmission_constraint", "warning", "A transmission constraint binds"),
    ("demand_forecast", "info", "The demand forecast was revised"),
    ("reserve_shortage", "critical", "Operating reserves are short"),
    ("renewable_surplus", "info", "Wind and solar exceed the forecast"),
    ("market_notice", "info", "Gate closure is approaching"),
];

/// Where and when a bid or an event happens, and the price around which it is made.
pub(crate) struct Place<'a> {
    pub(crate) zone: &'a Zone,
    pub(crate) code: &'a Arc<str>,
    pub(crate) at_ms: i64,
    pub(crate) price: f64,
}

fn message(kind: TopicKind, at_ms: i64, zone: &Arc<str>, key: Arc<str>, body: Body, expected: Expected) -> Message {
    Message { at_ms, kind, zone: Arc::clone(zone), key, body, truth: Truth { sequence: 0, fault: None, expected } }
}

/// Every event in the life of one bid, in order: entered, perhaps changed, then decided.
pub(crate) fn life(place: &Place<'_>, id: String, dice: &mut Dice) -> Vec<Message> {
    let side = if dice.chance(0.5) { Side::Buy } else { Side::Sell };
    let (hour_ms, _) = model::time::Granularity::H1.bucket(place.at_ms, place.zone.timezone);
    let delivery_ms = hour_ms + HOUR_MS * (2 + dice.below(24) as i64);
    let mut bid = WireBid {
        v: 1,
        bid: id,
        revision: 0,
        status: BidStatus::Submitted,
        organisation: (*dice.pick(&ORGANISATIONS)).to_owned(),
        asset: None,
        market_zone: place.zone.code.clone(),
        location: None,
        market: Market::DayAheadHourly,
        delivery: Timestamp::Millis(delivery_ms),
        duration_ms: None,
        side,
        kind: WireKind::Curve,
        steps: steps(side, place, delivery_ms, dice),
        timestamp: Timestamp::Millis(place.at_ms),
        published: None,
    };
    let key: Arc<str> = bid.bid.as_str().into();
    let mut events = Vec::with_capacity(3);
    let mut at_ms = place.at_ms;
    let mut send = |bid: &WireBid, at_ms| {
        let body = Body::Bid(bid.clone());
        events.push(message(TopicKind::Bids, at_ms, place.code, Arc::clone(&key), body, Expected::Bid));
    };
    send(&bid, at_ms);
    let mut next = |status, bid: &mut WireBid, dice: &mut Dice| {
        at_ms += 1 + dice.exponential(10_000.0).min(60_000.0) as i64;
        (bid.status, bid.revision, bid.timestamp) = (status, bid.revision + 1, Timestamp::Millis(at_ms));
        at_ms
    };
    while dice.chance(0.3) && bid.revision < 5 {
        bid.steps = steps(side, place, delivery_ms, dice);
        let at = next(BidStatus::Amended, &mut bid, dice);
        send(&bid, at);
    }
    let ends = [
        BidStatus::Accepted,
        BidStatus::Accepted,
        BidStatus::Accepted,
        BidStatus::Rejected,
        BidStatus::Withdrawn,
        BidStatus::Expired,
    ];
    let end = *dice.pick(&ends);
    let at = next(end, &mut bid, dice);
    send(&bid, at);
    events
}

/// One to five steps around a price: ascending to sell, descending to buy, within the market's limits.
fn steps(side: Side, place: &Place<'_>, delivery_ms: i64, dice: &mut Dice) -> Vec<WireStep> {
    let limits = place.zone.bid_limits_at(Market::DayAheadHourly, delivery_ms);
    let (floor, cap) = limits.map_or((f64::MIN, f64::MAX), |(floor, cap)| (money::price(floor), money::price(cap)));
    let price = place.price;
    let scale = price.abs().max(10.0);
    let mut level = price + scale * dice.between(-0.2, 0.1);
    let count = 1 + dice.below(5);
    let mut steps = Vec::with_capacity(count);
    for _ in 0..count {
        let power = (dice.between(5.0, 150.0) * 10.0).round() / 10.0;
        steps.push(WireStep::flat(((level * 100.0).round() / 100.0).clamp(floor, cap), power));
        let rise = scale * dice.between(0.01, 0.1);
        level += if side == Side::Sell { rise } else { -rise };
    }
    steps
}

/// A market event.
pub(crate) fn event(place: &Place<'_>, id: String, dice: &mut Dice) -> Message {
    let (alert_type, severity, text) = *dice.pick(&EVENTS);
    let notice = WireNotice {
        v: 1,
        id: Some(id),
        market_zone: place.zone.code.clone(),
        class: Some("market_event".to_owned()),
        alert_type: alert_type.to_owned(),
        message: format!("{text} in {}", place.zone.name),
        severity: Some(severity.to_owned()),
        timestamp: Some(Timestamp::Millis(place.at_ms)),
    };
    message(TopicKind::Notices, place.at_ms, place.code, Arc::clone(place.code), Body::Notice(notice), Expected::Notice)
}
