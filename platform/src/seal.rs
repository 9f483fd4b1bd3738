//! Sealed bytes: secrets that must be read again (TOTP secrets, signing keys, webhook secrets) lie encrypted.
//!
//! ```text
//! master key ─HKDF-SHA256 "optibid/v1/seal/<purpose>"─► AES-256-GCM key of one purpose
//! sealed = 1 (version) ‖ 4 (which master key) ‖ 12 (random nonce) ‖ ciphertext ‖ 16 (tag)
//! ```
//!
//! Where the bytes belong (table and row) is authenticated with them: a row copied over another does not open. A
//! purpose seals far fewer than the 2³² messages that random nonces are good for. A new master key seals; the one
//! before it still opens, so a key is changed by a restart and a pass over the rows.

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::{BASE64, BASE64_NOPAD};
use model::humane::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::{Config, Error};

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4 + NONCE_LEN;
const PASSPHRASE_CHARACTERS: usize = 20;

/// What everything secret hangs on. Never stored, never printed.
struct Master {
    prk: Prk,
    id: [u8; 4],
}

/// The master keys of a process: the current one, and the one before it while rows are sealed anew.
pub struct Keys {
    current: Master,
    previous: Option<Master>,
}

/// Seals and opens for one purpose.
pub struct Sealer {
    current: ([u8; 4], LessSafeKey),
    previous: Option<([u8; 4], LessSafeKey)>,
    random: SystemRandom,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Keys {
    /// The keys of a configuration that has been checked. Without one (in a demo) a key that everybody knows. A
    /// passphrase takes about 0.1 s: it goes through Argon2id first, so that a stolen table does not give it away.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let current = match config.master_key.expose().as_str() {
            "" => Master::new(b"optibid demo: no secret at all"),
            _ => Master::of(&config.master_key)?,
        };
        let previous = match config.previous_master_key.expose().as_str() {
            "" => None,
            _ => Some(Master::of(&config.previous_master_key)?),
        };
        Ok(Self { current, previous })
    }

    /// Seals and opens for `purpose`: what is sealed for one does not open for another.
    pub fn sealer(&self, purpose: &str) -> Sealer {
        let key = |master: &Master| (master.id, LessSafeKey::new(master.aead(purpose)));
        Sealer { current: key(&self.current), previous: self.previous.as_ref().map(key), random: SystemRandom::new() }
    }

    /// A key for hashes of things that could be guessed (recovery codes, e-mail addresses in Redis).
    pub fn pepper(&self, purpose: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.current.bytes(&format!("optibid/v1/hash/{purpose}")))
    }
}

