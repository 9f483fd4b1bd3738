//! Passwords: how strong one must be, and Argon2id over those that are.
//!
//! A password is brought to NFKC before anything else, so that it is the same on every keyboard. Hashes are PHC
//! strings that carry their own cost; [`Verified::rehash`] says when it has changed. A user who does not exist costs
//! as much as one who does: the password is compared with a hash of nothing.
//!
//! A hash takes some 20 to 50 ms of one core and all of its memory, on the thread that asks. From async code:
//!
//! ```text
//! let permit = hasher.permit().await?;                       // bounds how many at once; Busy when too many wait
//! tokio::task::spawn_blocking(move || hasher.verify(&permit, &password, stored.as_deref())).await
//! ```

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization;

use crate::config;
use crate::validate::Problem;
use crate::{Error, opaque};

/// Bytes of a password at most: more is an attempt to keep us busy.
pub const MAX_BYTES: usize = 1_024;
/// What the estimator looks at: its time grows faster than length, and nobody guesses the rest.
const ESTIMATED_CHARACTERS: usize = 72;

/// Hashes and verifies.
pub struct Hasher {
    argon: Argon2<'static>,
    nobody: String,
    entrance: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// The right to hash: hold it until the hash is done.
#[derive(Debug)]
pub struct Permit {
    _place: OwnedSemaphorePermit,
    _entrance: OwnedSemaphorePermit,
}

/// What came of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether it is the password.
    pub matches: bool,
    /// Whether the stored hash has another cost than new ones: hash the password anew.
    pub rehash: bool,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("params", self.argon.params()).finish_non_exhaustive()
    }
}

impl Hasher {
    /// With the costs of a configuration. Makes one hash.
    pub fn new(config: &config::Password) -> Result<Self, Error> {
        let params = Params::new(config.memory_kib, config.iterations, config.parallelism, None)
            .map_err(|error| Error::Config(format!("platform.password: {error}")))?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon, &opaque::random_text::<32>()?)?;
        Ok(Self {
            argon,
            nobody,
            entrance: Arc::new(Semaphore::new(config.concurrent + config.waiting)),
            places: Arc::new(Semaphore::new(config.concurrent)),
        })
    }

    /// Waits for a place, if not too many wait already.
    pub async fn permit(&self) -> Result<Permit, Error> {
        let entrance = self.entrance.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
        let place = self.places.clone().acquire_owned().await.map_err(|_| Error::Busy)?;
        Ok(Permit { _place: place, _entrance: entrance })
    }

    /// The PHC string of a password that [`check`] has found strong enough.
    pub fn hash(&self, _permit: &Permit, password: &str) -> Result<String, Error> {
        if password.len() > MAX_BYTES {
            return Err(Error::Hash(format!("a password has at most {MAX_BYTES} bytes")));
        }
        hash(&self.argon, &normal(password))
    }

    /// Whether `password` is the one that `stored` was made of. `None` is a user who does not exist or has no
    /// password: never matches, and takes as long.
    pub fn verify(&self, _permit: &Permit, password: &str, stored: Option<&str>) -> Result<Verified, Error> {
        let fits = password.len() <= MAX_BYTES;
        let tried = if fits { normal(password) } else { String::new() };
        let parsed = PasswordHash::new(stored.unwrap_or(&self.nobody)).map_err(|e| Error::Hash(e.to_string()))?;
        let matches = self.argon.verify_password(tried.as_bytes(), &parsed).is_ok() && stored.is_some() && fits;
        Ok(Verified { matches, rehash: matches && self.is_stale(&parsed) })
    }

    fn is_stale(&self, hash: &PasswordHash) -> bool {
        let (now, then) = (self.argon.params(), Params::try_from(hash));
        hash.algorithm.as_str() != "argon2id"
            || then.map_or(true, |then| {
                (then.m_cost(), then.t_cost(), then.p_cost()) != (now.m_cost(), now.t_cost(), now.p_cost())
            })
    }
}

fn hash(argon: &Argon2<'_>, normal: &str) -> Result<String, Error> {
    let hash: PasswordHash = argon.hash_password(normal.as_bytes()).map_err(|error| Error::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

fn normal(password: &str) -> String {
    password.nfkc().collect()
}

/// What is too weak about a new password, each with advice; nothing when it will do. `known` is what others know of
/// the person: e-mail address, name, organisation.
pub fn check(rules: &config::Password, password: &str, known: &[&str]) -> Vec<Problem> {
    if password.len() > MAX_BYTES {
        return vec![Problem::new("too_long", format!("must have at most {MAX_BYTES} bytes"))];
    }
    let password = normal(password);
    let mut problems = Vec::new();
    if password.chars().any(char::is_control) {
        problems.push(Problem::new("control_character", "must not have control characters"));
    }
    if password.chars().count() < rules.min_length {
        let advice = format!("must have at least {} characters; four random words are easy to keep", rules.min_length);
        problems.push(Problem::new("too_short", advice));
    }
    let lower = password.to_lowercase();
    let words = words(known);
    if words.iter().any(|word| lower.contains(word.as_str())) {
        problems.push(Problem::new("personal", "must not hold your e-mail address, name or organisation"));
    }
    let start: String = password.chars().take(ESTIMATED_CHARACTERS).collect();
    let inputs: Vec<&str> = words.iter().map(String::as_str).chain(["optibid"]).collect();
    let estimate = zxcvbn::zxcvbn(&start, &inputs);
    if problems.is_empty() && u8::from(estimate.score()) < rules.min_score {
        problems.push(Problem::new("too_weak", advice(&estimate)));
    }
    problems
}

/// Words of four letters or more that others know: both sides of an address, and the parts of names.
fn words(known: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = known
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()).chain([text.split('@').next().unwrap_or(text)]))
        .filter(|word| word.chars().count() >= 4)
        .map(|word| normal(word).to_lowercase())
        .collect();
    words.sort();
    words.dedup();
    words
}

