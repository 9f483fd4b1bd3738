//! A day of delivery: hours or quarter hours of the local day in Madrid, 23, 24 or 25 hours long.

use chrono::{Days, NaiveDate, NaiveTime};
use chrono_tz::Europe::Madrid;
use model::Market;
use model::time::{HOUR_MS, local_date_bounds, local_to_utc_ms};

/// Gate closure, by the clock of Madrid on the day before delivery.
const GATE: NaiveTime = NaiveTime::from_hms_opt(12, 0, 0).expect("noon is a time of day");
/// Quarter hours since delivery on 2025-10-01, when European day-ahead coupling changed to them.
const QUARTERS_SINCE: NaiveDate = NaiveDate::from_ymd_opt(2025, 10, 1).expect("the first of October is a date");
/// The most hours that a local day has.
const MOST_HOURS: u16 = 25;
const QUARTER_MS: i64 = HOUR_MS / 4;

/// A day of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) date: NaiveDate,
    pub(super) market: Market,
    /// Periods that the day has.
    pub(super) periods: u16,
    /// UTC ms.
    start_ms: i64,
}

impl Day {
    /// The day of a file with such periods. Quarter hours since the market has them, and before that if more rows than not
    /// count further than a day has hours: a few stray ones do not make a day of quarter hours.
    pub(super) fn new(date: NaiveDate, periods: impl Iterator<Item = u16>) -> Self {
        let (mut hours, mut beyond) = (0_u64, 0_u64);
        periods.for_each(|period| if period <= MOST_HOURS { hours += 1 } else { beyond += 1 });
        let has_quarters = date >= QUARTERS_SINCE || beyond > hours;
        let (start_ms, end_ms) = local_date_bounds(date, Madrid);
        let (market, duration_ms) =
            if has_quarters { (Market::DayAhead15Min, QUARTER_MS) } else { (Market::DayAheadHourly, HOUR_MS) };
        let periods = u16::try_from((end_ms - start_ms) / duration_ms).unwrap_or(0);
        Self { date, market, periods, start_ms }
    }

    /// Start of a period, UTC ms; an error for one that the day does not have.
    pub(super) fn start_ms(&self, period: u16) -> Result<i64, String> {
        if (1..=self.periods).contains(&period) {
            return Ok(self.start_ms + i64::from(period - 1) * self.duration_ms());
        }
        Err(format!("period {period} is outside the day of {}", self.periods))
    }

    /// Length of a period.
    pub(super) fn duration_ms(&self) -> i64 {
        i64::from(self.market.interval_ms())
    }

    /// When its book opens: the midnight that begins the day before, UTC ms.
    pub(super) fn opens_ms(&self) -> i64 {
        local_date_bounds(self.before(), Madrid).0
    }

    /// When its gate closes, UTC ms.
    pub(super) fn closes_ms(&self) -> i64 {
        // No clock change falls on noon.
        local_to_utc_ms(self.before().and_time(GATE), Madrid, false).unwrap_or(self.start_ms)
    }

    fn before(&self) -> NaiveDate {
        self.date.checked_sub_days(Days::new(1)).unwrap_or(self.date)
    }

    /// The day as ids write it.
    pub(super) fn name(&self) -> String {
        self.date.format("%Y%m%d").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::rfc3339;

    #[test]
    fn periods_count_the_hours_that_the_day_has() {
        for (month, day, hours, third, gate) in [
            (3, 30, 23, "2025-03-30T01:00:00.000Z", "2025-03-29T11:00:00.000Z"),
            (6, 21, 24, "2025-06-21T00:00:00.000Z", "2025-06-20T10:00:00.000Z"),
            (10, 26, 25, "2024-10-27T00:00:00.000Z", "2024-10-26T10:00:00.000Z"),
        ] {
            let (year, day) = if month == 10 { (2024, 27) } else { (2025, day) };
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            let hourly = Day::new(date, 1..=25);
            assert_eq!((hourly.periods, hourly.market), (hours, Market::DayAheadHourly), "{date}");
            assert_eq!(rfc3339(hourly.start_ms(3).unwrap()), third, "{date}");
            assert_eq!(rfc3339(hourly.closes_ms()), gate, "{date}");
            assert!(hourly.start_ms(0).is_err() && hourly.start_ms(hours + 1).is_err());
            let quarters = Day::new(date, 1..=hours * 4);
            assert_eq!((quarters.periods, quarters.market), (hours * 4, Market::DayAhead15Min), "{date}");
            assert_eq!(quarters.start_ms(9), hourly.start_ms(3), "{date}");
        }
        let since = NaiveDate::from_ymd_opt(2025, 10, 1).unwrap();
        assert_eq!(Day::new(since, 1..=3).periods, 96);
    }
}