impl Sealer {
    /// Encrypts `plain` for row `row` of `table`.
    pub fn seal(&self, table: &str, row: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let (id, key) = &self.current;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        let mut sealed = Vec::with_capacity(HEADER + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(id);
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        let aad = Aad::from(belongs(&sealed[..5], table, row));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// What was sealed for that row; [`Error::Sealed`] for anything else.
    pub fn open(&self, table: &str, row: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        if sealed.len() < HEADER + AES_256_GCM.tag_len() || sealed[0] != VERSION {
            return Err(Error::Sealed);
        }
        let (header, body) = sealed.split_at(HEADER);
        let known = std::iter::once(&self.current).chain(&self.previous);
        let (_, key) = known.into_iter().find(|(id, _)| header[1..5] == *id).ok_or(Error::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(&header[5..]).map_err(|_| Error::Sealed)?;
        let aad = Aad::from(belongs(&header[..5], table, row));
        let mut body = body.to_vec();
        let plain = key.open_in_place(nonce, aad, &mut body).map_err(|_| Error::Sealed)?.len();
        body.truncate(plain);
        Ok(body)
    }

    /// Whether the bytes were sealed under the master key before this one: seal them anew.
    pub fn is_stale(&self, sealed: &[u8]) -> bool {
        sealed.get(1..5) != Some(self.current.0.as_slice())
    }
}

/// Lengths go in front, so that no two places read the same.
fn belongs(header: &[u8], table: &str, row: &str) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for part in [table, row] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

impl Master {
    fn new(material: &[u8]) -> Self {
        let prk = Salt::new(HKDF_SHA256, b"optibid/v1/master").extract(material);
        let mut master = Self { prk, id: [0; 4] };
        let name = master.bytes("optibid/v1/id");
        master.id.copy_from_slice(&name[..4]);
        master
    }

    fn of(secret: &Secret) -> Result<Self, Error> {
        if let Some(bytes) = raw(secret) {
            return Ok(Self::new(&bytes));
        }
        check_master_key(secret).map_err(|reason| Error::Config(format!("master key {reason}")))?;
        let params = Params::new(65_536, 3, 1, Some(32)).expect("within the limits of Argon2");
        let mut bytes = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(secret.expose().as_bytes(), b"optibid/v1/passphrase", &mut bytes)
            .map_err(|error| Error::Config(format!("master key: {error}")))?;
        Ok(Self::new(&bytes))
    }

    fn aead(&self, purpose: &str) -> UnboundKey {
        let label = format!("optibid/v1/seal/{purpose}");
        UnboundKey::from(self.prk.expand(&[label.as_bytes()], &AES_256_GCM).expect("32 bytes are few for HKDF"))
    }

    fn bytes(&self, label: &str) -> [u8; 32] {
        struct ThirtyTwo;
        impl KeyType for ThirtyTwo {
            fn len(&self) -> usize {
                32
            }
        }
        let mut bytes = [0; 32];
        let info = [label.as_bytes()];
        let okm = self.prk.expand(&info, ThirtyTwo).expect("32 bytes are few for HKDF");
        okm.fill(&mut bytes).expect("the length asked for");
        bytes
    }
}

/// The 32 bytes that a master key spells, with or without padding.
fn raw(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose().trim().as_bytes();
    let bytes = BASE64.decode(text).or_else(|_| BASE64_NOPAD.decode(text)).ok()?;
    (bytes.len() == 32).then_some(bytes)
}

/// What is wrong with a master key, to be read after its name.
pub(crate) fn check_master_key(secret: &Secret) -> Result<(), String> {
    let characters = secret.expose().chars().count();
    if raw(secret).is_none() && characters < PASSPHRASE_CHARACTERS {
        return Err(format!(
            "is neither 32 bytes in base64 nor a passphrase of {PASSPHRASE_CHARACTERS} characters (it has {characters})"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(current: &str, previous: &str) -> Keys {
        let config = Config {
            master_key: Secret::new(current),
            previous_master_key: Secret::new(previous),
            ..Config::default()
        };
        Keys::new(&config).unwrap()
    }

    const A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const B: &str = "correct horse battery staple and more";

    #[test]
    fn what_is_sealed_opens_in_its_own_row_and_purpose_alone() {
        let keys = keys(A, "");
        let sealer = keys.sealer("totp");
        let sealed = sealer.seal("mfa", "42", b"secret").unwrap();
        assert_eq!(sealer.open("mfa", "42", &sealed).unwrap(), b"secret");
        assert!(matches!(sealer.open("mfa", "43", &sealed), Err(Error::Sealed)));
        assert!(matches!(sealer.open("mf", "a42", &sealed), Err(Error::Sealed)), "lengths keep the parts apart");
        assert!(matches!(keys.sealer("keys").open("mfa", "42", &sealed), Err(Error::Sealed)));
        assert_ne!(sealed, sealer.seal("mfa", "42", b"secret").unwrap(), "nonces are random");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_seen() {
        let sealer = keys(A, "").sealer("totp");
        let sealed = sealer.seal("mfa", "42", b"secret").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open("mfa", "42", &damaged).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(sealer.open("mfa", "42", &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_new_master_key_seals_while_the_one_before_it_still_opens() {
        let old = keys(A, "").sealer("totp").seal("mfa", "42", b"secret").unwrap();
        let both = keys(B, A).sealer("totp");
        assert_eq!(both.open("mfa", "42", &old).unwrap(), b"secret");
        assert!(both.is_stale(&old));
        let new = both.seal("mfa", "42", b"secret").unwrap();
        assert!(!both.is_stale(&new));
        assert!(keys(B, "").sealer("totp").open("mfa", "42", &old).is_err());
        assert_eq!(keys(B, "").sealer("totp").open("mfa", "42", &new).unwrap(), b"secret");
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let keys = keys(A, "");
        assert_eq!(format!("{keys:?} {:?}", keys.sealer("x")), "Keys(***) Sealer(***)");
    }
}
