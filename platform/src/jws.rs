//! Signed JSON in its compact form (RFC 7515): `header.payload.signature`, and public keys as JSON (RFC 7517).
//!
//! Only what is needed, so that there is little to get wrong: signatures by asymmetric keys alone, so `none` and the
//! HMAC family have no name here and cannot be asked for. The *key* decides which algorithms it verifies, never the
//! token. Nothing that a header points to (`jku`, `x5u`, `jwk`, `x5c`) is looked at; `crit` is refused as RFC 7515
//! demands of those who know no extensions. Cryptography is ring's.

use data_encoding::{BASE64URL_NOPAD, Encoding};
use ring::digest::{SHA256, digest};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Serialize};

const BASE64URL: Encoding = BASE64URL_NOPAD;
/// Bits of an RSA key at least and at most (bytes of its modulus).
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "PS384")]
    Ps384,
    #[serde(rename = "PS512")]
    Ps512,
}

/// What stands in front of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// As it is written: it may name what we do not know.
    pub alg: String,
    /// Which key signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What it is: `at+jwt` is an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// Extensions that must be understood: we understand none.
    #[serde(default, skip_serializing)]
    crit: Option<serde_json::Value>,
}

/// A token taken apart; nothing of it is verified yet.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Its header.
    pub header: Header,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// A public key as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names of RFC 7517")]
pub struct Jwk {
    pub kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

/// Several of them, as they are published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys; those of a kind we do not know are passed over.
    pub keys: Vec<Jwk>,
}

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// 32 bytes.
    Ed25519(Vec<u8>),
    /// Uncompressed point.
    P256(Vec<u8>),
    /// Uncompressed point.
    P384(Vec<u8>),
    /// Modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
}

impl Algorithm {
    /// The algorithm of that name, if it is one of ours.
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// Takes a token apart. `None`: it is none, whatever the reason.
pub fn parse(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&BASE64URL.decode(header.as_bytes()).ok()?).ok()?;
    if header.crit.is_some() {
        return None;
    }
    let payload = BASE64URL.decode(payload.as_bytes()).ok()?;
    let signature = BASE64URL.decode(signature.as_bytes()).ok()?;
    Some(Parts { header, signed, payload, signature })
}

impl Parts<'_> {
    /// What was signed, if `key` signed it in the way that the header says.
    pub fn verified(&self, key: &PublicKey) -> Option<&[u8]> {
        let algorithm = Algorithm::named(&self.header.alg)?;
        key.verifies(algorithm, self.signed.as_bytes(), &self.signature).then_some(self.payload.as_slice())
    }
}

/// What a private key signs: header and payload, before the signature.
pub(crate) fn signing_input(header: &Header, payload: &impl Serialize) -> String {
    let json = |value: Result<Vec<u8>, serde_json::Error>| BASE64URL.encode(&value.expect("plain data becomes JSON"));
    format!("{}.{}", json(serde_json::to_vec(header)), json(serde_json::to_vec(payload)))
}

/// A token signed by `sign`.
pub(crate) fn signed(header: &Header, payload: &impl Serialize, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = signing_input(header, payload);
    let signature = BASE64URL.encode(&sign(input.as_bytes()));
    format!("{input}.{signature}")
}

impl Header {
    /// A header without extensions.
    pub fn new(alg: &str, kid: &str, typ: &str) -> Self {
        Self { alg: alg.to_owned(), kid: Some(kid.to_owned()), typ: Some(typ.to_owned()), crit: None }
    }
}

impl PublicKey {
    /// The key that a JWK spells; `None` for kinds we do not know, keys for encryption, and RSA under 2048 bits.
    pub fn from_jwk(jwk: &Jwk) -> Option<Self> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: &Option<String>| BASE64URL.decode(text.as_ref()?.as_bytes()).ok();
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => bytes(&jwk.x).filter(|x| x.len() == 32).map(Self::Ed25519),
            ("EC", Some("P-256")) => point(bytes(&jwk.x)?, bytes(&jwk.y)?, 32).map(Self::P256),
            ("EC", Some("P-384")) => point(bytes(&jwk.x)?, bytes(&jwk.y)?, 48).map(Self::P384),
            ("RSA", _) => {
                let (n, e) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
                RSA_BYTES.contains(&n.len()).then_some(Self::Rsa(n, e))
            }
            _ => None,
        }
    }

    /// An Ed25519 key as a JWK, named by its thumbprint (RFC 7638, RFC 8037).
    pub fn ed25519_jwk(x: &[u8]) -> Jwk {
        let x = BASE64URL.encode(x);
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = BASE64URL.encode(digest(&SHA256, canonical.as_bytes()).as_ref());
        Jwk {
            kty: "OKP".into(),
            kid: Some(kid),
            usage: Some("sig".into()),
            alg: Some("EdDSA".into()),
            crv: Some("Ed25519".into()),
            x: Some(x),
            ..Jwk::default()
        }
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], tag: &[u8]) -> bool {
        use Algorithm as A;
        let by = |how: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(how, key).verify(message, tag).is_ok()
        };
        match (self, algorithm) {
            (Self::Ed25519(key), A::EdDsa) => by(&signature::ED25519, key),
            (Self::P256(key), A::Es256) => by(&signature::ECDSA_P256_SHA256_FIXED, key),
            (Self::P384(key), A::Es384) => by(&signature::ECDSA_P384_SHA384_FIXED, key),
            (Self::Rsa(n, e), _) => {
                let how = match algorithm {
                    A::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    A::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    A::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    A::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    A::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    A::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    A::EdDsa | A::Es256 | A::Es384 => return false,
                };
                RsaPublicKeyComponents { n, e }.verify(how, message, tag).is_ok()
            }
            _ => false,
        }
    }
}

/// An uncompressed point, as ring wants it.
fn point(x: Vec<u8>, y: Vec<u8>, bytes: usize) -> Option<Vec<u8>> {
    (x.len() == bytes && y.len() == bytes).then(|| [vec![4], x, y].concat())
}

#[cfg(test)]
mod tests;
