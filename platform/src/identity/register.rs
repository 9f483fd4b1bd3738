//! Registration: a user, an organisation, and the user as its admin, in one transaction.
//!
//! ```text
//! form ─► strength of the password ─► hash ─► every row ─► address is new:   commit,    letter with a link
//!                                                     └──► address is known: roll back, letter to its owner
//! ```
//! The answer is the same for an address that has an account, and so is the work: everything is written, under an address that
//! nobody has, and taken back at the end. Nothing in the answer names what was made, and no code of an organisation can be
//! chosen, since that it is taken afterwards would tell. Until the address is proved its password is answered like a wrong
//! one. Where no mail server is configured nothing can be proved: then addresses count as they are, and who registers with a
//! known one finds out by logging in.

use deadpool_postgres::Transaction;
use model::humane::Secret;
use serde_json::json;
use uuid::Uuid;

use super::account::Account;
use super::errand::{Asked, Errand};
use super::session::Place;
use super::{Caller, Now, Origin, row};
use crate::database::{Actor, DatabaseRole, begin};
use crate::mail::Letter;
use crate::permission::Role;
use crate::refusal::{Outcome, Refusal};
use crate::validate::Fields;
use crate::{Error, Platform, opaque};

mod form;

pub use self::form::{Consent, NewOrganisation, NextStep, Register, Registered};

impl Platform {
    /// Registers somebody with an organisation of their own.
    pub async fn register(&self, wish: &Register, origin: &Origin, now: Now) -> Outcome<Registered> {
        let form = form::checked(wish)?;
        self.take("register", &origin.place(), self.0.config.limits.register_by_address, now).await?;
        let known = [form.email.as_str(), &form.full_name, &form.organisation.name];
        let hash = self.new_password("password", &wish.password, &known).await?;
        let letter = self.write_account(&form, &hash, origin, now).await?;
        let errand = letter.map_or_else(
            || Errand::Repeated(Asked { email: form.email.clone(), origin: origin.clone(), now }),
            Errand::Letter,
        );
        self.0.errands.add(errand)?;
        let next = if self.0.mailer.is_configured() { NextStep::VerifyEmail } else { NextStep::LogIn };
        Ok(Registered { email: form.email, next })
    }

    /// Writes everything; the letter, or nothing when it was taken back because the address has an account.
    async fn write_account(
        &self,
        form: &form::Checked,
        hash: &Secret,
        origin: &Origin,
        now: Now,
    ) -> Outcome<Option<Letter>> {
        let (user, organisation) = (Uuid::new_v4(), Uuid::new_v4());
        let actor = Actor { user: Some(user), organisation: Some(organisation), ..origin.nobody() };
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &actor).await?;
        let known = Account::by_email(&transaction, &form.email).await?.is_some();
        let email = if known { format!("{user}@nobody.invalid") } else { form.email.clone() };
        let sql = "INSERT INTO users (id, email, full_name, password_hash, password_changed_time, locale, timezone) \
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let timezone = &form.organisation.timezone;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&user, &email, &form.full_name, &hash.expose(), &now, &form.locale, timezone];
        match row::run(&transaction, sql, &values).await {
            // Somebody registers with it at this moment.
            Err(error) if row::is_taken(&error) => return Ok(None),
            done => done?,
        };
        write_organisation(&transaction, organisation, user, &form.organisation).await?;
        for consent in &form.consents {
            let sql = "INSERT INTO consents (user_id, purpose, text_version, granted_time) VALUES ($1, $2, $3, $4)";
            row::run(&transaction, sql, &[&user, &consent.purpose, &consent.text_version, &now]).await?;
        }
        let letter = self.verification(&transaction, user, &email, now).await?;
        // The traces that would be written by the commit, for both.
        transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
        row::event(&transaction, "account.registered", "users", Some(user), json!({})).await?;
        if known {
            transaction.rollback().await?;
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(letter))
    }

    /// Tells the owner of an address that somebody registered with it.
    pub(super) async fn repeated(&self, asked: Asked) -> Outcome<()> {
        let Asked { email, origin, now } = asked;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let Some(account) = Account::by_email(&transaction, &email).await? else { return Ok(()) };
        row::event(&transaction, "account.repeated", "users", Some(account.id), json!({})).await?;
        transaction.commit().await?;
        if account.shut || !self.may_write(&email, now).await {
            return Ok(());
        }
        self.deliver(Letter::already_registered(&email, &self.page("/forgot-password"))).await
    }

    /// Makes an organisation of which the caller is the admin; to go on in it, switch to it.
    pub async fn found_organisation(&self, caller: &Caller, wish: &NewOrganisation, now: Now) -> Outcome<Place> {
        caller.session()?;
        let mut fields = Fields::default();
        let checked = form::organisation(&mut fields, "", wish);
        fields.finish()?;
        self.take("found", &caller.user.to_string(), self.0.config.limits.register_by_address, now).await?;
        let id = Uuid::new_v4();
        let actor = Actor { organisation: Some(id), member: Some(Role::Admin), ..caller.actor(DatabaseRole::Identity) };
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &actor).await?;
        let account = Account::by_id(&transaction, caller.user).await?;
        if account.is_none_or(|account| account.shut) {
            return Err(Refusal::not_found("user", caller.user).into());
        }
        let code = write_organisation(&transaction, id, caller.user, &checked).await?;
        row::event(&transaction, "organisation.founded", "organisations", Some(id), json!({})).await?;
        transaction.commit().await?;
        Ok(Place { id, code, name: checked.name, role: Role::Admin })
    }
}

/// An organisation and its admin; its code. It has the default plan by having none.
async fn write_organisation(
    transaction: &Transaction<'_>,
    id: Uuid,
    admin: Uuid,
    organisation: &form::Organisation,
) -> Result<String, Error> {
    let sql = "INSERT INTO organisations (id, code, name, country, timezone) VALUES ($1, $2, $3, $4, $5) ON \
        CONFLICT (code) DO NOTHING";
    let form::Organisation { name, country, timezone } = organisation;
    let mut code = code_of(name);
    while code.is_empty() || row::run(transaction, sql, &[&id, &code, name, country, timezone]).await? == 0 {
        let begin = if code.is_empty() { "org" } else { &code };
        code = format!("{begin}-{}", suffix()?).chars().take(64).collect();
    }
    let sql = "INSERT INTO memberships (organisation_id, user_id, role) VALUES ($1, $2, 'admin')";
    row::run(transaction, sql, &[&id, &admin]).await?;
    Ok(code)
}

/// A name as a code: `North Sea Wind & Söhne` is `north-sea-wind-s-hne`.
fn code_of(name: &str) -> String {
    let mut code = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => code.push(c),
            _ if !code.is_empty() && !code.ends_with('-') => code.push('-'),
            _ => {}
        }
        if code.len() >= 48 {
            break;
        }
    }
    let code = code.trim_end_matches('-');
    if code.len() < 2 { String::new() } else { code.to_owned() }
}

/// Letters that make a code another one.
fn suffix() -> Result<String, Error> {
    let text = opaque::random_text::<12>()?;
    Ok(text.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>().to_ascii_lowercase())
}
