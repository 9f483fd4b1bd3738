//! What T follows. The only place of the data path that asks the system for the time.
//!
//! * `Wall`: the system's time in UTC milliseconds.
//! * `Event`: the records' own time, so that a replay of last year runs in last year's time. A record is
//!   bound to the first T at or after its clock (`Decoded::clock_ms`: event time, but never later than
//!   publication), and T stands still when nothing comes.
//!
//! Either way T only grows: minting adds one millisecond where the clock stood still or went back.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use model::T;
use serde::{Deserialize, Serialize};

/// What T follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The system's time.
    #[default]
    Wall,
    /// The greatest time seen in the records.
    Event,
}

/// System time, UTC ms.
#[allow(clippy::disallowed_methods, reason = "the wall clock's home")]
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Now, for pacing and for measuring; never for data.
#[allow(clippy::disallowed_methods, reason = "pacing of the minter and of threads, not data")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The next T: the clock's time, and in any case after the last.
pub fn next(last: T, clock_ms: u64) -> T {
    clock_ms.max(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_only_grows() {
        assert_eq!(next(0, 1_000), 1_000);
        assert_eq!(next(1_000, 1_000), 1_001);
        assert_eq!(next(1_000, 900), 1_001);
        assert!(wall_ms() > 1_600_000_000_000);
    }
}
