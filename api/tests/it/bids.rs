//! Bids over HTTP: entered, amended, withdrawn, refused, looked up.

use model::{BidEvent, BidStatus, Side};
use serde_json::{Value, json};

use crate::day::{self, hour, read_back, stand};
use crate::world::{KEY, World, answer, at, noon};

/// A bid that nothing is wrong with, with fields of its own.
fn new(own: Value) -> Value {
    let mut bid = json!({
        "bid": "n1", "organisation": "Acme", "market_zone": "es", "market": "DAY_AHEAD_HOURLY", "delivery": hour(0),
        "side": "sell", "steps": [{"price": 10, "power": 1.5}, {"price": 20, "power": 3}],
    });
    let fields = bid.as_object_mut().unwrap();
    fields.extend(own.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    bid
}

async fn send(world: &World, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = world.client.request(method.parse().unwrap(), world.url(path)).header("x-admin-key", KEY);
    answer(request.json(body).send().await.unwrap()).await
}

#[tokio::test]
async fn a_bid_is_published_and_answered_as_it_will_stand() {
    let world = World::start().await;
    let (status, body) = world.post("/api/bids", &new(json!({"bid": null, "asset": "wind-9"}))).await;
    assert_eq!(status, 201, "{body}");
    let id = body["bid"]["bid"].as_str().unwrap();
    assert_eq!(id.len(), 36, "a UUID");
    let bid = read_back(&world);
    assert_eq!((bid.bid.as_str(), bid.revision, bid.status), (id, 0, BidStatus::Submitted));
    assert_eq!(
        (body["t"].as_u64(), &body["bid"]["t"], &body["bid"]["revision"]),
        (Some(noon()), &Value::Null, &json!(0))
    );
    assert_eq!((&body["bid"]["zone"], &body["bid"]["currency"]), (&json!("MIBEL-ES"), &json!("EUR")));
    let step = json!({"delivery": hour(0), "price": 20.0, "end_price": 20.0, "power": 3.0, "min_power": 0.0});
    assert_eq!((&body["bid"]["kind"], &body["bid"]["steps"][1]), (&json!("curve"), &step));
    // The server says when it came: about now.
    let age_ms = chrono::Utc::now().timestamp_millis() - bid.event_ms;
    assert!((0..60_000).contains(&age_ms), "{age_ms}");

    assert_eq!(world.get(&format!("/api/bids/{id}")).await.0, 404, "the state has it a little later");
    stand(&world, noon() + 1);
    let (status, found) = world.get(&format!("/api/bids/{id}")).await;
    assert_eq!((status, &found["t"], &found["bid"]["t"]), (200, &json!(noon() + 1), &json!(noon() + 1)));
    assert_eq!((&found["bid"]["steps"], &found["bid"]["asset"]), (&body["bid"]["steps"], &json!("wind-9")));

    for (name, kind) in [
        ("block", json!({"block": {"min_acceptance_ratio": 0.5, "exclusive_group": "g"}})),
        ("minimum_income", json!({"minimum_income": {"fixed": 100.0, "variable": 12.5}})),
    ] {
        let own = json!({"bid": name, "kind": kind, "location": "a substation", "steps": [{"price": 10, "power": 2}]});
        let (status, body) = world.post("/api/bids", &new(own)).await;
        assert_eq!((status, &body["bid"]["kind"]), (201, &kind), "{body}");
        assert_eq!(body["bid"]["location"], "a substation");
        assert_eq!(read_back(&world).kind.as_str(), name);
    }
}

#[tokio::test]
async fn every_refusal_names_the_rule() {
    let world = World::start().await;
    let rules = [
        ("gate_closure", json!({"delivery": "2025-11-20T23:00:00Z"}), "until 2025-11-20T11:00:00.000Z"),
        ("price_limit", json!({"steps": [{"price": 4000.01, "power": 1}]}), "-500 to 4000"),
        ("price_tick", json!({"steps": [{"price": 10.005, "power": 1}]}), "multiples of 0.01"),
        ("price", json!({"steps": [{"price": 1e12, "power": 1}]}), "within"),
        ("quantity", json!({"steps": [{"price": 10, "power": 0}]}), "above 0 MW"),
        ("quantity_tick", json!({"steps": [{"price": 10, "power": 1.05}]}), "multiples of 0.1 MW"),
        ("minimum_quantity", json!({"steps": [{"price": 10, "power": 1, "min_power": 2}]}), "0 to 1 MW"),
        ("monotone_curve", json!({"steps": [{"price": 20, "power": 1}, {"price": 10, "power": 1}]}), "ascending"),
        ("linear_curve", json!({"steps": [{"price": 20, "end_price": 10, "power": 1}]}), "rise to sell"),
        ("delivery_interval", json!({"duration_ms": 60_000}), "3600000 ms"),
        (
            "delivery_day",
            json!({"steps": [{"price": 1, "power": 1}, {"delivery": hour(30), "price": 1, "power": 1}]}),
            " to ",
        ),
        ("steps", json!({"steps": []}), "1 to 10000"),
        (
            "minimum_income",
            json!({"side": "buy", "steps": [{"price": 1, "power": 1}], "kind": {"minimum_income": {"fixed": 1}}}),
            "sell",
        ),
        ("acceptance_ratio", json!({"kind": {"block": {"min_acceptance_ratio": 0}}}), "above 0"),
        ("block", json!({"kind": {"block": {"min_acceptance_ratio": 1}}}), "in all"),
        ("capacity", json!({"kind": {"capacity": {"to": "PJM"}}}), "same group"),
    ];
    for (rule, own, bound) in rules {
        let (status, body) = world.post("/api/bids", &new(own)).await;
        let error = &body["error"];
        assert_eq!((status, &error["code"]), (422, &json!("bid_refused")), "{rule}: {body}");
        assert_eq!((&error["details"]["rule"], &error["details"]["bid"]), (&json!(rule), &json!("n1")), "{body}");
        assert!(error["details"]["bound"].as_str().unwrap().contains(bound), "{rule}: {body}");
        assert!(!error["details"]["value"].as_str().unwrap().is_empty(), "{body}");
    }
    let others = [
        (json!({"timestamp": hour(0)}), 400, "bad_body"),
        (json!({"status": "accepted"}), 400, "bad_body"),
        (json!({"revision": 1}), 400, "bad_body"),
        (json!({"organisation": " "}), 400, "bad_body"),
        (json!({"delivery": "tomorrow"}), 400, "bad_body"),
        (json!({"side": null}), 400, "bad_body"),
        (json!({"market_zone": "atlantis"}), 404, "unknown_zone"),
    ];
    for (own, expected, code) in others {
        let (status, body) = world.post("/api/bids", &new(own.clone())).await;
        assert_eq!((status, &body["error"]["code"]), (expected, &json!(code)), "{own}: {body}");
    }
    assert!(world.published().is_empty(), "nothing of what was refused is published");
    world.stop_broker();
    let (status, body) = world.post("/api/bids", &new(json!({}))).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("unavailable")));
}

