//! Every endpoint over HTTP: what it answers, and what it says to a request that is wrong.

use model::health::ServiceState;
use model::wire::TopicKind;
use serde_json::{Value, json};

use crate::world::{KEY, World, answer, config, noon, pjm_price};

fn message(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn tells_how_it_is_doing() {
    let world = World::start().await;
    assert_eq!(world.get("/livez").await.0, 200);
    let (status, ready) = world.get("/readyz").await;
    assert_eq!((status, &ready["ready"], &ready["t"]), (200, &json!(true), &json!(noon())));
    let (status, health) = world.get("/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("degraded")));
    // Of kafka, dataflow, postgres (down) and the websocket three work; redis is switched off and does not count.
    let summary = json!({"available_services": 3, "total_services": 4, "availability_percentage": 75.0});
    assert_eq!(health["summary"], summary);
    assert_eq!(health["records"]["received"], 5);
    assert_eq!(health["dead_letters"]["malformed"], 0);
    world.set_service("kafka", ServiceState::Down);
    let (status, ready) = world.get("/readyz").await;
    assert_eq!((status, &ready["down"][0]["name"]), (503, &json!("kafka")));
    assert_eq!(world.get("/health").await.1["status"], "unhealthy");
}

#[tokio::test]
async fn counts_requests_by_route_and_dead_letters_by_reason() {
    let world = World::start().await;
    world.get("/api/market/prices/pjm/history").await;
    world.get("/api/market/prices/atlantis/history").await;
    let text = world.client.get(world.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for status in [200, 404] {
        let line = format!(
            "optibid_api_requests_total{{method=\"GET\",route=\"/api/market/prices/{{zone}}/history\",status=\"{status}\"}} 1"
        );
        assert!(text.contains(&line), "{line}\n{text}");
    }
    let letter = model::DeadLetter {
        topic: "t".into(),
        partition: 0,
        offset: 1,
        row: 0,
        reason: model::Reason::BadPrice,
        detail: "NaN".to_owned(),
        bytes: b"x".to_vec(),
    };
    world.close(model::Batch { t: noon() + 10, dead_letters: vec![letter], ..model::Batch::default() });
    // The count follows when the hub has seen the batch.
    while world.get("/health").await.1["dead_letters"]["bad_price"] != 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lists_zones_and_latest_prices() {
    let world = World::start().await;
    let (_, zones) = world.get("/api/market/zones").await;
    let all = zones["zones"].as_array().unwrap();
    let mumbai = all.iter().find(|zone| zone["zone"] == "IEX-W2").unwrap();
    assert!(mumbai["aliases"].as_array().unwrap().contains(&json!("MUMBAI")));
    assert_eq!((&mumbai["timezone"], &mumbai["currency"]), (&json!("Asia/Kolkata"), &json!("INR")));
    let (_, latest) = world.get("/api/market/prices/latest").await;
    assert_eq!((latest["t"].as_u64(), latest["prices"].as_array().unwrap().len()), (Some(noon()), 3));
    let (_, one) = world.get("/api/market/prices/latest?zone=mumbai,PJM").await;
    let seen: Vec<_> = one["prices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|price| (price["market_zone"].as_str().unwrap(), price["zone"].as_str().unwrap(), price["price"].as_f64()))
        .collect();
    assert_eq!(seen, [("mumbai", "IEX-W2", Some(4007.0)), ("PJM", "PJM", Some(54.0))]);
}

#[tokio::test]
async fn price_history_has_ranges_widths_and_limits() {
    let world = World::start().await;
    let (status, body) = world
        .get("/api/market/prices/pjm/history?start=2025-11-18T11:48:00Z&end=2025-11-18T11:52:00Z&granularity=1m")
        .await;
    assert_eq!((status, &body["count"], &body["granularity"]), (200, &json!(4), &json!("1m")));
    assert_eq!(body["data"][2]["close"], pjm_price(110));
    let (_, newest) = world.get("/api/market/prices/PJM/history?limit=2").await;
    assert_eq!((&newest["truncated"], &newest["data"][1]["count"]), (&json!(true), &json!(3)));
    // A date is the zone's local day: India's began at 18:30 UTC the day before.
    let (_, day) = world.get("/api/market/prices/Mumbai/history?start=2025-11-18&end=2025-11-18&granularity=day").await;
    assert_eq!((&day["start"], &day["end"]), (&json!("2025-11-17T18:30:00.000Z"), &json!("2025-11-18T18:30:00.000Z")));
    assert_eq!((&day["count"], &day["data"][0]["close"]), (&json!(1), &json!(4007.0)));
    let (_, other) = world.get("/api/market/prices/pjm/history?market=DAY_AHEAD_HOURLY").await;
    assert_eq!((&other["count"], &other["series"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn bad_parameters_say_what_is_allowed() {
    let world = World::start().await;
    let cases = [
        ("/api/market/prices/pjm/history?granularity=week", "1m, 5m, 15m, 1h, 1d"),
        ("/api/market/prices/pjm/history?start=yesterday", "RFC 3339"),
        ("/api/market/prices/pjm/history?start=2025-11-19&end=2025-11-18", "is not before"),
        ("/api/market/prices/pjm/history?limit=0", "a number from 1 to"),
        ("/api/market/prices/pjm/history?market=SPOT", "REAL_TIME_5_MIN"),
        ("/api/market/prices/latest?zones=pjm", "this route takes: zone"),
        ("/api/market/zones?x=1", "this route takes: none"),
        ("/api/analytics/market-analytics", "market_zone=MUMBAI"),
        ("/api/analytics/market-analytics?market_zone=pjm&market_zone=miso", "give it once"),
        ("/api/analytics/anomaly-detection?market_zone=DELHI&threshold=NaN", "a number from 0.1 to 100"),
        ("/api/analytics/anomaly-detection?market_zone=DELHI&threshold=-1", "a number from 0.1 to 100"),
        ("/api/analytics/cross-market-analysis?correlation_window=soon", "a number from 1 to 9600"),
        ("/api/analytics/real-time-kpis?time_window=0", "a number from 1 to 2880"),
        ("/api/explain/bar/pjm/teatime", "RFC 3339 or UTC milliseconds"),
        ("/api/ws/ws/prices?channels=gossip", "prices, volumes, kpis, alerts, correlations, bids"),
        ("/api/ws/ws/market/pjm?format=xml", "classic, batch"),
        ("/api/ws/ws/market/pjm", "this is a WebSocket"),
    ];
    for (path, expected) in cases {
        let (status, body) = world.get(path).await;
        assert_eq!(status, 400, "{path}: {body}");
        assert!(message(&body).contains(expected), "{path}: {body}");
    }
}

#[tokio::test]
async fn unknown_things_are_404_and_tell_what_there_is() {
    let world = World::start().await;
    for path in [
        "/api/market/prices/atlantis/history",
        "/api/market/prices/latest?zone=pjm,atlantis",
        "/api/analytics/market-analytics?market_zone=atlantis",
        "/api/analytics/anomaly-detection?market_zone=atlantis",
        "/api/analytics/cross-market-analysis?market_zones=atlantis",
        "/api/analytics/real-time-kpis?market_zones=atlantis",
        "/api/explain/bar/atlantis%2FX/0",
        "/ws/market/atlantis",
    ] {
        let (status, body) = world.get(path).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("unknown_zone")), "{path}: {body}");
        assert!(body["error"]["details"]["known"].as_array().unwrap().contains(&json!("MUMBAI")), "{path}");
    }
    for path in ["/api/nothing", "/api/market", "/simulate/nothing", "/nothing.js", "/api/ws/ws/ws/health"] {
        let (status, body) = world.get(path).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("no_route")), "{path}: {body}");
    }
    let response = world.client.delete(world.url("/api/market/zones")).send().await.unwrap();
    assert_eq!(answer(response).await.0, 405);
    assert_eq!(world.get("/api/sql").await.0, 405);
    assert_eq!(world.post("/api/nothing", &json!({})).await.0, 404);
}

#[tokio::test]
async fn market_analytics_adds_up() {
    let world = World::start().await;
    let path =
        "/api/analytics/market-analytics?market_zone=pjm&start_date=2025-11-18&end_date=2025-11-18&granularity=hour";
    let (status, body) = world.get(path).await;
    assert_eq!(status, 200, "{body}");
    // New York's 18 November.
    assert_eq!(
        (&body["start"], &body["end"]),
        (&json!("2025-11-18T05:00:00.000Z"), &json!("2025-11-19T05:00:00.000Z"))
    );
    let first: Vec<f64> = (0..60).map(pjm_price).collect();
    let mut second: Vec<f64> = (60..119).map(pjm_price).collect();
    second.extend([50.0, 52.0, 54.0]);
    for (bucket, prices) in body["data"].as_array().unwrap().iter().zip([&first, &second]) {
        let n = prices.len() as f64;
        let mean = prices.iter().sum::<f64>() / n;
        let std = (prices.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let is = |field: &str, expected: f64| {
            let found = bucket[field].as_f64().unwrap();
            assert!((found - expected).abs() < 2e-6, "{field}: {found} is not {expected}");
        };
        is("open", prices[0]);
        is("close", *prices.last().unwrap());
        is("high", prices.iter().copied().fold(f64::MIN, f64::max));
        is("low", prices.iter().copied().fold(f64::MAX, f64::min));
        is("mean", mean);
        // Every tick has the same volume here, so the VWAP is the mean.
        is("vwap", mean);
        is("volume", n * 10.0);
        is("volatility", std);
        is("count", n);
    }
    let summary = &body["summary"];
    assert_eq!((&summary["count"], &summary["volume"], &summary["high"]), (&json!(122), &json!(1220.0), &json!(95.0)));
    assert_eq!((&summary["change"], &summary["change_percent"]), (&json!(4.0), &json!(8.0)));
    assert_eq!(summary["peak"], "2025-11-18T11:00:00.000Z");
    let (_, empty) = world.get("/api/analytics/market-analytics?market_zone=DELHI").await;
    assert_eq!((&empty["data"], &empty["summary"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn anomaly_detection_judges_at_the_clients_threshold() {
    let world = World::start().await;
    let path =
        "/api/analytics/anomaly-detection?market_zone=PJM&start_date=2025-11-18&end_date=2025-11-19&threshold=2.5";
    let (_, body) = world.get(path).await;
    let found = body["anomalies"].as_array().unwrap();
    assert_eq!(found[0]["timestamp"], "2025-11-18T11:50:00.000Z", "{body}");
    assert_eq!((&found[0]["price"], &found[0]["direction"]), (&json!(95.0), &json!("spike")));
    let before: Vec<f64> = (80..110).map(pjm_price).collect();
    let mean = before.iter().sum::<f64>() / 30.0;
    let std = (before.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / 29.0).sqrt();
    assert!((found[0]["z_score"].as_f64().unwrap() - (95.0 - mean) / std).abs() < 1e-3);
    // 120 bars, of which the first 5 have too short a baseline.
    assert_eq!((&body["bars"], &body["judged"]), (&json!(120), &json!(115)));
    let (_, strict) = world.get(&path.replace("=2.5", "=100")).await;
    assert_eq!(strict["anomalies"], json!([]));
    // The rules' own alert does not depend on the client's threshold; MISO's withdrawn one is not PJM's.
    for body in [&body, &strict] {
        assert_eq!(body["alerts"].as_array().unwrap().len(), 1);
        assert_eq!((&body["alerts"][0]["state"], &body["alerts"][0]["z_score"]), (&json!("raised"), &json!(4.2)));
    }
    let (_, miso) = world.get("/api/analytics/anomaly-detection?market_zone=miso").await;
    assert_eq!(miso["alerts"], json!([]), "withdrawn alerts do not stand");
}

#[tokio::test]
async fn cross_market_analysis_correlates_and_leaves_the_undefined_out() {
    let world = World::start().await;
    let path = "/api/analytics/cross-market-analysis?start_date=2025-11-18&end_date=2025-11-19&correlation_window=24";
    let (status, body) = world.get(path).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["zones"], json!(["PJM", "MISO", "IEX-W2"]));
    let matrix = &body["correlation_matrix"];
    // MISO is twice PJM less 70 in every minute but the last (means 52 and 30).
    let (x, y): (Vec<f64>, Vec<f64>) =
        (0..120).map(|k| if k == 119 { (52.0, 30.0) } else { (pjm_price(k), pjm_price(k) * 2.0 - 70.0) }).unzip();
    assert!((matrix[0][1].as_f64().unwrap() - pearson(&x, &y)).abs() < 1e-8);
    assert_eq!((&matrix[0][1], &matrix[0][0]), (&matrix[1][0], &json!(1.0)));
    let pair = &body["pairs"][0];
    assert_eq!((&pair["a"], &pair["b"], &pair["count"]), (&json!("PJM"), &json!("MISO"), &json!(120)));
    assert_eq!(pair["spread"]["latest"], 22.0);
    // Rupees and dollars have no spread.
    assert_eq!((&body["pairs"][1]["b"], &body["pairs"][1]["spread"]), (&json!("IEX-W2"), &Value::Null));
    let (_, early) = world
        .get("/api/analytics/cross-market-analysis?start_date=2025-11-18T10:00:00Z&end_date=2025-11-18T10:02:00Z&market_zones=PJM,MISO")
        .await;
    assert_eq!((&early["pairs"][0]["count"], &early["pairs"][0]["correlation"]), (&json!(2), &Value::Null));
}

fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let covariance: f64 = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum();
    let variance = |v: &[f64], m: f64| v.iter().map(|v| (v - m).powi(2)).sum::<f64>();
    covariance / (variance(x, mx) * variance(y, my)).sqrt()
}

#[tokio::test]
async fn real_time_kpis_of_any_window() {
    let world = World::start().await;
    let (_, body) = world.get("/api/analytics/real-time-kpis?market_zones=PJM,mumbai,DELHI&time_window=60").await;
    let pjm = &body["zones"]["PJM"];
    // Minutes that start in (11:00, 12:00]: 11:01 to 11:59.
    let kpis = &pjm["kpis"];
    assert_eq!((&kpis["count"], &kpis["last"], &kpis["max"]), (&json!(61), &json!(54.0), &json!(95.0)));
    assert_eq!(kpis["change"].as_f64().unwrap(), 54.0 - pjm_price(61));
    let mut closes: Vec<f64> = (61..119).map(pjm_price).collect();
    closes.push(54.0);
    let steps: Vec<f64> = closes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let n = steps.len() as f64;
    let mean = steps.iter().sum::<f64>() / n;
    let std = (steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    assert!((kpis["volatility"].as_f64().unwrap() - std).abs() < 2e-6);
    assert_eq!(pjm["freshness_seconds"], 58.0);
    assert_eq!(
        (&body["zones"]["mumbai"]["zone"], &body["zones"]["mumbai"]["status"]),
        (&json!("IEX-W2"), &json!("live"))
    );
    assert_eq!((&body["zones"]["DELHI"]["status"], &body["zones"]["DELHI"]["kpis"]), (&json!("no_data"), &Value::Null));
    assert_eq!(body["summary"]["zones_with_data"], 2);
    let (_, all) = world.get("/api/analytics/real-time-kpis").await;
    assert_eq!(all["zones"].as_object().unwrap().len(), 3, "zones that have a price");
}

#[tokio::test]
async fn explains_a_bar_down_to_the_offsets() {
    let world = World::start().await;
    let (status, body) = world.get("/api/explain/bar/pjm/2025-11-18T11:59:30Z").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["complete"], &body["bar"]["count"]), (&json!(true), &json!(3)));
    let rows = body["ticks"].as_array().unwrap();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            (row["offset"].as_i64().unwrap(), row["counts"].as_bool().unwrap(), row["disposition"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (100, true, "applied"),
            (101, false, "applied"),
            (104, true, "corrected"),
            (102, true, "applied"),
            (103, false, "applied"),
            (105, false, "corrected"),
        ]
    );
    assert_eq!((&rows[2]["replaced"]["offset"], &rows[2]["replaced"]["price"]), (&json!(101), &json!(99.0)));
    assert_eq!((&rows[2]["topic"], &rows[2]["partition"]), (&json!("optibid.ticks.pjm"), &json!(0)));
    let minute = model::time::parse_instant("2025-11-18T11:59:00Z").unwrap();
    let (_, same) = world.get(&format!("/api/explain/bar/PJM%2Fpjm/{minute}?market=CONTINUOUS")).await;
    assert_eq!(same["ticks"], body["ticks"]);
    assert_eq!(world.get("/api/explain/bar/pjm/2024-01-01T00:00:00Z").await.0, 404);
    assert_eq!(world.get("/api/explain/bar/nowhere/2024-01-01T00:00:00Z").await.0, 404);
}

#[tokio::test]
async fn answers_sql_in_three_forms() {
    let world = World::start().await;
    let query =
        "SELECT zone, close FROM bars WHERE granularity = '1m' AND zone = 'PJM' ORDER BY start_time DESC LIMIT 1";
    let (status, body) = world.post("/api/sql", &json!({"query": query})).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["rows"][0]["close"], &body["t_ms"]), (&json!(54.0), &json!(noon())));
    let request = || world.client.post(world.url("/api/sql")).body(query).header("content-type", "text/plain");
    let csv = request().header("accept", "text/csv").send().await.unwrap();
    assert_eq!(csv.headers()["x-optibid-t"].to_str().unwrap(), noon().to_string());
    assert_eq!(csv.text().await.unwrap(), "zone,close\nPJM,54.0\n");
    let arrow = request().header("accept", "application/vnd.apache.arrow.stream").send().await.unwrap();
    assert_eq!(arrow.headers()["content-type"], "application/vnd.apache.arrow.stream");
    assert!(arrow.bytes().await.unwrap().len() > 100);
    let xml = request().header("accept", "application/xml").send().await.unwrap();
    assert_eq!(answer(xml).await.0, 406);
    for (query, code) in
        [("SELEC 1", "bad_query"), ("DROP TABLE bars", "bad_query"), ("SELECT nothing FROM bars", "bad_query")]
    {
        let (status, body) = world.post("/api/sql", &json!({"query": query})).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!(code)), "{query}: {body}");
        assert!(body["error"]["details"]["sqlstate"].is_string(), "{body}");
    }
    for body in [json!({}), json!({"query": ""}), json!({"sql": "SELECT 1"})] {
        assert_eq!(world.post("/api/sql", &body).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn only_the_administrator_publishes() {
    let world = World::start().await;
    let price = json!({"market_zone": "pjm", "price": 52.50, "volume": 1000});
    for path in
        ["/api/ws/broadcast/price", "/api/ws/ws/broadcast/price", "/simulate/price-update", "/simulate/market-events"]
    {
        let request = world.client.post(world.url(path)).json(&price);
        let response = request.try_clone().unwrap().send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(answer(response).await.0, 401, "{path}");
        assert_eq!(answer(request.header("x-admin-key", "wrong").send().await.unwrap()).await.0, 401, "{path}");
    }
    assert!(world.published().is_empty());
    for path in ["/api/ws/broadcast/price", "/api/ws/ws/broadcast/price", "/ws/broadcast/price"] {
        let request = world.client.post(world.url(path)).bearer_auth(KEY).json(&price);
        let (status, body) = answer(request.send().await.unwrap()).await;
        assert_eq!((status, &body["status"]), (200, &json!("success")), "{path}: {body}");
    }
    let sent = &world.published()[0];
    assert_eq!((sent.kind, sent.zone.as_deref(), sent.key.as_str()), (TopicKind::Ticks, Some("PJM"), "PJM"));
    assert_eq!((&sent.payload["price"], &sent.payload["volume"]), (&json!(52.5), &json!(1000.0)));
}

#[tokio::test]
async fn broadcasts_and_simulations_reach_kafka() {
    let world = World::start().await;
    let alert = json!({"market_zone": "mumbai", "alert_type": "price_spike", "message": "High price detected", "severity": "warning"});
    assert_eq!(world.post("/api/ws/ws/broadcast/alert", &alert).await.0, 200);
    assert_eq!(world.post("/simulate/price-update", &json!({"market_zone": "miso", "price": -5})).await.0, 200);
    assert_eq!(world.post("/simulate/price-update?market_zone=pjm", &json!({})).await.0, 200);
    assert_eq!(world.post("/simulate/market-events", &json!({})).await.0, 200);
    let two = json!({"events": [{"event_type": "outage", "market_zone": "pjm"}, {"event_type": "weather", "severity": "high"}]});
    assert_eq!(world.post("/simulate/market-events", &two).await.0, 200);
    let sent = world.published();
    let notice = &sent[0];
    assert_eq!((notice.kind, &notice.payload["market_zone"]), (TopicKind::Notices, &json!("IEX-W2")));
    assert_eq!((&notice.payload["class"], &notice.payload["severity"]), (&json!("market_alert"), &json!("warning")));
    assert_eq!(sent[1].payload["price"], -5.0);
    // Without a price: near the zone's last.
    let near = sent[2].payload["price"].as_f64().unwrap();
    assert!((52.9..=55.1).contains(&near), "{near}");
    assert_eq!((&sent[3].payload["market_zone"], &sent[3].payload["class"]), (&json!("*"), &json!("market_event")));
    assert_eq!((sent.len(), &sent[5].payload["severity"]), (6, &json!("critical")));
    let refused = [
        ("/api/ws/broadcast/price", json!({"market_zone": "pjm", "price": 1e300}), 400),
        ("/api/ws/broadcast/price", json!({"market_zone": "pjm", "price": "high"}), 400),
        ("/api/ws/broadcast/price", json!({"market_zone": "pjm", "price": 1, "volume": -1}), 400),
        ("/api/ws/broadcast/price", json!({"market_zone": "atlantis", "price": 1}), 404),
        (
            "/api/ws/broadcast/alert",
            json!({"market_zone": "pjm", "alert_type": "x", "message": "y", "severity": "huge"}),
            400,
        ),
        ("/simulate/price-update", json!({"market_zone": "delhi"}), 400),
        ("/simulate/market-events", json!({"events": []}), 400),
        ("/simulate/market-events", json!({"events": [{"market_zone": "pjm"}, {"market_zone": "atlantis"}]}), 404),
    ];
    for (path, body, expected) in refused {
        let (status, answer) = world.post(path, &body).await;
        assert_eq!(status, expected, "{path} {body}: {answer}");
    }
    assert_eq!(world.published().len(), 6, "nothing of what was refused is published");
    world.stop_broker();
    let (status, body) = world.post("/api/ws/broadcast/price", &json!({"market_zone": "pjm", "price": 1})).await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("unavailable")));
}

#[tokio::test]
async fn keeps_to_its_limits() {
    let world = World::with(api::Config { body_limit_bytes: 1_000, max_bars: 100, ..config() }).await;
    let (status, body) = world.post("/api/sql", &json!({"query": "x".repeat(2_000)})).await;
    assert_eq!((status, &body["error"]["details"]["limit_bytes"]), (413, &json!(1000)));
    let (status, body) = world.get("/api/market/prices/pjm/history").await;
    assert_eq!((status, &body["error"]["code"]), (422, &json!("limit_reached")), "{body}");
    assert!(message(&body).contains("coarser granularity"));
}

#[tokio::test]
async fn request_ids_cors_and_head() {
    let world = World::start().await;
    let request = world.client.get(world.url("/livez"));
    let given = request.try_clone().unwrap().header("x-request-id", "abc-1").header("origin", "http://elsewhere");
    let response = given.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "abc-1");
    assert_eq!(response.headers()["access-control-allow-origin"], "http://elsewhere");
    let made = request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().len();
    assert_eq!(made, 36);
    let head = world.client.head(world.url("/api/market/zones")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.bytes().await.unwrap().len()), (200, 0));
    let strict = World::with(api::Config { cors_origins: vec!["http://ours".to_owned()], ..config() }).await;
    let foreign = strict.client.get(strict.url("/livez")).header("origin", "http://elsewhere").send().await.unwrap();
    assert_eq!(answer(foreign).await.0, 403);
    let ours = strict.client.get(strict.url("/livez")).header("origin", "http://ours").send().await.unwrap();
    assert_eq!(ours.status(), 200);
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_says_so() {
    let world = World::start().await;
    let config = api::Config { listen: world.address, ..config() };
    let message = World::try_with(config).await.err().unwrap().to_string();
    assert!(message.contains(&world.address.to_string()) && message.contains("in use"), "{message}");
}

#[tokio::test]
async fn shows_a_page_and_the_documentation() {
    let world = World::start().await;
    let page = world.client.get(world.url("/")).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("OptiBid"));
    for base in ["/docs", "/api/docs"] {
        let ui = world.client.get(world.url(base)).send().await.unwrap();
        assert!(ui.url().path().ends_with('/'), "redirected to {}", ui.url());
        assert!(ui.text().await.unwrap().contains("swagger-ui"));
        let script = world.client.get(world.url(&format!("{base}/swagger-initializer.js"))).send().await.unwrap();
        assert!(script.text().await.unwrap().contains("/api/openapi.json"));
        let file = world.client.get(world.url(&format!("{base}/swagger-ui-bundle.js"))).send().await.unwrap();
        assert_eq!(file.headers()["content-type"], "text/javascript");
    }
}