fn advice(estimate: &zxcvbn::Entropy) -> String {
    let mut sentences = vec!["is too easy to guess".to_owned()];
    if let Some(feedback) = estimate.feedback() {
        let told = feedback.warning().map(|warning| warning.to_string());
        let told = told.into_iter().chain(feedback.suggestions().iter().map(ToString::to_string));
        sentences.extend(told.map(|sentence| sentence.trim_end_matches('.').to_owned()));
    }
    if sentences.len() == 1 {
        sentences.push("Add another word or two".to_owned());
    }
    sentences.join(". ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> config::Password {
        config::Password { memory_kib: 64, iterations: 1, concurrent: 1, waiting: 1, ..config::Password::default() }
    }

    async fn hasher() -> (Hasher, Permit) {
        let hasher = Hasher::new(&cheap()).unwrap();
        let permit = hasher.permit().await.unwrap();
        (hasher, permit)
    }

    #[tokio::test]
    async fn the_password_and_no_other_matches() {
        let (hasher, permit) = hasher().await;
        let stored = hasher.hash(&permit, "Grüße aus Köln").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        assert_ne!(stored, hasher.hash(&permit, "Grüße aus Köln").unwrap(), "salted");
        let verify = |password: &str| hasher.verify(&permit, password, Some(&stored)).unwrap();
        assert_eq!(verify("Grüße aus Köln"), Verified { matches: true, rehash: false });
        assert!(verify("Gru\u{308}ße aus Ko\u{308}ln").matches, "another keyboard");
        assert!(!verify("grüße aus Köln").matches);
        assert!(!verify("").matches);
    }

    #[tokio::test]
    async fn nobody_has_a_password_not_even_an_endless_one() {
        let (hasher, permit) = hasher().await;
        assert!(!hasher.verify(&permit, "anything", None).unwrap().matches);
        let stored = hasher.hash(&permit, "").unwrap();
        assert!(!hasher.verify(&permit, &"x".repeat(MAX_BYTES + 1), Some(&stored)).unwrap().matches);
        assert!(hasher.hash(&permit, &"x".repeat(MAX_BYTES + 1)).is_err());
        assert!(matches!(hasher.verify(&permit, "x", Some("plain")), Err(Error::Hash(_))));
    }

    #[tokio::test]
    async fn another_cost_asks_for_a_new_hash() {
        let (old, permit) = hasher().await;
        let stored = old.hash(&permit, "correct horse").unwrap();
        let new = Hasher::new(&config::Password { memory_kib: 128, ..cheap() }).unwrap();
        assert_eq!(
            new.verify(&permit, "correct horse", Some(&stored)).unwrap(),
            Verified { matches: true, rehash: true }
        );
        assert!(!new.verify(&permit, "wrong", Some(&stored)).unwrap().rehash);
    }

    #[tokio::test]
    async fn places_are_few_and_so_are_those_who_wait() {
        let (hasher, permit) = hasher().await;
        let mut waiting = std::pin::pin!(hasher.permit());
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending()));
        assert!(poll.await, "one waits");
        assert!(matches!(hasher.permit().await, Err(Error::Busy)), "two are too many");
        drop(permit);
        waiting.await.unwrap();
    }

    fn codes(password: &str) -> Vec<&'static str> {
        let known = ["ada.lovelace@windfarm.example", "Ada Lovelace", "North Sea Wind"];
        check(&config::Password::default(), password, &known).into_iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn weak_passwords_are_refused_with_a_reason() {
        assert_eq!(codes("short"), ["too_short"]);
        assert_eq!(codes("password123"), ["too_weak"]);
        assert_eq!(codes("aaaaaaaaaaaaaaaa"), ["too_weak"]);
        assert_eq!(codes("qwertyuiop12"), ["too_weak"]);
        assert_eq!(codes("MyLovelace!9371x"), ["personal"]);
        assert_eq!(codes("windFARM-kilo-9471"), ["personal"]);
        assert_eq!(codes("hash\0purple4!kettle"), ["control_character"]);
        assert_eq!(codes(&"x".repeat(MAX_BYTES + 1)), ["too_long"]);
        assert!(codes("mauve kettle orbit sandal").is_empty());
        assert!(codes("наклонный-чайник-72-орбита").is_empty());
        let advice = &check(&config::Password::default(), "password123", &[])[0].message;
        assert!(advice.contains("common"), "{advice}");
        assert!(!advice.contains("password123"));
    }
}
