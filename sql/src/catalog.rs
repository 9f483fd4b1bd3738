//! What names mean inside one query: catalog `optibid`, schema `public` with the tables over one snapshot, and the
//! schema `pg_catalog` that PostgreSQL's clients ask. Made anew for every query, so that all its tables show one T.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::error::Result;

/// Name of the only catalog (database).
pub(crate) const CATALOG: &str = "optibid";
/// Name of the schema with the tables.
pub(crate) const SCHEMA: &str = "public";
/// Name of the schema with PostgreSQL's own tables.
pub(crate) const PG_CATALOG: &str = "pg_catalog";

type Tables = BTreeMap<&'static str, Arc<dyn TableProvider>>;

/// All names of one query.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    public: Arc<Schema>,
    pg_catalog: Arc<Schema>,
}

impl Names {
    /// Names of these tables.
    pub(crate) fn new(tables: Tables, pg_catalog: &Arc<Tables>) -> Self {
        // PostgreSQL finds its own tables without their schema's name, but lists them under it.
        let public = Schema { tables: Arc::new(tables), behind: Some(Arc::clone(pg_catalog)) };
        let pg_catalog = Schema { tables: Arc::clone(pg_catalog), behind: None };
        Self { public: Arc::new(public), pg_catalog: Arc::new(pg_catalog) }
    }
}

impl CatalogProviderList for Names {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let found: Arc<dyn CatalogProvider> = Arc::new(self.clone());
        (name == CATALOG).then_some(found)
    }
}

impl CatalogProvider for Names {
    fn schema_names(&self) -> Vec<String> {
        // `pg_catalog` can be asked, but lists would only be longer for it.
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            SCHEMA => Some(Arc::clone(&self.public) as Arc<dyn SchemaProvider>),
            PG_CATALOG => Some(Arc::clone(&self.pg_catalog) as Arc<dyn SchemaProvider>),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Schema {
    tables: Arc<Tables>,
    behind: Option<Arc<Tables>>,
}

impl Schema {
    fn find(&self, name: &str) -> Option<&Arc<dyn TableProvider>> {
        self.tables.get(name).or_else(|| self.behind.as_ref()?.get(name))
    }
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.find(name).cloned())
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}
