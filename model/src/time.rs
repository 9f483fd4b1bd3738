//! Event time, dataflow time and the buckets between them.
//!
//! Event time is `i64` UTC milliseconds of a tick, or of the *start* of its interval. `T` is the
//! dataflow's own time, minted by the source alone. Buckets are half-open: `[start, end)`.

use std::cell::Cell;

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Timely's timestamp: UTC milliseconds, minted by the source from its `Clock`.
pub type T = u64;

/// Milliseconds in a minute.
pub const MINUTE_MS: i64 = 60_000;
/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds in 24 hours (a calendar day may have 23 or 25 hours).
pub const DAY_MS: i64 = 86_400_000;

/// The width of a bar. `D1` is the location's own calendar day: 23, 24 or 25 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Granularity {
    /// One minute: the narrow waist.
    #[serde(rename = "1m")]
    M1,
    /// Five minutes.
    #[serde(rename = "5m")]
    M5,
    /// Fifteen minutes.
    #[serde(rename = "15m")]
    M15,
    /// One hour.
    #[serde(rename = "1h")]
    H1,
    /// The location's calendar day.
    #[serde(rename = "1d")]
    D1,
}

impl Granularity {
    /// Every granularity, finest first.
    pub const ALL: [Self; 5] = [Self::M1, Self::M5, Self::M15, Self::H1, Self::D1];

    /// The name used in files, tables and messages: `1m`, `5m`, `15m`, `1h`, `1d`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::M1 => "1m",
            Self::M5 => "5m",
            Self::M15 => "15m",
            Self::H1 => "1h",
            Self::D1 => "1d",
        }
    }

    /// Parses the short name or the long one clients use (`minute`, `hour`, `day`).
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "1m" | "minute" | "1min" => Self::M1,
            "5m" | "5min" | "5_min" => Self::M5,
            "15m" | "15min" | "15_min" | "quarter" => Self::M15,
            "1h" | "h" | "hour" | "hourly" => Self::H1,
            "1d" | "d" | "day" | "daily" => Self::D1,
            _ => return None,
        })
    }

    /// The `[start, end)` bucket, in UTC ms, that holds `event_ms` for a location in time zone `tz`.
    pub fn bucket(self, event_ms: i64, tz: Tz) -> (i64, i64) {
        let width = match self {
            Self::M1 => MINUTE_MS,
            Self::M5 => 5 * MINUTE_MS,
            Self::M15 => 15 * MINUTE_MS,
            // Hours are the location's own too: India is at +05:30, so its hours start at :30 UTC.
            Self::H1 => {
                let shift = utc_offset_ms(event_ms, tz).rem_euclid(HOUR_MS);
                let start = (event_ms + shift).div_euclid(HOUR_MS) * HOUR_MS - shift;
                return (start, start + HOUR_MS);
            }
            Self::D1 => return local_day(event_ms, tz),
        };
        let start = event_ms.div_euclid(width) * width;
        (start, start + width)
    }
}

/// The zone's offset from UTC at `event_ms`, in milliseconds (east is positive).
pub fn utc_offset_ms(event_ms: i64, tz: Tz) -> i64 {
    use chrono::Offset;
    to_utc(event_ms).map_or(0, |utc| i64::from(utc.with_timezone(&tz).offset().fix().local_minus_utc()) * 1000)
}

/// Days asked for before, by time zone and day.
const DAYS_KEPT: usize = 16;

thread_local! {
    static DAYS: [Cell<Option<(Tz, i64, i64)>>; DAYS_KEPT] = const { [const { Cell::new(None) }; DAYS_KEPT] };
}

/// `[start, end)` in UTC ms of the local calendar day that holds `event_ms`.
pub fn local_day(event_ms: i64, tz: Tz) -> (i64, i64) {
    // Every record asks, most of them for one of a few days, and the tables of a time zone are searched for long.
    DAYS.with(|days| {
        let kept = &days[(tz as usize).wrapping_add(event_ms.div_euclid(DAY_MS) as usize) % DAYS_KEPT];
        match kept.get() {
            Some((of, start, end)) if of == tz && (start..end).contains(&event_ms) => (start, end),
            _ => {
                let (start, end) = find_local_day(event_ms, tz);
                // Where a calendar skips a day there is none that holds just its own instants.
                let is_plain = (23 * HOUR_MS..=25 * HOUR_MS).contains(&(end - start));
                if is_plain && (start..end).contains(&event_ms) {
                    kept.set(Some((tz, start, end)));
                }
                (start, end)
            }
        }
    })
}

fn find_local_day(event_ms: i64, tz: Tz) -> (i64, i64) {
    match to_utc(event_ms) {
        Some(utc) => local_date_bounds(utc.with_timezone(&tz).date_naive(), tz),
        None => {
            let start = event_ms.div_euclid(DAY_MS) * DAY_MS;
            (start, start.saturating_add(DAY_MS))
        }
    }
}

