//! Bad input by field: every mistake of a body at once, with its place, a code for programs and a sentence for people.
//!
//! ```text
//! let mut fields = Fields::default();
//! let name = fields.take("name", names::display_name(&body.name));
//! let kw = fields.number("power_kw", body.power_kw, 0..=5_000_000);
//! fields.finish()?;                       // Err(Vec<FieldError>) when anything was wrong
//! ```

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::Serialize;
use uuid::Uuid;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Its place: `email`, `steps[2].price`.
    pub field: String,
    /// For programs: stays the same when the message is worded better.
    pub code: &'static str,
    /// For people. Says what to do, and never repeats what was sent.
    pub message: String,
    /// What would do, where that can be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}

/// What is wrong with a value, before it is known which field it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What would do.
    pub allowed: Option<String>,
}

/// Gathers what is wrong, field by field.
#[derive(Debug, Default)]
pub struct Fields {
    errors: Vec<FieldError>,
}

impl Problem {
    /// A problem whose remedy cannot be listed.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), allowed: None }
    }

    /// A problem with what would do.
    pub fn allowed(code: &'static str, message: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { code, message: message.into(), allowed: Some(allowed.into()) }
    }

    /// The problem of a field.
    pub fn of(self, field: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), code: self.code, message: self.message, allowed: self.allowed }
    }
}

impl Fields {
    /// The value if it is good; else notes the problem.
    pub fn take<V>(&mut self, field: &str, value: Result<V, Problem>) -> Option<V> {
        value.map_err(|problem| self.errors.push(problem.of(field))).ok()
    }

    /// A value that must be there.
    pub fn required<V>(&mut self, field: &str, value: Option<V>) -> Option<V> {
        self.take(field, value.ok_or_else(|| Problem::new("required", "is missing")))
    }

    /// A number in its range.
    pub fn number<N: PartialOrd + Display>(&mut self, field: &str, value: N, range: RangeInclusive<N>) -> Option<N> {
        let checked = number(value, &range);
        self.take(field, checked)
    }

    /// An id.
    pub fn uuid(&mut self, field: &str, value: &str) -> Option<Uuid> {
        self.take(field, uuid(value))
    }

    /// Notes what was found elsewhere.
    pub fn add(&mut self, errors: impl IntoIterator<Item = FieldError>) {
        self.errors.extend(errors);
    }

    /// Everything that was wrong, in the order it was found.
    pub fn finish(self) -> Result<(), Vec<FieldError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

/// A number in its range. NaN is in none.
pub fn number<N: PartialOrd + Display>(value: N, range: &RangeInclusive<N>) -> Result<N, Problem> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(Problem::allowed("out_of_range", format!("must be from {least} to {most}"), format!("{least}..{most}")))
}

/// An id in its one usual form: 36 characters with hyphens.
pub fn uuid(value: &str) -> Result<Uuid, Problem> {
    let wrong = || Problem::allowed("invalid_id", "is no id", "a UUID like 6f1c2f0e-0f4f-4c62-9d3f-0a6b8f6f2f11");
    if value.len() != 36 {
        return Err(wrong());
    }
    Uuid::try_parse(value).map_err(|_| wrong())
}

/// One of a few words.
pub fn one_of<V: Copy>(value: &str, choices: &[(&str, V)]) -> Result<V, Problem> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Problem::allowed("not_allowed", "is none of the values that are allowed", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_with_its_field() {
        let mut fields = Fields::default();
        assert_eq!(fields.number("power_kw", 5, 0..=10), Some(5));
        assert_eq!(fields.number("price", 11.0, 0.0..=10.0), None);
        assert_eq!(fields.number("soc", f64::NAN, 0.0..=1.0), None);
        assert_eq!(fields.uuid("site", "6f1c2f0e0f4f4c629d3f0a6b8f6f2f11"), None);
        assert!(fields.uuid("site", "6f1c2f0e-0f4f-4c62-9d3f-0a6b8f6f2f11").is_some());
        assert_eq!(fields.required::<u8>("name", None), None);
        assert_eq!(fields.take("side", one_of("hold", &[("buy", 1), ("sell", 2)])), None);
        let errors = fields.finish().unwrap_err();
        let told: Vec<_> = errors.iter().map(|e| (e.field.as_str(), e.code)).collect();
        assert_eq!(
            told,
            [
                ("price", "out_of_range"),
                ("soc", "out_of_range"),
                ("site", "invalid_id"),
                ("name", "required"),
                ("side", "not_allowed")
            ]
        );
        assert_eq!(errors[0].allowed.as_deref(), Some("0..10"));
        assert_eq!(errors[4].allowed.as_deref(), Some("buy, sell"));
        assert_eq!(
            serde_json::to_string(&errors[3]).unwrap(),
            r#"{"field":"name","code":"required","message":"is missing"}"#
        );
    }

    #[test]
    fn nothing_wrong_is_no_error() {
        let mut fields = Fields::default();
        assert_eq!(fields.take("side", one_of("sell", &[("buy", 1), ("sell", 2)])), Some(2));
        fields.finish().unwrap();
    }
}
