//! Invitations: the way into an organisation. Whoever has the token, and the address it was sent to, becomes a member.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::quotas::Metric;
use super::{ALL, Editable, Filter, Instant, Kind, Needs, Resource, Sort, check, engine};
use crate::names;
use crate::opaque::{self, Token};
use crate::permission::{Permission, Role};
use crate::refusal::{Outcome, Refusal};
use crate::validate::Fields;

/// Invitations, as a resource.
#[derive(Debug)]
pub struct Invitations;

/// What became of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitationStatus {
    /// Waits.
    Open,
    /// There is a member by it.
    Accepted,
    /// Was taken back.
    Revoked,
    /// Came too late.
    Expired,
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// Id.
    pub id: Uuid,
    /// Who is invited.
    #[schema(example = "ada@example.org")]
    pub email: String,
    /// As what.
    #[schema(schema_with = super::schema::role)]
    pub role: Role,
    /// What became of it.
    pub status: InvitationStatus,
    /// By which user, if that is still a member.
    pub invited_by: Option<Uuid>,
    /// Until when it can be accepted.
    pub expires_time: Instant,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When it was made.
    pub created_time: Instant,
    /// When it was changed last.
    pub updated_time: Instant,
}

/// An invitation to be sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "role": "trader", "days": 7}))]
pub struct NewInvitation {
    /// Who is invited.
    #[schema(max_length = 254)]
    pub email: String,
    /// As what.
    #[schema(schema_with = super::schema::role)]
    pub role: Role,
    /// For how many days it can be accepted.
    #[serde(default = "week")]
    #[schema(minimum = 1, maximum = 30)]
    pub days: i32,
}

fn week() -> i32 {
    7
}

const OPEN: &str = "accepted_time IS NULL AND revoked_time IS NULL";

impl Resource for Invitations {
    const WHAT: &'static str = "invitation";
    const TABLE: &'static str = "invitations";
    const FROM: &'static str = "(SELECT id, organisation_id, email, role, CASE WHEN accepted_time IS NOT NULL THEN 'accepted' \
        WHEN revoked_time IS NOT NULL THEN 'revoked' WHEN expires_time <= now() THEN 'expired' ELSE 'open' END AS status, \
        invited_by, expires_time, version, created_time, updated_time FROM invitations)";
    const COLUMNS: &'static [&'static str] =
        &["id", "email", "role", "status", "invited_by", "expires_time", "version", "created_time", "updated_time"];
    const SORTS: &'static [Sort] = &[Sort::NEWEST, Sort::OLDEST, Sort::new("email", Kind::Text)];
    const FILTERS: &'static [Filter] = &[
        Filter::new("status", "t.status = ?", Kind::Word(&["open", "accepted", "revoked", "expired"])),
        Filter::new("email", "t.email = lower(?)", Kind::Text),
    ];
    const SEARCH: &'static [&'static str] = &["email"];
    const READ: Needs = Needs::Permission(Permission::MembersRead);
    type Id = Uuid;
    type View = Invitation;
}

impl Editable for Invitations {
    const WRITABLE: &'static [&'static str] = &["email", "role"];
    const FIXED: &'static [&'static str] = &["email"];
    const QUOTA: Option<Metric> = Some(Metric::Members);
    const EXISTS: &'static str = "invitation_exists";
    const CONSTRAINTS: &'static [(&'static str, &'static str)] = &[("invitations_open", "email")];
    const WRITE: Needs = Needs::Permission(Permission::MembersWrite);
    type New = NewInvitation;

    fn check(new: &mut NewInvitation, fields: &mut Fields) {
        let email = names::email(&new.email);
        check::replace(fields, "email", &mut new.email, email);
        fields.number("days", new.days, 1..=30);
    }
}

/// Invites somebody. The token is in this answer alone: it goes into the mail.
pub async fn create(transaction: &Transaction<'_>, mut new: NewInvitation) -> Outcome<(Invitation, Token)> {
    let mut fields = Fields::default();
    Invitations::check(&mut new, &mut fields);
    fields.finish()?;
    // Under row-level security: of members alone.
    let sql = "SELECT EXISTS (SELECT FROM memberships AS m JOIN users AS u ON u.id = m.user_id \
        WHERE m.organisation_id = current_organisation() AND u.email = $1)";
    let member = transaction.prepare_cached(sql).await?;
    if transaction.query_one(&member, &[&new.email]).await?.try_get(0)? {
        let message = "this is the address of a member already".to_owned();
        return Err(Refusal::Conflict { code: "member_exists", fields: vec!["email"], message }.into());
    }
    // One that came too late makes room.
    let sql =
        format!("UPDATE invitations SET revoked_time = now() WHERE email = $1 AND {OPEN} AND expires_time <= now()");
    let expired = transaction.prepare_cached(&sql).await?;
    transaction.execute(&expired, &[&new.email]).await?;
    let token = Token::new(opaque::Kind::Invitation)?;
    let ends = transaction.prepare_cached("SELECT now() + make_interval(days => $1), current_user_id()").await?;
    let row = transaction.query_one(&ends, &[&new.days]).await?;
    let given = Map::from_iter([
        ("token_hash".to_owned(), json!(format!("\\x{}", token.hash()))),
        ("expires_time".to_owned(), json!(Instant(row.try_get(0)?))),
        ("invited_by".to_owned(), json!(row.try_get::<_, Option<Uuid>>(1)?)),
    ]);
    Ok((engine::create::<Invitations>(transaction, given, new).await?, token))
}

/// A new token for an invitation, which stands open again for so many days; the old token is good no more.
pub async fn renew(transaction: &Transaction<'_>, id: &Uuid, days: i32) -> Outcome<(Invitation, Token)> {
    let mut fields = Fields::default();
    fields.number("days", days, 1..=30);
    fields.finish()?;
    let token = Token::new(opaque::Kind::Invitation)?;
    let sql = format!(
        "UPDATE invitations SET token_hash = decode($2, 'hex'), expires_time = now() + make_interval(days => $3) \
         WHERE id = $1 AND {OPEN}"
    );
    let statement = transaction.prepare_cached(&sql).await?;
    if transaction.execute(&statement, &[id, &token.hash(), &days]).await? == 0 {
        return Err(closed(transaction, id).await?.into());
    }
    Ok((engine::get::<Invitations>(transaction, ALL, id).await?, token))
}

/// Takes an invitation back.
pub async fn revoke(transaction: &Transaction<'_>, id: &Uuid) -> Outcome<Invitation> {
    let sql = format!("UPDATE invitations SET revoked_time = now() WHERE id = $1 AND {OPEN}");
    let statement = transaction.prepare_cached(&sql).await?;
    if transaction.execute(&statement, &[id]).await? == 0 {
        return Err(closed(transaction, id).await?.into());
    }
    engine::get::<Invitations>(transaction, ALL, id).await
}

/// Why nothing was changed.
async fn closed(transaction: &Transaction<'_>, id: &Uuid) -> Outcome<Refusal> {
    engine::get::<Invitations>(transaction, ALL, id).await?;
    Ok(Refusal::conflict("invitation_closed", "this invitation was accepted or revoked"))
}