#[tokio::test]
async fn only_the_administrator_changes_bids() {
    let world = day::world().await;
    for (method, path) in [("POST", "/api/bids"), ("PATCH", "/api/bids/s1"), ("DELETE", "/api/bids/s1?revision=0")] {
        let request = world.client.request(method.parse().unwrap(), world.url(path)).json(&new(json!({})));
        let response = request.send().await.unwrap();
        assert_eq!(answer(response).await.0, 401, "{method} {path}");
    }
    assert!(world.published().is_empty());
}

#[tokio::test]
async fn a_bid_is_amended_and_withdrawn_and_its_life_is_told() {
    let world = World::start().await;
    assert_eq!(world.post("/api/bids", &new(json!({}))).await.0, 201);
    stand(&world, noon() + 1);
    let (status, body) = world.post("/api/bids", &new(json!({}))).await;
    assert_eq!(
        (status, &body["error"]["code"], &body["error"]["details"]["revision"]),
        (409, &json!("conflict"), &json!(0))
    );

    let steps = json!([{"price": 12, "power": 9}]);
    let amendment = |revision: i64| json!({"revision": revision, "steps": steps});
    assert_eq!(send(&world, "PATCH", "/api/bids/nobody", &amendment(0)).await.0, 404);
    let (status, body) = send(&world, "PATCH", "/api/bids/n1", &amendment(3)).await;
    assert_eq!((status, &body["error"]["details"]["revision"]), (409, &json!(0)), "{body}");
    for bad in [json!({"revision": 0}), json!({"steps": steps}), json!({"revision": 0, "side": "buy", "steps": steps})]
    {
        assert_eq!(send(&world, "PATCH", "/api/bids/n1", &bad).await.0, 400, "{bad}");
    }
    let tick = json!({"revision": 0, "steps": [{"price": 12.001, "power": 9}]});
    let (status, body) = send(&world, "PATCH", "/api/bids/n1", &tick).await;
    assert_eq!((status, &body["error"]["details"]["rule"]), (422, &json!("price_tick")));
    let (status, body) = send(&world, "PATCH", "/api/bids/n1", &amendment(0)).await;
    assert_eq!(
        (status, &body["bid"]["revision"], &body["bid"]["status"]),
        (200, &json!(1), &json!("amended")),
        "{body}"
    );
    assert_eq!((&body["bid"]["steps"][0]["power"], &body["bid"]["side"]), (&json!(9.0), &json!("sell")));
    stand(&world, noon() + 2);

    assert_eq!(send(&world, "DELETE", "/api/bids/n1", &json!({})).await.0, 400, "which revision?");
    assert_eq!(send(&world, "DELETE", "/api/bids/n1?revision=0", &json!({})).await.0, 409);
    assert_eq!(send(&world, "DELETE", "/api/bids/nobody?revision=0", &json!({})).await.0, 404);
    let (status, body) = send(&world, "DELETE", "/api/bids/n1?revision=1", &json!({})).await;
    assert_eq!(
        (status, &body["bid"]["revision"], &body["bid"]["status"]),
        (200, &json!(2), &json!("withdrawn")),
        "{body}"
    );
    stand(&world, noon() + 3);
    let (status, body) = send(&world, "PATCH", "/api/bids/n1", &amendment(2)).await;
    assert_eq!((status, &body["error"]["details"]["status"]), (409, &json!("withdrawn")), "live no more: {body}");

    // The log follows when the batches have been seen.
    let life = loop {
        let (status, life) = world.get("/api/bids/n1/events").await;
        assert_eq!((status, &life["t"]), (200, &json!(noon() + 3)));
        if life["events"].as_array().unwrap().len() == 3 {
            break life;
        }
        tokio::task::yield_now().await;
    };
    let told: Vec<_> =
        life["events"].as_array().unwrap().iter().map(|event| (&event["revision"], &event["status"])).collect();
    let expected = [(json!(0), json!("submitted")), (json!(1), json!("amended")), (json!(2), json!("withdrawn"))];
    assert_eq!(told, expected.iter().map(|(revision, status)| (revision, status)).collect::<Vec<_>>());
    assert_eq!((&life["complete"], &life["events"][2]["t"]), (&json!(true), &json!(noon() + 3)));
    assert_eq!(world.get("/api/bids/nobody/events").await.0, 404);
    assert_eq!(world.get("/api/bids/it%27s").await.0, 404, "a name like a string's end asks for nothing else");
}

