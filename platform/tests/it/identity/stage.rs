//! A platform with everything around it: a database of its own, Redis, a mail server, the background task, and a clock
//! that stands until a test moves it.

use std::net::IpAddr;

use chrono::{DurationRound, TimeDelta, Utc};
use model::humane::{Secret, Span};
use platform::identity::email::VerifyEmail;
use platform::identity::login::{Login, LoginAnswer};
use platform::identity::register::Register;
use platform::identity::session::Tokens;
use platform::identity::{Caller, Credential, Now, Origin};
use platform::limit::Rate;
use platform::mail::capture::{Capture, Captured};
use platform::refusal::Outcome;
use platform::{Config, Platform};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::server;
use crate::world::{World, world};

pub(super) const PASSWORD: &str = "mauve kettle orbit sandal";
pub(super) const OTHER_PASSWORD: &str = "nine green umbrellas sing";

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) config: Config,
    pub(super) platform: Platform,
    pub(super) mail: Capture,
    pub(super) now: Now,
    _background: JoinSet<()>,
}

/// From where tests ask.
pub(super) fn origin() -> Origin {
    from("192.0.2.7")
}

pub(super) fn from(address: &str) -> Origin {
    let address: IpAddr = address.parse().unwrap();
    Origin { address: Some(address), request: Some("request-1".into()), device: Some("Firefox on Linux".into()) }
}

/// A wish as it comes over the wire.
pub(super) fn wish<D: DeserializeOwned>(json: Value) -> D {
    serde_json::from_value(json).unwrap()
}

/// What follows `#token=` in a letter.
pub(super) fn token(letter: &Captured) -> Secret {
    let text = letter.text();
    let (_, rest) = text.split_once("#token=").unwrap_or_else(|| panic!("no link in {text}"));
    Secret::new(rest.split_whitespace().next().unwrap())
}

pub(super) async fn stage(test: &str) -> Stage {
    staged(test, |_| {}).await
}

/// With another configuration.
pub(super) async fn staged(test: &str, change: impl FnOnce(&mut Config)) -> Stage {
    let world = world(test).await;
    let mail = Capture::start().await.unwrap();
    let mut config = Config { enabled: true, ..Config::default() };
    config.master_key = Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    config.postgres_url = Secret::new(world.url.as_str());
    config.redis_url = Secret::new(server::address("REDIS"));
    config.redis_prefix = server::unique(test);
    config.mail.url = Secret::new(mail.url());
    // Cheap: what it costs is tested elsewhere.
    (config.password.memory_kib, config.password.iterations) = (64, 1);
    let often = Rate::new(10_000, 60_000);
    let limits = &mut config.limits;
    (limits.login_by_account, limits.login_by_address, limits.register_by_address) = (often, often, often);
    (limits.mail_by_account, limits.mfa_by_account, limits.refresh_by_session) = (often, often, often);
    limits.redis_timeout = Span::from_millis(5_000);
    change(&mut config);
    let platform = Platform::open(&config).unwrap();
    let now = Utc::now().duration_trunc(TimeDelta::seconds(30)).unwrap();
    let mut background = JoinSet::new();
    let worker = platform.clone();
    background.spawn(async move { worker.background(std::future::pending(), move || now).await });
    Stage { world, config, platform, mail, now, _background: background }
}

impl Stage {
    /// Another instance of the program, on the same database and Redis.
    pub(super) fn instance(&self) -> Platform {
        Platform::open(&self.config).unwrap()
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    pub(super) async fn letter(&mut self) -> Captured {
        self.mail.next().await.unwrap()
    }

    pub(super) fn registration(email: &str) -> Register {
        wish(
            json!({"email": email, "password": PASSWORD, "full_name": "Ada Lovelace", "organisation": {"name": "Wind & Co"},
            "consents": [{"purpose": "terms", "text_version": "2026-01"}]}),
        )
    }

    /// Registers somebody and proves the address.
    pub(super) async fn register(&mut self, email: &str) {
        self.platform.register(&Self::registration(email), &origin(), self.now).await.unwrap();
        let letter = self.letter().await;
        assert_eq!(letter.to, [email]);
        let wish = VerifyEmail { token: token(&letter) };
        assert_eq!(self.platform.verify_email(&wish, &origin(), self.now).await.unwrap().email, email);
    }

    pub(super) async fn login(&self, email: &str, password: &str) -> Outcome<LoginAnswer> {
        self.login_from(email, password, &origin()).await
    }

    pub(super) async fn login_from(&self, email: &str, password: &str, origin: &Origin) -> Outcome<LoginAnswer> {
        let wish: Login = wish(json!({"email": email, "password": password}));
        self.platform.login(&wish, origin, self.now).await
    }

    /// A session of somebody.
    pub(super) async fn tokens(&self, email: &str) -> Tokens {
        signed_in(self.login(email, PASSWORD).await.unwrap())
    }

    pub(super) async fn identify(&self, token: &str) -> Outcome<Caller> {
        self.platform.identify(Credential::Bearer(token), &origin(), self.now).await
    }

    /// Who holds these tokens.
    pub(super) async fn caller(&self, tokens: &Tokens) -> Caller {
        self.identify(tokens.access_token.expose()).await.unwrap()
    }

    /// Somebody new, who is logged in.
    pub(super) async fn somebody(&mut self, email: &str) -> (Tokens, Caller) {
        self.register(email).await;
        let tokens = self.tokens(email).await;
        let caller = self.caller(&tokens).await;
        (tokens, caller)
    }

    /// Events of the audit log with this name: who they are about, and what more they say.
    pub(super) async fn events(&self, action: &str) -> Vec<(Option<String>, Value)> {
        let sql = "SELECT subject_id, after FROM audit_log WHERE action = $1 ORDER BY recorded_time, sequence";
        let rows = self.world.root.query(sql, &[&action]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Waits until so many wait for a lock of the test's, then lets go.
    pub(super) async fn release(&self, waiting: i64) {
        let sql = "SELECT count(*) FROM (SELECT pg_stat_clear_snapshot()) AS fresh, pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while self.world.count(sql).await < waiting {
            tokio::task::yield_now().await;
        }
        self.execute("ROLLBACK").await;
    }

    pub(super) async fn execute(&self, sql: &str) {
        self.world.root.batch_execute(sql).await.unwrap();
    }
}

pub(super) fn signed_in(answer: LoginAnswer) -> Tokens {
    match answer {
        LoginAnswer::SignedIn(tokens) => tokens,
        LoginAnswer::SecondFactor(_) => panic!("a second factor is asked for"),
    }
}

pub(super) fn refresh_token(tokens: &Tokens) -> platform::identity::session::Refresh {
    wish(json!({"refresh_token": tokens.refresh_token.as_ref().unwrap().expose()}))
}
