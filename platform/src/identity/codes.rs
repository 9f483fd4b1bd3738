//! What organisations are called on the stream, by id: it never changes, so it is asked for once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::{Origin, row};
use crate::Error;
use crate::database::{Database, begin};

/// Organisations that are remembered.
const MOST: usize = 100_000;

/// Codes that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    known: Mutex<HashMap<Uuid, Arc<str>>>,
}

impl Codes {
    /// The code of an organisation, if there is one.
    pub(crate) async fn of(&self, database: &Database, organisation: Uuid) -> Result<Option<Arc<str>>, Error> {
        if let Some(code) = self.known.lock().get(&organisation) {
            return Ok(Some(code.clone()));
        }
        let mut client = database.client().await?;
        let transaction = begin(&mut client, &Origin::default().nobody()).await?;
        let sql = "SELECT code FROM organisations WHERE id = $1";
        let Some(found) = row::find(&transaction, sql, &[&organisation]).await? else { return Ok(None) };
        let code: Arc<str> = found.try_get::<_, &str>(0)?.into();
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(organisation, code.clone());
        Ok(Some(code))
    }
}
