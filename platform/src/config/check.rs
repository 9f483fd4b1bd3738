//! What of a configuration cannot work, all of it at once: whoever starts a server wants to correct a file once.

use model::humane::Span;
use url::{Host, Url};

use super::{Config, Oauth};
use crate::{Error, mail, seal};

/// The least that OWASP's cheat sheet on password storage allows for Argon2id: (memory in KiB, iterations), one lane.
const OWASP_MINIMUM: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];
const DAY_MS: u64 = 86_400_000;

impl Config {
    /// Refuses what cannot work. In a demo the master key may be left out: everybody knows the one used instead.
    pub fn check(&self, demo: bool) -> Result<(), Error> {
        if !self.enabled {
            return Ok(());
        }
        let mut wrong = Vec::new();
        self.check_keys(demo, &mut wrong);
        self.check_lives(&mut wrong);
        self.check_places(&mut wrong);
        self.check_password(&mut wrong);
        self.check_limits(&mut wrong);
        for (name, provider) in &self.oauth {
            check_provider(name, provider, &mut wrong);
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Config(wrong.join("; "))) }
    }

    fn check_keys(&self, demo: bool, wrong: &mut Vec<String>) {
        if self.master_key.expose().is_empty() {
            if !demo {
                wrong.push("platform.master_key is missing: 32 bytes in base64, from `openssl rand -base64 32`".into());
            }
        } else if let Err(reason) = seal::check_master_key(&self.master_key) {
            wrong.push(format!("platform.master_key {reason}"));
        }
        if !self.previous_master_key.expose().is_empty()
            && let Err(reason) = seal::check_master_key(&self.previous_master_key)
        {
            wrong.push(format!("platform.previous_master_key {reason}"));
        }
    }

    fn check_lives(&self, wrong: &mut Vec<String>) {
        let mut within = |name: &str, life: Span, least_ms: u64, most_ms: u64| {
            if life.millis() < least_ms || life.millis() > most_ms {
                let (least, most) = (Span::from_millis(least_ms), Span::from_millis(most_ms));
                wrong.push(format!("platform.{name} is {life}: it must be from {least} to {most}"));
            }
        };
        within("access_token_life", self.access_token_life, 1_000, 3_600_000);
        within("refresh_token_life", self.refresh_token_life, 60_000, 400 * DAY_MS);
        within("session_idle", self.session_idle, 60_000, 400 * DAY_MS);
        within("signing_key_life", self.signing_key_life, 60_000, 400 * DAY_MS);
        within("reset_life", self.reset_life, 60_000, DAY_MS);
        within("verification_life", self.verification_life, 60_000, 30 * DAY_MS);
        within("challenge_life", self.challenge_life, 10_000, 3_600_000);
        within("limits.lock_for", self.limits.lock_for, 1_000, DAY_MS);
        within("limits.redis_timeout", self.limits.redis_timeout, 1, 10_000);
        within("mail.timeout", self.mail.timeout, 100, 120_000);
        within("webhooks.timeout", self.webhooks.timeout, 100, 120_000);
        within("webhooks.tolerance", self.webhooks.tolerance, 1_000, DAY_MS);
        if self.session_idle > self.refresh_token_life {
            wrong.push("platform.session_idle is longer than refresh_token_life, which ends every session".into());
        }
        if self.access_token_life >= self.refresh_token_life {
            wrong.push("platform.access_token_life must be shorter than refresh_token_life".into());
        }
    }

    fn check_places(&self, wrong: &mut Vec<String>) {
        if self.issuer.is_empty() || self.audience.is_empty() {
            wrong.push("platform.issuer and platform.audience must not be empty".into());
        }
        match Url::parse(&self.public_url) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() =>
            {
                if url.scheme() == "http" && self.cookies.secure && !is_loopback(&url) {
                    wrong.push("platform.public_url is http, but cookies.secure wants https".into());
                }
            }
            _ => wrong.push(format!("platform.public_url {:?} is no http(s) address", self.public_url)),
        }
        if !self.redis_url.expose().is_empty() && redis::Client::open(self.redis_url.expose().as_str()).is_err() {
            wrong.push("platform.redis_url is no redis:// address".into());
        }
        let prefix = &self.redis_prefix;
        if prefix.is_empty() || !prefix.chars().all(|c| c.is_ascii_alphanumeric() || ":_-.".contains(c)) {
            wrong.push("platform.redis_prefix must be letters, digits and : _ - .".into());
        }
        let domain = &self.cookies.domain;
        if !domain.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
            wrong.push(format!("platform.cookies.domain {domain:?} is no domain"));
        }
        if let Err(error) = mail::Mailer::new(&self.mail) {
            wrong.push(format!("platform.mail: {error}"));
        }
        if self.webhooks.attempts == 0 || self.webhooks.attempts > 20 {
            wrong.push("platform.webhooks.attempts must be from 1 to 20".into());
        }
    }

    fn check_password(&self, wrong: &mut Vec<String>) {
        let password = &self.password;
        if !(8..=128).contains(&password.min_length) {
            wrong.push("platform.password.min_length must be from 8 to 128".into());
        }
        if password.min_score > 4 {
            wrong.push("platform.password.min_score must be from 0 to 4".into());
        }
        let enough = OWASP_MINIMUM
            .iter()
            .any(|&(memory_kib, iterations)| password.memory_kib >= memory_kib && password.iterations >= iterations);
        if !enough {
            wrong.push(format!(
                "platform.password: {} KiB and {} iterations are too cheap to break; OWASP's least is 19456 KiB with 2",
                password.memory_kib, password.iterations
            ));
        }
        if !(1..=16).contains(&password.parallelism) || password.iterations > 64 || password.memory_kib > 1_048_576 {
            wrong.push("platform.password: at most 16 lanes, 64 iterations and 1 GiB".into());
        }
        if password.concurrent == 0 || password.concurrent > 1_024 {
            wrong.push("platform.password.concurrent must be from 1 to 1024".into());
        }
    }

    fn check_limits(&self, wrong: &mut Vec<String>) {
        if self.limits.lock_after == 0 {
            wrong.push("platform.limits.lock_after must be at least 1".into());
        }
    }
}

