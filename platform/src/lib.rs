//! Who may see and do what: the identity side of the platform.
//!
//! ```text
//! password ─┐                        ┌─► token (JWT, 10 min) ─► every request: role ∩ scope = permissions
//! totp ─────┼─► a person is known ───┤
//! oidc ─────┘   (limit counts tries) └─► opaque (refresh, API keys, resets): random outside, a hash inside
//!
//! seal: what must be read again (TOTP secrets, signing keys) lies encrypted, under keys made from one master key
//! outgoing: the only way out to addresses that somebody else chose (webhooks, OIDC), with rules against SSRF
//! ```
//!
//! Nothing here reads a clock: who calls says what time it is, so tests need not wait. Nothing here is global: `main`
//! makes each part from [`Config`] and hands it down. Cryptography is ring's; docs/adr/0012-identity.md says why.

pub mod audit;
pub mod config;
pub mod database;
pub mod desk;
mod error;
pub mod idempotency;
pub mod identity;
pub mod jws;
pub mod limit;
pub mod mail;
pub mod names;
pub mod oidc;
pub mod opaque;
pub mod outgoing;
pub mod password;
pub mod permission;
mod platform;
pub mod privacy;
pub mod refusal;
pub mod resource;
pub mod seal;
pub mod signature;
pub mod token;
pub mod totp;
pub mod validate;

pub use config::Config;
pub use error::Error;
pub use platform::{Health, Platform};
