//! Markets (gridstatus vocabulary) and currencies.

use serde::{Deserialize, Serialize};

/// What kind of market a price belongs to. Ordered from most to least live: the first that has data
/// is a location's headline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum Market {
    /// A continuous tick stream: many prices a minute, no interval. What the minimal wire form means.
    Continuous = 0,
    /// Real-time five-minute LMP.
    #[serde(rename = "REAL_TIME_5_MIN")]
    RealTime5Min = 1,
    /// Real-time fifteen-minute price (RTC, IEX RTM).
    #[serde(rename = "REAL_TIME_15_MIN")]
    RealTime15Min = 2,
    /// Real-time half-hourly price (AEMO trading price before 2021-10).
    #[serde(rename = "REAL_TIME_30_MIN")]
    RealTime30Min = 3,
    /// Real-time hourly LMP.
    RealTimeHourly = 4,
    /// Day-ahead fifteen-minute price.
    #[serde(rename = "DAY_AHEAD_15_MIN")]
    DayAhead15Min = 5,
    /// Day-ahead half-hourly price.
    #[serde(rename = "DAY_AHEAD_30_MIN")]
    DayAhead30Min = 6,
    /// Day-ahead hourly price.
    DayAheadHourly = 7,
}

impl Market {
    /// Every market, headline preference first.
    pub const ALL: [Self; 8] = [
        Self::Continuous,
        Self::RealTime5Min,
        Self::RealTime15Min,
        Self::RealTime30Min,
        Self::RealTimeHourly,
        Self::DayAhead15Min,
        Self::DayAhead30Min,
        Self::DayAheadHourly,
    ];

    /// The gridstatus name, e.g. `REAL_TIME_5_MIN`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continuous => "CONTINUOUS",
            Self::RealTime5Min => "REAL_TIME_5_MIN",
            Self::RealTime15Min => "REAL_TIME_15_MIN",
            Self::RealTime30Min => "REAL_TIME_30_MIN",
            Self::RealTimeHourly => "REAL_TIME_HOURLY",
            Self::DayAhead15Min => "DAY_AHEAD_15_MIN",
            Self::DayAhead30Min => "DAY_AHEAD_30_MIN",
            Self::DayAheadHourly => "DAY_AHEAD_HOURLY",
        }
    }

    /// Parses the gridstatus name, any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.as_str().eq_ignore_ascii_case(text))
    }

    /// The market with discriminant `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Length of one delivery interval in ms; 0 for a continuous tick stream.
    pub fn interval_ms(self) -> u32 {
        match self {
            Self::Continuous => 0,
            Self::RealTime5Min => 300_000,
            Self::RealTime15Min | Self::DayAhead15Min => 900_000,
            Self::RealTime30Min | Self::DayAhead30Min => 1_800_000,
            Self::RealTimeHourly | Self::DayAheadHourly => 3_600_000,
        }
    }

    /// Published ahead of delivery, so that an event time in the future is normal.
    pub fn is_day_ahead(self) -> bool {
        matches!(self, Self::DayAhead15Min | Self::DayAhead30Min | Self::DayAheadHourly)
    }

    /// Prices of hours, or of a day ahead: they are corrected, and kept, for as long as hourly bars.
    pub fn is_hourly(self) -> bool {
        self.is_day_ahead() || self == Self::RealTimeHourly
    }

    /// One value per interval (as against a stream of ticks).
    pub fn is_interval(self) -> bool {
        self != Self::Continuous
    }
}

/// ISO 4217 code, three ASCII capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Parses three ASCII letters, any case.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphabetic).then(|| Self(bytes.map(|b| b.to_ascii_uppercase())))
    }

    /// The code, e.g. `USD`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl TryFrom<String> for Currency {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("currency {text:?} is not three letters"))
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}
