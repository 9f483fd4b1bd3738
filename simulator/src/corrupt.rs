//! Damaged messages: each kind with the reason for which a correct reader refuses it.

use model::Reason;
use model::wire::WireTick;
use serde_json::{Value, json};

use crate::random::Dice;

/// A way to damage a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Truncated,
    Binary,
    NotANumber,
    NoPrice,
    TextPrice,
    AbsurdPrice,
    UnknownZone,
    NegativeVolume,
    NoTime,
    WrongCurrency,
    NewerVersion,
    UnknownField,
}

const ALL: [Damage; 12] = [
    Damage::Truncated,
    Damage::Binary,
    Damage::NotANumber,
    Damage::NoPrice,
    Damage::TextPrice,
    Damage::AbsurdPrice,
    Damage::UnknownZone,
    Damage::NegativeVolume,
    Damage::NoTime,
    Damage::WrongCurrency,
    Damage::NewerVersion,
    Damage::UnknownField,
];

/// A tick's bytes, damaged in one of many ways, and why they must be refused.
pub(crate) fn corrupt(tick: &WireTick, dice: &mut Dice) -> (Vec<u8>, Reason) {
    let damage = *dice.pick(&ALL);
    let bytes = match damage {
        Damage::Truncated => {
            let mut bytes = tick.to_json();
            bytes.truncate(1 + dice.below(bytes.len() - 1));
            bytes
        }
        Damage::Binary => {
            let length = 8 + dice.below(120);
            let mut bytes = dice.bytes(length);
            // Neither JSON nor the marker of an Arrow stream begins with a zero.
            bytes[0] = 0;
            bytes
        }
        Damage::NotANumber => edited(tick, "price", json!("@")).replace("\"@\"", "NaN").into_bytes(),
        Damage::NoPrice => {
            let mut value = serde_json::to_value(tick).unwrap_or_default();
            if let Value::Object(fields) = &mut value {
                fields.remove("price");
            }
            value.to_string().into_bytes()
        }
        Damage::TextPrice => edited(tick, "price", json!("high")).into_bytes(),
        Damage::AbsurdPrice => edited(tick, "price", json!(1e12)).into_bytes(),
        Damage::UnknownZone => edited(tick, "market_zone", json!("atlantis")).into_bytes(),
        Damage::NegativeVolume => edited(tick, "volume", json!(-5.0)).into_bytes(),
        Damage::NoTime => edited(tick, "timestamp", json!("yesterday")).into_bytes(),
        Damage::WrongCurrency => edited(tick, "currency", json!("XTS")).into_bytes(),
        Damage::NewerVersion => edited(tick, "v", json!(99)).into_bytes(),
        Damage::UnknownField => edited(tick, "colour", json!("green")).into_bytes(),
    };
    (bytes, damage.reason())
}

impl Damage {
    fn reason(self) -> Reason {
        match self {
            Self::Truncated | Self::Binary | Self::NewerVersion | Self::UnknownField => Reason::Malformed,
            Self::NotANumber | Self::NoPrice | Self::TextPrice | Self::AbsurdPrice => Reason::BadPrice,
            Self::UnknownZone => Reason::UnknownZone,
            Self::NegativeVolume => Reason::BadVolume,
            Self::NoTime => Reason::BadTime,
            Self::WrongCurrency => Reason::BadField,
        }
    }
}

/// A tick's JSON with one field put in.
fn edited(tick: &WireTick, field: &str, value: Value) -> String {
    let mut whole = serde_json::to_value(tick).unwrap_or_default();
    if let Value::Object(fields) = &mut whole {
        fields.insert(field.to_owned(), value);
    }
    whole.to_string()
}
