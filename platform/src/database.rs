//! PostgreSQL as the platform uses it: a pool, and transactions that begin by saying as whom.
//!
//! ```text
//! Actor (who, for which organisation, from where) ─► BEGIN; set_config(role, organisation, user, …) ─► rows of that tenant alone
//! ```
//! Nothing is read or written outside such a transaction: row-level security then decides what there is, and the audit
//! triggers know who it was. The settings end with the transaction, so a pooled connection carries nobody over.

use std::net::IpAddr;

pub use deadpool_postgres::{Object, Transaction};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use model::humane::Span;
use tokio_postgres::{IsolationLevel, NoTls};
use uuid::Uuid;

use crate::error::Error;
use crate::permission::Role;

/// Connections to the platform's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: Pool,
}

/// The role of the database that a transaction takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseRole {
    /// A member of an organisation: its rows alone.
    Tenant,
    /// Whoever signs in: accounts, sessions and keys, and nothing else.
    Identity,
    /// An operator of the platform.
    Operator,
    /// The platform's own jobs: retention, delivery, seeding.
    System,
}

impl DatabaseRole {
    /// Its name.
    fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "optibid_tenant",
            Self::Identity => "optibid_identity",
            Self::Operator => "optibid_operator",
            Self::System => "optibid_system",
        }
    }
}

/// What acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    User,
    /// A program with this API key.
    ApiKey(Uuid),
    /// The platform itself.
    System,
}

/// Who does something, for the rows they may see and for the audit log.
#[derive(Clone, Debug)]
pub struct Actor {
    /// As what the database is asked.
    pub role: DatabaseRole,
    /// What acts.
    pub kind: Kind,
    /// For which organisation.
    pub organisation: Option<Uuid>,
    /// Which person.
    pub user: Option<Uuid>,
    /// What they are in the organisation.
    pub member: Option<Role>,
    /// From where.
    pub address: Option<IpAddr>,
    /// Id of the request.
    pub request: Option<String>,
}

impl Actor {
    /// The platform itself, in one of its jobs.
    pub fn system() -> Self {
        Self::nobody(DatabaseRole::System, Kind::System)
    }

    /// Whoever signs in, from an address: nobody yet.
    pub fn identity(address: Option<IpAddr>, request: Option<String>) -> Self {
        Self { address, request, ..Self::nobody(DatabaseRole::Identity, Kind::User) }
    }

    fn nobody(role: DatabaseRole, kind: Kind) -> Self {
        Self { role, kind, organisation: None, user: None, member: None, address: None, request: None }
    }

    /// The same one, in another role of the database.
    #[must_use]
    pub fn with_role(&self, role: DatabaseRole) -> Self {
        Self { role, ..self.clone() }
    }
}

/// `role` first: it is what the others are read by. Local to the transaction, all of them.
const BEGIN: &str = "SELECT set_config('role', $1, true), set_config('optibid.organisation', $2, true), \
    set_config('optibid.user', $3, true), set_config('optibid.role', $4, true), set_config('optibid.actor', $5, true), \
    set_config('optibid.api_key', $6, true), set_config('optibid.address', $7, true), set_config('optibid.request', $8, true)";

impl Database {
    /// Connections to `url`, made as they are needed, at most `size` at a time; whoever waits longer than `patience` for one
    /// is told so.
    pub fn new(url: &str, size: usize, patience: Span) -> Result<Self, Error> {
        let config: tokio_postgres::Config =
            url.parse().map_err(|error| Error::Config(format!("address of PostgreSQL: {error}")))?;
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(size.max(1))
            .wait_timeout(Some(patience.0))
            .create_timeout(Some(patience.0))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Config(format!("pool of PostgreSQL: {error}")))?;
        Ok(Self { pool })
    }

    /// A connection. What is done with it begins with [`begin`].
    pub async fn client(&self) -> Result<Object, Error> {
        self.pool.get().await.map_err(Error::Pool)
    }

    /// Connections in use, and at most.
    pub fn in_use(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.max_size)
    }
}

/// Begins a transaction as `actor`. Dropped without a commit it is rolled back.
pub async fn begin<'c>(client: &'c mut Object, actor: &Actor) -> Result<Transaction<'c>, Error> {
    let transaction = client.transaction().await?;
    set(&transaction, actor).await?;
    Ok(transaction)
}

/// Begins a transaction that sees one moment of all tables, and changes none.
pub async fn begin_snapshot<'c>(client: &'c mut Object, actor: &Actor) -> Result<Transaction<'c>, Error> {
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
    set(&transaction, actor).await?;
    Ok(transaction)
}

/// Goes on in another role of the database, for the rest of the transaction: for the few jobs that cross the border
/// between what signs people in and everything else.
pub async fn take_role(transaction: &Transaction<'_>, role: DatabaseRole) -> Result<(), Error> {
    let statement = transaction.prepare_cached("SELECT set_config('role', $1, true)").await?;
    transaction.execute(&statement, &[&role.as_str()]).await?;
    Ok(())
}

async fn set(transaction: &Transaction<'_>, actor: &Actor) -> Result<(), Error> {
    let settings = transaction.prepare_cached(BEGIN).await?;
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let (kind, key) = match actor.kind {
        Kind::User => ("user", None),
        Kind::ApiKey(key) => ("api_key", Some(key)),
        Kind::System => ("system", None),
    };
    let address = actor.address.map(|address| address.to_string()).unwrap_or_default();
    transaction
        .query_one(
            &settings,
            &[
                &actor.role.as_str(),
                &id(actor.organisation),
                &id(actor.user),
                &actor.member.map_or("", Role::as_str),
                &kind,
                &id(key),
                &address,
                &actor.request.as_deref().unwrap_or(""),
            ],
        )
        .await?;
    Ok(())
}
