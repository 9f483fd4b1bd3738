//! How a follower is doing: for `/health`, `/readyz` and the metrics.

use std::sync::Mutex;
use std::sync::PoisonError;

use model::T;
use model::health::{ServiceHealth, ServiceState};
use prometheus::{IntCounter, IntGauge, Registry};

/// A changelog without a new moment for so long stands still, ms.
const STILL_MS: i64 = 10_000;

/// What a follower is doing. Cheap to ask.
#[derive(Debug)]
pub struct Status {
    broker: String,
    now: Mutex<Now>,
}

#[derive(Clone, Debug)]
struct Now {
    phase: Phase,
    /// What is in the way, if anything is.
    trouble: Option<String>,
    /// T of the newest whole moment, and when it was written by the broker's account.
    t: T,
    written_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is nothing to follow yet.
    Waiting,
    /// So many messages read of everything up to this T.
    Loading { t: T, messages: u64 },
    /// The state is whole and follows.
    Following,
}

impl Status {
    pub(super) fn new(broker: &str) -> Self {
        let now = Now { phase: Phase::Waiting, trouble: None, t: 0, written_ms: None };
        Self { broker: broker.to_owned(), now: Mutex::new(now) }
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        // Every change leaves it whole, so a panic elsewhere does no harm here.
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn loading(&self, t: T, messages: u64) {
        self.change(|now| {
            // Once it has been whole it answers with what it has.
            if now.phase != Phase::Following {
                now.phase = Phase::Loading { t, messages };
            }
        });
    }

    pub(super) fn following(&self, t: T, written_ms: Option<i64>) {
        self.change(|now| *now = Now { phase: Phase::Following, trouble: None, t, written_ms });
    }

    /// Returns whether that is news.
    pub(super) fn trouble(&self, why: String) -> bool {
        let mut news = false;
        self.change(|now| news = now.trouble.replace(why).is_none());
        news
    }

    /// The broker answers. Returns whether that is news.
    pub(super) fn answers(&self) -> bool {
        let mut news = false;
        self.change(|now| news = now.trouble.take().is_some());
        news
    }

    fn now(&self) -> Now {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the state has been whole: it has reached the marker that was newest when following began.
    pub fn is_current(&self) -> bool {
        self.now().phase == Phase::Following
    }

    /// Row for `/health`; `wall_ms` is the time now, UTC ms.
    pub fn health(&self, wall_ms: i64) -> ServiceHealth {
        let Now { phase, trouble, t, written_ms } = self.now();
        let age_ms = written_ms.map_or(0, |written| wall_ms.saturating_sub(written).max(0));
        let whole = || format!("T {t}, the newest moment is {:.1} s old", age_ms as f64 / 1000.0);
        let (state, detail) = match (phase, trouble) {
            (Phase::Following, Some(why)) => {
                (ServiceState::Degraded, format!("{} does not answer, goes on from {}: {why}", self.broker, whole()))
            }
            (Phase::Following, None) if age_ms > STILL_MS => {
                (ServiceState::Degraded, format!("the changelog stands still: {}", whole()))
            }
            (Phase::Following, None) => (ServiceState::Up, whole()),
            (Phase::Loading { t, messages }, None) => {
                (ServiceState::Down, format!("reading everything up to T {t}: {messages} messages so far"))
            }
            (Phase::Waiting, None) => (ServiceState::Down, format!("no changelog on {} yet", self.broker)),
            (_, Some(why)) => (ServiceState::Down, format!("{} does not answer: {why}", self.broker)),
        };
        ServiceHealth { name: "changelog".to_owned(), state, detail, required: true }
    }
}

/// What a follower counts.
#[derive(Clone, Debug)]
pub struct FollowMetrics {
    pub(super) t: IntGauge,
    pub(super) moments: IntCounter,
    pub(super) messages: IntCounter,
    pub(super) failures: IntCounter,
}

impl FollowMetrics {
    /// Declares them in `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            t: gauge("optibid_sinks_followed_t", "T of the newest whole moment of the changelog that is followed")?,
            moments: counter("optibid_sinks_followed_moments_total", "whole moments taken from the changelog")?,
            messages: counter("optibid_sinks_followed_messages_total", "messages of the changelog read")?,
            failures: counter("optibid_sinks_followed_failures_total", "times following had to begin again")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_tells_loading_from_following_from_standing_still() {
        let status = Status::new("h:9092");
        let told = |wall_ms| {
            let health = status.health(wall_ms);
            (health.state, health.detail)
        };
        assert!(!status.is_current() && told(0).0 == ServiceState::Down && told(0).1.contains("no changelog"));
        status.loading(7, 3);
        assert!(told(0).0 == ServiceState::Down && told(0).1.contains("T 7"), "{:?}", told(0));
        status.following(9, Some(1_000));
        assert!(status.is_current() && told(2_000).0 == ServiceState::Up);
        let still = told(61_000);
        assert!(still.0 == ServiceState::Degraded && still.1.contains("60.0 s old"), "{still:?}");
        assert!(status.trouble("refused".to_owned()) && !status.trouble("refused".to_owned()));
        assert!(status.is_current() && told(2_000).0 == ServiceState::Degraded && told(2_000).1.contains("refused"));
        status.loading(10, 1);
        assert!(status.is_current(), "it answers with what it has while it reads again");
        assert!(status.answers() && !status.answers());
    }
}
