//! Stamps as feeds write them, and the instants they mean.
//!
//! [`parse`] reads the many spellings of a wall time. [`LocalSeries`] turns the wall times of one location, in
//! file order, into UTC where the feed does not say which side of a clock change it is on: of an hour
//! that happens twice the first pass comes first, and a stamp that goes back starts the second.

use chrono::{Duration, LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// How a feed writes a date whose first number is not the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DateOrder {
    /// `12/31/2016`.
    MonthFirst,
    /// `31/12/2016`.
    DayFirst,
}

/// Reads `M/D/Y`, `D/M/Y` or `Y/M/D` (also with `-`), then `H:MM[:SS[.f]]` with or without AM or PM. A date alone is midnight.
pub(crate) fn parse(text: &str, order: DateOrder) -> Option<NaiveDateTime> {
    let mut parts = text.trim().split([' ', 'T']).filter(|part| !part.is_empty());
    let date = parse_date(parts.next()?, order)?;
    let Some(clock) = parts.next() else { return date.and_hms_opt(0, 0, 0) };
    let (hour, minute, second) = parse_clock(clock)?;
    let hour = match parts.next().map(str::to_ascii_uppercase).as_deref() {
        None => hour,
        Some("AM") if (1..=12).contains(&hour) => hour % 12,
        Some("PM") if (1..=12).contains(&hour) => hour % 12 + 12,
        Some(_) => return None,
    };
    if parts.next().is_some() { None } else { date.and_hms_opt(hour, minute, second) }
}

fn parse_date(text: &str, order: DateOrder) -> Option<NaiveDate> {
    let mut fields = text.split(['/', '-']);
    let (first, second, third) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let (year, month, day) = match order {
        _ if first.len() == 4 => (first, second, third),
        DateOrder::MonthFirst => (third, first, second),
        DateOrder::DayFirst => (third, second, first),
    };
    // Spreadsheets shorten the year when they save a feed's file.
    let year_number: i32 = digits(year)?.try_into().ok()?;
    let year_number = if year.len() <= 2 { 2000 + year_number } else { year_number };
    NaiveDate::from_ymd_opt(year_number, digits(month)?, digits(day)?)
}

fn parse_clock(text: &str) -> Option<(u32, u32, u32)> {
    let mut fields = text.split(':');
    let (hour, minute) = (digits(fields.next()?)?, digits(fields.next()?)?);
    let second = match fields.next() {
        Some(second) => digits(second.split('.').next()?)?,
        None => 0,
    };
    if fields.next().is_some() { None } else { Some((hour, minute, second)) }
}

fn digits(text: &str) -> Option<u32> {
    if text.is_empty() || text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Where a stamp stands to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The first of its series.
    First,
    /// Later than the previous one, which was at this instant (UTC ms).
    Forward(i64),
    /// The same wall time as the previous one.
    Repeat,
    /// Earlier, and no clock change explains it.
    Back,
}

/// The wall times of one location, in file order.
#[derive(Clone, Debug)]
pub(crate) struct LocalSeries {
    tz: Tz,
    is_hourly: bool,
    last: Option<(NaiveDateTime, i64)>,
}

/// How far apart two stamps of one series can be for a clock change to be read into them.
const NEAR_MS: i64 = 15 * 60_000;

impl LocalSeries {
    /// A series without a stamp yet, of intervals shorter than an hour.
    pub(crate) fn new(tz: Tz) -> Self {
        Self { tz, is_hourly: false, last: None }
    }

    /// A series of hours: there the second pass has the very stamp of the first, one row later.
    pub(crate) fn hourly(tz: Tz) -> Self {
        Self { is_hourly: true, ..Self::new(tz) }
    }

    /// The instant of the next stamp, and how it follows; an error for a wall time that does not exist.
    pub(crate) fn next(&mut self, local: NaiveDateTime) -> Result<(i64, Step), String> {
        let Some((last_local, last_ms)) = self.last else {
            let at = self.earliest(local)?;
            self.last = Some((local, at));
            return Ok((at, Step::First));
        };
        let found = self.tz.from_local_datetime(&local);
        let is_second_pass = self.is_hourly && found.latest().is_some_and(|at| at.timestamp_millis() > last_ms);
        if local == last_local && !is_second_pass {
            return Ok((last_ms, Step::Repeat));
        }
        let at = match found {
            LocalResult::Ambiguous(first, second) => {
                let (first, second) = (first.timestamp_millis(), second.timestamp_millis());
                if first > last_ms { first } else { second }
            }
            LocalResult::Single(at) => self.end_of_first_pass(local, at.timestamp_millis(), last_ms),
            LocalResult::None => self.earliest(local)?,
        };
        if at <= last_ms {
            return Ok((at, Step::Back));
        }
        self.last = Some((local, at));
        Ok((at, Step::Forward(last_ms)))
    }