/// `[start, end)` in UTC ms of calendar day `date` in `tz`.
pub fn local_date_bounds(date: NaiveDate, tz: Tz) -> (i64, i64) {
    let next = date.succ_opt().unwrap_or(date);
    (local_midnight(date, tz), local_midnight(next, tz))
}

fn local_midnight(date: NaiveDate, tz: Tz) -> i64 {
    local_to_utc_ms(date.and_time(chrono::NaiveTime::MIN), tz, false)
        // Some zones skip midnight itself at the change: the day then starts when the gap ends.
        .or_else(|| local_to_utc_ms(date.and_hms_opt(1, 0, 0)?, tz, false))
        .unwrap_or_else(|| date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis())
}

/// Local wall time to UTC ms. `None` in the hour that the clock skips; of an hour that happens twice,
/// `later` picks the second (standard time).
pub fn local_to_utc_ms(local: NaiveDateTime, tz: Tz, later: bool) -> Option<i64> {
    let found = tz.from_local_datetime(&local);
    let instant = if later { found.latest() } else { found.earliest() };
    instant.map(|at| at.timestamp_millis())
}

/// UTC ms to a chrono instant; `None` outside chrono's range.
pub fn to_utc(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms)
}

/// RFC 3339 text of UTC ms, `2026-01-02T03:04:05.678Z`; the number itself where chrono has no such date.
pub fn rfc3339(ms: i64) -> String {
    to_utc(ms).map_or_else(|| ms.to_string(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// Parses an instant: RFC 3339 with offset, or without one (then UTC), or with a space for the `T`.
pub fn parse_instant(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_millis());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, format) {
            return Some(at.and_utc().timestamp_millis());
        }
    }
    None
}

/// Start of a date range given as text: a date means the local day's first instant, else an instant.
pub fn parse_range_start(text: &str, tz: Tz) -> Option<i64> {
    match NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
        Ok(date) => Some(local_date_bounds(date, tz).0),
        Err(_) => parse_instant(text),
    }
}

/// End (exclusive) of a date range given as text: a date means the end of that local day.
pub fn parse_range_end(text: &str, tz: Tz) -> Option<i64> {
    match NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
        Ok(date) => Some(local_date_bounds(date, tz).1),
        Err(_) => parse_instant(text),
    }
}

/// Milliseconds of a chrono duration.
pub fn duration_ms(duration: Duration) -> i64 {
    duration.num_milliseconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Whatever was asked before, in zones that change their clocks at midnight, by half an hour or by a day.
        #[test]
        fn a_day_is_the_same_however_often_it_is_asked_for(
            asked in proptest::collection::vec((0..6_usize, 1_300_000_000_000..1_420_000_000_000_i64), 1..200),
            around in 0..40_i64,
        ) {
            use chrono_tz::{America, Asia, Australia, Europe, Pacific, UTC};
            let zones = [UTC, Europe::Madrid, Asia::Beirut, Australia::Lord_Howe, Pacific::Apia, America::New_York];
            // Where Apia skipped a day.
            let skipped = (0..around).map(|hour| (4, 1_325_160_000_000 + hour * HOUR_MS));
            for (zone, event_ms) in asked.into_iter().chain(skipped) {
                let tz = zones[zone];
                for event_ms in [event_ms, event_ms - HOUR_MS, event_ms + DAY_MS] {
                    proptest::prop_assert_eq!(local_day(event_ms, tz), find_local_day(event_ms, tz));
                }
            }
        }
    }

    #[test]
    fn days_have_23_24_or_25_hours() {
        let tz = chrono_tz::America::New_York;
        let hours = |y, m, d| {
            let (start, end) = local_date_bounds(NaiveDate::from_ymd_opt(y, m, d).unwrap(), tz);
            (end - start) / HOUR_MS
        };
        assert_eq!([hours(2016, 3, 13), hours(2016, 7, 1), hours(2016, 11, 6)], [23, 24, 25]);
    }

    #[test]
    fn hours_start_on_the_locations_own_hour() {
        let at = parse_instant("2022-10-17T00:10:00Z").unwrap();
        let (start, _) = Granularity::H1.bucket(at, chrono_tz::Asia::Kolkata);
        assert_eq!(rfc3339(start), "2022-10-16T23:30:00.000Z");
        let (start, end) = Granularity::D1.bucket(at, chrono_tz::Asia::Kolkata);
        assert_eq!((rfc3339(start).as_str(), end - start), ("2022-10-16T18:30:00.000Z", DAY_MS));
    }

    #[test]
    fn instants_before_1970_fall_in_the_right_bucket() {
        assert_eq!(Granularity::M5.bucket(-1, chrono_tz::UTC), (-300_000, 0));
    }
}
