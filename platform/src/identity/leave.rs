//! Taking one's data along, and going: see [`crate::privacy`]. An admin does the same for a member of theirs alone.

use model::humane::Secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Caller, Ended, Now};
use crate::Platform;
use crate::database::DatabaseRole;
use crate::permission::Permission;
use crate::privacy;
use crate::refusal::Outcome;

/// Whose account goes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "mauve kettle orbit sandal"}))]
pub struct ErasePerson {
    /// A member, for admins; absent: the caller.
    #[serde(default)]
    pub user_id: Option<Uuid>,
    /// The caller's password: this cannot be undone. Who has none must have logged in just now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password, max_length = 1024)]
    pub password: Option<Secret>,
}

/// What went with somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErasedPerson {
    /// The id that is left.
    pub user_id: Uuid,
    /// Sessions that ended.
    #[schema(example = 2)]
    pub sessions: usize,
    /// API keys that ended.
    #[schema(example = 1)]
    pub api_keys: usize,
    /// Organisations that they were a member of.
    #[schema(example = 1)]
    pub organisations: usize,
}

impl Platform {
    /// Everything about a person: the caller, in a session; or a member, for whoever may.
    pub async fn export_person(&self, caller: &Caller, user: Option<Uuid>, now: Now) -> Outcome<Value> {
        let user = may(caller, user)?;
        self.take("export", &caller.user.to_string(), self.0.config.limits.login_by_address, now).await?;
        privacy::export(&self.0.database, &caller.actor(DatabaseRole::Identity), user).await
    }

    /// Erases a person: the caller, or a member, for whoever may. Takes the caller's password.
    pub async fn erase_person(&self, caller: &Caller, wish: &ErasePerson, now: Now) -> Outcome<ErasedPerson> {
        let user = may(caller, wish.user_id)?;
        self.prove("password", caller, wish.password.as_ref(), now).await?;
        let erased = privacy::erase(&self.0.database, &caller.actor(DatabaseRole::System), user).await?;
        self.end(Ended::User(user), now).await;
        for session in &erased.sessions {
            self.end(Ended::Session(*session), now).await;
        }
        for key in &erased.api_keys {
            self.end(Ended::ApiKey(*key), now).await;
        }
        Ok(ErasedPerson {
            user_id: user,
            sessions: erased.sessions.len(),
            api_keys: erased.api_keys.len(),
            organisations: erased.organisations.len(),
        })
    }
}

/// Whose data they are, if the caller may. A program has no data of its own.
fn may(caller: &Caller, user: Option<Uuid>) -> Outcome<Uuid> {
    caller.session()?;
    match user {
        Some(user) if user != caller.user => caller.needs(Permission::PrivacyWrite).map(|()| user),
        _ => Ok(caller.user),
    }
}
