//! PostgreSQL's own tables and functions, as far as its clients ask for them: psql's `\d`, Grafana, drivers.

pub(crate) mod functions;
pub(crate) mod rewrite;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::error::Result;

/// The tables of the schema `pg_catalog`.
pub(crate) fn tables() -> Result<BTreeMap<&'static str, Arc<dyn TableProvider>>> {
    Ok(BTreeMap::new())
}
