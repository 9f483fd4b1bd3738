//! The WebSocket as clients use it: greeting, snapshot, whole moments, resume, subscriptions, slow clients, many.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use model::humane::Span;
use model::output::AlertState;
use model::{Batch, Market};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use crate::world::{World, alert, answer, at, config, noon, notice};

/// One client.
pub(crate) struct Client<S>(WebSocketStream<S>);

/// Longer than anything here takes, so that a failure is a message and not a hang.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn connect(world: &World, path: &str) -> Client<MaybeTlsStream<TcpStream>> {
    Client(connect_async(format!("ws://{}{path}", world.address)).await.unwrap().0)
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Client<S> {
    /// The next message, `None` after a close.
    async fn frame(&mut self) -> Option<Message> {
        timeout(PATIENCE, self.0.next()).await.expect("a message in time").map(|message| message.unwrap())
    }

    /// The next JSON message that is no heartbeat.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match self.frame().await.expect("an open socket") {
                Message::Text(text) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if value["type"] != "heartbeat" {
                        return value;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("not text: {other:?}"),
            }
        }
    }

    /// Skips the greeting and returns the snapshot.
    pub(crate) async fn greeted(&mut self) -> Value {
        assert_eq!(self.next().await["type"], "connection_established");
        let snapshot = self.next().await;
        assert_eq!(snapshot["type"], "snapshot");
        snapshot
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The messages of the next moment, and its T.
    pub(crate) async fn moment(&mut self) -> (Vec<Value>, u64) {
        let mut events = Vec::new();
        loop {
            let message = self.next().await;
            if message["type"] == "closed" {
                return (events, message["t"].as_u64().unwrap());
            }
            events.push(message);
        }
    }
}

pub(crate) fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn greets_as_clients_know_it_and_starts_from_a_snapshot() {
    let world = World::start().await;
    for path in ["/api/ws/ws/market/Pjm", "/api/ws/market/Pjm", "/ws/market/Pjm"] {
        let mut client = connect(&world, path).await;
        let hello = client.next().await;
        let mut fields: Vec<&String> = hello.as_object().unwrap().keys().collect();
        fields.sort();
        assert_eq!(fields, ["connection_id", "market_zone", "message", "storage_backend", "timestamp", "type"]);
        assert_eq!((&hello["market_zone"], &hello["storage_backend"]), (&json!("pjm"), &json!("memory")));
        assert_eq!(hello["message"], "Connected to pjm market updates");
        let snapshot = client.next().await;
        assert_eq!(
            (&snapshot["type"], &snapshot["t"], &snapshot["zones"]),
            (&json!("snapshot"), &json!(noon()), &json!(["pjm"]))
        );
        let events = snapshot["events"].as_array().unwrap();
        let kinds = kinds(events);
        let expected =
            ["price_update", "volume_update", "kpi_update", "market_alert", "market_alert", "correlation_update"];
        assert_eq!(kinds, expected, "the price, its volume, a KPI, an alert, a notice, a correlation");
        assert_eq!((&events[0]["price"], &events[0]["market_zone"]), (&json!(54.0), &json!("pjm")));
    }
    let mut all = connect(&world, "/ws/prices").await;
    assert_eq!(all.next().await["market_zone"], "all");
    let prices = all.next().await["events"].as_array().unwrap().iter().filter(|e| e["type"] == "price_update").count();
    assert_eq!(prices, 3);
}

