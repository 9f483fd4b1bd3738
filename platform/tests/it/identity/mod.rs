//! Accounts from outside: every flow against a real Postgres and Redis, and what must not work.

mod api_key;
mod demo;
mod email;
mod forms;
mod invitation;
mod issuer;
mod login;
mod me;
mod mfa;
mod oauth;
mod oauth_mock;
mod password;
mod register;
mod secrets;
mod session;
mod signing;
mod stage;
mod standing;
mod token;
