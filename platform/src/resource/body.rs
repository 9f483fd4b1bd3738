//! JSON to a type, with every mistake by its field: what serde says is of the first one alone, and may repeat what was sent.
//!
//! Good input is read once. Of bad input each field is read by itself: a type whose only complaint then is that *another*
//! field is missing has no complaint about this one. Which fields there are, and which must be, the schema says that
//! also makes the API's document.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{Object, Schema, SchemaFormat};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::validate::{FieldError, Problem};

/// Reads a body.
pub fn read<D: DeserializeOwned + ToSchema>(value: &Value) -> Result<D, Vec<FieldError>> {
    let error = match D::deserialize(value) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    let Value::Object(object) = value else {
        return Err(vec![Problem::new("not_an_object", "must be a JSON object").of("body")]);
    };
    let mut errors = Vec::new();
    if let RefOr::T(Schema::Object(schema)) = <D as PartialSchema>::schema() {
        each::<D>(object, &schema, &mut errors);
    }
    if errors.is_empty() {
        errors.push(problem(&error.to_string(), None).of("body"));
    }
    Err(errors)
}

fn each<D: DeserializeOwned>(object: &Map<String, Value>, schema: &Object, errors: &mut Vec<FieldError>) {
    for (name, value) in object {
        let Some(property) = schema.properties.get(name) else {
            errors.push(unknown(name, schema.properties.keys().map(String::as_str)));
            continue;
        };
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        let Some(error) = D::deserialize(&alone).err().map(|error| error.to_string()) else { continue };
        if error.starts_with("missing field") {
            continue;
        }
        let format = match property {
            RefOr::T(Schema::Object(object)) => object.format.as_ref(),
            _ => None,
        };
        let problem = match value {
            Value::Null if schema.required.contains(name) => Problem::new("required", "must not be null"),
            _ => problem(&error, format),
        };
        errors.push(problem.of(name));
    }
    for name in schema.required.iter().filter(|name| !object.contains_key(*name)) {
        errors.push(Problem::new("required", "is missing").of(name));
    }
}

/// A field that there is not. Its name is the caller's own, cut to a length that one can read.
pub(crate) fn unknown<'a>(name: &str, allowed: impl Iterator<Item = &'a str>) -> FieldError {
    let name: String = name.chars().take(64).collect();
    let allowed: Vec<&str> = allowed.collect();
    Problem::allowed("unknown_field", "there is no such field", allowed.join(", ")).of(name)
}

/// What serde says, without what was sent.
fn problem(error: &str, format: Option<&SchemaFormat>) -> Problem {
    if let Some(choices) = error.strip_prefix("unknown variant").and_then(|rest| rest.split_once("expected ")) {
        let choices: Vec<&str> = choices.1.split('`').skip(1).step_by(2).collect();
        return Problem::allowed("not_allowed", "is none of the values that are allowed", choices.join(", "));
    }
    match format {
        Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)) => {
            return Problem::allowed("invalid_id", "is no id", "a UUID like 6f1c2f0e-0f4f-4c62-9d3f-0a6b8f6f2f11");
        }
        Some(SchemaFormat::KnownFormat(KnownFormat::Date)) => {
            return Problem::allowed("invalid_date", "is no date", "a date like 2026-01-31");
        }
        _ => {}
    }
    // Our own words.
    if error.starts_with("must be an instant") {
        return Problem::allowed("invalid_instant", "is no instant", "RFC 3339, like 2026-01-31T12:00:00Z");
    }
    let expected = error.rsplit_once("expected ").map_or("", |(_, expected)| expected);
    let range = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "u64" | "i64" | "usize" => "a whole number",
        "f64" | "f32" => "a number",
        "a string" => "a string",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ => return Problem::new("invalid_form", "is not of the form that is needed"),
    };
    Problem::new("invalid_type", format!("must be {range}"))
}

/// What is no string must be one.
pub(super) fn string() -> Problem {
    Problem::new("invalid_type", "must be a string")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;
    use uuid::Uuid;

    use super::super::Instant;
    use super::*;

    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Wish {
        name: String,
        side: Side,
        power_mw: f64,
        #[serde(default)]
        turbines: Option<u32>,
        #[serde(default)]
        tags: Vec<String>,
        #[serde(default)]
        site: Option<Uuid>,
        #[serde(default)]
        day: Option<chrono::NaiveDate>,
        #[serde(default)]
        at: Option<Instant>,
        #[serde(default)]
        shared: bool,
    }

    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    enum Side {
        Buy,
        Sell,
    }

    fn codes(value: Value) -> Vec<(String, &'static str)> {
        read::<Wish>(&value).unwrap_err().into_iter().map(|error| (error.field, error.code)).collect()
    }

    #[test]
    fn every_field_is_told_by_its_name() {
        let wish = json!({"name": "a", "side": "buy", "power_mw": 1, "at": "2026-01-31T12:00:00Z"});
        assert!(read::<Wish>(&wish).is_ok());
        let told = codes(json!({
            "side": "hold", "power_mw": "SECRET", "turbines": -1, "tags": {}, "site": "SECRET", "day": "2026-02-30",
            "at": "SECRET", "shared": "yes", "colour": "SECRET"
        }));
        let expected = [
            ("at", "invalid_instant"),
            ("colour", "unknown_field"),
            ("day", "invalid_date"),
            ("power_mw", "invalid_type"),
            ("shared", "invalid_type"),
            ("side", "not_allowed"),
            ("site", "invalid_id"),
            ("tags", "invalid_type"),
            ("turbines", "invalid_type"),
            ("name", "required"),
        ];
        assert_eq!(told, expected.map(|(field, code)| (field.to_owned(), code)));
        assert_eq!(codes(json!([])), [("body".to_owned(), "not_an_object")]);
        assert_eq!(codes(json!({"name": null, "side": "buy", "power_mw": 1})), [("name".to_owned(), "required")]);
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        let wish = json!({"name": 1, "side": "SECRET", "power_mw": "SECRET", "site": "SECRET", "at": "SECRET"});
        let errors = read::<Wish>(&wish).unwrap_err();
        assert_eq!(errors.len(), 5);
        assert!(!format!("{errors:?}").contains("SECRET"), "{errors:?}");
        assert_eq!(errors.iter().find(|e| e.field == "side").unwrap().allowed.as_deref(), Some("buy, sell"));
    }
}
