//! What bids may say: the forms that are read, and each rule with a bid that breaks it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::bid::{BidKind, Step};
use crate::dead_letter::Reason;
use crate::{LocationId, Names, PartitionId, Zones};

/// Before the gate of delivery on 2025-06-21 in Iberia, which closes on the 20th at 12:00 in Madrid.
const BEFORE: &str = "2025-06-20T09:59:00Z";

fn decode(bid: &Value) -> Decoded {
    let zones = Zones::extended("[[asset]]\nid = 'wind-1'\ncapacity = 50").unwrap();
    let decoder = Decoder { zones, names: Arc::new(Names::default()), limits: Limits::default() };
    let origin = Origin {
        topic: "optibid.bids".into(),
        partition: 0,
        partition_id: PartitionId::new("optibid.bids", 0),
        offset: 7,
        timestamp_ms: crate::time::parse_instant("2025-06-20T10:30:00Z").unwrap(),
    };
    let mut out = Decoded::default();
    decoder.decode(TopicKind::Bids, &origin, bid.to_string().as_bytes(), &mut out);
    out
}

/// A bid of one hour, with fields of its own.
fn bid(own: Value) -> Value {
    let mut bid = json!({
        "bid": "b1", "status": "submitted", "organisation": "o", "market_zone": "es", "market": "DAY_AHEAD_HOURLY",
        "delivery": "2025-06-20T22:00:00Z", "side": "sell", "timestamp": BEFORE,
        "steps": [{"price": 10, "power": 1.5}, {"price": 20, "power": 3}],
    });
    let fields = bid.as_object_mut().unwrap();
    fields.extend(own.as_object().unwrap().clone());
    bid
}

fn read(own: Value) -> crate::BidEvent {
    let out = decode(&bid(own));
    assert!(out.dead_letters.is_empty(), "{:?}", out.dead_letters);
    out.bids.into_iter().next().unwrap()
}

#[track_caller]
fn refused(own: Value, rule: &str, says: &str) {
    let out = decode(&bid(own.clone()));
    assert!(out.bids.is_empty(), "{own} is taken");
    let letter = &out.dead_letters[0];
    assert_eq!(letter.reason, Reason::BadBid, "{}", letter.detail);
    assert!(letter.detail.starts_with(&format!("{rule}: ")), "{}", letter.detail);
    assert!(letter.detail.contains(says) && letter.detail.contains("; allowed: "), "{}", letter.detail);
}

#[test]
fn every_kind_of_bid_is_read_and_written_back() {
    let at = |text| crate::time::parse_instant(text).unwrap();
    let curve = read(json!({}));
    let first = at("2025-06-20T22:00:00Z");
    assert_eq!(curve.steps, [Step::flat(first, 10_000_000, 1_500), Step::flat(first, 20_000_000, 3_000)]);
    assert_eq!((curve.kind, curve.delivery_ms, curve.duration_ms), (BidKind::Curve, first, 3_600_000));

    let steps = json!([
        {"delivery": "2025-06-20T23:00:00Z", "price": 10, "end_price": 20, "power": 5},
        {"delivery": "2025-06-20T22:00:00Z", "price": 10, "end_price": 30, "power": 5},
    ]);
    let linear = read(json!({ "steps": steps }));
    assert_eq!(linear.delivery_ms, first, "the first interval, wherever it stands");
    assert_eq!((linear.steps[0].end_price_micros, linear.steps[1].start_ms), (30_000_000, first + 3_600_000));

    let kind = json!({"minimum_income": {"fixed": 1000.5, "variable": 12}});
    let steps = json!([{"price": 10, "power": 5, "min_power": 2}]);
    let income = read(json!({ "kind": kind, "steps": steps }));
    let expected = BidKind::MinimumIncome { fixed_micros: 1_000_500_000, variable_micros: Some(12_000_000) };
    assert_eq!((income.kind, income.steps[0].min_power_kw), (expected, 2_000));

    let kind = json!({"block": {"min_acceptance_ratio": 0.4, "parent": "b0", "exclusive_group": "g"}});
    let block = read(json!({ "kind": kind, "steps": [{"price": 10, "power": 5}] }));
    let (parent, exclusive_group) = (Some("b0".to_owned()), Some("g".to_owned()));
    assert_eq!(block.kind, BidKind::Block { min_acceptance_ppm: 400_000, parent, exclusive_group });

    let kind = json!({"capacity": {"to": "pt"}});
    let capacity = read(json!({ "kind": kind, "steps": [{"price": 0, "power": 900}] }));
    assert_eq!(capacity.kind, BidKind::Capacity { to: LocationId::new("MIBEL-PT", "MIBEL-PT") });

    let zone = |to: LocationId| Zones::built_in().of(to).unwrap().code.clone();
    for bid in [linear, read(json!({ "asset": "wind-1" })), block, capacity] {
        let kind = WireKind::of(&bid.kind, zone);
        assert_eq!(super::bid::kind(&kind, |to| LocationId::new(to, to)).unwrap(), bid.kind);
        for step in &bid.steps {
            let wire = WireStep::of(step, bid.delivery_ms);
            assert_eq!(super::bid::step(&wire, bid.delivery_ms).unwrap(), *step);
        }
    }
}

