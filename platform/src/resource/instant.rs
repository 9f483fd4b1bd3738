//! An instant as JSON has it, everywhere alike: RFC 3339, UTC, `Z`, microseconds.
//!
//! Microseconds, since that is what the database keeps: what was read can be given back and is the same.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-31T12:00:00.000000Z")]
pub struct Instant(pub DateTime<Utc>);

impl Instant {
    /// From RFC 3339 with any offset; nothing finer than a microsecond is kept.
    pub fn parse(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        DateTime::from_timestamp_micros(at.timestamp_micros()).map(Self)
    }

    /// From milliseconds since 1970; nothing outside the years that there are.
    pub fn from_ms(ms: i64) -> Option<Self> {
        DateTime::from_timestamp_millis(ms).map(Self)
    }

    /// Milliseconds since 1970.
    pub fn ms(self) -> i64 {
        self.0.timestamp_millis()
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("must be an instant like 2026-01-31T12:00:00Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_form() {
        for text in ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00.0+01:00", "2026-01-31 12:00:00.000000999Z"] {
            assert_eq!(Instant::parse(text).unwrap().to_string(), "2026-01-31T12:00:00.000000Z", "{text}");
        }
        let at: Instant = serde_json::from_str("\"2026-01-31T12:00:00.123456+00:00\"").unwrap();
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2026-01-31T12:00:00.123456Z\"");
        for text in ["", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "infinity"] {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
    }
}
