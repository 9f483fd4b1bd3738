//! A person who was never here.

use deadpool_postgres::Transaction;
use serde_json::json;
use uuid::Uuid;

use super::known;
use crate::audit;
use crate::database::{self, Actor, Database, DatabaseRole};
use crate::refusal::{Outcome, Refusal};

/// Who was erased. What they hold in their hands may live on for minutes: note it in [`crate::limit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// The id that is left.
    pub user: Uuid,
    /// Sessions that went on until now.
    pub sessions: Vec<Uuid>,
    /// API keys that were good until now.
    pub api_keys: Vec<Uuid>,
    /// Organisations that they were a member of.
    pub organisations: Vec<Uuid>,
}

/// What jobs may remove; `$1` is the user, `$2` the address. Shared dashboards pass to another member first.
const BY_SYSTEM: &[&str] = &[
    "UPDATE dashboards AS d SET owner_id = h.user_id FROM (SELECT DISTINCT ON (organisation_id) organisation_id, user_id \
        FROM memberships WHERE user_id <> $1 ORDER BY organisation_id, role = 'admin' DESC, created_time, id) AS h \
        WHERE d.organisation_id = h.organisation_id AND d.owner_id = $1 AND d.shared AND $2::text IS NOT NULL",
    "DELETE FROM idempotency_keys WHERE $2::text IS NOT NULL AND \
        (principal_id = $1 OR principal_id IN (SELECT id FROM api_keys WHERE user_id = $1))",
    "DELETE FROM invitations WHERE email = $2 AND $1::uuid IS NOT NULL",
    "DELETE FROM notification_channels WHERE email = $2 AND $1::uuid IS NOT NULL",
    "UPDATE users SET email = NULL, email_verified_time = NULL, full_name = NULL, password_hash = NULL, \
        password_changed_time = NULL, locale = 'en', timezone = 'UTC', preferences = '{}', is_operator = false, \
        disabled_time = now(), erased_time = now(), last_login_time = NULL WHERE id = $1 AND $2::text IS NOT NULL",
];

/// What only whoever signs people in may remove. With a membership go its API keys, notifications and dashboards.
const BY_IDENTITY: &[&str] = &[
    "DELETE FROM sessions WHERE user_id = $1",
    "DELETE FROM mfa_secrets WHERE user_id = $1",
    "DELETE FROM recovery_codes WHERE user_id = $1",
    "DELETE FROM oauth_identities WHERE user_id = $1",
    "DELETE FROM oauth_states WHERE user_id = $1",
    "DELETE FROM password_resets WHERE user_id = $1",
    "DELETE FROM email_verifications WHERE user_id = $1",
    "UPDATE consents SET withdrawn_time = greatest(now(), granted_time) WHERE user_id = $1 AND withdrawn_time IS NULL",
    "DELETE FROM memberships WHERE user_id = $1",
];

/// Erases a person. For the person, and for the admins of the only organisation that the person is a member of; not the
/// last admin of an organisation with other members.
pub async fn erase(database: &Database, actor: &Actor, user: Uuid) -> Outcome<Erased> {
    let mut client = database.client().await?;
    let transaction = database::begin(&mut client, &actor.with_role(DatabaseRole::System)).await?;
    // Two at once wait for each other here.
    transaction.execute("SELECT id FROM users WHERE id = $1 FOR UPDATE", &[&user]).await?;
    let email = known(&transaction, actor, user).await?;
    keep_admins(&transaction, user).await?;
    let ids = |sql: &'static str| async {
        let sql: &str = sql;
        let rows = transaction.query(sql, &[&user]).await?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()
    };
    let erased = Erased {
        user,
        sessions: ids("SELECT id FROM sessions WHERE user_id = $1 AND revoked_time IS NULL").await?,
        api_keys: ids("SELECT id FROM api_keys WHERE user_id = $1 AND revoked_time IS NULL").await?,
        organisations: ids("SELECT organisation_id FROM memberships WHERE user_id = $1").await?,
    };
    for statement in BY_SYSTEM {
        transaction.execute(*statement, &[&user, &email]).await?;
    }
    database::take_role(&transaction, DatabaseRole::Identity).await?;
    for statement in BY_IDENTITY {
        transaction.execute(*statement, &[&user]).await?;
    }
    let detail = json!({"organisations": &erased.organisations});
    audit::event(&transaction, "user.erased", "users", Some(&user.to_string()), &detail).await?;
    transaction.commit().await?;
    Ok(erased)
}

/// An organisation with members has an admin.
async fn keep_admins(transaction: &Transaction<'_>, user: Uuid) -> Outcome<()> {
    let lock = "SELECT id FROM memberships WHERE role = 'admin' AND organisation_id IN \
        (SELECT organisation_id FROM memberships WHERE user_id = $1) ORDER BY id FOR UPDATE";
    transaction.execute(lock, &[&user]).await?;
    let sql = "SELECT EXISTS (SELECT FROM memberships AS m WHERE m.user_id = $1 AND m.role = 'admin' AND NOT EXISTS ( \
            SELECT FROM memberships AS o WHERE o.organisation_id = m.organisation_id AND o.role = 'admin' AND o.user_id <> $1) \
        AND EXISTS (SELECT FROM memberships AS o WHERE o.organisation_id = m.organisation_id AND o.user_id <> $1))";
    if transaction.query_one(sql, &[&user]).await?.try_get(0)? {
        let message = "this is the last admin of an organisation: make another member one first";
        return Err(Refusal::conflict("last_admin", message).into());
    }
    Ok(())
}
