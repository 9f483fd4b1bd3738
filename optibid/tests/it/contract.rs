//! What existing clients call (paths, parameters, shapes of messages) works as it stands, against the demo.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::program::{Program, eventually};

const ADMIN: (&str, &str) = ("X-Admin-Key", "test-admin-key");

async fn demo() -> Program {
    let program = Program::start(&["demo"], &["api.admin_key=test-admin-key"]).await;
    eventually("first prices", async || {
        let prices = program.get("/api/market/prices/latest").await;
        (prices.to_string().len() > 200).then_some(())
    })
    .await;
    program
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(program: &Program, path: &str) -> Socket {
    let url = format!("ws://127.0.0.1:{}{path}", program.port);
    tokio_tungstenite::connect_async(&url).await.unwrap_or_else(|error| panic!("{path}: {error}")).0
}

/// The next JSON message; pings are answered by the library.
async fn next(socket: &mut Socket) -> Value {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("a message in time");
        if let Message::Text(text) = message.expect("the socket stays open").unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn next_of(socket: &mut Socket, kind: &str) -> Value {
    for _ in 0..100_000 {
        let message = next(socket).await;
        if message["type"] == kind {
            return message;
        }
    }
    panic!("no {kind} in 100,000 messages");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_has_its_line_in_the_docs() {
    let program = demo().await;
    let documented = include_str!("../../../docs/metrics.md");
    let (_, text) = program.try_get("/metrics").await;
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(documented.contains(&format!("| `{name}` |")), "{name} is not in docs/metrics.md");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_and_simulation() {
    let program = demo().await;
    for path in ["/api/ws/ws/market/pjm", "/api/ws/ws/market/PJM", "/ws/market/pjm", "/api/ws/ws/prices", "/ws/prices"]
    {
        let mut socket = connect(&program, path).await;
        let hello = next(&mut socket).await;
        assert_eq!(hello["type"], "connection_established", "{path}");
        for field in ["connection_id", "market_zone", "storage_backend", "timestamp", "message"] {
            assert!(hello[field].is_string(), "{path}: {field} in {hello}");
        }
        if path.contains("market") {
            assert_eq!(hello["market_zone"], "pjm");
            assert_eq!(hello["message"], "Connected to pjm market updates");
            assert_eq!(hello["storage_backend"], "memory");
        }
        next_of(&mut socket, "price_update").await;
    }

    for base in ["/api/ws", "/api/ws/ws"] {
        assert!(program.get(&format!("{base}/health")).await.is_object());
        assert!(program.get(&format!("{base}/stats")).await.is_object());
        let mut socket = connect(&program, "/api/ws/ws/market/pjm").await;
        next_of(&mut socket, "connection_established").await;

        let alert = json!({"market_zone":"pjm","alert_type":"price_spike","message":"High price detected","severity":"warning"});
        let path = format!("{base}/broadcast/alert");
        assert!([401, 403].contains(&program.post(&path, &alert, &[]).await.0), "{path} without a key");
        assert_eq!(program.post(&path, &alert, &[("X-Admin-Key", "wrong")]).await.0 / 100, 4);
        let (status, body) = program.post(&path, &alert, &[ADMIN]).await;
        assert_eq!(status / 100, 2, "{path}: {body}");
        loop {
            let seen = next_of(&mut socket, "market_alert").await;
            if seen.to_string().contains("High price detected") {
                break;
            }
        }

        let price = json!({"market_zone":"pjm","price":52.50,"volume":1000});
        let (status, body) = program.post(&format!("{base}/broadcast/price"), &price, &[ADMIN]).await;
        assert_eq!(status / 100, 2, "{body}");
        loop {
            if next_of(&mut socket, "price_update").await.to_string().contains("52.5") {
                break;
            }
        }
    }

    for (path, body) in [
        ("/simulate/price-update", json!({"market_zone":"pjm","price":61.25,"volume":10})),
        ("/simulate/market-events", json!({"market_zone":"pjm","event_type":"outage","message":"unit trip"})),
    ] {
        let (status, text) = program.post(path, &body, &[ADMIN]).await;
        assert_eq!(status / 100, 2, "{path}: {text}");
    }

    let mut socket = connect(&program, "/api/ws/ws/prices").await;
    next_of(&mut socket, "connection_established").await;
    socket.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
    next_of(&mut socket, "pong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn analytics() {
    let program = demo().await;
    for path in [
        "/api/analytics/market-analytics?market_zone=MUMBAI&start_date=2025-11-18&end_date=2025-11-19&granularity=hour",
        "/api/analytics/anomaly-detection?market_zone=DELHI&threshold=2.5&start_date=2025-11-18&end_date=2025-11-19",
        "/api/analytics/cross-market-analysis?start_date=2025-11-18&end_date=2025-11-19&correlation_window=24",
        "/api/analytics/real-time-kpis?market_zones=MUMBAI,DELHI,BANGALORE&time_window=60",
        "/api/market/zones",
        "/api/market/prices/latest",
        "/api/market/prices/pjm/history",
        "/health",
        "/api/openapi.json",
    ] {
        assert!(!program.get(path).await.is_null(), "{path}");
    }
    for (path, status, says) in [
        ("/api/analytics/market-analytics?market_zone=ATLANTIS&start_date=2025-11-18&end_date=2025-11-19", 404, "PJM"),
        ("/api/analytics/market-analytics?market_zone=PJM&start_date=soon&end_date=2025-11-19", 400, "start_date"),
        ("/api/analytics/market-analytics?market_zone=PJM&granularity=fortnight", 400, "granularity"),
        ("/api/analytics/real-time-kpis?market_zones=PJM&time_window=-1", 400, "time_window"),
        ("/api/analytics/anomaly-detection?market_zone=PJM&threshold=loud", 400, "threshold"),
        ("/api/market/prices/atlantis/history", 404, "atlantis"),
    ] {
        let (found, text) = program.try_get(path).await;
        assert_eq!(found, status, "{path}: {text}");
        assert!(text.contains(says), "{path}: {text}");
    }
    for path in ["/livez", "/api/docs", "/docs", "/metrics", "/readyz", "/"] {
        let (status, text) = program.try_get(path).await;
        assert!(status < 400, "{path}: {status} {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_and_the_shell_ask_the_live_tables() {
    let program = demo().await;
    eventually("the first bars", async || {
        let bars = program.sql("SELECT count(*) AS n FROM bars WHERE zone = 'PJM'").await;
        (bars[0]["n"] != "0").then_some(())
    })
    .await;
    let run = |command: &str, args: &[&str]| {
        let output =
            std::process::Command::new(command).args(args).output().unwrap_or_else(|e| panic!("{command}: {e}"));
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (port, query) = (program.pgwire.to_string(), "SELECT count(*) > 0 FROM bars WHERE zone = 'PJM'");
    let psql = ["-h", "127.0.0.1", "-p", &port, "-U", "optibid", "-d", "optibid", "-AtX", "-c", query];
    assert_eq!(run("psql", &psql).trim(), "t");
    let url = program.url("");
    let shell = run(env!("CARGO_BIN_EXE_optibid"), &["sql", "--url", &url, "--format", "csv", "-c", query]);
    assert!(shell.contains("true"), "{shell}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_demo_cleanly_in_two_seconds() {
    let mut program = demo().await;
    let (code, took) = program.interrupt().await;
    assert_eq!(code, Some(0), "{}", program.log());
    // Two seconds on a quiet machine; this one compiles and tests beside us.
    assert!(took < Duration::from_secs(6), "took {took:?}");
}
