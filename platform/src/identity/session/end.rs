//! The end of sessions: by whoever began them, or because a password changed, a member left, a token was stolen.

use deadpool_postgres::Transaction;
use serde_json::json;
use uuid::Uuid;

use crate::database::{DatabaseRole, begin};
use crate::identity::{Caller, Ended, Now, row};
use crate::refusal::{Outcome, Refusal};
use crate::{Error, Platform};

/// Ends the sessions of a user: one (`only`), or all (`except` one). Those that went on until now: when it is committed, their
/// end is to be made known.
pub(in crate::identity) async fn end_sessions(
    transaction: &Transaction<'_>,
    user: Uuid,
    only: Option<Uuid>,
    except: Option<Uuid>,
    reason: &str,
    now: Now,
) -> Result<Vec<Uuid>, Error> {
    let sql = "UPDATE sessions SET revoked_time = $5, revoked_reason = $4 WHERE user_id = $1 AND revoked_time IS NULL \
        AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR id <> $3) RETURNING id";
    let rows = row::all(transaction, sql, &[&user, &only, &except, &reason, &now]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

impl Platform {
    /// Ends the caller's session.
    pub async fn logout(&self, caller: &Caller, now: Now) -> Outcome<()> {
        let session = caller.session()?;
        self.end_own(caller, Some(session), None, "logout", now).await?;
        Ok(())
    }

    /// Ends another session of the caller.
    pub async fn end_session(&self, caller: &Caller, session: Uuid, now: Now) -> Outcome<()> {
        caller.session()?;
        if self.end_own(caller, Some(session), None, "user", now).await? == 0 {
            return Err(Refusal::not_found("session", session).into());
        }
        Ok(())
    }

    /// Ends all other sessions of the caller; how many there were.
    pub async fn end_other_sessions(&self, caller: &Caller, now: Now) -> Outcome<usize> {
        let session = caller.session()?;
        self.end_own(caller, None, Some(session), "user", now).await
    }

    async fn end_own(
        &self,
        caller: &Caller,
        only: Option<Uuid>,
        except: Option<Uuid>,
        reason: &str,
        now: Now,
    ) -> Outcome<usize> {
        let mut client = self.0.database.client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Identity)).await?;
        let ended = end_sessions(&transaction, caller.user, only, except, reason, now).await?;
        let detail = json!({"reason": reason, "sessions": ended.len()});
        row::event(&transaction, "session.ended", "users", Some(caller.user), detail).await?;
        transaction.commit().await?;
        self.ended(&ended, now).await;
        Ok(ended.len())
    }

    /// Makes the end of sessions known, when it is committed.
    pub(in crate::identity) async fn ended(&self, sessions: &[Uuid], now: Now) {
        for session in sessions {
            self.end(Ended::Session(*session), now).await;
        }
    }
}
