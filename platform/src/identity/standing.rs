//! Whether whoever holds a good access token still may use it: sessions end, members leave, users and organisations are
//! shut out, and a token lives on for minutes.
//!
//! ```text
//! token ─► looked at within 2 s? ─► marks in Redis ─ no Redis, or no answer ─► the rows in Postgres
//! ```
//! A mark says that tokens issued up to an instant are good no more: of a session, a user, an organisation, or a user in an
//! organisation. It is forgotten when the last of those tokens has died. Whoever changes one of these leaves the mark when
//! the change is written ([`crate::Platform::end`]); the refresh of a token looks at the rows anyway. Marks that Redis did not
//! hear of are told again by the background task. A Redis that loses its memory gives ended tokens the rest of their minutes.

mod shared;

use std::collections::HashMap;

use parking_lot::Mutex;
use uuid::Uuid;

use self::shared::Shared;
use super::{Now, row};
use crate::database::{Actor, Database, DatabaseRole, begin};
use crate::permission::Role;
use crate::token::Claims;
use crate::{Config, Error};

/// For how long what was looked at is believed.
pub(super) const BELIEVED_MS: i64 = 2_000;
/// Tokens, marks and organisations that are remembered here.
const MOST: usize = 100_000;
/// Clocks of two instances differ by so much at most, and some.
const SLACK_MS: i64 = 60_000;

/// What has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// A session, for good.
    Session(Uuid),
    /// An API key, for good.
    ApiKey(Uuid),
    /// A user was shut out, or is no longer who they were.
    User(Uuid),
    /// An organisation was suspended.
    Organisation(Uuid),
    /// A member left, or has another role.
    Membership {
        /// The organisation.
        organisation: Uuid,
        /// The user.
        user: Uuid,
    },
    /// A challenge was answered.
    Challenge(Uuid),
}

/// Up to when tokens are dead, and until when that matters.
#[derive(Clone, Copy, Debug)]
struct Mark {
    before_ms: i64,
    until_ms: i64,
    told: bool,
}

/// What was found out about a token's session and organisation.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// The latest mark of any of them.
    Marks(i64),
    /// Who it is now; nothing when it is over.
    Rows(Option<(Option<Role>, bool)>),
}

#[derive(Debug, Default)]
struct Table {
    marks: HashMap<Ended, Mark>,
    seen: HashMap<(Uuid, Option<Uuid>), (Seen, i64)>,
}

/// What is known of tokens that ended early.
#[derive(Debug)]
pub(crate) struct Standing {
    shared: Option<Shared>,
    token_life_ms: i64,
    table: Mutex<Table>,
}

impl Ended {
    /// How it is called in Redis.
    fn name(self) -> String {
        match self {
            Self::Session(id) => format!("session:{id}"),
            Self::ApiKey(id) => format!("api_key:{id}"),
            Self::User(id) => format!("user:{id}"),
            Self::Organisation(id) => format!("organisation:{id}"),
            Self::Membership { organisation, user } => format!("member:{organisation}:{user}"),
            Self::Challenge(id) => format!("challenge:{id}"),
        }
    }

    /// Whether nothing of it can be good again.
    fn is_final(self) -> bool {
        matches!(self, Self::Session(_) | Self::ApiKey(_) | Self::Challenge(_))
    }
}

