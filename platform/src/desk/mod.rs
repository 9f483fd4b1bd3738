//! What a caller does, whole: a transaction as that caller, the work, the commit, and what follows only when it is committed.
//!
//! ```text
//! Job (needs, scope) ─► may they? ─► BEGIN as the caller ─► [key: taken] ─► work ─► [answer: kept] ─► COMMIT ─► afterwards
//!                                                             └► answer of before                       letters, ended tokens
//! ```
//! Who may do what at all is asked before, by whoever has the route. Here it is asked once more: a mistake in a table of
//! routes must not open a door. The work itself is a function of a [`Desk`]: the engine's, for what is a row like any
//! other, or one of [`deeds`].

mod admin;
pub mod deeds;
mod once;

use deadpool_postgres::Transaction;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use uuid::Uuid;

pub use self::admin::{Statistics, Suspension, Tenant, TenantStatistics, Tenants, resume, suspend};
pub use self::once::{Keyed, Once};
use crate::Platform;
use crate::database::{DatabaseRole, begin};
use crate::error::Error;
use crate::identity::{Caller, Ended, Now};
use crate::mail::Letter;
use crate::refusal::Outcome;
use crate::resource::Needs;

/// Something that is being done.
pub type Doing<'d, V> = BoxFuture<'d, Outcome<V>>;

/// What is to be done, as far as it is the same for all.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it asks of the caller.
    pub needs: Needs,
    /// Columns and the values that rows must have.
    pub scope: Vec<(&'static str, Uuid)>,
    /// When.
    pub now: Now,
}

/// Where somebody works: a transaction that was begun as them.
pub struct Desk<'d> {
    /// All there is.
    pub platform: &'d Platform,
    /// Whose it is.
    pub caller: &'d Caller,
    /// Theirs, and open.
    pub transaction: &'d Transaction<'d>,
    /// Columns and the values that rows must have.
    pub scope: &'d [(&'static str, Uuid)],
    /// When.
    pub now: Now,
    afterwards: &'d Mutex<Vec<Afterwards>>,
}

/// What is done when the work is committed, and not before.
#[derive(Clone, Debug)]
pub enum Afterwards {
    /// Tokens of this are good no more.
    End(Ended),
    /// An API key is read anew when it is used next.
    Reread(Uuid),
    /// A letter goes out.
    Post(Letter),
}

impl Desk<'_> {
    /// Does something when the work is committed.
    pub fn afterwards(&self, what: Afterwards) {
        self.afterwards.lock().push(what);
    }
}

/// As what the database is asked, if the caller may.
fn role(caller: &Caller, needs: Needs) -> Outcome<DatabaseRole> {
    match needs {
        Needs::Permission(permission) => caller.needs(permission).map(|()| DatabaseRole::Tenant),
        Needs::Login => Ok(DatabaseRole::Tenant),
        Needs::Operator => caller.needs_operator().map(|()| DatabaseRole::Operator),
    }
}

impl Platform {
    /// Does some work in a transaction as the caller.
    pub async fn work<V, F>(&self, caller: &Caller, job: &Job, work: F) -> Outcome<V>
    where
        V: Send,
        F: for<'d> FnOnce(&'d Desk<'d>) -> Doing<'d, V> + Send,
    {
        let actor = caller.actor(role(caller, job.needs)?);
        let afterwards = Mutex::default();
        let mut client = self.database().client().await?;
        let transaction = begin(&mut client, &actor).await?;
        let done = {
            let desk = self.desk(caller, job, &transaction, &afterwards);
            work(&desk).await?
        };
        transaction.commit().await.map_err(Error::from)?;
        drop(client);
        self.follow(afterwards.into_inner(), job.now).await;
        Ok(done)
    }

    fn desk<'d>(
        &'d self,
        caller: &'d Caller,
        job: &'d Job,
        transaction: &'d Transaction<'d>,
        afterwards: &'d Mutex<Vec<Afterwards>>,
    ) -> Desk<'d> {
        Desk { platform: self, caller, transaction, scope: &job.scope, now: job.now, afterwards }
    }

    async fn follow(&self, afterwards: Vec<Afterwards>, now: Now) {
        for what in afterwards {
            match what {
                Afterwards::End(ended) => self.end(ended, now).await,
                Afterwards::Reread(key) => self.0.api_keys.forget(Ended::ApiKey(key)),
                // What it says was done; that it was not said is for us to know.
                Afterwards::Post(letter) => {
                    if let Err(error) = self.post(letter) {
                        tracing::warn!(%error, "a letter was not posted");
                    }
                }
            }
        }
    }
}
