//! Opaque tokens: 256 random bits that mean nothing, and of which only a hash is kept.
//!
//! Refresh tokens, API keys, and links for a new password or a verified address are of this kind. A prefix tells what
//! a token is for (and lets scanners of source code find lost ones). 256 random bits cannot be guessed, so plain
//! SHA-256 is hash enough, and looking for it in a table tells nobody by time how near a guess was.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::Error;

/// Characters of 256 bits in base64.
const SECRET_LEN: usize = 43;
/// Characters of an API key that are shown again: enough to tell keys apart.
const NAME_LEN: usize = 8;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Asks for the next access token; good once.
    Refresh,
    /// A program's key.
    ApiKey,
    /// Sets a new password.
    Reset,
    /// Verifies an e-mail address.
    Verification,
    /// The password was right, the second factor is still to come.
    Challenge,
    /// Invites somebody into an organisation.
    Invitation,
}

/// A token as its holder sees it, once.
#[derive(Clone)]
pub struct Token {
    kind: Kind,
    text: String,
}

impl Kind {
    /// How tokens of this kind begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "obr_",
            Self::ApiKey => "obk_",
            Self::Reset => "obp_",
            Self::Verification => "obv_",
            Self::Challenge => "obm_",
            Self::Invitation => "obi_",
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({:?}, ***)", self.kind)
    }
}

impl Token {
    /// A new token. An API key has a name in it: `obk_<name>_<secret>`.
    pub fn new(kind: Kind) -> Result<Self, Error> {
        let random = SystemRandom::new();
        let mut secret = [0; 32];
        random.fill(&mut secret)?;
        let mut text = kind.prefix().to_owned();
        if kind == Kind::ApiKey {
            let mut name = [0; 5];
            random.fill(&mut name)?;
            text.push_str(&BASE32_NOPAD.encode(&name).to_ascii_lowercase());
            text.push('_');
        }
        text.push_str(&BASE64URL_NOPAD.encode(&secret));
        Ok(Self { kind, text })
    }

    /// Reads a token of a known kind; nothing if it is not of its form. Costs no look into a table.
    pub fn read(kind: Kind, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind.prefix())?;
        let secret = match kind {
            Kind::ApiKey => {
                let (name, secret) = (rest.get(..NAME_LEN)?, rest.get(NAME_LEN..)?.strip_prefix('_')?);
                name.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)).then_some(secret)?
            }
            _ => rest,
        };
        if secret.len() != SECRET_LEN || BASE64URL_NOPAD.decode(secret.as_bytes()).is_err() {
            return None;
        }
        Some(Self { kind, text: text.to_owned() })
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The token itself: for the answer that hands it out, never for a table or a log.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is shown of an API key in lists: `obk_abcd2345`.
    pub fn name(&self) -> Option<&str> {
        (self.kind == Kind::ApiKey).then(|| &self.text[..self.kind.prefix().len() + NAME_LEN])
    }

    /// What is kept: SHA-256 of the whole text, 64 hexadecimal digits.
    pub fn hash(&self) -> String {
        HEXLOWER.encode(digest(&SHA256, self.text.as_bytes()).as_ref())
    }

    /// Whether `stored` is this token's hash, in a time that does not depend on where they differ.
    pub fn matches(&self, stored: &str) -> bool {
        self.hash().as_bytes().ct_eq(stored.as_bytes()).into()
    }
}

/// Random text of `N` bytes in URL-safe base64, for nonces, states and verifiers.
pub(crate) fn random_text<const N: usize>() -> Result<String, Error> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 6] =
        [Kind::Refresh, Kind::ApiKey, Kind::Reset, Kind::Verification, Kind::Challenge, Kind::Invitation];

    #[test]
    fn a_token_is_read_back_as_its_own_kind_alone() {
        for kind in KINDS {
            let token = Token::new(kind).unwrap();
            assert!(token.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            for other in KINDS {
                let read = Token::read(other, token.expose());
                assert_eq!(read.is_some(), other == kind, "{other:?} of {kind:?}");
            }
            let read = Token::read(kind, token.expose()).unwrap();
            assert!(read.matches(&token.hash()));
            assert_eq!(token.hash().len(), 64);
            assert!(!Token::new(kind).unwrap().matches(&token.hash()));
            assert!(!read.matches(""));
        }
    }

    #[test]
    fn an_api_key_has_a_name_to_show() {
        let key = Token::new(Kind::ApiKey).unwrap();
        assert_eq!(key.name().unwrap().len(), 12);
        assert!(key.expose().starts_with(key.name().unwrap()));
        assert_eq!(Token::new(Kind::Refresh).unwrap().name(), None);
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        let good = Token::new(Kind::Refresh).unwrap();
        let good = good.expose();
        let (short, long) = (&good[..good.len() - 1], format!("{good}A"));
        let last_bits = format!("{}B", short);
        for bad in ["", "obr_", "obr_é", short, &long, &last_bits, &good.replace("obr_", "OBR_"), " obr_", "obk_"] {
            assert!(Token::read(Kind::Refresh, bad).is_none(), "{bad:?}");
        }
        assert!(Token::read(Kind::ApiKey, "obk_ééééé_x").is_none());
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Token::new(Kind::Reset).unwrap()), "Token(Reset, ***)");
    }
}
