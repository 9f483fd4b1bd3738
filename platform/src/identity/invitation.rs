//! Invitations, from the side of who is invited: looked at, accepted with a new account, or with the one there is.
//!
//! Whoever has the token has read the letter, so a new account has a proved address. Where the address has an account, its
//! owner must be logged in: a letter alone opens no account.

use deadpool_postgres::Transaction;
use model::humane::Secret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::account::{Account, Membership};
use super::login::LoginAnswer;
use super::session::Place;
use super::{Caller, NO_LINK, Now, Origin, row};
use crate::database::{DatabaseRole, begin};
use crate::opaque::{Kind, Token};
use crate::permission::Role;
use crate::refusal::{Failure, Outcome, Refusal};
use crate::resource::Instant;
use crate::validate::Fields;
use crate::{Error, Platform, names};

/// Names an invitation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "obi_…"}))]
pub struct JoinOrganisation {
    /// From the link.
    #[schema(value_type = String, max_length = 64)]
    pub token: Secret,
}

/// Accepts an invitation with a new account.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "obi_…", "full_name": "Ada Lovelace", "password": "mauve kettle orbit sandal"}))]
pub struct AcceptInvitation {
    /// From the link.
    #[schema(value_type = String, max_length = 64)]
    pub token: Secret,
    /// Name of the person.
    #[schema(min_length = 1, max_length = 120)]
    pub full_name: String,
    /// Password.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024)]
    pub password: Secret,
}

/// An invitation, as who is invited sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"organisation": "North Sea Wind", "email": "ada@example.org", "role": "trader",
    "expires_time": "2026-02-07T12:00:00.000000Z", "has_account": false}))]
pub struct InvitationView {
    /// Name of the organisation.
    pub organisation: String,
    /// Who is invited.
    pub email: String,
    /// As what.
    #[schema(schema_with = crate::resource::schema::role)]
    pub role: Role,
    /// Until when it can be accepted.
    pub expires_time: Instant,
    /// Whether that address has an account: then log in to accept.
    pub has_account: bool,
}

/// An invitation that stands open.
struct Open {
    id: Uuid,
    email: String,
    expires: Now,
    membership: Membership,
}

impl Open {
    async fn find(transaction: &Transaction<'_>, token: &Token, now: Now, locked: bool) -> Result<Option<Self>, Error> {
        let sql = "SELECT i.id, i.email, i.expires_time, i.role, o.id, o.code, o.name FROM invitations AS i \
            JOIN organisations AS o ON o.id = i.organisation_id WHERE i.token_hash = decode($1, 'hex') \
            AND i.accepted_time IS NULL AND i.revoked_time IS NULL AND i.expires_time > $2 AND o.suspended_time IS NULL";
        let sql = format!("{sql}{}", if locked { " FOR UPDATE OF i" } else { "" });
        let Some(found) = row::find(transaction, &sql, &[&token.hash(), &now]).await? else { return Ok(None) };
        let role: String = found.try_get(3)?;
        let Ok(role) = role.parse() else { return Ok(None) };
        let membership =
            Membership { organisation: found.try_get(4)?, code: found.try_get(5)?, name: found.try_get(6)?, role };
        Ok(Some(Self { id: found.try_get(0)?, email: found.try_get(1)?, expires: found.try_get(2)?, membership }))
    }
}

fn refused() -> Failure {
    Refusal::Unknown(NO_LINK).into()
}

impl Platform {
    /// What an invitation is about.
    pub async fn invitation(&self, wish: &JoinOrganisation, origin: &Origin, now: Now) -> Outcome<InvitationView> {
        let (open, has_account) = self.open_invitation(&wish.token, origin, now).await?;
        Ok(InvitationView {
            organisation: open.membership.name,
            email: open.email,
            role: open.membership.role,
            expires_time: Instant(open.expires),
            has_account,
        })
    }

