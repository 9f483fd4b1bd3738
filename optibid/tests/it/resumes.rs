//! A WebSocket client that comes back after `kill -9` of the program: it asks for what came since, and misses nothing.

use std::time::Duration;

use futures::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use crate::program::{Program, eventually};
use crate::stores::server;

/// Between checkpoints, less than `checkpoint.resume_window`.
const INTERVAL_MS: u64 = 5_000;

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Connects as a client does that comes back until it is let in: not while a restart repeats the past.
async fn connect(program: &Program, path: &str) -> Socket {
    let url = format!("ws://127.0.0.1:{}{path}", program.port);
    eventually("the socket", async || tokio_tungstenite::connect_async(&url).await.ok()).await.0
}

/// The next `count` moments: T and frame. Anything that says "start again" fails.
async fn moments(socket: &mut Socket, count: usize) -> Vec<(u64, String)> {
    let mut moments = Vec::new();
    while moments.len() < count {
        let message = tokio::time::timeout(Duration::from_secs(60), socket.next()).await.expect("a message in time");
        let Message::Text(text) = message.expect("the socket stays open").unwrap() else { continue };
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        match frame["type"].as_str().unwrap() {
            "batch" => moments.push((frame["t"].as_u64().unwrap(), text.to_string())),
            "resync" => panic!("the client lost its place: {text}"),
            _ => {}
        }
    }
    moments
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resumes_over_a_kill_sees_every_moment_once() {
    let prefix = format!("resume{}", std::process::id());
    let sets = [
        format!("pipeline.kafka.bootstrap={}", server("KAFKA")),
        format!("pipeline.kafka.prefix={prefix}"),
        "checkpoint.enabled=true".into(),
        format!("checkpoint.interval={INTERVAL_MS}ms"),
        "sinks.history.roll_interval=200ms".into(),
        "simulation.enabled=true".into(),
        "simulation.rate=100".into(),
        // Whoever resumes gets every moment, not the last value of each key.
        "api.websocket.conflate_after=100000".into(),
        "api.websocket.queue_moments=100000".into(),
    ];
    let mut program = Program::start(&["run"], &sets).await;
    // A restart repeats what came after the checkpoint before the newest: there must be one before what this client sees.
    eventually("a checkpoint", async || (program.metric("optibid_pipeline_checkpoint_t").await > 0.0).then_some(()))
        .await;
    let mut socket = connect(&program, "/ws/prices?format=batch&channels=prices").await;
    let before = moments(&mut socket, 60).await;
    program.kill();
    program.restart(&[]).await;
    let since = before[before.len() - 1].0;
    let mut socket = connect(&program, &format!("/ws/prices?format=batch&channels=prices&since={since}")).await;
    let after = moments(&mut socket, 60).await;
    assert!(after[0].0 > since, "{} after {since}", after[0].0);
    // Who asks for more gets the same, frame by frame: what was said before the kill is what is said now. At least one
    // interval between checkpoints is said again.
    let within_reach = before.iter().position(|(t, _)| *t + INTERVAL_MS > since).unwrap();
    let first = before[within_reach].0;
    let mut socket = connect(&program, &format!("/ws/prices?format=batch&channels=prices&since={first}")).await;
    let seen: Vec<_> = before[within_reach + 1..].iter().chain(&after).cloned().collect();
    let again = moments(&mut socket, seen.len()).await;
    assert_eq!(seen, again);
}