    /// A feed that stamps ends may write the end of the first pass as `02:00`, which is also the end of the second.
    fn end_of_first_pass(&self, local: NaiveDateTime, at: i64, last_ms: i64) -> i64 {
        let before = self.tz.from_local_datetime(&(local - Duration::seconds(1)));
        match before {
            LocalResult::Ambiguous(first, _) => {
                let end = first.timestamp_millis() + 1000;
                if end > last_ms && end - last_ms <= NEAR_MS { end } else { at }
            }
            _ => at,
        }
    }

    fn earliest(&self, local: NaiveDateTime) -> Result<i64, String> {
        if let Some(at) = self.tz.from_local_datetime(&local).earliest() {
            return Ok(at.timestamp_millis());
        }
        // The last interval before the clock skips ends at a time that does not exist: `02:00` is then `03:00`.
        let before = self.tz.from_local_datetime(&(local - Duration::seconds(1))).latest();
        before
            .map(|at| at.timestamp_millis() + 1000)
            .ok_or_else(|| format!("{local} does not exist in {}: the clock skips it", self.tz))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::rfc3339;

    #[test]
    fn reads_every_spelling_in_use() {
        let at = |text| parse(text, DateOrder::MonthFirst).map(|at| at.to_string());
        let expected = Some("2024-06-01 00:15:00".to_owned());
        for text in
            ["06/01/2024 00:15:00", "6/1/24 0:15", "2024/06/01 00:15:00", "6/1/2024 12:15:00 AM", "2024-06-01T00:15"]
        {
            assert_eq!(at(text), expected, "{text}");
        }
        assert_eq!(at("6/1/2024 12:15:00 PM").unwrap(), "2024-06-01 12:15:00");
        assert_eq!(parse("17/10/2022", DateOrder::DayFirst).unwrap().to_string(), "2022-10-17 00:00:00");
        for bad in [
            "",
            "13/13/2024 00:00",
            "6/1/2024 24:00",
            "6/1/2024 1:00 XM",
            "6/1/2024 13:00 PM",
            "6/1",
            "a/b/c d:e",
            "6/1/2024 1:00 AM x",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    fn resolve(stamps: &[&str]) -> Vec<String> {
        let mut series = LocalSeries::new(chrono_tz::America::New_York);
        let resolve_one = |text: &&str| {
            series.next(parse(text, DateOrder::MonthFirst).unwrap()).map_or_else(
                |e| e,
                |(at, step)| {
                    let step = match step {
                        Step::First => "first",
                        Step::Forward(_) => "forward",
                        Step::Repeat => "repeat",
                        Step::Back => "back",
                    };
                    format!("{} {step}", &rfc3339(at)[11..16])
                },
            )
        };
        stamps.iter().map(resolve_one).collect()
    }

    #[test]
    fn the_hour_that_happens_twice_is_told_apart_by_order() {
        let seen = resolve(&[
            "11/6/2016 0:55",
            "11/6/2016 1:00",
            "11/6/2016 1:55",
            "11/6/2016 1:55",
            "11/6/2016 1:00",
            "11/6/2016 1:05",
            "11/6/2016 1:55",
            "11/6/2016 2:00",
            "11/6/2016 1:30",
        ]);
        let expected = [
            "04:55 first",
            "05:00 forward",
            "05:55 forward",
            "05:55 repeat",
            "06:00 forward",
            "06:05 forward",
            "06:55 forward",
            "07:00 forward",
            "06:30 back",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_end_written_as_two_o_clock_is_the_end_of_the_first_pass() {
        let seen = resolve(&["11/6/2016 1:55", "11/6/2016 2:00", "11/6/2016 1:05", "11/6/2016 2:00"]);
        assert_eq!(seen, ["05:55 first", "06:00 forward", "06:05 forward", "07:00 forward"]);
    }

    #[test]
    fn the_hour_that_is_skipped_has_only_an_end() {
        let seen = resolve(&["3/13/2016 1:55", "3/13/2016 2:00", "3/13/2016 3:05", "3/13/2016 2:30"]);
        assert_eq!(seen[..3], ["06:55 first", "07:00 forward", "07:05 forward"]);
        assert!(seen[3].contains("does not exist"), "{}", seen[3]);
    }
}