#[tokio::test]
async fn sends_whole_moments_and_ends_each() {
    let world = World::start().await;
    let mut client = connect(&world, "/ws/market/pjm").await;
    client.greeted().await;
    let pjm = world.index("pjm", Market::Continuous);
    let t = noon() + 1_000;
    let mut batch = world.price(t, "pjm", "2025-11-18T12:00:00Z", 55.0);
    batch.bars.extend(world.price(t, "miso", "2025-11-18T12:00:00Z", 40.0).bars);
    batch.alerts = vec![alert(pjm, at("2025-11-18T12:00:00Z"), AlertState::Raised)];
    batch.notices = vec![
        notice("n1", "PJM", "bidding", 1),
        notice("n2", "MISO", "market_alert", 1),
        notice("n3", "*", "market_alert", 1),
    ];
    world.close(batch);
    let (events, closed) = client.moment().await;
    assert_eq!(closed, t);
    // The alert comes with the price, in the same moment; MISO's price and notice are not for this client.
    let kinds = kinds(&events);
    assert_eq!(kinds, ["price_update", "volume_update", "market_alert", "bidding_notification", "market_alert"]);
    assert!(events.iter().all(|event| event["t"] == t));
    // A correction of the past is not the price.
    world.close(world.price(t + 10, "pjm", "2025-11-18T11:30:00Z", 48.0));
    let (events, _) = client.moment().await;
    assert_eq!((events[0]["type"].as_str(), &events[0]["bar"]["close"]), (Some("bar_update"), &json!(48.0)));
    // Nothing is sent for a moment in which nothing changed for this client.
    world.close(world.price(t + 20, "miso", "2025-11-18T12:00:00Z", 41.0));
    world.close(world.price(t + 30, "pjm", "2025-11-18T12:00:00Z", 56.0));
    assert_eq!(client.moment().await.1, t + 30);
}

#[tokio::test]
async fn a_withdrawn_minute_gives_the_price_back_to_the_one_before() {
    let world = World::start().await;
    let mut client = connect(&world, "/ws/market/pjm?channels=prices").await;
    client.greeted().await;
    let put = world.price(noon() + 1, "pjm", "2025-11-18T12:00:00Z", 99.0);
    let row = *put.bars[0].row();
    world.close(put);
    client.moment().await;
    world.close(Batch { t: noon() + 2, bars: vec![model::Change::Remove(row)], ..Batch::default() });
    let (events, _) = client.moment().await;
    assert_eq!(kinds(&events), ["bar_update", "price_update"]);
    assert_eq!((&events[0]["removed"], &events[1]["price"]), (&json!(true), &json!(54.0)));
}

#[tokio::test]
async fn both_forms_hold_the_same_and_each_client_sees_its_own_spelling() {
    let world = World::start().await;
    let mut classic = connect(&world, "/ws/market/MUMBAI").await;
    let mut batch = connect(&world, "/ws/prices?zones=iex-w2&format=batch").await;
    for client in [&mut classic, &mut batch] {
        client.greeted().await;
    }
    world.close(world.price(noon() + 5, "mumbai", "2025-11-18T12:00:00Z", 4100.0));
    let (mut events, t) = classic.moment().await;
    let whole = batch.next().await;
    assert_eq!((&whole["type"], &whole["t"]), (&json!("batch"), &json!(t)));
    for event in &mut events {
        assert_eq!((&event["market_zone"], &event["zone"]), (&json!("mumbai"), &json!("IEX-W2")));
        event["market_zone"] = json!("iex-w2");
    }
    assert_eq!(Value::Array(events), whole["events"]);
}