#[tokio::test]
async fn nothing_changes_after_the_gate() {
    let world = World::start().await;
    // Accepted in its time; its gate closed long ago.
    let old = at("2025-11-20T23:00:00Z");
    let mut bid = day::bid("old", "ES", Side::Sell, &[(0, 10.0, 5.0)]);
    (bid.delivery_ms, bid.steps[0].start_ms) = (old, old);
    world.close(model::Batch { t: noon() + 1, bids: vec![model::Change::Put(bid.into())], ..Default::default() });
    // Also not by a move to a day whose gate is open.
    let moved = json!({"revision": 0, "steps": [{"delivery": hour(0), "price": 10, "power": 1}]});
    let here = json!({"revision": 0, "steps": [{"price": 10, "power": 1}]});
    for (method, path, body) in [
        ("PATCH", "/api/bids/old", &moved),
        ("PATCH", "/api/bids/old", &here),
        ("DELETE", "/api/bids/old?revision=0", &here),
    ] {
        let (status, body) = send(&world, method, path, body).await;
        assert_eq!((status, &body["error"]["details"]["rule"]), (422, &json!("gate_closure")), "{method}: {body}");
    }
    assert!(world.published().is_empty());
}

#[tokio::test]
async fn bids_are_listed_by_what_they_are() {
    let world = day::world().await;
    let withdrawn =
        BidEvent { revision: 1, status: BidStatus::Withdrawn, ..day::bid("s1", "ES", Side::Sell, &[(0, 10.0, 100.0)]) };
    world.close(model::Batch { t: noon() + 2, bids: vec![model::Change::Put(withdrawn.into())], ..Default::default() });
    let ids = |body: &Value| -> Vec<String> {
        body["bids"].as_array().unwrap().iter().map(|bid| bid["bid"].as_str().unwrap().to_owned()).collect()
    };
    let cases = [
        ("", "b1 b2 c1 c2 k1 k2 l1 l2 p1 p2 s1 s2 s3"),
        ("?market_zone=PORTUGAL", "p1 p2"),
        ("?market_zone=es&location=MIBEL-ES&side=buy", "b1 b2 c2 l2"),
        ("?organisation=Blocks", "k1 k2"),
        ("?status=withdrawn", "s1"),
        ("?market=CONTINUOUS", ""),
        ("?asset=x", ""),
        (&format!("?from={}&to={}", hour(2), hour(4)), "c1 c2 k1 k2"),
        ("?market_zone=es&from=2090-06-22", ""),
    ];
    for (query, expected) in cases {
        let (status, body) = world.get(&format!("/api/bids{query}")).await;
        assert_eq!((status, ids(&body).join(" ").as_str()), (200, expected), "{query}: {body}");
        assert_eq!((body["t"].as_u64(), &body["next_cursor"]), (Some(noon() + 2), &Value::Null));
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, body) = world.get(&format!("/api/bids?limit=5&cursor={cursor}")).await;
        seen.extend(ids(&body));
        match body["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.join(" "), cases[0].1);
    for (query, allowed) in [
        ("side=both", "buy, sell"),
        ("status=gone", "withdrawn"),
        ("limit=1001", "from 1 to 1000"),
        ("location=X", "together with market_zone"),
        ("from=soon", "RFC 3339"),
    ] {
        let (status, body) = world.get(&format!("/api/bids?{query}")).await;
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(allowed), "{query}: {body}");
    }
    assert_eq!(world.get("/api/bids?market_zone=atlantis").await.0, 404);
}
