//! A page of any resource: one query, with one row more than was asked for.

use deadpool_postgres::Transaction;
use tokio_postgres::types::Json;

use super::Resource;
use super::engine::{Scope, Sql, shown};
use super::filter::Key;
use super::query::{Page, Query};
use crate::refusal::Outcome;

/// A page of rows. `parameters` are those of a request: `limit`, `sort`, `cursor`, `q` and the resource's filters.
pub async fn list<R: Resource>(
    transaction: &Transaction<'_>,
    scope: Scope<'_>,
    parameters: &[(String, String)],
) -> Outcome<Page<R::View>> {
    let query = Query::read::<R>(parameters)?;
    let id = match &query.after {
        Some((_, id)) => <R::Id as Key>::parse(id),
        None => None,
    };
    let mut values: Vec<Sql<'_>> = Vec::new();
    let mut conditions = vec![R::VISIBLE.to_owned()];
    for (column, value) in scope {
        values.push(value);
        conditions.push(format!("t.{column} = ${}", values.len()));
    }
    for (filter, value) in &query.filters {
        values.push(value.sql());
        conditions.push(format!("({})", filter.sql.replace('?', &format!("${}", values.len()))));
    }
    if let Some(pattern) = &query.search {
        values.push(pattern);
        let each: Vec<String> = R::SEARCH.iter().map(|c| format!("t.{c} ILIKE ${}", values.len())).collect();
        conditions.push(format!("({})", each.join(" OR ")));
    }
    let (column, key) = (query.sort.column(), R::KEY);
    let (way, beyond) = if query.sort.is_down() { ("DESC", "<") } else { ("ASC", ">") };
    if let (Some((value, _)), Some(id)) = (&query.after, &id) {
        values.push(value.sql());
        values.push(id);
        let n = values.len();
        conditions.push(format!("(t.{column}, t.{key}) {beyond} (${}, ${n})", n - 1));
    }
    // One more than asked for: then there are rows after these.
    let more = query.limit + 1;
    values.push(&more);
    let sql = format!(
        "SELECT to_jsonb(t), t.{column}, t.{key}::text FROM (SELECT {} FROM {} AS t WHERE {} \
         ORDER BY t.{column} {way}, t.{key} {way} LIMIT ${}) AS t ORDER BY t.{column} {way}, t.{key} {way}",
        shown::<R>(),
        R::FROM,
        conditions.join(" AND "),
        values.len()
    );
    // There are very many combinations of filters: a connection remembers the common ones alone.
    let rows = if query.filters.len() + scope.len() < 2 && query.search.is_none() {
        let statement = transaction.prepare_cached(&sql).await?;
        transaction.query(&statement, &values).await?
    } else {
        transaction.query(sql.as_str(), &values).await?
    };
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let next_cursor = match rows.get(limit.wrapping_sub(1)) {
        Some(last) if rows.len() > limit => Some(query.cursor_after(last, 1)?),
        _ => None,
    };
    let items = rows.iter().take(limit).map(|row| Ok(row.try_get::<_, Json<R::View>>(0)?.0));
    Ok(Page { items: items.collect::<Result<_, tokio_postgres::Error>>()?, next_cursor })
}
