//! Log-in at a provider that we did not write: `oidc-provider-mock` from PyPI, with RS256 and a client's secret in a header.

use std::path::PathBuf;
use std::process::Stdio;

use model::humane::Secret;
use platform::config::Oauth;
use platform::identity::oauth::{OauthAnswer, StartOauth};
use platform::oidc::Callback;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::stage::{origin, staged, wish};

/// The provider, until it is dropped.
struct Provider {
    address: String,
    _process: Child,
}

/// Where `scripts/install.sh test` puts it.
fn program() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap().join("optibid");
    let tools = std::env::var_os("OPTIBID_TOOLS").map_or_else(cache, PathBuf::from);
    let program = tools.join("issuer/bin/oidc-provider-mock");
    assert!(program.exists(), "{} is not there: scripts/install.sh test", program.display());
    program
}

impl Provider {
    async fn start(person: &Value) -> Self {
        let mut process = Command::new(program())
            .args(["--port", "0", "--require-nonce", "true", "--user-claims", &person.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line = said.next_line().await.unwrap().expect("it ended instead of answering");
            if let Some((_, rest)) = line.split_once("running on ") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        // Whoever does not listen to it any more stops it.
        tokio::spawn(async move { while said.next_line().await.is_ok_and(|line| line.is_some()) {} });
        Self { address, _process: process }
    }

    /// The person chooses to log in: the address that the browser is sent back to.
    async fn choose(&self, url: &str, subject: &str) -> String {
        let host = self.address.strip_prefix("http://").unwrap();
        let path = url.strip_prefix(&self.address).unwrap();
        let body = format!("sub={subject}");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let found =
            answer.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case("location")));
        found.unwrap_or_else(|| panic!("not sent back: {answer}")).1.to_owned()
    }
}

#[tokio::test]
async fn a_provider_of_somebody_else_logs_people_in() {
    let person = json!({"sub": "ada", "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace"});
    let provider = Provider::start(&person).await;
    let issuer = provider.address.clone();
    let stage = staged("oauth_mock", |config| {
        let oauth = Oauth {
            issuer,
            client_id: "optibid".into(),
            client_secret: Secret::new("a secret: with + and %"),
            scopes: vec!["email".into(), "profile".into()],
            trusted_network: true,
        };
        config.oauth.insert("mock".into(), oauth);
    })
    .await;
    let mut users = Vec::new();
    for _ in 0..2 {
        let wish: StartOauth = wish(json!({"return_to": "/profile"}));
        let started = stage.platform.oauth_start("mock", &wish, None, &origin(), stage.now).await.unwrap();
        let back = provider.choose(&started.url, "ada").await;
        assert!(back.starts_with("http://127.0.0.1:8000/api/auth/oauth/mock/callback?"), "{back}");
        let query = url::Url::parse(&back).unwrap();
        let value = |name: &str| query.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let callback = Callback { state: value("state").unwrap(), code: value("code"), ..Callback::default() };
        let end =
            stage.platform.oauth_callback("mock", &callback, started.binding.expose(), &origin(), stage.now).await;
        let OauthAnswer::SignedIn(tokens) = end.unwrap().answer else { panic!("no session") };
        users.push(stage.caller(&tokens).await.user);
    }
    assert_eq!(users[0], users[1]);
    assert_eq!(stage.world.count("SELECT count(*) FROM users WHERE email = 'ada@example.org'").await, 1);
}
