//! Signed webhooks: `OptiBid-Signature: t=1800000000,v1=<hex>[,v1=<hex>]`.
//!
//! `v1` is HMAC-SHA256 over `t.body` under the channel's secret. The time is signed with the body, so an old call
//! cannot be sent again later; while a secret is being changed there is one `v1` for each. A receiver does what
//! [`verify`] does. Where a call may go is [`crate::outgoing`]'s business.

use data_encoding::HEXLOWER;
use model::humane::Span;
use ring::hmac;

use crate::{Error, opaque};

/// Name of the header.
pub const HEADER: &str = "OptiBid-Signature";
/// How secrets of channels begin.
const PREFIX: &str = "obs_";
/// Signatures that a receiver looks at.
const MOST: usize = 8;

/// Why a call is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No header, or not of its form.
    #[error("the signature header is not of the form t=…,v1=…")]
    Malformed,
    /// Older or newer than allowed.
    #[error("the signature was made too long ago, or in the future")]
    Time,
    /// Made with another secret, or over something else.
    #[error("the signature is not of this body and secret")]
    Signature,
}

/// A secret for a new channel, shown once and kept sealed.
pub fn new_secret() -> Result<String, Error> {
    Ok(format!("{PREFIX}{}", opaque::random_text::<32>()?))
}

/// The header's value, one signature for each secret.
pub fn sign(secrets: &[&str], now_s: i64, body: &[u8]) -> String {
    let mut header = format!("t={now_s}");
    for secret in secrets {
        header.push_str(",v1=");
        header.push_str(&HEXLOWER.encode(hmac::sign(&key(secret), &signed(now_s, body)).as_ref()));
    }
    header
}

/// Whether a call comes from whoever shares the secret, and is new.
pub fn verify(secret: &str, header: &str, body: &[u8], now_s: i64, tolerance: Span) -> Result<(), Refusal> {
    let mut fields = header.split(',').map(|field| field.trim().split_once('='));
    let Some(Some(("t", time))) = fields.next() else { return Err(Refusal::Malformed) };
    let time_s: i64 = time.parse().map_err(|_| Refusal::Malformed)?;
    // Fields of later versions are passed over.
    let tags: Vec<Vec<u8>> = fields
        .take(MOST)
        .filter_map(|field| field.filter(|(name, _)| *name == "v1"))
        .filter_map(|(_, tag)| HEXLOWER.decode(tag.as_bytes()).ok())
        .collect();
    if tags.is_empty() {
        return Err(Refusal::Malformed);
    }
    if now_s.abs_diff(time_s).saturating_mul(1_000) > tolerance.millis() {
        return Err(Refusal::Time);
    }
    let (key, message) = (key(secret), signed(time_s, body));
    let good = tags.iter().any(|tag| hmac::verify(&key, &message, tag).is_ok());
    if good { Ok(()) } else { Err(Refusal::Signature) }
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn signed(time_s: i64, body: &[u8]) -> Vec<u8> {
    [time_s.to_string().as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const TOLERANCE: Span = Span::from_millis(300_000);

    #[test]
    fn a_signature_is_what_any_hmac_tool_makes() {
        // printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac obs_secret
        assert_eq!(
            sign(&["obs_secret"], NOW, br#"{"a":1}"#),
            "t=1800000000,v1=9ebdbf40112e01bd365143ff363bbd60945252888274fbcc2d2832f1792acbfb"
        );
    }

    #[test]
    fn only_the_same_body_secret_and_time_are_believed() {
        let header = sign(&["old", "new"], NOW, b"body");
        let at = |secret: &str, header: &str, body: &[u8], now_s| verify(secret, header, body, now_s, TOLERANCE);
        assert_eq!(at("new", &header, b"body", NOW), Ok(()));
        assert_eq!(at("old", &header, b"body", NOW + 300), Ok(()));
        assert_eq!(at("new", &header, b"body", NOW + 301), Err(Refusal::Time));
        assert_eq!(at("new", &header, b"body", NOW - 301), Err(Refusal::Time));
        assert_eq!(at("new", &header, b"Body", NOW), Err(Refusal::Signature));
        assert_eq!(at("other", &header, b"body", NOW), Err(Refusal::Signature));
        let later = header.replacen("t=1800000000", "t=1800000100", 1);
        assert_eq!(at("new", &later, b"body", NOW + 100), Err(Refusal::Signature), "sent again with another time");
        for bad in ["", "t=", "t=x,v1=00", "v1=00", "t=1800000000", "t=1800000000,v1=zz", "t=1800000000,v0=00"] {
            assert_eq!(at("new", bad, b"body", NOW), Err(Refusal::Malformed), "{bad:?}");
        }
        assert_eq!(at("new", "t=1800000000,v1=00", b"body", NOW), Err(Refusal::Signature));
        assert_eq!(at("new", &format!("t={}", i64::MIN), b"", NOW), Err(Refusal::Malformed));
    }

    #[test]
    fn a_new_secret_is_long_and_never_the_same() {
        let secret = new_secret().unwrap();
        assert!(secret.starts_with(PREFIX) && secret.len() == 47);
        assert_ne!(secret, new_secret().unwrap());
    }
}