impl Standing {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let token_life_ms = config.access_token_life.millis_i64().max(config.challenge_life.millis_i64());
        Ok(Self { shared: Shared::new(config)?, token_life_ms, table: Mutex::default() })
    }

    /// Leaves a mark, here and in Redis.
    pub(crate) async fn end(&self, what: Ended, now: Now) {
        let now_ms = now.timestamp_millis();
        let before_ms = if what.is_final() { i64::MAX } else { now_ms };
        let until_ms = now_ms.saturating_add(self.token_life_ms).saturating_add(SLACK_MS);
        let mark = Mark { before_ms, until_ms, told: self.shared.is_none() };
        {
            let mut table = self.table.lock();
            if table.marks.len() >= MOST {
                table.marks.retain(|_, mark| mark.until_ms > now_ms && !mark.told);
            }
            if table.marks.len() < MOST {
                table.marks.insert(what, mark);
            } else {
                tracing::warn!("too much has ended at once: some of it is noticed by the refresh of tokens alone");
            }
        }
        self.tell_one(what, mark, now_ms).await;
    }

    /// Tells Redis of marks that it has not heard of.
    pub(crate) async fn tell(&self, now: Now) {
        let now_ms = now.timestamp_millis();
        let untold: Vec<(Ended, Mark)> = {
            let mut table = self.table.lock();
            table.marks.retain(|_, mark| mark.until_ms > now_ms);
            table.marks.iter().filter(|(_, mark)| !mark.told).map(|(what, mark)| (*what, *mark)).collect()
        };
        for (what, mark) in untold {
            if !self.tell_one(what, mark, now_ms).await {
                return;
            }
        }
    }

    /// Whether Redis has heard of it.
    async fn tell_one(&self, what: Ended, mark: Mark, now_ms: i64) -> bool {
        let Some(shared) = &self.shared else { return true };
        let life_ms = mark.until_ms.saturating_sub(now_ms);
        if let Err(error) = shared.mark(&what.name(), mark.before_ms, life_ms).await {
            tracing::warn!(%error, "other instances have not heard of what ended here");
            return false;
        }
        if let Some(kept) = self.table.lock().marks.get_mut(&what)
            && kept.before_ms == mark.before_ms
        {
            kept.told = true;
        }
        true
    }

    /// Whether a token that verified still may be used.
    pub(crate) async fn is_good(&self, database: &Database, claims: &Claims, now: Now) -> Result<bool, Error> {
        let now_ms = now.timestamp_millis();
        let issued_ms = claims.iat.saturating_mul(1_000);
        let mut concerned = vec![Ended::Session(claims.sid), Ended::User(claims.sub)];
        if let Some(organisation) = claims.org {
            concerned.push(Ended::Organisation(organisation));
            concerned.push(Ended::Membership { organisation, user: claims.sub });
        }
        let key = (claims.sid, claims.org);
        let known = {
            let table = self.table.lock();
            let marks = concerned.iter().filter_map(|what| table.marks.get(what));
            if marks.filter(|mark| mark.until_ms > now_ms).any(|mark| mark.before_ms >= issued_ms) {
                return Ok(false);
            }
            table.seen.get(&key).filter(|(_, at_ms)| now_ms.abs_diff(*at_ms) < BELIEVED_MS.unsigned_abs()).copied()
        };
        let seen = match known {
            Some((seen, _)) => seen,
            None => {
                let seen = self.look(database, claims, &concerned, now).await?;
                let mut table = self.table.lock();
                if table.seen.len() >= MOST {
                    table.seen.retain(|_, (_, at_ms)| now_ms.abs_diff(*at_ms) < BELIEVED_MS.unsigned_abs());
                    if table.seen.len() >= MOST {
                        table.seen.clear();
                    }
                }
                table.seen.insert(key, (seen, now_ms));
                seen
            }
        };
        Ok(match seen {
            Seen::Marks(before_ms) => before_ms < issued_ms,
            Seen::Rows(who) => who == Some((claims.role, claims.is_operator)),
        })
    }

    async fn look(&self, database: &Database, claims: &Claims, what: &[Ended], now: Now) -> Result<Seen, Error> {
        if let Some(shared) = &self.shared {
            let names: Vec<String> = what.iter().map(|what| what.name()).collect();
            if let Some(latest_ms) = shared.latest(&names, now).await {
                return Ok(Seen::Marks(latest_ms));
            }
        }
        let sql = "SELECT m.role, u.is_operator FROM sessions AS s JOIN users AS u ON u.id = s.user_id \
            LEFT JOIN (memberships AS m JOIN organisations AS o ON o.id = m.organisation_id AND o.suspended_time IS NULL) \
            ON m.user_id = s.user_id AND m.organisation_id = $3 \
            WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_time IS NULL AND s.expires_time > $4 \
            AND u.disabled_time IS NULL AND u.erased_time IS NULL";
        let mut client = database.client().await?;
        let transaction = begin(&mut client, &itself()).await?;
        let found = row::find(&transaction, sql, &[&claims.sid, &claims.sub, &claims.org, &now]).await?;
        let Some(found) = found else { return Ok(Seen::Rows(None)) };
        let role: Option<String> = found.try_get(0)?;
        Ok(Seen::Rows(Some((role.and_then(|role| role.parse().ok()), found.try_get(1)?))))
    }

    /// Whether something ended for good; for what no token tells. When Redis does not answer, what is known here must do.
    pub(crate) async fn has_ended(&self, what: Ended, now: Now) -> bool {
        if self.table.lock().marks.contains_key(&what) {
            return true;
        }
        let Some(shared) = &self.shared else { return false };
        shared.latest(&[what.name()], now).await.is_some_and(|before_ms| before_ms > i64::MIN)
    }

    /// Whether Redis answers; nothing when there is none.
    pub(crate) async fn ping(&self) -> Option<Result<(), Error>> {
        Some(self.shared.as_ref()?.ping().await)
    }
}

fn itself() -> Actor {
    Actor { role: DatabaseRole::Identity, ..Actor::system() }
}
