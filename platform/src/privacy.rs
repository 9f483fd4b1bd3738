//! A person's data: all of it in one file, and all of it gone.
//!
//! What is kept of somebody who was erased is an id: bids, settlement and the audit log go on to name it, and nothing says
//! whose it was. The audit log never held personal data of users (its triggers write `(personal)`), but where they came
//! from: addresses of the network stay in it, as the law on markets wants.
//!
//! [`SOURCES`] is the list of columns that lead to a person. A test compares it with the foreign keys of the database, so
//! that a new table cannot be forgotten.

mod erase;
mod sources;

use deadpool_postgres::Transaction;
use serde_json::{Map, Value, json};
use tokio_postgres::types::Json;
use uuid::Uuid;

pub use self::erase::{Erased, erase};
pub use self::sources::{SOURCES, Source};
use crate::audit;
use crate::database::{self, Actor, Database, DatabaseRole};
use crate::permission::Role;
use crate::refusal::{Outcome, Refusal};
use crate::resource::Instant;

/// Everything about a person: an object with a list of rows for each source. For the person, and for the admins of the
/// only organisation that the person is a member of.
pub async fn export(database: &Database, actor: &Actor, user: Uuid) -> Outcome<Value> {
    let mut client = database.client().await?;
    let transaction = database::begin(&mut client, &actor.with_role(DatabaseRole::Identity)).await?;
    let email = known(&transaction, actor, user).await?;
    let mut object = Map::new();
    let now = transaction.query_one("SELECT now()", &[]).await?.try_get(0)?;
    object.insert("exported_time".to_owned(), json!(Instant(now)));
    let mut rows_in_all = 0;
    for role in [DatabaseRole::Identity, DatabaseRole::System] {
        database::take_role(&transaction, role).await?;
        for source in SOURCES.iter().filter(|source| source.role == role) {
            let rows = transaction.query(source.sql, &[&user, &email]).await?;
            rows_in_all += rows.len();
            let rows = rows.iter().map(|row| row.try_get::<_, Json<Value>>(0).map(|json| in_one_form(json.0)));
            object.insert(source.name.to_owned(), Value::Array(rows.collect::<Result<_, _>>()?));
        }
    }
    let detail = json!({"rows": rows_in_all});
    audit::event(&transaction, "user.exported", "users", Some(&user.to_string()), &detail).await?;
    transaction.commit().await?;
    Ok(Value::Object(object))
}

/// The address of a user whom the actor may export or erase.
async fn known(transaction: &Transaction<'_>, actor: &Actor, user: Uuid) -> Outcome<Option<String>> {
    let sql = "SELECT email, ARRAY(SELECT organisation_id FROM memberships WHERE user_id = $1) FROM users \
        WHERE id = $1 AND erased_time IS NULL";
    let not_found = || Refusal::not_found("user", user);
    let row = transaction.query_opt(sql, &[&user]).await?.ok_or_else(not_found)?;
    let organisations: Vec<Uuid> = row.try_get(1)?;
    if actor.user != Some(user) && actor.kind != database::Kind::System {
        let own = actor.organisation.filter(|own| organisations.contains(own));
        own.ok_or_else(not_found)?;
        if actor.member != Some(Role::Admin) {
            return Err(Refusal::Forbidden("to be the person, or an admin".to_owned()).into());
        }
        if organisations.len() > 1 {
            let message = "to be the person: other organisations have them as a member, too";
            return Err(Refusal::Forbidden(message.to_owned()).into());
        }
    }
    Ok(row.try_get(0)?)
}

/// Times as they are everywhere else.
fn in_one_form(mut row: Value) -> Value {
    if let Value::Object(fields) = &mut row {
        for (_, value) in fields.iter_mut().filter(|(name, _)| name.ends_with("_time")) {
            if let Some(at) = value.as_str().and_then(Instant::parse) {
                *value = json!(at);
            }
        }
    }
    row
}
