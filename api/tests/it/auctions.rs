//! Books, merit orders, clearing, awards, and what would be if.

use model::{BidEvent, Clearing, Side};
use serde_json::{Value, json};

use crate::day::{self, bid, book, hour, rows};
use crate::golden;
use crate::world::{World, noon};

fn path(location: &str, at: i64, what: &str) -> String {
    format!("/api/market/{location}/{}/{what}", hour(at))
}

fn names(bids: &Value, field: &str) -> Vec<String> {
    bids.as_array().unwrap().iter().map(|bid| bid[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn answers_are_as_they_were() {
    let world = day::world().await;
    for (name, location, at, what) in [
        ("book", "ES", 0, "book"),
        ("merit-order", "spain", 0, "merit-order"),
        ("clearing", "MIBEL-ES", 0, "clearing"),
        ("clearing-complex", "ES", 2, "clearing"),
    ] {
        let (status, body) = world.get(&path(location, at, what)).await;
        assert_eq!(status, 200, "{body}");
        golden::check(name, &body);
    }
    let add = json!({"organisation": "New", "market_zone": "ES", "market": "DAY_AHEAD_HOURLY", "delivery": hour(0),
        "side": "sell", "steps": [{"price": 5, "power": 200}]});
    let (status, body) = world.post(&path("ES", 0, "what-if"), &json!({"add": [add], "remove": ["k1"]})).await;
    assert_eq!(status, 200, "{body}");
    golden::check("what-if", &body);
    assert!(world.published().is_empty());
}

#[tokio::test]
async fn a_book_has_the_best_first() {
    let world = day::world().await;
    let (_, body) = world.get(&path("ES", 0, "book")).await;
    assert_eq!(
        (names(&body["buy"], "bid"), names(&body["sell"], "bid")),
        (vec!["b1".into(), "b2".into()], vec!["s1".into(), "s2".into(), "s3".into()])
    );
    assert_eq!(
        (&body["book"]["best_buy"], &body["book"]["best_sell"], &body["book"]["bids"]),
        (&json!(60.0), &json!(10.0), &json!(5))
    );
    assert_eq!((&body["book"]["offered_mw"], &body["book"]["wanted_mw"]), (&json!(300.0), &json!(190.0)));
    let (_, one) = world.get(&format!("{}?limit=1", path("ES", 0, "book"))).await;
    assert_eq!((&one["truncated"], names(&one["sell"], "bid")), (&json!(true), vec!["s1".to_owned()]));
    // Any instant in the interval is the interval.
    let within = format!("/api/market/MIBEL-ES%2FMIBEL-ES/{}/book", day::start() + day::HOUR - 1);
    assert_eq!(world.get(&within).await.1, body);
}

#[tokio::test]
async fn a_merit_order_has_levels_and_the_others_apart() {
    let world = day::world().await;
    let (_, body) = world.get(&path("ES", 0, "merit-order")).await;
    let levels = |side: &str| -> Vec<(f64, f64, f64)> {
        let all = body[side].as_array().unwrap().iter();
        all.map(|level| ["price", "power_mw", "cumulative_mw"].map(|field| level[field].as_f64().unwrap()).into())
            .collect()
    };
    assert_eq!(levels("supply"), [(10.0, 100.0, 100.0), (30.0, 150.0, 250.0), (35.0, 50.0, 300.0)]);
    assert_eq!(levels("demand"), [(60.0, 150.0, 150.0), (20.0, 40.0, 190.0)]);
    assert_eq!((&body["price"], &body["t"], &body["truncated"]), (&json!(30.0), &json!(noon() + 1), &json!(false)));
    let (_, blocks) = world.get(&path("ES", 3, "merit-order")).await;
    assert_eq!(
        (names(&blocks["complex"], "bid"), blocks["supply"].as_array().unwrap().len()),
        (vec!["k1".into(), "k2".into()], 1)
    );
    let (_, linear) = world.get(&path("ES", 5, "merit-order")).await;
    assert_eq!((names(&linear["linear"], "bid"), &linear["supply"]), (vec!["l1".into()], &json!([])));
    // Half-way up its curve, to the kW.
    assert!((linear["price"].as_f64().unwrap() - 35.0).abs() < 0.001, "{linear}");
    let (_, cut) = world.get(&format!("{}?limit=2", path("ES", 0, "merit-order"))).await;
    assert_eq!((&cut["truncated"], cut["supply"].as_array().unwrap().len()), (&json!(true), 2));
}

#[tokio::test]
async fn clearing_says_why() {
    let world = day::world().await;
    let (_, body) = world.get(&path("ES", 0, "clearing")).await;
    let clearing = &body["clearing"];
    assert_eq!(
        (&clearing["price"], &clearing["sold_mw"], &clearing["congested"]),
        (&json!(30.0), &json!(150.0), &json!(true))
    );
    assert_eq!((&body["coupled"]["zone"], &body["coupled"]["price"]), (&json!("MIBEL-PT"), &json!(50.0)));
    let marginal = &body["explain"]["marginal"];
    assert_eq!((&marginal["bid"], &marginal["step"]["price"]), (&clearing["marginal"]["bid"], &json!(30.0)));
    // 50 MW for 100 and 50 MW at the margin: in proportion, to the kW.
    let share = |bid: &Value| {
        (bid["bid"].as_str().unwrap().to_owned(), bid["at_price_mw"].as_f64(), bid["awarded_mw"].as_f64())
    };
    let margin: Vec<_> = body["explain"]["at_margin"].as_array().unwrap().iter().map(share).collect();
    assert_eq!(margin, [("s2".into(), Some(100.0), Some(33.333)), ("s3".into(), Some(50.0), Some(16.667))]);
    assert_eq!(body["explain"]["component"], Value::Null);

    let (_, body) = world.get(&path("ES", 3, "clearing")).await;
    let component = &body["explain"]["component"];
    assert_eq!(component["intervals"], json!([hour(2), hour(3)]));
    let complex = |at: usize| &component["complex"][at];
    assert_eq!(
        (&complex(0)["bid"], &complex(0)["accepted"], &complex(0)["ratio"]),
        (&json!("k1"), &json!(true), &json!(1.0))
    );
    // (40 − 35) × 20 MW in each of two hours.
    assert_eq!(complex(0)["surplus"], 200.0);
    assert_eq!(
        (&complex(1)["bid"], &complex(1)["accepted"], &complex(1)["surplus"]),
        (&json!("k2"), &json!(false), &Value::Null)
    );
}

#[tokio::test]
async fn rows_that_the_state_has_no_more_come_from_the_book() {
    let world = World::start().await;
    let all = model::Batch { clearing: Vec::new(), ..day::batch(noon() + 1, &day::bids()) };
    world.close(all);
    let (status, body) = world.get(&path("ES", 0, "clearing")).await;
    assert_eq!((status, &body["clearing"]["price"]), (200, &json!(30.0)));
    assert_eq!(world.get(&path("ES", 0, "book")).await.1["book"], Value::Null);
}

#[tokio::test]
async fn a_changed_book_is_cleared_again() {
    let world = day::world().await;
    let price = async |world: &World| world.get(&path("ES", 0, "merit-order")).await.1["price"].clone();
    assert_eq!(price(&world).await, 30.0);
    let mut bids = day::bids();
    bids.push(bid("s0", "ES", Side::Sell, &[(0, 1.0, 100.0)]));
    world.close(day::batch(noon() + 2, &bids));
    assert_eq!(price(&world).await, 10.0);
    let gone = bids.iter().find(|bid| bid.bid == "s1").unwrap().clone();
    world.close(model::Batch { t: noon() + 3, bids: vec![model::Change::Remove(gone.into())], ..Default::default() });
    assert_eq!(price(&world).await, 30.0);
}

#[tokio::test]
async fn what_if_is_the_day_cleared_from_scratch() {
    let world = day::world().await;
    let wire = |bid: &BidEvent| {
        let zone = if bid.series == day::series("ES") { "ES" } else { "PT" };
        let steps: Vec<Value> = bid.steps.iter().map(|step| json!({"delivery": step.start_ms, "price": model::money::price(step.price_micros), "power": model::money::volume_mwh(step.power_kw)})).collect();
        json!({"bid": bid.bid, "organisation": bid.organisation, "market_zone": zone, "market": "DAY_AHEAD_HOURLY",
            "delivery": bid.delivery_ms, "side": bid.side, "steps": steps})
    };
    let cases: [(Vec<BidEvent>, Vec<&str>); 5] = [
        (vec![bid("x1", "ES", Side::Sell, &[(0, 12.0, 70.0), (2, 34.0, 30.0)])], vec![]),
        (
            vec![
                bid("x2", "PT", Side::Buy, &[(0, 70.0, 9.0), (7, 10.0, 1.0)]),
                bid("x3", "PT", Side::Sell, &[(7, 5.0, 1.0)]),
            ],
            vec!["p1"],
        ),
        (vec![], vec!["k1", "c1"]),
        // In place of the one that stands.
        (vec![bid("s1", "ES", Side::Sell, &[(0, 55.0, 100.0)])], vec![]),
        (vec![], vec![]),
    ];
    let before = rows(&book(&day::bids()));
    for (add, remove) in cases {
        let body = json!({"add": add.iter().map(wire).collect::<Vec<_>>(), "remove": remove});
        let (status, answer) = world.post(&path("ES", 0, "what-if"), &body).await;
        assert_eq!(status, 200, "{answer}");
        let mut bids = day::bids();
        bids.retain(|bid| !remove.contains(&bid.bid.as_str()) && add.iter().all(|added| added.bid != bid.bid));
        bids.extend(add);
        let after = rows(&book(&bids));
        assert_eq!(answer["changed"], expected(&before, &after), "{body}");
    }
    assert_eq!(world.get(&path("ES", 0, "merit-order")).await.1["price"], 30.0, "nothing of it stays");
    assert!(world.published().is_empty());
}

/// What is told of two clearings of a day.
fn expected(before: &[Clearing], after: &[Clearing]) -> Value {
    let outcome = |rows: &[Clearing], key: &model::clearing::ClearingKey| {
        let row = rows.iter().find(|row| row.key() == *key)?;
        Some(json!({
            "price": row.price_micros.map(model::money::price),
            "volume_mw": model::money::volume_mwh(row.sold_kw.max(row.bought_kw)),
            "import_mw": model::money::volume_mwh(row.import_kw),
            "marginal": row.marginal.as_ref().map(|(side, bid)| json!({"side": side, "bid": bid})),
        }))
    };
    let mut changed = Vec::new();
    for at in 0..24 {
        for (zone, code) in [("ES", "MIBEL-ES"), ("PT", "MIBEL-PT")] {
            let key = (day::series(zone), day::start() + at * day::HOUR);
            let (old, new) = (outcome(before, &key), outcome(after, &key));
            if old != new {
                let series = json!({"zone": code, "location": code, "market": "DAY_AHEAD_HOURLY", "currency": "EUR"});
                changed.push(json!({"series": series, "start": hour(at), "before": old, "after": new}));
            }
        }
    }
    Value::Array(changed)
}

#[tokio::test]
async fn what_if_takes_no_nonsense() {
    let world = day::world().await;
    let new = |own: Value| {
        let mut bid = json!({"organisation": "o", "market_zone": "ES", "market": "DAY_AHEAD_HOURLY", "delivery": hour(0),
            "side": "sell", "steps": [{"price": 5, "power": 1}]});
        bid.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        bid
    };
    let what_if = path("ES", 0, "what-if");
    let cases = [
        (json!({"add": [new(json!({"delivery": hour(30)}))]}), 400, "bad_body"),
        (json!({"add": [new(json!({"market_zone": "PJM"}))]}), 400, "bad_body"),
        (json!({"add": [new(json!({"market_zone": "atlantis"}))]}), 404, "unknown_zone"),
        (json!({"add": [new(json!({"steps": [{"price": 5.001, "power": 1}]}))]}), 422, "bid_refused"),
        (json!({"add": vec![new(json!({})); 1_001]}), 422, "limit_reached"),
        (json!({"remove": ["nobody"]}), 404, "not_found"),
        (json!({"plus": []}), 400, "bad_body"),
    ];
    for (body, expected, code) in cases {
        let (status, answer) = world.post(&what_if, &body).await;
        assert_eq!((status, &answer["error"]["code"]), (expected, &json!(code)), "{answer}");
    }
    // A thousand may be added, after the gate as well, and where nobody has bid yet.
    let (status, answer) = world.post(&what_if, &json!({"add": vec![new(json!({})); 1_000]})).await;
    assert_eq!((status, &answer["changed"][0]["after"]["price"]), (200, &json!(5.0)), "{answer}");
    let (sell, buy) =
        (json!({"delivery": "2025-11-20T23:00:00Z"}), json!({"delivery": "2025-11-20T23:00:00Z", "side": "buy"}));
    let (status, answer) =
        world.post("/api/market/ES/2025-11-20T23:30:00Z/what-if", &json!({"add": [new(sell), new(buy)]})).await;
    assert_eq!(
        (status, &answer["changed"][0]["before"], &answer["changed"][0]["after"]["price"]),
        (200, &Value::Null, &json!(5.0)),
        "{answer}"
    );
}

#[tokio::test]
async fn awards_are_found_by_bid_organisation_and_time() {
    let world = day::world().await;
    let (status, body) = world.get("/api/market/ES/awards").await;
    assert_eq!((status, &body["t"], &body["truncated"]), (200, &json!(noon() + 1), &json!(false)));
    let sold: f64 = body["awards"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|award| award["side"] == "sell" && award["start"] == hour(0))
        .map(|award| award["power_mw"].as_f64().unwrap())
        .sum();
    assert_eq!(sold, 150.0);
    let count = async |query: &str| world.get(&format!("/api/market/{query}")).await.1["count"].as_u64().unwrap();
    assert_eq!(count("ES/awards?bid=k1").await, 2);
    assert_eq!(count("ES/awards?organisation=Blocks").await, 2);
    assert_eq!(count(&format!("ES/awards?bid=k1&from={}", hour(3))).await, 1);
    assert_eq!(count(&format!("ES/awards?bid=k1&to={}", hour(3))).await, 1);
    assert_eq!(count("PT/awards").await, 2);
    assert_eq!(count("ES/awards?market=CONTINUOUS").await, 0);
    let (_, cut) = world.get("/api/market/ES/awards?limit=1").await;
    assert_eq!((&cut["count"], &cut["truncated"]), (&json!(1), &json!(true)));
}

#[tokio::test]
async fn key_figures_of_bids_are_found_by_whose_where_and_when() {
    let world = day::world().await;
    let get = async |query: &str| world.get(&format!("/api/market/bid-kpis?{query}")).await;
    let (status, body) = get("").await;
    assert_eq!((status, &body["t"], &body["truncated"]), (200, &json!(noon() + 1), &json!(false)));
    let all = body["bid_kpis"].as_array().unwrap();
    assert!(all.len() > 5 && body["count"] == all.len(), "{body}");
    let starts: Vec<&str> = all.iter().map(|row| row["start"].as_str().unwrap()).collect();
    assert!(starts.is_sorted());
    // What is awarded in the rows is what the awards say.
    let awarded = |rows: &Value, power: &str| -> f64 {
        rows.as_array().unwrap().iter().map(|row| row[power].as_f64().unwrap()).sum()
    };
    let (_, awards) = world.get("/api/market/ES/awards").await;
    let (_, here) = get("location=ES").await;
    assert_eq!(awarded(&here["bid_kpis"], "awarded_mw"), awarded(&awards["awards"], "power_mw"));
    let (_, cut) = get("location=ES&limit=1").await;
    assert_eq!((&cut["count"], &cut["truncated"]), (&json!(1), &json!(true)), "{cut}");
    golden::check("bid-kpis", &get(&format!("location=ES&start={}&end={}", hour(0), hour(3))).await.1);
    let count = async |query: &str| get(query).await.1["count"].as_u64().unwrap();
    assert!(count("side=buy").await > 0 && count("side=buy").await + count("side=sell").await == all.len() as u64);
    assert!(count("organisation=Blocks").await > 0);
    assert_eq!(count("organisation=Nobody").await, 0);
    assert_eq!(count("market=CONTINUOUS").await, 0);
    assert_eq!(count(&format!("start={}", hour(24))).await, 0);
    for wrong in ["limit=0", "side=both", "start=teatime", "market=SOUK", "from=2025-11-20"] {
        assert_eq!(get(wrong).await.0, 400, "{wrong}");
    }
    assert_eq!(get("location=nowhere").await.0, 404);
}

#[tokio::test]
async fn where_there_is_nothing_the_answer_says_what_there_is() {
    let world = day::world().await;
    for what in ["book", "merit-order", "clearing"] {
        let (status, body) = world.get(&path("ES", 23, what)).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")), "{what}: {body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("DAY_AHEAD_HOURLY from {} to {}", hour(0), hour(6))), "{message}");
        let (status, body) = world.get(&path("pjm", 0, what)).await;
        assert!(
            status == 404 && body["error"]["message"].as_str().unwrap().ends_with("there are bids in none"),
            "{body}"
        );
        assert_eq!(world.get(&format!("{}?market=CONTINUOUS", path("ES", 0, what))).await.0, 404);
        assert_eq!(world.get(&format!("/api/market/ES/teatime/{what}")).await.0, 400);
        assert_eq!(world.get(&path("nowhere", 0, what)).await.0, 404);
        assert_eq!(world.get(&path("atlantis%2FX", 0, what)).await.1["error"]["code"], "unknown_zone");
    }
    assert_eq!(world.get(&path("ES", 0, "what-if")).await.0, 405);
    assert_eq!(world.get("/api/market/nowhere/awards").await.0, 404);
    assert_eq!(world.get("/api/market/ES/awards?limit=0").await.0, 400);
}
