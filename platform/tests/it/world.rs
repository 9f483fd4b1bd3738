//! A database of a test's own, with two organisations in it.
//!
//! The migrations are read from where they lie and run once a server, into a database that the others are copies of.

use std::path::Path;

use model::humane::Span;
use platform::database::{self, Actor, Database, DatabaseRole, Kind, Transaction};
use platform::permission::Role;
use platform::refusal::{Failure, Outcome, Refusal};
use serde_json::{Map, Value};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::server;

/// A member of an organisation.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: Uuid,
    pub(crate) membership: Uuid,
    pub(crate) organisation: Uuid,
    pub(crate) role: Role,
}

impl Person {
    /// The person at work.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            role: DatabaseRole::Tenant,
            kind: Kind::User,
            organisation: Some(self.organisation),
            user: Some(self.user),
            member: Some(self.role),
            address: Some("192.0.2.7".parse().unwrap()),
            request: Some("request-1".to_owned()),
        }
    }

    /// As an operator of the platform.
    pub(crate) fn operator(&self) -> Actor {
        Actor { organisation: None, member: None, ..self.actor().with_role(DatabaseRole::Operator) }
    }
}

/// An organisation with one member of each kind.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) id: Uuid,
    pub(crate) admin: Person,
    pub(crate) trader: Person,
}

/// A database with two tenants.
pub(crate) struct World {
    /// Where the database is.
    pub(crate) url: String,
    /// As a superuser, whom no policy holds.
    pub(crate) root: Client,
    pub(crate) database: Database,
    pub(crate) a: Tenant,
    pub(crate) b: Tenant,
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn migrations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/schemas/postgres");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text = |path: &Path| (path.display().to_string(), std::fs::read_to_string(path).unwrap());
    files.iter().map(|path| text(path)).collect()
}

fn at(url: &str, database: &str) -> String {
    format!("{}/{database}", url.rsplit_once('/').unwrap().0)
}

/// The database that the others are copies of: made by whoever comes first.
async fn template(url: &str, server: &Client) -> String {
    let files = migrations();
    let hash = files
        .iter()
        .flat_map(|(_, text)| text.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let (name, draft) = (format!("platform_{hash:016x}"), format!("platform_{hash:016x}_draft"));
    server.execute("SELECT pg_advisory_lock(7261)", &[]).await.unwrap();
    let found = server.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.unwrap();
    if found.is_none() {
        server.batch_execute(&format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await.unwrap();
        server.batch_execute(&format!("CREATE DATABASE {draft}")).await.unwrap();
        let client = connect(&at(url, &draft)).await;
        for (file, text) in files {
            client.batch_execute(&text).await.unwrap_or_else(|error| panic!("{file}: {error:?}"));
        }
        drop(client);
        // The session ends when the server notices.
        let gone = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
        server.execute(gone, &[&draft]).await.unwrap();
        loop {
            if server.batch_execute(&format!("ALTER DATABASE {draft} RENAME TO {name}")).await.is_ok() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    server.execute("SELECT pg_advisory_unlock(7261)", &[]).await.unwrap();
    name
}

/// A world of a test's own.
pub(crate) async fn world(test: &str) -> World {
    let (url, name) = (server::address("POSTGRES"), server::unique(test));
    let server = connect(&url).await;
    let template = template(&url, &server).await;
    server.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
    let url = at(&url, &name);
    let root = connect(&url).await;
    let zone = "INSERT INTO zones (code, name, aliases, timezone, currency, market, country, latitude, longitude, limits) \
        SELECT code, code, '{}', 'America/New_York', 'USD', 'x', 'US', 40, -75, '[]' FROM unnest('{PJM,CAISO}'::text[]) AS code";
    root.batch_execute(zone).await.unwrap();
    let a = tenant(&root, "alpha").await;
    let b = tenant(&root, "beta").await;
    let database = Database::new(&url, 8, Span::from_millis(60_000)).unwrap();
    World { url, root, database, a, b }
}

async fn tenant(root: &Client, name: &str) -> Tenant {
    let code = name.to_uppercase();
    let sql = "INSERT INTO organisations (code, name) VALUES ($1, $2) RETURNING id";
    let id = root.query_one(sql, &[&code, &format!("Organisation {name}")]).await.unwrap().get(0);
    let admin = person(root, id, Role::Admin, &format!("admin@{name}.example")).await;
    let trader = person(root, id, Role::Trader, &format!("trader@{name}.example")).await;
    Tenant { id, admin, trader }
}

/// One more member.
pub(crate) async fn person(root: &Client, organisation: Uuid, role: Role, email: &str) -> Person {
    let sql = "INSERT INTO users (email, full_name) VALUES ($1, $2) RETURNING id";
    let user: Uuid = root.query_one(sql, &[&email, &format!("Person of {email}")]).await.unwrap().get(0);
    let sql = "INSERT INTO memberships (organisation_id, user_id, role) VALUES ($1, $2, $3) RETURNING id";
    let membership = root.query_one(sql, &[&organisation, &user, &role.as_str()]).await.unwrap().get(0);
    Person { user, membership, organisation, role }
}

impl World {
    /// Works as somebody, and commits what was not refused.
    pub(crate) async fn run<V>(
        &self,
        actor: &Actor,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Outcome<V>,
    ) -> Outcome<V> {
        let mut client = self.database.client().await?;
        let transaction = database::begin(&mut client, actor).await?;
        let done = work(&transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// The first column of the first row, as a superuser.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.root.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// The unlimited plan for both.
    pub(crate) async fn unlimited(&self) {
        let sql = "INSERT INTO subscriptions (organisation_id, plan) SELECT id, 'enterprise' FROM organisations";
        self.root.batch_execute(sql).await.unwrap();
    }
}

/// The refusal that is expected.
#[track_caller]
pub(crate) fn refused<V: std::fmt::Debug>(outcome: Outcome<V>) -> Refusal {
    match outcome {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("this should have been refused: {other:?}"),
    }
}

/// Fields and codes of what is expected to be invalid.
#[track_caller]
pub(crate) fn invalid<V: std::fmt::Debug>(outcome: Outcome<V>) -> Vec<(String, &'static str)> {
    match refused(outcome) {
        Refusal::Invalid(errors) => errors.into_iter().map(|error| (error.field, error.code)).collect(),
        other => panic!("this should have been invalid: {other:?}"),
    }
}

/// Code and fields of the conflict that is expected.
#[track_caller]
pub(crate) fn conflict<V: std::fmt::Debug>(outcome: Outcome<V>) -> (&'static str, Vec<&'static str>) {
    match refused(outcome) {
        Refusal::Conflict { code, fields, .. } => (code, fields),
        other => panic!("this should have been a conflict: {other:?}"),
    }
}

/// Parameters of a list.
pub(crate) fn parameters<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Nothing that is not the caller's to say.
pub(crate) fn nothing() -> Map<String, Value> {
    Map::new()
}
