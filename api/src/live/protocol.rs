//! What clients may say over the WebSocket, and the server's small messages.
//!
//! Clients: `{"type":"ping"}`, `{"type":"pong"}`, `{"type":"subscribe","channels":[…],"zones":[…]}`,
//! `{"type":"unsubscribe",…}`, or the bare words `ping` and `pong`. Anything else is answered with an error
//! message and never with a disconnect.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Error;

/// A message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Ping,
    Pong,
    Subscribe { zones: Vec<String>, channels: Vec<String> },
    Unsubscribe { zones: Vec<String>, channels: Vec<String> },
}

#[derive(Deserialize)]
struct Raw {
    #[serde(alias = "action")]
    r#type: String,
    #[serde(default, alias = "market_zones")]
    zones: Names,
    #[serde(default)]
    channels: Names,
}

/// One name or a list of names.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Names {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl Names {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(name) => name.split(',').map(|name| name.trim().to_owned()).collect(),
            Self::Many(names) => names,
        }
    }
}

impl Request {
    /// Reads a text message.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "ping" => return Ok(Self::Ping),
            "pong" => return Ok(Self::Pong),
            _ => {}
        }
        let raw: Raw = serde_json::from_str(text).map_err(|error| Error::BadBody(format!("message: {error}")))?;
        let (zones, channels) = (raw.zones.into_vec(), raw.channels.into_vec());
        match raw.r#type.as_str() {
            "ping" | "heartbeat" => Ok(Self::Ping),
            "pong" => Ok(Self::Pong),
            "subscribe" | "unsubscribe" if zones.is_empty() && channels.is_empty() => {
                Err(Error::BadBody(format!("{} needs zones or channels", raw.r#type)))
            }
            "subscribe" => Ok(Self::Subscribe { zones, channels }),
            "unsubscribe" => Ok(Self::Unsubscribe { zones, channels }),
            other => Err(Error::parameter("type", other, json!(["ping", "pong", "subscribe", "unsubscribe"]))),
        }
    }
}

/// RFC 3339 of now.
pub(crate) fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// The first message, exactly as clients know it.
pub(crate) fn established(connection_id: &str, market_zone: &str, storage_backend: &str) -> String {
    json!({
        "type": "connection_established",
        "connection_id": connection_id,
        "market_zone": market_zone,
        "storage_backend": storage_backend,
        "timestamp": now(),
        "message": format!("Connected to {market_zone} market updates"),
    })
    .to_string()
}

/// The answer to a ping.
pub(crate) fn pong() -> String {
    json!({"type": "pong", "timestamp": now()}).to_string()
}

/// The server's own sign of life, with the T up to which the client has everything: good for `since`.
pub(crate) fn heartbeat(t: model::time::T) -> String {
    json!({"type": "heartbeat", "t": t, "timestamp": now()}).to_string()
}

/// Tells that what was missed cannot be made up for: a snapshot follows.
pub(crate) fn resync(reason: &str) -> String {
    json!({"type": "resync", "reason": reason}).to_string()
}

/// An error that leaves the connection as it is.
pub(crate) fn error(error: &Error) -> String {
    let mut body = serde_json::to_value(error.body()).unwrap_or_else(|_| json!({}));
    if let Value::Object(fields) = &mut body {
        fields.insert("type".to_owned(), json!("error"));
    }
    body.to_string()
}

/// What the client is subscribed to now.
pub(crate) fn subscribed(kind: &str, zones: Vec<&str>, channels: Vec<&str>) -> String {
    json!({"type": kind, "zones": zones, "channels": channels}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_say_and_explains_the_rest() {
        assert_eq!(Request::parse(" ping ").unwrap(), Request::Ping);
        assert_eq!(Request::parse(r#"{"type":"pong"}"#).unwrap(), Request::Pong);
        let subscribe = Request::parse(r#"{"action":"subscribe","channels":["kpis"],"zones":"pjm,miso"}"#).unwrap();
        let zones = vec!["pjm".to_owned(), "miso".to_owned()];
        assert_eq!(subscribe, Request::Subscribe { zones, channels: vec!["kpis".to_owned()] });
        for bad in ["", "{", "{}", r#"{"type":"dance"}"#, r#"{"type":"subscribe"}"#, "null", "[1]"] {
            let answer = error(&Request::parse(bad).unwrap_err());
            assert!(answer.contains(r#""type":"error""#), "{bad}: {answer}");
        }
    }
}
