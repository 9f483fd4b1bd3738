//! A provider over real HTTP, on a free port: a good log-in, and every kind of bad one.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::humane::Secret;
use parking_lot::Mutex;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::jws::{self, Header, PublicKey};

const NOW: i64 = 1_800_000_000;
const CALLBACK: &str = "https://optibid.example/callback";

/// What the provider does next, and what it was asked.
struct State {
    issuer: String,
    key: u8,
    kid: Option<String>,
    claims: Value,
    asked: Vec<(String, String, HashMap<String, String>)>,
}

struct Stub {
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn jwk(seed: u8) -> crate::jws::Jwk {
    PublicKey::ed25519_jwk(pair(seed).public_key().as_ref())
}

impl State {
    fn answer(&mut self, path: &str, authorization: &str, body: &[u8]) -> Value {
        let form = url::form_urlencoded::parse(body).into_owned().collect();
        self.asked.push((path.to_owned(), authorization.to_owned(), form));
        let issuer = &self.issuer;
        match path {
            "/.well-known/openid-configuration" => json!({
                "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
                "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
                "id_token_signing_alg_values_supported": ["none", "HS256"],
            }),
            "/keys" => json!({"keys": [{"kty": "oct", "k": "AA"}, jwk(self.key)]}),
            _ => {
                let kid = self.kid.clone().or(jwk(self.key).kid).unwrap();
                let header = Header::new("EdDSA", &kid, "JWT");
                let sign = |message: &[u8]| pair(self.key).sign(message).as_ref().to_vec();
                json!({"access_token": "x", "token_type": "Bearer", "id_token": jws::signed(&header, &self.claims, sign)})
            }
        }
    }
}

async fn stub() -> Stub {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let state = State { issuer, key: 1, kid: None, claims: Value::Null, asked: Vec::new() };
    let (state, mut server) = (Arc::new(Mutex::new(state)), JoinSet::new());
    let shared = state.clone();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let state = shared.clone();
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let state = state.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let header = parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
                    let answer = state.lock().answer(parts.uri.path(), header, &body);
                    Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(answer.to_string()))))
                }
            });
            connections.spawn(async move {
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Stub { state, _server: server }
}

impl Stub {
    fn provider(&self, secret: &str) -> Provider {
        let config = Oauth {
            issuer: self.state.lock().issuer.clone(),
            client_id: "optibid".into(),
            client_secret: Secret::new(secret),
            scopes: vec!["openid".into(), "email".into()],
            trusted_network: true,
        };
        let client = Client::trusting([], Duration::from_secs(30), 1 << 16).unwrap();
        Provider::new("corp", &config, CALLBACK, client, Span::from_millis(600_000))
    }

    /// A log-in in which the id_token says `claims` over what is right.
    async fn log_in(&self, provider: &Provider, claims: Value) -> Result<Identity, Error> {
        let (_, flow) = provider.begin("/market", NOW).await.unwrap();
        let mut all = json!({
            "iss": self.state.lock().issuer, "sub": "ada", "aud": "optibid", "exp": NOW + 60, "iat": NOW,
            "nonce": flow.nonce, "email": "ada@example.org", "email_verified": true, "name": "Ada",
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.state.lock().claims = all;
        provider.finish(&flow, &back(&flow), NOW + 5).await
    }
}

fn back(flow: &Flow) -> Callback {
    Callback { state: flow.state.clone(), code: Some("c+d/e".into()), ..Callback::default() }
}

fn reason(result: Result<Identity, Error>) -> String {
    match result.unwrap_err() {
        Error::Provider { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_browser_is_sent_with_all_that_ties_it_to_us() {
    let stub = stub().await;
    let (url, flow) = stub.provider("").begin("/market?x=1", NOW).await.unwrap();
    let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, flow.verifier.as_bytes()).as_ref());
    assert_eq!(url.path(), "/authorize");
    for (name, value) in [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", "optibid"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid email"),
        ("state", &flow.state),
        ("nonce", &flow.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
    assert!(!url.as_str().contains(&flow.verifier));
    assert_eq!(flow.return_to, "/market?x=1");
    let sealed = serde_json::to_string(&flow).unwrap();
    assert_eq!(serde_json::from_str::<Flow>(&sealed).unwrap().verifier, flow.verifier);
    for evil in ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nb", "market"] {
        assert_eq!(stub.provider("").begin(evil, NOW).await.unwrap().1.return_to, "/", "{evil:?}");
    }
}

#[tokio::test]
async fn a_good_log_in_names_a_person() {
    let stub = stub().await;
    let provider = stub.provider("s:e%c ret");
    let issuer = stub.state.lock().issuer.clone();
    let ada = Identity {
        issuer,
        subject: "ada".into(),
        email: Some("ada@example.org".into()),
        email_verified: true,
        name: Some("Ada".into()),
    };
    assert_eq!(stub.log_in(&provider, json!({})).await.unwrap(), ada);
    let asked = std::mem::take(&mut stub.state.lock().asked);
    let (path, authorization, form) = asked.last().unwrap();
    assert_eq!(
        (path.as_str(), form["code"].as_str(), form["grant_type"].as_str()),
        ("/token", "c+d/e", "authorization_code")
    );
    assert_eq!(form["redirect_uri"], CALLBACK);
    assert_eq!(form["code_verifier"].len(), 43);
    assert_eq!(*authorization, format!("Basic {}", BASE64.encode(b"optibid:s%3Ae%25c+ret")));
    assert!(!form.contains_key("client_secret"));
    for (said, verified) in [(json!(false), false), (json!("true"), true), (json!("yes"), false), (Value::Null, false)]
    {
        let identity = stub.log_in(&provider, json!({"email_verified": said})).await.unwrap();
        assert_eq!(identity.email_verified, verified, "{said}");
    }
    let many = json!({"aud": ["optibid", "other"], "azp": "optibid"});
    assert_eq!(stub.log_in(&provider, many).await.unwrap(), ada);
    assert!(stub.state.lock().asked.iter().all(|(path, ..)| path == "/token"), "what was read is kept");
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_log_in_is_refused() {
    let stub = stub().await;
    let provider = stub.provider("");
    for (claims, why) in [
        (json!({"iss": "https://evil.example"}), "another issuer"),
        (json!({"aud": "other"}), "another client"),
        (json!({"aud": []}), "another client"),
        (json!({"aud": ["optibid", "other"]}), "asked for by another"),
        (json!({"azp": "other"}), "asked for by another"),
        (json!({"exp": NOW - 60}), "expired"),
        (json!({"iat": NOW + 600}), "future"),
        (json!({"nonce": "another"}), "another log-in"),
        (json!({"nonce": null}), "another log-in"),
        (json!({"sub": ""}), "names nobody"),
        (json!({"sub": null}), "lacks claims"),
        (json!({"name": "x".repeat(20_000)}), "too large"),
    ] {
        let told = reason(stub.log_in(&provider, claims.clone()).await);
        assert!(told.contains(why), "{claims}: {told}");
    }
    stub.state.lock().kid = Some("unknown".into());
    assert!(reason(stub.log_in(&provider, json!({})).await).contains("none of its keys"));
}

#[tokio::test]
async fn a_key_that_is_new_is_read_but_not_over_and_over() {
    let stub = stub().await;
    let provider = stub.provider("");
    stub.log_in(&provider, json!({})).await.unwrap();
    stub.state.lock().key = 2;
    assert!(reason(stub.log_in(&provider, json!({})).await).contains("none of its keys"), "read a moment ago");
    let (_, flow) = provider.begin("/", NOW + 60).await.unwrap();
    stub.state.lock().claims["nonce"] = json!(flow.nonce);
    provider.finish(&flow, &back(&flow), NOW + 61).await.unwrap();
}

#[tokio::test]
async fn a_callback_of_somebody_else_is_refused_before_anything_is_asked() {
    let stub = stub().await;
    let provider = stub.provider("");
    let (_, flow) = provider.begin("/", NOW).await.unwrap();
    let asked = stub.state.lock().asked.len();
    let good = back(&flow);
    let finish = async |callback: Callback, now_s| reason(provider.finish(&flow, &callback, now_s).await);
    assert!(finish(Callback { state: "x".into(), ..good.clone() }, NOW).await.contains("state"));
    assert!(finish(Callback { state: String::new(), ..good.clone() }, NOW).await.contains("state"));
    assert!(
        finish(Callback { iss: Some("https://evil.example".into()), ..good.clone() }, NOW).await.contains("issuer")
    );
    assert!(finish(Callback { code: None, ..good.clone() }, NOW).await.contains("no code"));
    assert!(finish(good.clone(), NOW + 601).await.contains("too long"));
    let denied = Callback { error: Some("access_denied\r\nX: y".into()), ..good };
    assert_eq!(finish(denied, NOW).await, "refused with access_deniedXy");
    assert_eq!(stub.state.lock().asked.len(), asked);
}

#[tokio::test]
async fn a_provider_by_another_name_is_not_the_one_that_was_configured() {
    let stub = stub().await;
    let provider = stub.provider("");
    stub.state.lock().issuer = "https://evil.example".into();
    let Err(error) = provider.begin("/", NOW).await else { panic!("begun") };
    assert!(error.to_string().contains("another issuer"), "{error}");
    let away = Oauth { issuer: "http://127.0.0.1:1".into(), trusted_network: true, ..Oauth::default() };
    let client = Client::trusting([], Duration::from_secs(30), 1_000).unwrap();
    let away = Provider::new("away", &away, CALLBACK, client, Span::from_millis(1_000));
    assert!(away.begin("/", NOW).await.unwrap_err().is_transient());
}
