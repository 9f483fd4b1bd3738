//! How often: `5/15m`.

use std::fmt;
use std::str::FromStr;

use model::humane::Span;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// So many at once, and as many more in each span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per_ms: u64,
}

/// Longest span, so that no arithmetic overflows: 400 days.
const LONGEST_MS: u64 = 400 * 86_400_000;
const MOST: u32 = 10_000_000;

impl Rate {
    /// `count` in `per_ms`. Both must be at least 1; they are brought there.
    pub const fn new(count: u32, per_ms: u64) -> Self {
        let count = if count == 0 { 1 } else { count };
        let per_ms = if per_ms == 0 { 1 } else { per_ms };
        Self { count, per_ms }
    }

    /// How many at once.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Microseconds between two, when nothing is saved up.
    pub fn interval_us(self) -> i64 {
        let us = self.per_ms.saturating_mul(1_000) / u64::from(self.count);
        i64::try_from(us).unwrap_or(i64::MAX).max(1)
    }

    /// Microseconds that can be saved up.
    pub fn burst_us(self) -> i64 {
        self.interval_us().saturating_mul(i64::from(self.count))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, Span::from_millis(self.per_ms).to_string().replace(' ', ""))
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (count, per) = text.split_once('/')?;
            let (count, per): (u32, Span) = (count.trim().parse().ok()?, per.trim().parse().ok()?);
            let good = (1..=MOST).contains(&count) && (1..=LONGEST_MS).contains(&per.millis());
            good.then(|| Self::new(count, per.millis()))
        };
        parse().ok_or_else(|| format!("{text:?} is no rate like 5/15m"))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_as_they_are_read() {
        for text in ["5/15m", "6000/1m", "1/1day", "3/1h30m", "10/250ms"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("5/15m".parse::<Rate>().unwrap().interval_us(), 180_000_000);
        for bad in ["", "5", "0/1m", "5/0s", "-1/1m", "5/1m/2", "5/1000days", "99999999999/1m"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad:?}");
        }
    }
}
