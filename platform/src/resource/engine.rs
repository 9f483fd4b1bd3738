//! Get, create, patch, delete: of any resource, in a transaction that was begun as an actor.

use deadpool_postgres::Transaction;
use serde_json::{Map, Value};
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use super::merge::merge;
use super::problem::{During, refused};
use super::{Editable, Resource, body, check, quotas};
use crate::refusal::{Failure, Outcome, Refusal};
use crate::validate::{Fields, Problem};

/// Columns that must have these values: the rows of one dashboard, or of one user.
pub type Scope<'a> = &'a [(&'static str, Uuid)];

/// Every row that the actor may see.
pub const ALL: Scope<'static> = &[];

pub(super) type Sql<'a> = &'a (dyn ToSql + Sync);

pub(super) fn shown<R: Resource>() -> String {
    R::COLUMNS.iter().map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", ")
}

/// Conditions for one row: its key is `$1`, the scope follows.
fn one<R: Resource>(scope: Scope<'_>) -> String {
    let mut conditions = format!("t.{} = $1 AND {}", R::KEY, R::VISIBLE);
    for (n, (column, _)) in scope.iter().enumerate() {
        conditions.push_str(&format!(" AND t.{column} = ${}", n + 2));
    }
    conditions
}

fn values<'a>(id: &'a (dyn ToSql + Sync), scope: Scope<'a>) -> Vec<Sql<'a>> {
    std::iter::once(id).chain(scope.iter().map(|(_, value)| value as Sql<'a>)).collect()
}

async fn find<R: Resource>(
    transaction: &Transaction<'_>,
    scope: Scope<'_>,
    id: &R::Id,
) -> Result<Option<R::View>, Failure> {
    let (shown, conditions) = (shown::<R>(), one::<R>(scope));
    let sql = format!("SELECT to_jsonb(t) FROM (SELECT {shown} FROM {} AS t WHERE {conditions}) AS t", R::FROM);
    let statement = transaction.prepare_cached(&sql).await?;
    let row = transaction.query_opt(&statement, &values(id, scope)).await?;
    Ok(row.map(|row| row.try_get::<_, Json<R::View>>(0).map(|json| json.0)).transpose()?)
}

/// One row.
pub async fn get<R: Resource>(transaction: &Transaction<'_>, scope: Scope<'_>, id: &R::Id) -> Outcome<R::View> {
    find::<R>(transaction, scope, id).await?.ok_or_else(|| not_found::<R>(id))
}

pub(super) fn not_found<R: Resource>(id: &R::Id) -> Failure {
    Refusal::NotFound { what: R::WHAT, id: id.to_string() }.into()
}

/// A new row. `given` are columns that are not the caller's to say, by name.
pub async fn create<R: Editable>(
    transaction: &Transaction<'_>,
    given: Map<String, Value>,
    new: R::New,
) -> Outcome<R::View>
where
    R::Id: for<'a> tokio_postgres::types::FromSql<'a>,
{
    let mut row = checked::<R>(new)?;
    if let Some(metric) = R::QUOTA {
        quotas::require(transaction, metric).await?;
    }
    row.extend(given);
    let columns: Vec<&str> = row.keys().map(String::as_str).collect();
    let read: Vec<String> = columns.iter().map(|column| format!("r.{column}")).collect();
    let (column, value) = if R::OF_ORGANISATION { ("organisation_id, ", "current_organisation(), ") } else { ("", "") };
    let sql = format!(
        "INSERT INTO {0} ({column}{1}) SELECT {value}{2} FROM jsonb_populate_record(NULL::{0}, $1) AS r RETURNING {3}",
        R::TABLE,
        columns.join(", "),
        read.join(", "),
        R::KEY
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let made = transaction.query_one(&statement, &[&Json(&row)]).await;
    let id: R::Id = made.map_err(|error| refused::<R>(error, During::Write))?.try_get(0)?;
    get::<R>(transaction, ALL, &id).await
}

/// The user who acts.
pub(super) async fn me(transaction: &Transaction<'_>) -> Outcome<Uuid> {
    let statement = transaction.prepare_cached("SELECT current_user_id()").await?;
    let user: Option<Uuid> = transaction.query_one(&statement, &[]).await?.try_get(0)?;
    user.ok_or_else(|| Refusal::Forbidden("to be a user".to_owned()).into())
}

/// The row that a caller's wish makes, with every writable column, or what is wrong with it.
fn checked<R: Editable>(mut new: R::New) -> Outcome<Map<String, Value>> {
    let mut fields = Fields::default();
    R::check(&mut new, &mut fields);
    fields.finish()?;
    let row = serde_json::to_value(new).unwrap_or_default();
    let mut fields = Fields::default();
    check::nul(&mut fields, &row, "");
    fields.finish()?;
    let Value::Object(mut row) = row else { return Ok(Map::new()) };
    row.retain(|column, _| R::WRITABLE.contains(&column.as_str()));
    Ok(row)
}

/// Locks a row; its version and what of it is writable.
async fn lock<R: Editable>(
    transaction: &Transaction<'_>,
    scope: Scope<'_>,
    id: &R::Id,
) -> Outcome<(i64, Map<String, Value>)> {
    let version = if R::VERSIONED { "t.version" } else { "0::bigint" };
    let writable: Vec<String> = R::WRITABLE.iter().map(|column| format!("'{column}', t.{column}")).collect();
    let sql = format!(
        "SELECT {version}, jsonb_build_object({}) FROM {} AS t WHERE {} FOR UPDATE",
        writable.join(", "),
        R::TABLE,
        one::<R>(scope)
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let Some(row) = transaction.query_opt(&statement, &values(id, scope)).await? else {
        // To be seen is not to be changed.
        return Err(match find::<R>(transaction, scope, id).await? {
            Some(_) => Refusal::Forbidden(format!("to be whoever may change this {}", R::WHAT)).into(),
            None => not_found::<R>(id),
        });
    };
    Ok((row.try_get(0)?, row.try_get::<_, Json<Map<String, Value>>>(1)?.0))
}

fn current(given: Option<i64>, stands: i64) -> Outcome<()> {
    match given {
        Some(given) if given != stands => Err(Refusal::Stale { given, stands }.into()),
        _ => Ok(()),
    }
}

/// Changes a row by a JSON merge patch (RFC 7396); what it does not name stays, what it says is null goes back to
/// what it is when nobody says.
pub async fn patch<R: Editable>(
    transaction: &Transaction<'_>,
    scope: Scope<'_>,
    id: &R::Id,
    patch: &Value,
    expected_version: Option<i64>,
) -> Outcome<R::View> {
    let (version, before) = lock::<R>(transaction, scope, id).await?;
    current(expected_version, version)?;
    let Value::Object(wish) = patch else {
        return Err(vec![Problem::new("not_an_object", "must be a JSON object").of("body")].into());
    };
    let mut row = Value::Object(before.clone());
    let mut fields = Fields::default();
    let changeable = || R::WRITABLE.iter().copied().filter(|column| !R::FIXED.contains(column));
    fields.add(
        wish.keys().filter(|name| !R::WRITABLE.contains(&name.as_str())).map(|name| body::unknown(name, changeable())),
    );
    fields.finish()?;
    merge(&mut row, patch);
    let row = checked::<R>(body::read(&row)?)?;
    let mut fields = Fields::default();
    for column in R::FIXED.iter().filter(|column| row.get(**column) != before.get(**column)) {
        fields.add([Problem::new("fixed", "stays as it was made").of(*column)]);
    }
    fields.finish()?;
    set::<R>(transaction, id, &row).await?;
    get::<R>(transaction, scope, id).await
}

async fn set<R: Editable>(transaction: &Transaction<'_>, id: &R::Id, row: &Map<String, Value>) -> Outcome<()> {
    let columns = R::WRITABLE.iter().filter(|column| !R::FIXED.contains(column));
    let sets: Vec<String> = columns.map(|column| format!("{column} = r.{column}")).collect();
    let sql = format!(
        "UPDATE {0} AS t SET {1} FROM jsonb_populate_record(NULL::{0}, $2) AS r WHERE t.{2} = $1",
        R::TABLE,
        sets.join(", "),
        R::KEY
    );
    let statement = transaction.prepare_cached(&sql).await?;
    let changed = transaction.execute(&statement, &[id, &Json(row)]).await;
    changed.map_err(|error| refused::<R>(error, During::Write))?;
    Ok(())
}

/// Removes a row.
pub async fn delete<R: Editable>(
    transaction: &Transaction<'_>,
    scope: Scope<'_>,
    id: &R::Id,
    expected_version: Option<i64>,
) -> Outcome<()> {
    let (version, _) = lock::<R>(transaction, scope, id).await?;
    current(expected_version, version)?;
    let (table, key) = (R::TABLE, R::KEY);
    let sql = match R::REMOVAL {
        Some(set) => format!("UPDATE {table} AS t SET {set} WHERE t.{key} = $1"),
        None => format!("DELETE FROM {table} AS t WHERE t.{key} = $1"),
    };
    let statement = transaction.prepare_cached(&sql).await?;
    let gone = transaction.execute(&statement, &[id]).await;
    match gone.map_err(|error| refused::<R>(error, During::Delete))? {
        0 => Err(not_found::<R>(id)),
        _ => Ok(()),
    }
}
