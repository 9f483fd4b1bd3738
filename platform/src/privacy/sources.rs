//! Where there is something about a person.

use crate::database::DatabaseRole;
use crate::database::DatabaseRole::{Identity, System};

/// A column that leads to a person, and what is told of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its name in an export.
    pub name: &'static str,
    /// Its table.
    pub table: &'static str,
    /// The column that is the person's id, or address.
    pub column: &'static str,
    /// Who reads it.
    pub role: DatabaseRole,
    /// Its rows as JSON, without secrets; `$1` is the user, `$2` the address.
    pub(super) sql: &'static str,
}

const fn source(
    name: &'static str,
    table: &'static str,
    column: &'static str,
    role: DatabaseRole,
    sql: &'static str,
) -> Source {
    Source { name, table, column, role, sql }
}

/// Every column that leads to a person.
pub const SOURCES: &[Source] = &[
    source(
        "user",
        "users",
        "id",
        Identity,
        "SELECT to_jsonb(t) - 'password_hash' FROM users AS t WHERE id = $1 AND $2::text IS NOT NULL",
    ),
    source(
        "memberships",
        "memberships",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) || jsonb_build_object('organisation', o.name) FROM memberships AS t \
            JOIN organisations AS o ON o.id = t.organisation_id WHERE user_id = $1 AND $2::text IS NOT NULL ORDER BY t.created_time",
    ),
    source(
        "sessions",
        "sessions",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) FROM sessions AS t WHERE user_id = $1 AND $2::text IS NOT NULL ORDER BY created_time",
    ),
    source(
        "api_keys",
        "api_keys",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) - 'key_hash' FROM api_keys AS t WHERE user_id = $1 AND $2::text IS NOT NULL ORDER BY created_time",
    ),
    source(
        "second_factors",
        "mfa_secrets",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) - ARRAY['secret_encrypted', 'nonce', 'key_id'] FROM mfa_secrets AS t \
            WHERE user_id = $1 AND $2::text IS NOT NULL",
    ),
    source(
        "recovery_codes",
        "recovery_codes",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) - 'code_hash' FROM recovery_codes AS t WHERE user_id = $1 AND $2::text IS NOT NULL",
    ),
    source(
        "oauth_identities",
        "oauth_identities",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) FROM oauth_identities AS t WHERE user_id = $1 AND $2::text IS NOT NULL",
    ),
    source(
        "oauth_log_ins",
        "oauth_states",
        "user_id",
        Identity,
        "SELECT jsonb_build_object('issuer', issuer, 'expires_time', expires_time, 'created_time', created_time) \
            FROM oauth_states WHERE user_id = $1 AND $2::text IS NOT NULL",
    ),
    source(
        "password_resets",
        "password_resets",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) - 'token_hash' FROM password_resets AS t WHERE user_id = $1 AND $2::text IS NOT NULL",
    ),
    source(
        "email_verifications",
        "email_verifications",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) - 'token_hash' FROM email_verifications AS t WHERE user_id = $1 AND $2::text IS NOT NULL",
    ),
    source(
        "consents",
        "consents",
        "user_id",
        Identity,
        "SELECT to_jsonb(t) FROM consents AS t WHERE user_id = $1 AND $2::text IS NOT NULL ORDER BY granted_time",
    ),
    source(
        "invitations_received",
        "invitations",
        "email",
        System,
        "SELECT to_jsonb(t) - ARRAY['token_hash', 'invited_by'] FROM invitations AS t WHERE email = $2 AND $1::uuid IS NOT NULL",
    ),
    // Without the addresses: those are other people's data.
    source(
        "invitations_sent",
        "invitations",
        "invited_by",
        System,
        "SELECT to_jsonb(t) - ARRAY['token_hash', 'email'] FROM invitations AS t WHERE invited_by = $1 AND $2::text IS NOT NULL",
    ),
    source(
        "alerts_acknowledged",
        "alerts",
        "acknowledged_by",
        System,
        "SELECT to_jsonb(t) FROM alerts AS t WHERE acknowledged_by = $1 AND $2::text IS NOT NULL ORDER BY start_time",
    ),
    source(
        "channels",
        "notification_channels",
        "email",
        System,
        "SELECT to_jsonb(t) - ARRAY['secret_encrypted', 'nonce', 'key_id'] FROM notification_channels AS t \
            WHERE email = $2 AND $1::uuid IS NOT NULL",
    ),
    source(
        "notifications",
        "notifications",
        "user_id",
        System,
        "SELECT to_jsonb(t) FROM notifications AS t WHERE user_id = $1 AND $2::text IS NOT NULL ORDER BY created_time",
    ),
    source(
        "dashboards",
        "dashboards",
        "owner_id",
        System,
        "SELECT to_jsonb(t) || jsonb_build_object('widgets', \
            (SELECT coalesce(jsonb_agg(w), '[]') FROM widgets AS w WHERE w.dashboard_id = t.id)) \
            FROM dashboards AS t WHERE owner_id = $1 AND $2::text IS NOT NULL ORDER BY created_time",
    ),
    source(
        "repeated_requests",
        "idempotency_keys",
        "principal_id",
        System,
        "SELECT jsonb_build_object('method', method, 'path', path, 'status', status, 'created_time', created_time, \
            'expires_time', expires_time) FROM idempotency_keys WHERE $2::text IS NOT NULL AND \
            (principal_id = $1 OR principal_id IN (SELECT id FROM api_keys WHERE user_id = $1)) ORDER BY created_time",
    ),
    source(
        "audit_log",
        "audit_log",
        "user_id",
        System,
        "SELECT to_jsonb(t) - ARRAY['hash', 'previous_hash'] FROM audit_log AS t WHERE $2::text IS NOT NULL AND \
            (user_id = $1 OR (subject = 'users' AND subject_id = $1::text)) ORDER BY recorded_time",
    ),
];
