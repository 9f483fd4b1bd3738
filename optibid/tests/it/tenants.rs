//! Two organisations on one program: each sees of bids, rules and alerts its own, whichever way it looks: REST, SQL over HTTP
//! and over the PostgreSQL protocol, the WebSocket, and what errors say.

use std::time::Duration;

use chrono::Utc;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::program::{Program, eventually};
use crate::stores::{postgres, server};

/// A demo with accounts, in a database and under a prefix of its own.
pub(crate) async fn with_accounts(name: &str) -> Program {
    let database = format!("{name}{}", std::process::id());
    let admin = postgres(&server("POSTGRES")).await;
    admin.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let url = server("POSTGRES").rsplit_once('/').map(|(base, _)| format!("{base}/{database}")).unwrap();
    let sets = [
        "platform.enabled=true".to_owned(),
        "platform.master_key=a passphrase that is long enough".to_owned(),
        format!("platform.postgres_url={url}"),
        format!("platform.redis_url={}", server("REDIS")),
        format!("platform.redis_prefix={database}"),
        // All clients of the test come from one address.
        "platform.limits.register_by_address=1000/1m".to_owned(),
        "platform.limits.login_by_address=1000/1m".to_owned(),
        "platform.limits.requests_by_address=100000/1m".to_owned(),
        "api.admin_key=test-admin-key".to_owned(),
    ];
    let program = Program::start(&["demo", "--scenario", "calm"], &sets).await;
    // Not by trying to log in: how often one may try is counted.
    eventually("the demo's accounts", async || program.log().contains("demo login").then_some(())).await;
    program
}

/// Somebody who has signed in.
pub(crate) struct Person<'p> {
    program: &'p Program,
    /// `Bearer …`.
    pub(crate) bearer: String,
    /// Code of the organisation.
    pub(crate) code: String,
}

impl<'p> Person<'p> {
    /// Registers an organisation, and signs in as its first member.
    pub(crate) async fn register(program: &'p Program, organisation: &str) -> Self {
        let email = format!("{}@example.org", organisation.to_lowercase());
        let password = "mauve kettle orbit sandal";
        let form = json!({"email": email, "password": password, "full_name": "Ada Lovelace",
            "organisation": {"name": organisation}});
        let (status, text) = program.post("/api/auth/register", &form, &[]).await;
        assert_eq!(status, 201, "{text}");
        Self::login(program, &email, password).await
    }

    /// Signs in.
    pub(crate) async fn login(program: &'p Program, email: &str, password: &str) -> Self {
        let (status, text) = program.post("/api/auth/login", &json!({"email": email, "password": password}), &[]).await;
        assert_eq!(status, 200, "{text}");
        let tokens: Value = serde_json::from_str(&text).unwrap();
        let token = tokens["access_token"].as_str().unwrap();
        let code = tokens["organisation"]["code"].as_str().unwrap().to_owned();
        Self { program, bearer: format!("Bearer {token}"), code }
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        more: &[(&str, &str)],
    ) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request =
            reqwest::Client::new().request(method, self.program.url(path)).header("authorization", &self.bearer);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None, &[]).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn sql(&self, query: &str) -> Value {
        let (status, body) = self.call("POST", "/api/sql", Some(&json!({"query": query})), &[]).await;
        assert_eq!(status, 200, "{query}: {body}");
        body["rows"].clone()
    }

    /// Messages of the WebSocket as they come.
    async fn socket(&self) -> impl futures::Stream<Item = Value> + Unpin + use<> {
        let token = self.bearer.trim_start_matches("Bearer ");
        let url = format!(
            "ws://127.0.0.1:{}/ws/prices?zones=ES&channels=bids,alerts,clearing&token={token}",
            self.program.port
        );
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Box::pin(socket.filter_map(|message| async move {
            match message {
                Ok(Message::Text(text)) => serde_json::from_str(&text).ok(),
                _ => None,
            }
        }))
    }
}