    async fn open_invitation(&self, token: &Secret, origin: &Origin, now: Now) -> Outcome<(Open, bool)> {
        self.take("link_address", &origin.place(), self.0.config.limits.login_by_address, now).await?;
        let token = Token::read(Kind::Invitation, token.expose()).ok_or_else(refused)?;
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &origin.nobody()).await?;
        let open = Open::find(&transaction, &token, now, false).await?.ok_or_else(refused)?;
        let has_account = Account::by_email(&transaction, &open.email).await?.is_some();
        Ok((open, has_account))
    }

    /// Accepts with a new account, which is logged in at once.
    pub async fn accept_invitation(&self, wish: &AcceptInvitation, origin: &Origin, now: Now) -> Outcome<LoginAnswer> {
        let mut fields = Fields::default();
        let full_name = fields.take("full_name", names::display_name(&wish.full_name)).unwrap_or_default();
        fields.finish()?;
        let (open, has_account) = self.open_invitation(&wish.token, origin, now).await?;
        let log_in = || Refusal::conflict("log_in_first", "this address has an account: log in, then join");
        if has_account {
            return Err(log_in().into());
        }
        let known = [open.email.as_str(), &full_name, &open.membership.name];
        let hash = self.new_password("password", &wish.password, &known).await?;
        let keys = self.0.signing.signing(&self.0.database, now).await?;
        let account = Account {
            id: Uuid::new_v4(),
            email: open.email.clone(),
            verified: true,
            full_name: Some(full_name),
            password_hash: Some(hash.clone()),
            password_ms: now.timestamp_millis(),
            shut: false,
            is_operator: false,
            second_factor: false,
        };
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &account.actor(Some(&open.membership), origin)).await?;
        let sql = "INSERT INTO users (id, email, email_verified_time, full_name, password_hash, password_changed_time) \
            VALUES ($1, $2, $3, $4, $5, $3)";
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&account.id, &account.email, &now, &account.full_name, &hash.expose()];
        match row::run(&transaction, sql, &values).await {
            Err(error) if row::is_taken(&error) => return Err(log_in().into()),
            done => done?,
        };
        let membership = join(&transaction, &wish.token, account.id, now).await?;
        let tokens = self.begin_session(&transaction, &keys, &account, Some(membership), false, (origin, now)).await?;
        row::event(&transaction, "invitation.accepted", "invitations", Some(open.id), json!({"account": "new"}))
            .await?;
        transaction.commit().await?;
        Ok(LoginAnswer::SignedIn(tokens))
    }

    /// Accepts as the caller, whose proved address must be the one that was invited. To go on there, switch to it.
    pub async fn join_organisation(
        &self,
        caller: &Caller,
        wish: &JoinOrganisation,
        origin: &Origin,
        now: Now,
    ) -> Outcome<Place> {
        caller.session()?;
        let (open, _) = self.open_invitation(&wish.token, origin, now).await?;
        let mut client = self.0.database.client().await?;
        let mut actor = caller.actor(DatabaseRole::Identity);
        (actor.organisation, actor.member) = (Some(open.membership.organisation), Some(open.membership.role));
        let transaction = begin(&mut client, &actor).await?;
        let account = Account::by_id(&transaction, caller.user).await?;
        let theirs = account.is_some_and(|account| !account.shut && account.verified && account.email == open.email);
        if !theirs {
            return Err(
                Refusal::Forbidden("to be logged in with the address that was invited, and verified".into()).into()
            );
        }
        let membership = match join(&transaction, &wish.token, caller.user, now).await {
            Err(Failure::Failed(error)) if row::is_taken(&error) => {
                return Err(Refusal::conflict("member_exists", "you are a member of this organisation already").into());
            }
            joined => joined?,
        };
        row::event(&transaction, "invitation.accepted", "invitations", Some(open.id), json!({"account": "old"}))
            .await?;
        transaction.commit().await?;
        Ok(membership.into())
    }
}

/// Uses an invitation up and makes its member. Of two at once one finds it closed.
async fn join(transaction: &Transaction<'_>, token: &Secret, user: Uuid, now: Now) -> Outcome<Membership> {
    let token = Token::read(Kind::Invitation, token.expose()).ok_or_else(refused)?;
    let open = Open::find(transaction, &token, now, true).await?.ok_or_else(refused)?;
    row::run(transaction, "UPDATE invitations SET accepted_time = $2 WHERE id = $1", &[&open.id, &now]).await?;
    let sql = "INSERT INTO memberships (organisation_id, user_id, role) VALUES ($1, $2, $3)";
    let (organisation, role) = (open.membership.organisation, open.membership.role.as_str());
    row::run(transaction, sql, &[&organisation, &user, &role]).await?;
    Ok(open.membership)
}