#[tokio::test]
async fn resumes_after_since_without_loss_or_repetition() {
    let world = World::start().await;
    let mut client = connect(&world, "/ws/market/pjm?channels=prices").await;
    client.greeted().await;
    let price = |step: u64| world.price(noon() + step, "pjm", "2025-11-18T12:00:00Z", 50.0 + step as f64);
    for step in 1..=3 {
        world.close(price(step));
    }
    let mut seen = vec![client.moment().await.1, client.moment().await.1];
    let last = *seen.last().unwrap();
    drop(client);
    for step in 4..=6 {
        world.close(price(step));
    }
    let mut client = connect(&world, &format!("/ws/market/pjm?channels=prices&since={last}")).await;
    assert_eq!(client.next().await["type"], "connection_established");
    world.close(price(7));
    while *seen.last().unwrap() < noon() + 7 {
        let (events, t) = client.moment().await;
        assert_eq!(events[0]["price"], 50.0 + (t - noon()) as f64);
        seen.push(t);
    }
    assert_eq!(seen, (1..=7).map(|step| noon() + step).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_heartbeat_says_up_to_where_the_client_has_everything() {
    let websocket = api::WebSocket { heartbeat: Span::from_millis(20), ..api::WebSocket::default() };
    let world = World::with(api::Config { websocket, ..config() }).await;
    let mut client = connect(&world, "/ws/market/pjm").await;
    client.greeted().await;
    // Not this client's zone: no message, but its T moves on all the same.
    world.close(world.price(noon() + 9, "miso", "2025-11-18T12:00:00Z", 1.0));
    loop {
        if let Some(Message::Text(text)) = client.frame().await {
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message["type"], "heartbeat");
            if message["t"] == noon() + 9 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_since_that_is_too_old_or_from_nowhere_resynchronises() {
    let world = World::start().await;
    for since in [0, noon() - 1, noon() * 2] {
        let mut client = connect(&world, &format!("/ws/market/pjm?since={since}")).await;
        assert_eq!(client.next().await["type"], "connection_established");
        assert_eq!(client.next().await["type"], "resync", "{since}");
        let snapshot = client.next().await;
        assert_eq!((&snapshot["type"], &snapshot["t"]), (&json!("snapshot"), &json!(noon())));
    }
    let mut client = connect(&world, &format!("/ws/market/pjm?since={}", noon())).await;
    assert_eq!(client.next().await["type"], "connection_established");
    world.close(world.price(noon() + 1, "pjm", "2025-11-18T12:00:00Z", 1.0));
    assert_eq!(client.moment().await.1, noon() + 1, "exactly at the floor nothing is lost");
}

#[tokio::test]
async fn subscriptions_change_on_the_way() {
    let world = World::start().await;
    let mut client = connect(&world, "/ws/market/pjm?channels=prices").await;
    assert_eq!(client.greeted().await["channels"], json!(["prices"]));
    client.say(json!({"type": "subscribe", "zones": ["MISO"], "channels": ["alerts"]})).await;
    let subscribed = client.next().await;
    assert_eq!(subscribed["type"], "subscribed");
    assert_eq!(
        (subscribed["zones"].as_array().unwrap().len(), &subscribed["channels"]),
        (2, &json!(["prices", "alerts"]))
    );
    let added = client.next().await;
    let added: Vec<(String, String)> = added["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["type"].as_str().unwrap().to_owned(), event["zone"].as_str().unwrap().to_owned()))
        .collect();
    // Only what is new: PJM's price is known already.
    let expected = [("price_update", "MISO"), ("market_alert", "PJM"), ("market_alert", "PJM")];
    let mut sorted = added.clone();
    sorted.sort_by(|a, b| b.0.cmp(&a.0));
    assert_eq!(sorted, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{added:?}");
    client.say(json!({"type": "unsubscribe", "zones": ["pjm"]})).await;
    assert_eq!(client.next().await["zones"], json!(["miso"]));
    world.close(world.price(noon() + 1, "pjm", "2025-11-18T12:00:00Z", 1.0));
    world.close(world.price(noon() + 2, "miso", "2025-11-18T12:00:00Z", 2.0));
    assert_eq!(client.moment().await.1, noon() + 2);
}

#[tokio::test]
async fn what_it_does_not_understand_is_an_error_and_no_disconnect() {
    let world = World::start().await;
    let mut client = connect(&world, "/ws/market/pjm").await;
    client.greeted().await;
    for (message, code) in [
        ("nonsense", "bad_body"),
        (r#"{"type":"dance"}"#, "bad_parameter"),
        (r#"{"type":"subscribe","zones":["atlantis"]}"#, "unknown_zone"),
        (r#"{"type":"subscribe","channels":["gossip"]}"#, "bad_parameter"),
        (r#"{"type":"subscribe"}"#, "bad_body"),
    ] {
        client.0.send(Message::text(message)).await.unwrap();
        let answer = client.next().await;
        assert_eq!((&answer["type"], &answer["error"]["code"]), (&json!("error"), &json!(code)), "{message}");
    }
    client.0.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.next().await["type"], "error");
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.next().await["type"], "pong");
    client.0.send(Message::text("ping")).await.unwrap();
    assert_eq!(client.next().await["type"], "pong");
}

#[tokio::test]
async fn heartbeats_go_out_and_the_silent_are_let_go() {
    let websocket = api::WebSocket {
        heartbeat: Span::from_millis(50),
        // A busy machine may leave the client without a turn for a while.
        idle_timeout: Span::from_millis(1_500),
        ..api::WebSocket::default()
    };
    let idle = websocket.idle_timeout.0;
    let world = World::with(api::Config { websocket, ..config() }).await;
    let mut polite = connect(&world, "/ws/market/pjm").await;
    let (mut heartbeats, mut pings, started) = (0, 0, Instant::now());
    // Reading answers pings, and so the socket lives well past the idle timeout.
    while heartbeats < 15 || pings < 15 || started.elapsed() < idle * 2 {
        match polite.frame().await.expect("an open socket") {
            Message::Text(text) if text.contains("heartbeat") => heartbeats += 1,
            Message::Ping(_) => pings += 1,
            _ => {}
        }
    }
    // A client that answers nothing: raw TCP after the upgrade.
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    let upgrade = "GET /ws/market/pjm HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut silent, upgrade.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut heard)).await.unwrap().unwrap();
    let reason = b"idle: no message or pong";
    assert!(heard.windows(reason.len()).any(|bytes| bytes == reason));
}

/// A client whose kernel buffers are small, so that it is slow as soon as it does not read.
async fn narrow(world: &World, path: &str) -> Client<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(world.address).await.unwrap();
    Client(client_async(format!("ws://{}{path}", world.address), stream).await.unwrap().0)
}

fn narrow_server() -> api::WebSocket {
    api::WebSocket { send_buffer_bytes: 4_096, conflate_after: 8, queue_moments: 100_000, ..api::WebSocket::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_gets_last_values_in_whole_moments() {
    let world = World::with(api::Config { websocket: narrow_server(), ..config() }).await;
    let mut client = narrow(&world, "/ws/prices?zones=pjm,miso&channels=prices").await;
    client.greeted().await;
    let steps = 3_000;
    for step in 1..=steps {
        let t = noon() + step;
        let mut batch = world.price(t, "pjm", "2025-11-18T12:00:00Z", step as f64);
        batch.bars.extend(world.price(t, "miso", "2025-11-18T12:00:00Z", -(step as f64)).bars);
        world.close(batch);
    }
    let (mut moments, mut conflated, mut last) = (0, 0, 0);
    let mut state: BTreeMap<String, f64> = BTreeMap::new();
    let mut open = Vec::new();
    while last < noon() + steps {
        let message = client.next().await;
        if message["type"] != "closed" {
            open.push(message);
            continue;
        }
        let t = message["t"].as_u64().unwrap();
        assert!(t > last, "moments come in order and once");
        last = t;
        moments += 1;
        conflated += message["conflated"].as_u64().map_or(0, |n| n - 1);
        // Whole: both zones of the moment, both at its T, never one of them from another.
        assert_eq!(open.len(), 2, "{open:?}");
        for event in open.drain(..) {
            assert_eq!(event["t"], t);
            state.insert(event["zone"].as_str().unwrap().to_owned(), event["price"].as_f64().unwrap());
        }
    }
    assert_eq!(moments + conflated, steps, "every moment is accounted for");
    assert!(conflated > 0, "3,000 moments through 8 KiB of buffers and no conflation");
    assert_eq!(state, BTreeMap::from([("MISO".to_owned(), -(steps as f64)), ("PJM".to_owned(), steps as f64)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_disconnected() {
    let websocket = api::WebSocket { send_timeout: Span::from_millis(50), ..narrow_server() };
    let world = World::with(api::Config { websocket, ..config() }).await;
    let mut client = narrow(&world, "/ws/market/pjm?channels=prices").await;
    client.greeted().await;
    let mut step = 0;
    // Moments go on until the server lets go of the client that does not read them.
    let disconnected = async {
        loop {
            step += 1;
            world.close(world.price(noon() + step, "pjm", "2025-11-18T12:00:00Z", step as f64));
            let (_, stats) = world.get("/api/ws/stats").await;
            if stats["disconnects"]["slow"] == 1 {
                return stats;
            }
        }
    };
    let stats = timeout(PATIENCE, disconnected).await.expect("a disconnect in time");
    assert_eq!(stats["total_connections"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_queue_ran_over_starts_again_from_a_snapshot() {
    let websocket = api::WebSocket { queue_moments: 16, ..narrow_server() };
    let world = World::with(api::Config { websocket, ..config() }).await;
    let mut client = narrow(&world, "/ws/market/pjm?channels=prices").await;
    client.greeted().await;
    let steps = 3_000;
    for step in 1..=steps {
        world.close(world.price(noon() + step, "pjm", "2025-11-18T12:00:00Z", step as f64));
    }
    let (mut resyncs, mut price, mut last) = (0, 0.0, 0);
    while last < noon() + steps {
        let message = client.next().await;
        match message["type"].as_str().unwrap() {
            "resync" => resyncs += 1,
            "snapshot" => {
                last = message["t"].as_u64().unwrap();
                price = message["events"][0]["price"].as_f64().unwrap();
            }
            "closed" => last = message["t"].as_u64().unwrap(),
            _ => price = message["price"].as_f64().unwrap(),
        }
    }
    assert!(resyncs > 0);
    assert_eq!(price, steps as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sockets_all_see_every_moment() {
    let world = World::start().await;
    let mut clients = Vec::new();
    for index in 0..200 {
        let zone = ["pjm", "PJM", "miso", "MUMBAI", "iex-w2"][index % 5];
        let format = ["classic", "batch"][index % 2];
        let mut client = connect(&world, &format!("/ws/prices?zones={zone}&format={format}&channels=prices")).await;
        client.greeted().await;
        clients.push(client);
    }
    let (_, health) = world.get("/api/ws/health").await;
    assert_eq!(health["active_connections"], 200);
    for step in 1..=20 {
        let t = noon() + step;
        let mut batch = world.price(t, "pjm", "2025-11-18T12:00:00Z", step as f64);
        for zone in ["miso", "mumbai"] {
            batch.bars.extend(world.price(t, zone, "2025-11-18T12:00:00Z", step as f64).bars);
        }
        world.close(batch);
    }
    for (index, client) in clients.iter_mut().enumerate() {
        for step in 1..=20 {
            let (events, t) = match index % 2 {
                0 => client.moment().await,
                _ => {
                    let whole = client.next().await;
                    (whole["events"].as_array().unwrap().clone(), whole["t"].as_u64().unwrap())
                }
            };
            assert_eq!(
                (t, events.len(), &events[0]["price"]),
                (noon() + step, 1, &json!(step as f64)),
                "client {index}"
            );
        }
    }
}

#[tokio::test]
async fn a_full_house_says_so() {
    let websocket = api::WebSocket { max_sockets: 1, ..api::WebSocket::default() };
    let world = World::with(api::Config { websocket, ..config() }).await;
    let mut first = connect(&world, "/ws/market/pjm").await;
    first.greeted().await;
    let refused = connect_async(format!("ws://{}/ws/market/pjm", world.address)).await;
    assert!(refused.err().unwrap().to_string().contains("503"));
    let response = world.client.get(world.url("/api/ws/ws/health")).send().await.unwrap();
    let (status, body) = answer(response).await;
    assert_eq!((status, &body["status"]), (503, &json!("full")));
    drop(first);
    // The place is free again as soon as the server has noticed.
    while world.get("/api/ws/health").await.0 != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stopping_closes_every_socket_with_a_close_frame_in_time() {
    let world = World::start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = connect(&world, "/ws/market/pjm").await;
        client.greeted().await;
        clients.push(client);
    }
    world.stop.cancel();
    for client in &mut clients {
        match client.frame().await {
            Some(Message::Close(Some(frame))) => {
                assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "the server is stopping"));
            }
            other => panic!("no close frame: {other:?}"),
        }
    }
    let stopped = timeout(Duration::from_secs(2), world.server).await;
    stopped.expect("stopped within 2 s").unwrap().unwrap();
}
