//! Checks that several resources share. Each brings its text to the normal form, or notes what is wrong with it.

use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::names;
use crate::validate::{Fields, Problem};

/// A name: one line.
pub(super) fn name(fields: &mut Fields, field: &str, value: &mut String) {
    let checked = names::display_name(value);
    replace(fields, field, value, checked);
}

/// A longer text.
pub(super) fn prose(fields: &mut Fields, field: &str, value: &mut String, most: usize) {
    let checked = names::prose(value, most);
    replace(fields, field, value, checked);
}

/// One line of `least` to `most` characters, if there is one.
pub(super) fn line(fields: &mut Fields, field: &str, value: &mut Option<String>, most: usize) {
    if let Some(value) = value {
        let checked = names::line(value, 1, most);
        replace(fields, field, value, checked);
    }
}

/// Replaces a text by its normal form.
pub(super) fn replace(fields: &mut Fields, field: &str, value: &mut String, checked: Result<String, Problem>) {
    if let Some(normal) = fields.take(field, checked) {
        *value = normal;
    }
}

/// A time zone by its name.
pub(super) fn timezone(fields: &mut Fields, field: &str, value: &str) {
    if value.parse::<Tz>().is_err() {
        let example = "a name of the IANA database, like Europe/Berlin";
        fields.add([Problem::allowed("unknown_timezone", "is no time zone", example).of(field)]);
    }
}

/// `most` capital letters.
pub(super) fn letters(fields: &mut Fields, field: &str, value: Option<&str>, count: usize, example: &str) {
    let good = |value: &str| value.len() == count && value.bytes().all(|b| b.is_ascii_uppercase());
    if value.is_some_and(|value| !good(value)) {
        let problem = Problem::allowed("invalid_code", format!("must be {count} capital letters"), example);
        fields.add([problem.of(field)]);
    }
}

/// A country by ISO 3166.
pub(super) fn country(fields: &mut Fields, value: Option<&str>) {
    letters(fields, "country", value, 2, "a code of ISO 3166 like DE");
}

/// Free settings of at most so many bytes.
pub(super) fn object(fields: &mut Fields, field: &str, value: &Map<String, Value>, most: usize) {
    // As PostgreSQL prints it: a blank after each colon and comma.
    fn bytes(value: &Value) -> usize {
        match value {
            Value::Array(items) => 2 + items.iter().map(|item| bytes(item) + 2).sum::<usize>(),
            Value::Object(map) => object_bytes(map),
            other => other.to_string().len(),
        }
    }
    fn object_bytes(map: &Map<String, Value>) -> usize {
        2 + map.iter().map(|(key, value)| key.len() + 6 + bytes(value)).sum::<usize>()
    }
    if object_bytes(value) > most {
        let problem = Problem::new("too_large", format!("must have at most {} KiB of JSON", most / 1024));
        fields.add([problem.of(field)]);
    }
}

/// A short name of lower-case letters, digits and underscores: `dark_mode`.
pub(super) fn code(fields: &mut Fields, field: &str, value: &str) {
    let good = value.len() <= 64
        && value.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !good {
        let example = "1 to 64 of a-z, 0-9 and _, a letter first";
        fields.add([Problem::allowed("invalid_code", "is no short name", example).of(field)]);
    }
}

/// The character 0, which no text of the database can hold, anywhere in a value.
pub(super) fn nul(fields: &mut Fields, value: &Value, at: &str) {
    let bad = |text: &str| text.contains('\0');
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let problem = || Problem::new("control_character", "must not have the character 0");
    match value {
        Value::String(text) if bad(text) => fields.add([problem().of(at)]),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| nul(fields, item, &format!("{at}[{n}]"))),
        Value::Object(map) => {
            for (name, item) in map {
                if bad(name) {
                    fields.add([problem().of(at)]);
                }
                nul(fields, item, &below(&name.replace('\0', "")));
            }
        }
        _ => {}
    }
}
