//! Small things that people choose for themselves: language, time zone, country.

use crate::validate::Problem;

/// A language like `en` or `de-AT`.
pub(super) fn locale(text: &str) -> Result<String, Problem> {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    let language = (2..=3).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_lowercase());
    let rest: Vec<&str> = parts.collect();
    let good = |part: &&str| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if language && rest.len() <= 3 && rest.iter().all(good) {
        return Ok(text.to_owned());
    }
    Err(Problem::allowed("invalid_locale", "is no language", "a language like en or de-AT"))
}

/// A time zone by its IANA name.
pub(super) fn timezone(text: &str) -> Result<String, Problem> {
    let zone: Result<chrono_tz::Tz, _> = text.parse();
    let wrong = |_| Problem::allowed("unknown_timezone", "is no time zone", "an IANA name like Asia/Kolkata");
    zone.map(|zone| zone.name().to_owned()).map_err(wrong)
}

/// A country by its two letters (ISO 3166).
pub(super) fn country(text: &str) -> Result<String, Problem> {
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(text.to_owned());
    }
    Err(Problem::allowed("invalid_country", "is no country", "two letters like IN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_choose_has_one_form() {
        for good in ["en", "de-AT", "zh-Hant-TW"] {
            assert!(locale(good).is_ok(), "{good}");
        }
        for bad in ["", "e", "EN", "en_GB", "en-", "en-x", "en-GB-a1-b2-c3", "ëñ"] {
            assert!(locale(bad).is_err(), "{bad}");
        }
        assert_eq!(timezone("Asia/Kolkata").unwrap(), "Asia/Kolkata");
        assert!(timezone("Mars/Olympus").is_err());
        assert!(country("IN").is_ok() && country("in").is_err() && country("IND").is_err());
    }
}