#[test]
fn a_bid_that_is_no_more_need_not_say_what_it_was() {
    let gone = read(json!({ "status": "rejected", "steps": [], "timestamp": "2025-06-20T10:20:00Z" }));
    assert!(!gone.is_live() && gone.steps.is_empty());
}

#[test]
fn each_rule_is_named_with_the_value_and_the_bound() {
    let steps = |steps: Value| json!({ "steps": steps });
    refused(json!({ "revision": -1 }), "revision", "-1; allowed: 0 and more");
    refused(steps(json!([])), "steps", "0 steps");
    refused(steps(json!([{"price": 1e12, "power": 1}])), "price", "1000000000000");
    refused(steps(json!([{"price": 4000.01, "power": 1}])), "price_limit", "4000.01; allowed: -500 to 4000");
    refused(steps(json!([{"price": 10.005, "power": 1}])), "price_tick", "multiples of 0.01");
    refused(steps(json!([{"price": 10, "power": 0}])), "quantity", "0 MW");
    refused(steps(json!([{"price": 10, "power": -3}])), "quantity", "-3 MW");
    refused(steps(json!([{"price": 10, "power": 1.25}])), "quantity_tick", "multiples of 0.1 MW");
    refused(steps(json!([{"price": 10, "power": 1, "min_power": 2}])), "minimum_quantity", "2 MW");
    refused(steps(json!([{"price": 20, "power": 1}, {"price": 10, "power": 1}])), "monotone_curve", "10 after 20");
    let buy = json!({ "side": "buy" });
    refused(buy, "monotone_curve", "20 after 10");
    refused(steps(json!([{"price": 20, "end_price": 10, "power": 1}])), "linear_curve", "from 20 to 10");
    refused(
        steps(json!([{"price": 1, "end_price": 2, "power": 1}, {"price": 3, "power": 1}])),
        "linear_curve",
        "from 3 to 3",
    );
    refused(json!({ "duration_ms": 900_000 }), "delivery_interval", "900000 ms");
    refused(json!({ "delivery": "2025-06-20T22:30:00Z" }), "delivery_interval", "22:30");
    // The 25th hour of a day that has 24.
    let over = json!([{"price": 10, "power": 1}, {"delivery": "2025-06-21T22:00:00Z", "price": 10, "power": 1}]);
    refused(steps(over), "delivery_day", "2025-06-21T22:00");
    let block = |ratio: f64, steps: Value| {
        let kind = json!({"block": {"min_acceptance_ratio": ratio}});
        json!({ "kind": kind, "steps": steps })
    };
    refused(block(1.0, json!([{"price": 10, "power": 1}, {"price": 10, "power": 1}])), "block", "each interval once");
    let two = json!([{"price": 10, "power": 1}, {"delivery": "2025-06-20T23:00:00Z", "price": 11, "power": 1}]);
    refused(block(1.0, two), "block", "price 11; allowed: 10 in all");
    refused(block(0.0, json!([{"price": 10, "power": 1}])), "acceptance_ratio", "0; allowed");
    refused(block(1.5, json!([{"price": 10, "power": 1}])), "acceptance_ratio", "1.5; allowed");
    let income = |fixed: f64, side: &str| json!({ "side": side, "kind": {"minimum_income": {"fixed": fixed}} });
    refused(income(5.0, "buy"), "minimum_income", "to buy");
    refused(income(-5.0, "sell"), "minimum_income", "-5");
    let one = json!([{"price": 0, "power": 1}]);
    refused(json!({ "kind": {"capacity": {"to": "es"}}, "steps": one }), "capacity", "MIBEL-ES");
    refused(json!({ "kind": {"capacity": {"to": "pjm"}}, "steps": one }), "capacity", "to PJM");
    for status in ["submitted", "amended", "withdrawn"] {
        let late = json!({ "status": status, "timestamp": "2025-06-20T10:00:01Z" });
        refused(late, "gate_closure", "until 2025-06-20T10:00:00");
    }
    refused(
        json!({ "asset": "wind-1", "steps": [{"price": 10, "power": 30}, {"price": 20, "power": 21}] }),
        "asset_capacity",
        "51 MW of wind-1",
    );
}

#[test]
fn what_claims_to_be_from_the_future_moves_no_clock() {
    let out = decode(&bid(json!({ "market_zone": "pjm", "timestamp": "2025-06-20T10:40:00Z",
        "delivery": "2025-06-22T04:00:00Z" })));
    assert_eq!((out.dead_letters[0].reason, out.clock_ms), (Reason::Future, i64::MIN));
}
