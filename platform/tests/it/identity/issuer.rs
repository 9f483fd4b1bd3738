//! A small but real OpenID provider over HTTP: discovery, keys, codes that are good once and only with their PKCE
//! verifier, ID tokens signed with ES256, and as many ways to lie as a test wants.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use platform::oidc::Callback;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Change = Box<dyn Fn(&mut Value) + Send>;

struct State {
    address: String,
    key: EcdsaKeyPair,
    /// Who is logged in there.
    person: Value,
    /// What was asked with each code.
    codes: HashMap<String, HashMap<String, String>>,
    browsed: u32,
    header: Change,
    claims: Change,
    signs: bool,
}

pub(super) struct Issuer {
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

fn part(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

fn pairs(text: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

impl State {
    fn answer(&mut self, path: &str, body: &str) -> (u16, Value) {
        let address = self.address.clone();
        let public = self.key.public_key().as_ref();
        match path {
            "/.well-known/openid-configuration" => (
                200,
                json!({"issuer": address, "authorization_endpoint": format!("{address}/authorize"),
                    "token_endpoint": format!("{address}/token"), "jwks_uri": format!("{address}/keys"),
                    "token_endpoint_auth_methods_supported": ["client_secret_post"]}),
            ),
            "/keys" => {
                let (x, y) = (BASE64URL_NOPAD.encode(&public[1..33]), BASE64URL_NOPAD.encode(&public[33..]));
                (200, json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": x, "y": y}]}))
            }
            "/token" => self.token(&pairs(body)).map_or((400, json!({"error": "invalid_grant"})), |token| {
                (200, json!({"access_token": "x", "token_type": "Bearer", "id_token": token}))
            }),
            _ => (404, json!({})),
        }
    }

    /// The ID token for a code: once, for who asked for it, with the verifier of its challenge.
    fn token(&mut self, form: &HashMap<String, String>) -> Option<String> {
        let asked = self.codes.remove(form.get("code")?)?;
        let verifier = ring::digest::digest(&ring::digest::SHA256, form.get("code_verifier")?.as_bytes());
        let good = form.get("grant_type")? == "authorization_code"
            && asked["code_challenge_method"] == "S256"
            && asked["code_challenge"] == BASE64URL_NOPAD.encode(verifier.as_ref())
            && form.get("redirect_uri") == asked.get("redirect_uri")
            && form.get("client_id") == asked.get("client_id")
            && form.get("client_secret")? == "shared secret";
        if !good {
            return None;
        }
        let now_s = chrono::Utc::now().timestamp();
        let mut claims = json!({"iss": self.address, "aud": asked["client_id"], "nonce": asked["nonce"], "iat": now_s,
            "exp": now_s + 300});
        for (name, value) in self.person.as_object().unwrap() {
            claims[name] = value.clone();
        }
        (self.claims)(&mut claims);
        let mut header = json!({"alg": "ES256", "kid": "k1"});
        (self.header)(&mut header);
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let signature = if self.signs { BASE64URL_NOPAD.encode(signature.as_ref()) } else { String::new() };
        Some(format!("{signed}.{signature}"))
    }
}

impl Issuer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
        let state = Arc::new(Mutex::new(State {
            address: format!("http://{}", listener.local_addr().unwrap()),
            key: EcdsaKeyPair::from_pkcs8(how, key.as_ref(), &random).unwrap(),
            person: json!({}),
            codes: HashMap::new(),
            browsed: 0,
            header: Box::new(|_| {}),
            claims: Box::new(|_| {}),
            signs: true,
        }));
        let mut server = JoinSet::new();
        let shared = state.clone();
        server.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let state = state.clone();
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let (status, answer) = state.lock().answer(&path, &String::from_utf8_lossy(&body));
                        let body = Full::new(Bytes::from(answer.to_string()));
                        Ok::<_, Infallible>(hyper::Response::builder().status(status).body(body).unwrap())
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                clients.spawn(async move { drop(connection.await) });
            }
        });
        Self { state, _server: server }
    }

    pub(super) fn address(&self) -> String {
        self.state.lock().address.clone()
    }

    /// Somebody logs in there from now on.
    pub(super) fn person(&self, person: Value) {
        self.state.lock().person = person;
    }

    /// Lies in ID tokens from now on.
    pub(super) fn lie(
        &self,
        header: impl Fn(&mut Value) + Send + 'static,
        claims: impl Fn(&mut Value) + Send + 'static,
        signs: bool,
    ) {
        let mut state = self.state.lock();
        (state.header, state.claims, state.signs) = (Box::new(header), Box::new(claims), signs);
    }

    /// What a browser does there: it comes with our question and is sent back with a code.
    pub(super) fn browse(&self, url: &str) -> Callback {
        let url = url::Url::parse(url).unwrap();
        let asked = pairs(url.query().unwrap());
        let mut state = self.state.lock();
        assert!(url.as_str().starts_with(&format!("{}/authorize?", state.address)));
        assert_eq!(asked["response_type"], "code");
        state.browsed += 1;
        let code = format!("code-{}", state.browsed);
        let callback = Callback { state: asked["state"].clone(), code: Some(code.clone()), ..Callback::default() };
        state.codes.insert(code, asked);
        callback
    }
}