fn check_provider(name: &str, provider: &Oauth, wrong: &mut Vec<String>) {
    if name.is_empty()
        || name.len() > 32
        || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        wrong.push(format!("platform.oauth.{name}: a name is up to 32 of a-z, 0-9 and -, it stands in a path"));
    }
    if provider.client_id.is_empty() {
        wrong.push(format!("platform.oauth.{name}.client_id is missing"));
    }
    match Url::parse(&provider.issuer) {
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            wrong.push(format!("platform.oauth.{name}.issuer has a query or fragment"));
        }
        Ok(url) if url.scheme() == "https" || url.scheme() == "http" && provider.trusted_network => {}
        _ => wrong.push(format!("platform.oauth.{name}.issuer must be https (or trusted_network = true)")),
    }
}

/// Whether an address is this machine's own, by how it is written.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // A scheme that url does not know (smtp, redis) keeps every host as a name.
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use model::humane::Secret;

    use super::*;

    fn good() -> Config {
        let key = Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        Config { enabled: true, master_key: key, ..Config::default() }
    }

    fn wrong(change: impl FnOnce(&mut Config)) -> String {
        let mut config = good();
        change(&mut config);
        config.check(false).unwrap_err().to_string()
    }

    #[test]
    fn defaults_need_only_a_master_key_and_in_a_demo_not_even_that() {
        good().check(false).unwrap();
        let none = Config { enabled: true, ..Config::default() };
        assert!(none.check(false).unwrap_err().to_string().contains("platform.master_key is missing"));
        none.check(true).unwrap();
        Config::default().check(false).unwrap();
    }

    #[test]
    fn each_mistake_is_named_and_all_of_them_at_once() {
        assert!(wrong(|c| c.master_key = Secret::new("short")).contains("master_key"));
        assert!(wrong(|c| c.password.memory_kib = 8_192).contains("OWASP"));
        assert!(wrong(|c| c.access_token_life = Span::from_millis(2 * DAY_MS)).contains("access_token_life is 2days"));
        assert!(wrong(|c| c.public_url = "javascript:alert(1)".into()).contains("public_url"));
        assert!(wrong(|c| c.public_url = "http://optibid.example".into()).contains("cookies.secure"));
        assert!(wrong(|c| c.redis_url = Secret::new("http://x")).contains("redis_url"));
        assert!(wrong(|c| c.mail.url = Secret::new("smtp://mail.example.org")).contains("platform.mail"));
        let both = wrong(|c| {
            c.password.min_length = 4;
            c.webhooks.attempts = 0;
        });
        assert!(both.contains("min_length") && both.contains("attempts"), "{both}");
    }

    #[test]
    fn a_provider_is_https_unless_its_network_is_trusted() {
        let provider = |issuer: &str, trusted_network| Oauth {
            issuer: issuer.into(),
            client_id: "optibid".into(),
            trusted_network,
            ..Oauth::default()
        };
        let with = |name: &str, p: Oauth| Config { oauth: [(name.to_owned(), p)].into(), ..good() };
        with("corp", provider("https://idp.example", false)).check(false).unwrap();
        with("corp", provider("http://127.0.0.1:9000", true)).check(false).unwrap();
        assert!(with("corp", provider("http://idp.example", false)).check(false).is_err());
        assert!(with("../x", provider("https://idp.example", false)).check(false).is_err());
    }

    #[test]
    fn unknown_settings_are_refused_and_secrets_never_printed() {
        let error = serde_json::from_str::<Config>(r#"{"enabled":true,"mastr_key":"x"}"#).unwrap_err();
        assert!(error.to_string().contains("mastr_key"));
        let printed = serde_json::to_string(&good()).unwrap();
        assert!(printed.contains("***") && !printed.contains("AAECAw"), "{printed}");
        assert!(printed.contains(r#""login_by_account":"10/15m""#), "{printed}");
        let debug = format!("{:?}", good());
        assert!(!debug.contains("AAECAw"));
    }
}
