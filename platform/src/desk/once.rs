//! Work with a key: done once, answered as often as it is asked for. See [`crate::idempotency`].
//!
//! Answers may hold what is shown once (an API key, a link): hence what is kept of them is sealed.

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

use super::{Desk, Doing, Job, role};
use crate::Platform;
use crate::database::{DatabaseRole, begin, take_role};
use crate::error::Error;
use crate::idempotency::{self, Answer, Begun};
use crate::identity::{Caller, CallerKind};
use crate::refusal::{Outcome, Refusal};
use crate::validate::Problem;

/// Seconds that an answer is kept.
const LIFE_S: f64 = 86_400.0;
const MOST_PATH: usize = 1_000;
const PURPOSE: &str = "idempotency";

/// A request with a key.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'r> {
    /// The key, as the caller chose it.
    pub key: &'r str,
    /// Method.
    pub method: &'r str,
    /// Path, with its query.
    pub path: &'r str,
    /// Body.
    pub body: &'r [u8],
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Once {
    /// It was done now.
    Now(Answer),
    /// It was done before; this was the answer.
    Before(Answer),
}

impl Platform {
    /// Does some work in a transaction as the caller, unless it was done before under this key.
    pub async fn once<F>(&self, caller: &Caller, job: &Job, keyed: Keyed<'_>, work: F) -> Outcome<Once>
    where
        F: for<'d> FnOnce(&'d Desk<'d>) -> Doing<'d, Answer> + Send,
    {
        let acts_as = role(caller, job.needs)?;
        // Keys are of an organisation: whoever acts for none has nowhere to keep them.
        caller.organisation()?;
        if keyed.path.len() > MOST_PATH {
            return Err(vec![Problem::new("too_long", "is for a shorter path").of("Idempotency-Key")].into());
        }
        let mut body_hash = [0; 32];
        body_hash.copy_from_slice(digest(&SHA256, keyed.body).as_ref());
        let principal = match caller.kind {
            CallerKind::Session(_) => caller.user,
            CallerKind::ApiKey(key) => key,
        };
        let request =
            idempotency::Request { principal, key: keyed.key, method: keyed.method, path: keyed.path, body_hash };
        let row = format!("{principal}/{}", keyed.key);
        let sealer = self.sealer(PURPOSE);
        let afterwards = Mutex::default();
        let mut client = self.database().client().await?;
        let transaction = begin(&mut client, &caller.actor(DatabaseRole::Tenant)).await?;
        match idempotency::begin(&transaction, &request, LIFE_S).await? {
            Begun::New => {}
            Begun::Replay(answer) => {
                let body = sealer.open(PURPOSE, &row, &answer.body)?;
                return Ok(Once::Before(Answer { body, ..answer }));
            }
            Begun::Mismatch => {
                let message = "was used for another request: take a new one";
                return Err(vec![Problem::new("key_used", message).of("Idempotency-Key")].into());
            }
            Begun::InProgress => {
                let message = "a request with this key is being done: ask again in a moment";
                return Err(Refusal::conflict("in_progress", message).into());
            }
        }
        take_role(&transaction, acts_as).await?;
        let answer = {
            let desk = self.desk(caller, job, &transaction, &afterwards);
            work(&desk).await?
        };
        take_role(&transaction, DatabaseRole::Tenant).await?;
        let sealed = Answer { body: sealer.seal(PURPOSE, &row, &answer.body)?, ..answer.clone() };
        idempotency::finish(&transaction, &request, &sealed).await?;
        transaction.commit().await.map_err(Error::from)?;
        drop(client);
        self.follow(afterwards.into_inner(), job.now).await;
        Ok(Once::Now(answer))
    }
}
