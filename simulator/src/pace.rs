//! How fast to send: by the clock, and never so far ahead of the reader that the broker forgets.
//!
//! The embedded broker keeps 5 MiB a partition and drops older messages silently. So a producer that is told where
//! the consumer stands stops while any partition holds more than [`Lag::max_unread_bytes`] unread.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// How fast simulated time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As many times faster than real time.
    Times(f64),
    /// As fast as the reader can follow.
    Max,
}

impl std::str::FromStr for Speed {
    type Err = Error;

    /// `max`, `1`, `60x` or `60×`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim().to_ascii_lowercase();
        if text == "max" {
            return Ok(Self::Max);
        }
        let number = text.trim_end_matches(['x', '×']).trim().parse::<f64>().ok();
        match number.filter(|times| times.is_finite() && *times > 0.0) {
            Some(times) => Ok(Self::Times(times)),
            None => Err(Error::Settings(format!("speed {text:?} is neither max nor a factor like 60x"))),
        }
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}x"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// Simulated time against the wall's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    started: Instant,
    start_ms: i64,
    speed: Speed,
}

impl Schedule {
    /// Simulated `start_ms` is now.
    pub(crate) fn starting_at(start_ms: i64, speed: Speed) -> Self {
        Self { started: Instant::now(), start_ms, speed }
    }

    /// How long to wait before what is due at `at_ms`; `None` when it is due.
    pub(crate) fn wait(&self, at_ms: i64) -> Option<Duration> {
        wait(self.started.elapsed(), at_ms.saturating_sub(self.start_ms), self.speed)
    }
}

/// How long to wait, `elapsed` after the start, for what is due `after_ms` of simulated time after it.
fn wait(elapsed: Duration, after_ms: i64, speed: Speed) -> Option<Duration> {
    let Speed::Times(times) = speed else { return None };
    let due = Duration::try_from_secs_f64(after_ms.max(0) as f64 / 1000.0 / times).unwrap_or(Duration::MAX);
    due.checked_sub(elapsed).filter(|rest| !rest.is_zero())
}

/// Where the consumer stands: the next offset it will read of a topic's partition; negative when it has not begun.
pub type Consumed = Arc<dyn Fn(&str, i32) -> i64 + Send + Sync>;

/// The bound on unread messages.
#[derive(Clone)]
pub struct Lag {
    /// Where the consumer stands.
    pub consumed: Consumed,
    /// Most bytes a partition may hold unread, in-flight ones included.
    pub max_unread_bytes: u64,
}

impl Lag {
    /// Unread bytes for the embedded broker: well below the 5 MiB at which it forgets.
    pub const EMBEDDED_BYTES: u64 = 2 << 20;

    /// The bound that the embedded broker needs.
    pub fn embedded(consumed: Consumed) -> Self {
        Self { consumed, max_unread_bytes: Self::EMBEDDED_BYTES }
    }
}

impl std::fmt::Debug for Lag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lag").field("max_unread_bytes", &self.max_unread_bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_as_people_write_them() {
        for (text, speed) in
            [("max", Speed::Max), ("1", Speed::Times(1.0)), ("60x", Speed::Times(60.0)), (" 0.5× ", Speed::Times(0.5))]
        {
            assert_eq!(text.parse::<Speed>().unwrap(), speed, "{text}");
            assert_eq!(speed.to_string().parse::<Speed>().unwrap(), speed);
        }
        for bad in ["", "0", "-1x", "inf", "NaN", "fast", "x"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn waits_until_due_and_not_when_late() {
        let at = Duration::from_millis;
        assert_eq!(wait(at(0), 60_000, Speed::Times(60.0)), Some(at(1000)));
        assert_eq!(wait(at(400), 60_000, Speed::Times(60.0)), Some(at(600)));
        assert_eq!(wait(at(1000), 60_000, Speed::Times(60.0)), None);
        assert_eq!(wait(at(9000), 60_000, Speed::Times(60.0)), None);
        assert_eq!(wait(at(0), i64::MAX, Speed::Max), None);
        assert_eq!(wait(at(0), -5, Speed::Times(1.0)), None);
    }
}
