//! Members of an organisation: users with a role in it. There is always one who administers it.
//!
//! Nobody is made a member here, since that would show a tenant somebody who does not know of it: see
//! [`super::invitations`]. Whoever changes a role or removes a member should end that member's access tokens for the
//! organisation: they hold the role until they die.

use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ALL, Editable, Filter, Instant, Kind, Needs, Resource, Sort, engine};
use crate::permission::{Permission, Role};
use crate::refusal::{Outcome, Refusal};
use crate::validate::Fields;

/// Members, as a resource.
#[derive(Debug)]
pub struct Members;

/// A user in an organisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Id of the membership.
    pub id: Uuid,
    /// Id of the user.
    pub user_id: Uuid,
    /// Address.
    #[schema(example = "ada@example.org")]
    pub email: Option<String>,
    /// Name; the address of somebody who has none.
    #[schema(example = "Ada Lovelace")]
    pub name: String,
    /// What they may.
    #[schema(schema_with = super::schema::role)]
    pub role: Role,
    /// When they logged in last, to any organisation.
    pub last_login_time: Option<Instant>,
    /// Since when they are locked out.
    pub disabled_time: Option<Instant>,
    /// Raised by each change; the ETag.
    pub version: i64,
    /// When they became a member.
    pub created_time: Instant,
    /// When the role was changed last.
    pub updated_time: Instant,
}

/// The role of a member.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "trader"}))]
pub struct MemberRole {
    /// What they may.
    #[schema(schema_with = super::schema::role)]
    pub role: Role,
}

impl Resource for Members {
    const WHAT: &'static str = "member";
    const TABLE: &'static str = "memberships";
    const FROM: &'static str = "(SELECT m.id, m.organisation_id, m.user_id, u.email, coalesce(u.full_name, u.email, '') AS name, \
        m.role, u.last_login_time, u.disabled_time, m.version, m.created_time, m.updated_time \
        FROM memberships AS m JOIN users AS u ON u.id = m.user_id)";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user_id",
        "email",
        "name",
        "role",
        "last_login_time",
        "disabled_time",
        "version",
        "created_time",
        "updated_time",
    ];
    const SORTS: &'static [Sort] = &[Sort::NAME, Sort::NEWEST, Sort::OLDEST];
    const FILTERS: &'static [Filter] = &[
        Filter::new("role", "t.role = ?", Kind::Word(&["admin", "analyst", "trader", "viewer"])),
        Filter::new("user_id", "t.user_id = ?", Kind::Id),
    ];
    const SEARCH: &'static [&'static str] = &["name", "email"];
    const READ: Needs = Needs::Permission(Permission::MembersRead);
    type Id = Uuid;
    type View = Member;
}

impl Editable for Members {
    const WRITABLE: &'static [&'static str] = &["role"];
    const EXISTS: &'static str = "member_exists";
    const IN_USE: &'static str = "member_in_use";
    const WRITE: Needs = Needs::Permission(Permission::MembersWrite);
    type New = MemberRole;

    fn check(_: &mut MemberRole, _: &mut Fields) {}
}

/// Gives a member another role, by a patch of [`MemberRole`].
pub async fn change_role(
    transaction: &Transaction<'_>,
    id: &Uuid,
    patch: &Value,
    expected_version: Option<i64>,
) -> Outcome<Member> {
    let admins = admins(transaction).await?;
    let member = engine::patch::<Members>(transaction, ALL, id, patch, expected_version).await?;
    if member.role != Role::Admin {
        keep_one(&admins, *id)?;
    }
    Ok(member)
}

/// Removes a member, with the API keys and private dashboards that they had in the organisation. Dashboards that they
/// shared pass to whoever removes them, or, who leaves by themselves, to an admin.
pub async fn remove(transaction: &Transaction<'_>, id: &Uuid, expected_version: Option<i64>) -> Outcome<Member> {
    let admins = admins(transaction).await?;
    let member = engine::get::<Members>(transaction, ALL, id).await?;
    keep_one(&admins, *id)?;
    let heir = "UPDATE dashboards SET owner_id = h.user_id FROM ( \
        SELECT user_id FROM memberships WHERE organisation_id = current_organisation() AND user_id <> $1 \
        ORDER BY user_id = current_user_id() DESC, role = 'admin' DESC, created_time, id LIMIT 1) AS h \
        WHERE owner_id = $1 AND shared";
    if current_role_is_admin(transaction).await? {
        let heir = transaction.prepare_cached(heir).await?;
        transaction.execute(&heir, &[&member.user_id]).await?;
    }
    engine::delete::<Members>(transaction, ALL, id, expected_version).await?;
    Ok(member)
}

/// Only an admin may hand on what others shared: the policy of the table says so.
async fn current_role_is_admin(transaction: &Transaction<'_>) -> Outcome<bool> {
    let role = transaction.prepare_cached("SELECT current_member_role() IS NOT DISTINCT FROM 'admin'").await?;
    Ok(transaction.query_one(&role, &[]).await?.try_get(0)?)
}

/// The admins there are, locked, so that two of them do not leave at once.
async fn admins(transaction: &Transaction<'_>) -> Outcome<Vec<Uuid>> {
    let sql = "SELECT id FROM memberships WHERE organisation_id = current_organisation() AND role = 'admin' ORDER BY id FOR UPDATE";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

fn keep_one(admins: &[Uuid], leaves: Uuid) -> Outcome<()> {
    if admins == [leaves] {
        return Err(Refusal::conflict("last_admin", "this is the last admin: make another member one first").into());
    }
    Ok(())
}
