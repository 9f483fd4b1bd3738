//! Query strings, read strictly: an unknown name, a repeated value or a value out of range is an error that
//! says what is allowed. Written by hand because serde's messages do not.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::json;
use warp::Filter;
use warp::filters::BoxedFilter;

use crate::error::Error;

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// Takes the raw query string of a request, empty when there is none.
pub(crate) fn raw_query() -> BoxedFilter<(String,)> {
    warp::query::raw().or(warp::any().map(String::new)).unify().boxed()
}

impl Params {
    /// Parses `a=1&b=2` and refuses every name that is not in `allowed`.
    pub(crate) fn parse(raw: &str, allowed: &[&str]) -> Result<Self, Error> {
        let found = Self::all(raw)?;
        for (name, _) in &found {
            if !allowed.contains(&name.as_str()) {
                let list = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
                return Err(Error::BadParameter {
                    message: format!("unknown parameter {name:?}; this route takes: {list}"),
                    details: json!({"parameter": name, "allowed": allowed}),
                });
            }
        }
        Ok(Self(found))
    }

    /// Every pair as it stands: for those who say themselves what they take.
    pub(crate) fn all(raw: &str) -> Result<Vec<(String, String)>, Error> {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let read = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        });
        read.collect()
    }

    /// A value that may be given once. An empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.0.iter().filter(|(n, v)| n == name && !v.trim().is_empty());
        let first = values.next().map(|(_, value)| value.trim());
        match values.next() {
            Some((_, second)) => Err(Error::parameter(name, second, "give it once")),
            None => Ok(first),
        }
    }

    /// A value that must be given; `example` tells how.
    pub(crate) fn required(&self, name: &str, example: &str) -> Result<&str, Error> {
        self.text(name)?.ok_or_else(|| Error::BadParameter {
            message: format!("parameter {name} is missing, e.g. {name}={example}"),
            details: json!({"parameter": name, "example": example}),
        })
    }

    /// A number in a range.
    pub(crate) fn number<N: FromStr + PartialOrd + Display>(
        &self,
        name: &str,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.parse::<N>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(Error::parameter(name, text, format!("a number from {} to {}", range.start(), range.end()))),
        }
    }

    /// A list: comma-separated, or the name repeated.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(n, _)| n == name);
        values.flat_map(|(_, v)| v.split(',')).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect()
    }

    /// A value from a fixed set, by a parser that returns `None` for others.
    pub(crate) fn one_of<V>(
        &self,
        name: &str,
        allowed: &[&str],
        parse: impl Fn(&str) -> Option<V>,
    ) -> Result<Option<V>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Error::parameter(name, text, json!(allowed)))
    }
}

/// An instant: RFC 3339 or UTC milliseconds.
pub(crate) fn instant(name: &str, text: &str) -> Result<i64, Error> {
    let at = text.parse::<i64>().ok().or_else(|| model::time::parse_instant(text));
    at.ok_or_else(|| Error::parameter(name, text, "RFC 3339 or UTC milliseconds"))
}

/// Undoes percent-encoding; also for path segments, where `+` is a plus.
pub(crate) fn decode(text: &str) -> Result<String, Error> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        if bytes[i] == b'%' {
            let code = text.get(i + 1..i + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            out.push(code.ok_or_else(|| bad_encoding(text))?);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8(out).map_err(|_| bad_encoding(text))
}

fn bad_encoding(text: &str) -> Error {
    Error::BadParameter { message: format!("{text:?} is not percent-encoded UTF-8"), details: json!({"given": text}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_numbers_and_encodings() {
        let params = Params::parse("zones=a,b&zones=c%20d&n=5&at=2025-01-01T00%3A00", &["zones", "n", "at"]).unwrap();
        assert_eq!(params.list("zones"), ["a", "b", "c d"]);
        assert_eq!(params.number("n", 1..=9_i64).unwrap(), Some(5));
        assert_eq!(params.text("at").unwrap(), Some("2025-01-01T00:00"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let message = |raw: &str| Params::parse(raw, &["n"]).unwrap_err().to_string();
        assert_eq!(message("m=1"), "unknown parameter \"m\"; this route takes: n");
        assert!(message("n=%zz").contains("percent-encoded"));
        let params = Params::parse("n=x&n=y", &["n"]).unwrap();
        assert!(params.text("n").is_err());
        let params = Params::parse("n=NaN", &["n"]).unwrap();
        assert!(params.number("n", 0.0..=10.0).unwrap_err().to_string().contains("from 0 to 10"));
    }
}
