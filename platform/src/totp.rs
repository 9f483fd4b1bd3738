//! Second factors: codes of an authenticator app (RFC 6238: SHA-1, six digits, 30 s) and recovery codes.
//!
//! A code counts once: whoever looks over a shoulder finds the step used up. One step before and after are taken, for
//! clocks that differ. Six digits are guessed in 10⁶ tries, so [`crate::limit`] stands in front.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use url::form_urlencoded::byte_serialize;

use crate::Error;

const STEP_S: i64 = 30;
const DIGITS: usize = 6;
/// Steps before and after now.
const DRIFT: i64 = 1;
/// What RFC 4226 recommends.
const SECRET_BYTES: usize = 20;
/// Codes handed out at once.
pub const RECOVERY_CODES: usize = 10;
/// Digits and letters without those that look like others (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The secret that an app and we share.
pub struct Secret(Vec<u8>);

/// Codes for when the app is lost, as they are shown once, and their hashes, which are kept.
pub struct Recovery {
    /// `a1b2c-d3e4f`: 50 bits each.
    pub codes: Vec<String>,
    /// What is kept of each.
    pub hashes: Vec<String>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl std::fmt::Debug for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recovery({} codes)", self.codes.len())
    }
}

impl Secret {
    /// A new one.
    pub fn new() -> Result<Self, Error> {
        let mut bytes = vec![0; SECRET_BYTES];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// One that was kept (sealed: see [`crate::seal`]).
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// What is to be sealed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// For those who type it into their app.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// For those who scan it: `otpauth://totp/OptiBid:ada@example.org?secret=…&issuer=OptiBid&…`.
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        // Apps show a plus as it stands: spaces must be %20.
        let escape = |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
        let (issuer, account) = (escape(issuer), escape(account));
        let secret = self.base32();
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_S}"
        )
    }

    /// The step of a good code, to be kept as `last_step`; nothing for a wrong one, and for one of a step that has
    /// been used (`last_step`) or lies before it. Store it only where it is still greater (`UPDATE … WHERE last_step < $1`):
    /// of two requests with one code one must lose.
    pub fn verify(&self, code: &str, now_s: i64, last_step: Option<i64>) -> Option<i64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() != DIGITS || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let now = now_s.div_euclid(STEP_S);
        let mut found = None;
        // All steps are compared, whichever fits.
        for step in now - DRIFT..=now + DRIFT {
            let fits: bool = self.code(step).as_bytes().ct_eq(digits.as_bytes()).into();
            if fits && last_step.is_none_or(|last| step > last) {
                found = Some(step);
            }
        }
        found
    }

    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[19] & 15);
        let number = u32::from_be_bytes([tag[at] & 0x7f, tag[at + 1], tag[at + 2], tag[at + 3]]);
        format!("{:06}", number % 1_000_000)
    }
}

impl Recovery {
    /// New codes for one user. The hash is keyed (`Keys::pepper("recovery")`): 50 bits alone could be searched.
    pub fn new(pepper: &hmac::Key, user: &str) -> Result<Self, Error> {
        let mut bytes = [0; RECOVERY_CODES * 10];
        SystemRandom::new().fill(&mut bytes)?;
        let codes: Vec<String> = bytes
            .chunks(10)
            .map(|chunk| {
                let text: String = chunk.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
                format!("{}-{}", &text[..5], &text[5..])
            })
            .collect();
        let hashes = codes.iter().filter_map(|code| recovery_hash(pepper, user, code)).collect();
        Ok(Self { codes, hashes })
    }
}

/// What is kept of a recovery code, to be looked for and *deleted* in one statement: a code counts once. Case, spaces
/// and hyphens do not matter, nor do o for 0 and i or l for 1. Nothing for what is no code.
pub fn recovery_hash(pepper: &hmac::Key, user: &str, code: &str) -> Option<String> {
    let plain: String = code
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .take(11)
        .map(|c| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        })
        .collect();
    if plain.len() != 10 || !plain.bytes().all(|b| ALPHABET.contains(&b)) {
        return None;
    }
    let tag = hmac::sign(pepper, format!("{}\0{user}\0{plain}", user.len()).as_bytes());
    Some(HEXLOWER.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc() -> Secret {
        Secret::from_bytes(b"12345678901234567890".to_vec())
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B has eight digits; six are their last six.
        for (now_s, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(rfc().verify(&code[2..], now_s, None), Some(now_s / 30), "{now_s}");
        }
    }

    #[test]
    fn one_step_of_drift_is_taken_and_two_are_not() {
        let code = rfc().code(100);
        for (now_s, taken) in [(2_969, false), (2_970, true), (3_000, true), (3_059, true), (3_060, false)] {
            assert_eq!(rfc().verify(&code, now_s, None).is_some(), taken, "{now_s}");
        }
    }

    #[test]
    fn a_code_counts_once_and_none_before_it_counts_after_it() {
        let secret = rfc();
        let (before, code) = (secret.code(99), secret.code(100));
        let step = secret.verify(&code, 3_000, None).unwrap();
        assert_eq!(secret.verify(&code, 3_000, Some(step)), None);
        assert_eq!(secret.verify(&code, 3_031, Some(step)), None);
        assert_eq!(secret.verify(&before, 3_000, Some(step)), None);
        assert_eq!(secret.verify(&secret.code(101), 3_030, Some(step)), Some(101));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let code = rfc().code(100);
        assert_eq!(rfc().verify(&format!(" {} {} ", &code[..3], &code[3..]), 3_000, None), Some(100));
        for bad in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "-12345"] {
            assert_eq!(rfc().verify(bad, 3_000, None), None, "{bad:?}");
        }
    }

    #[test]
    fn the_address_for_apps_is_escaped() {
        assert_eq!(
            rfc().uri("OptiBid Demo", "ada+x@example.org"),
            "otpauth://totp/OptiBid%20Demo:ada%2Bx%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=OptiBid%20Demo&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(Secret::new().unwrap().expose().len(), SECRET_BYTES);
        assert_eq!(format!("{:?}", rfc()), "Secret(***)");
    }

    #[test]
    fn recovery_codes_are_read_as_people_write_them() {
        let pepper = hmac::Key::new(hmac::HMAC_SHA256, b"pepper");
        let recovery = Recovery::new(&pepper, "ada").unwrap();
        assert_eq!((recovery.codes.len(), recovery.hashes.len()), (RECOVERY_CODES, RECOVERY_CODES));
        let distinct: std::collections::BTreeSet<_> = recovery.hashes.iter().collect();
        assert_eq!(distinct.len(), RECOVERY_CODES);
        for (code, hash) in recovery.codes.iter().zip(&recovery.hashes) {
            assert_eq!(code.len(), 11);
            let written = code.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
            assert_eq!(recovery_hash(&pepper, "ada", &written).as_ref(), Some(hash));
            assert_ne!(recovery_hash(&pepper, "bob", code).as_ref(), Some(hash), "another user's");
        }
        for bad in ["", "abcde", "abcde-fghjku", "abcde-fghj", "äbcde-fghjk"] {
            assert_eq!(recovery_hash(&pepper, "ada", bad), None, "{bad:?}");
        }
    }
}