/// A bid to sell tomorrow's first hours in Spain, whose gate is open.
fn bid(id: &str) -> Value {
    let delivery = (Utc::now() + chrono::TimeDelta::days(3)).date_naive().and_hms_opt(10, 0, 0).unwrap().and_utc();
    json!({"bid": id, "market_zone": "ES", "market": "DAY_AHEAD_HOURLY", "delivery": delivery.to_rfc3339(), "side": "sell",
        "steps": [{"price": 20, "power": 50}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn each_organisation_sees_its_own_whichever_way_it_looks() {
    let program = with_accounts("tenants").await;
    let (north, south) = (Person::register(&program, "Northern").await, Person::register(&program, "Southern").await);
    assert_ne!(north.code, south.code);
    let (mut of_north, mut of_south) = (north.socket().await, south.socket().await);

    // A bid is its organisation's, whatever it says.
    let (status, made) = north.call("POST", "/api/bids", Some(&bid("n-1")), &[]).await;
    assert_eq!((status, &made["bid"]["organisation"]), (201, &Value::from(north.code.clone())), "{made}");
    let mut lie = bid("n-2");
    lie["organisation"] = Value::from(south.code.clone());
    assert_eq!(north.call("POST", "/api/bids", Some(&lie), &[]).await.0, 403);
    assert_eq!(south.call("POST", "/api/bids", Some(&bid("s-1")), &[]).await.0, 201);
    eventually("both bids", async || (north.get("/api/bids").await["count"] == 1).then_some(())).await;
    eventually("both bids", async || (south.get("/api/bids").await["count"] == 1).then_some(())).await;

    // REST: another's bid and none at all are answered alike.
    assert_eq!(south.get("/api/bids").await["bids"][0]["bid"], "s-1");
    let message = |id: &str, body: &Value| body["error"]["message"].as_str().unwrap().replace(id, "ID");
    for (method, body, query) in [
        ("GET", None, ""),
        ("PATCH", Some(json!({"revision": 0, "steps": [{"price": 1, "power": 1}]})), ""),
        ("DELETE", None, "?revision=0"),
    ] {
        let (status, foreign) = south.call(method, &format!("/api/bids/n-1{query}"), body.as_ref(), &[]).await;
        let (none, unknown) = south.call(method, &format!("/api/bids/x-9{query}"), body.as_ref(), &[]).await;
        assert_eq!((status, none), (404, 404), "{method}: {foreign}");
        assert_eq!(message("n-1", &foreign), message("x-9", &unknown), "{method}");
    }
    assert_eq!(south.call("GET", "/api/bids/n-1/events", None, &[]).await.0, 404);
    let day = bid("x")["delivery"].as_str().unwrap().replace('+', "%2B");
    for part in ["book", "merit-order", "clearing"] {
        let told = south.get(&format!("/api/market/ES/{day}/{part}")).await.to_string();
        assert!(!told.contains("n-1") && !told.contains(&north.code), "{part}: {told}");
    }
    assert!(north.get(&format!("/api/market/ES/{day}/book")).await.to_string().contains("n-1"));
    assert!(!south.get("/api/market/bid-kpis").await.to_string().contains(&north.code));

    // Nobody without an account sees either.
    for path in ["/api/bids", "/api/bids/n-1", "/api/market/bid-kpis", "/api/settlement"] {
        assert_eq!(program.try_get(path).await.0, 401, "{path}");
    }
    let (_, book) = program.try_get(&format!("/api/market/ES/{day}/book")).await;
    assert!(!book.contains("n-1") && !book.contains("s-1"), "{book}");

    // SQL.
    for person in [&north, &south] {
        let bids = person.sql("SELECT DISTINCT organisation FROM bids").await;
        assert_eq!(bids, json!([{"organisation": person.code}]));
        assert_eq!(person.sql("SELECT DISTINCT organisation FROM bid_kpis").await, bids);
    }
    let (status, text) = program.post("/api/sql", &json!({"query": "SELECT 1"}), &[]).await;
    assert_eq!(status, 401, "{text}");
    // The PostgreSQL protocol, with the token for a password.
    let psql = async |password: &str| {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(program.pgwire).user("optibid").dbname("optibid").password(password);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.ok()?;
        tokio::spawn(connection);
        let rows = client.query("SELECT DISTINCT organisation FROM bids", &[]).await.unwrap();
        Some(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>())
    };
    assert_eq!(psql(north.bearer.trim_start_matches("Bearer ")).await, Some(vec![north.code.clone()]));
    assert_eq!(psql("test-admin-key").await, None, "the key of the house is none of an account");
    assert_eq!(psql("").await, None);

    // The WebSocket: one's own notifications, and no other's.
    for (person, socket, own, other) in [(&north, &mut of_north, "n-1", "s-1"), (&south, &mut of_south, "s-1", "n-1")] {
        let mut seen = String::new();
        let wait = async {
            while let Some(message) = socket.next().await {
                if message["type"] != "price_update" {
                    seen.push_str(&message.to_string());
                }
                if seen.contains(own) {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .unwrap_or_else(|_| panic!("no {own} on the socket of {}", person.code));
        assert!(!seen.contains(other), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_heard_by_the_stream_and_raises_alerts_for_its_organisation_alone() {
    let program = with_accounts("ruled").await;
    let (north, south) = (Person::register(&program, "Northern").await, Person::register(&program, "Southern").await);
    // Every price is over this cap's threshold, which is said in thousandths of z: the least move raises it.
    let rule = json!({"name": "Anything that moves", "kind": "z_score", "threshold_milli": 1, "window_bars": 2, "severity": "info"});
    let (status, made) = north.call("POST", "/api/rules", Some(&rule), &[]).await;
    assert_eq!(status, 201, "{made}");
    let name = made["rule"].as_str().unwrap();
    assert!(name.starts_with(&format!("{}/", north.code)), "{name}");
    let of_rule = format!("SELECT count(*) AS n FROM anomalies WHERE rule = '{name}'");
    eventually("alerts of the rule", async || (north.sql(&of_rule).await[0]["n"].as_i64()? > 0).then_some(())).await;
    assert_eq!(south.sql(&of_rule).await, json!([{"n": 0}]));
    let rules = "SELECT count(*) AS n FROM rules WHERE rule LIKE '%/%'";
    assert_eq!(south.sql(&format!("{rules} AND rule LIKE '{}/%'", north.code)).await, json!([{"n": 0}]));
    assert!(north.sql(rules).await[0]["n"].as_i64().unwrap() >= 1);

    // Switched off, and with its version: its alerts are withdrawn.
    let path = format!("/api/rules/{}", made["id"].as_str().unwrap());
    let off = json!({"enabled": false});
    assert_eq!(north.call("PATCH", &path, Some(&off), &[]).await.0, 428, "without its version");
    assert_eq!(north.call("PATCH", &path, Some(&off), &[("if-match", "\"v7\"")]).await.0, 412);
    let (status, changed) = north.call("PATCH", &path, Some(&off), &[("if-match", "\"v1\"")]).await;
    assert_eq!((status, &changed["version"]), (200, &json!(2)), "{changed}");
    eventually("no alert of the rule that stands", async || {
        let standing = format!("{of_rule} AND NOT withdrawn");
        (north.sql(&standing).await[0]["n"] == 0).then_some(())
    })
    .await;
    assert_eq!(south.call("PATCH", &path, Some(&off), &[("if-match", "*")]).await.0, 404);
}
