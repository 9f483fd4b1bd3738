//! The PostgreSQL protocol through tokio-postgres.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::humane::Secret;
use model::{Batch, Reader};
use sql::pgwire::Logins;
use sql::{Config, PgwireConfig};
use tokio::sync::oneshot;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::world::{NOW, World, t};

/// A running server; stops when dropped.
pub(crate) struct Server {
    pub(crate) port: u16,
    _stop: oneshot::Sender<()>,
}

impl Server {
    pub(crate) async fn start(world: &World, config: PgwireConfig) -> Self {
        Self::with(world, config, None).await
    }

    async fn with(world: &World, config: PgwireConfig, logins: Option<Arc<dyn Logins>>) -> Self {
        let config = PgwireConfig { listen: "127.0.0.1:0".into(), ..config };
        let listener = sql::pgwire::bind(&config).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        let engine = world.engine.clone();
        tokio::spawn(async move {
            let shutdown = async move {
                let _ = stopped.await;
            };
            sql::pgwire::serve(listener, engine, &config, logins, shutdown).await;
        });
        Self { port, _stop: stop }
    }

    async fn connect(&self, password: Option<&str>) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("trader").dbname("optibid");
        if let Some(password) = password {
            config.password(password);
        }
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

async fn connected() -> (World, Server, Client) {
    let world = World::new();
    let server = Server::start(&world, PgwireConfig::default()).await;
    let client = server.connect(None).await.unwrap();
    (world, server, client)
}

async fn texts(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
        _ => None,
    });
    rows.collect()
}

#[tokio::test]
async fn simple_queries_answer_in_text() {
    let (_world, _server, client) = connected().await;
    let rows = texts(
        &client,
        "SELECT start_time, zone, close, volume IS NULL AS no, count, std FROM bars WHERE zone = 'PJM' AND granularity = '1m' AND start_time = '2026-03-10T11:59:00Z'",
    )
    .await;
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(rows, [vec![some("2026-03-10 11:59:00+00"), some("PJM"), some("50"), some("f"), some("1"), None]]);
    let rows = texts(
        &client,
        "SET application_name = 'test'; SELECT current_setting('application_name'); SHOW server_version_num",
    )
    .await;
    assert_eq!(rows, [vec![some("test")], vec![some("150000")]]);
    assert_eq!(
        texts(&client, "SELECT ARRAY['a b', NULL], current_user").await,
        [vec![some("{\"a b\",NULL}"), some("trader")]]
    );
    assert!(client.simple_query("").await.unwrap().len() <= 1);
}

#[tokio::test]
async fn extended_queries_bind_parameters_and_answer_in_binary() {
    let (_world, _server, client) = connected().await;
    let statement = client
        .prepare("SELECT t, zone, close, count, vwap, std FROM bars WHERE zone = $1 AND start_time >= $2 AND close > $3 AND granularity = '1m' ORDER BY start_time LIMIT $4")
        .await
        .unwrap();
    let from: DateTime<Utc> = "2026-03-10T11:00:00Z".parse().unwrap();
    let rows = client.query(&statement, &[&"PJM", &from, &20.5_f64, &2_i64]).await.unwrap();
    type Row = (DateTime<Utc>, String, f64, i64, Option<f64>, Option<f64>);
    let seen: Vec<Row> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5))).collect();
    let now: DateTime<Utc> = NOW.parse().unwrap();
    assert_eq!(seen, [(now, "PJM".into(), 30.0, 1, Some(30.0), None), (now, "PJM".into(), 40.0, 1, Some(40.0), None)]);
    // The same statement again, with other values and a NULL.
    let none: Option<&str> = None;
    assert!(client.query(&statement, &[&none, &from, &0.0_f64, &9_i64]).await.unwrap().is_empty());
    let row = client
        .query_one(
            "SELECT $1::text || 'x', $2::int, true, NULL::int, aliases, $2::int + 1 FROM zones WHERE zone = 'PJM'",
            &[&"a", &41_i32],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, String>(0), row.get::<_, i32>(1), row.get::<_, bool>(2)), ("ax".into(), 41, true));
    // Whole-number literals are bigint here, so the sum is one.
    assert_eq!(row.get::<_, i64>(5), 42);
    assert_eq!(row.get::<_, Option<i32>>(3), None);
    let _: Vec<String> = row.get(4);
    let row = client
        .query_one("SELECT DATE '2026-03-10', TIMESTAMP '2026-03-10T01:02:03.5', 1::smallint, 2.5::real", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, chrono::NaiveDate>(0).to_string(), "2026-03-10");
    assert_eq!(row.get::<_, chrono::NaiveDateTime>(1).to_string(), "2026-03-10 01:02:03.500");
    assert_eq!((row.get::<_, i16>(2), row.get::<_, f32>(3)), (1, 2.5));
}

#[tokio::test]
async fn errors_have_their_sqlstate_and_the_connection_lives_on() {
    let (_world, _server, client) = connected().await;
    for (sql, state, says) in [
        ("SELEC 1", SqlState::SYNTAX_ERROR, "syntax"),
        (
            "SELECT * FROM bar",
            SqlState::UNDEFINED_TABLE,
            "anomalies, awards, bars, bid_kpis, bid_versions, bids, clearing",
        ),
        ("SELECT prize FROM bars", SqlState::UNDEFINED_COLUMN, "columns are"),
        ("SELECT frobnicate(1)", SqlState::UNDEFINED_FUNCTION, "frobnicate"),
        ("DROP TABLE bars", SqlState::READ_ONLY_SQL_TRANSACTION, "read-only"),
        ("INSERT INTO bars SELECT * FROM bars", SqlState::READ_ONLY_SQL_TRANSACTION, "read-only"),
        ("SELECT 1 / 0", SqlState::DIVISION_BY_ZERO, "zero"),
        ("SELECT 'x'::int", SqlState::INVALID_TEXT_REPRESENTATION, "x"),
        ("SHOW no_such_setting", SqlState::UNDEFINED_OBJECT, "no_such_setting"),
    ] {
        for error in [client.simple_query(sql).await.unwrap_err(), client.query(sql, &[]).await.unwrap_err()] {
            let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
            assert_eq!((error.code(), error.message().contains(says)), (&state, true), "{sql}: {}", error.message());
        }
    }
    assert_eq!(client.query_one("SELECT 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_transaction_reads_one_t_and_statement_timeout_holds() {
    let (world, _server, mut client) = connected().await;
    let t_ms = "SELECT t_ms::bigint FROM system_state";
    let now = i64::try_from(t(NOW)).unwrap();
    let transaction = client.transaction().await.unwrap();
    assert_eq!(transaction.query_one(t_ms, &[]).await.unwrap().get::<_, i64>(0), now);
    let mut next = (*world.live.load_full()).clone();
    next.apply(&Batch { t: t(NOW) + 5, ..Batch::default() });
    world.live.store(Arc::new(next));
    assert_eq!(transaction.query_one(t_ms, &[]).await.unwrap().get::<_, i64>(0), now);
    transaction.commit().await.unwrap();
    assert_eq!(client.query_one(t_ms, &[]).await.unwrap().get::<_, i64>(0), now + 5);

    client.simple_query("SET statement_timeout = '100ms'").await.unwrap();
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 1000000000) b WHERE a.value * b.value = 7";
    let error = client.simple_query(endless).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    client.simple_query("RESET statement_timeout").await.unwrap();
    let cancel = client.cancel_token();
    let running = client.simple_query(endless);
    tokio::pin!(running);
    let cancelled = loop {
        // A request that comes before the query has begun finds nothing to cancel: ask until it is heard.
        tokio::select! {
            ended = &mut running => break ended,
            asked = cancel.cancel_query(NoTls) => asked.unwrap(),
        }
    };
    assert_eq!(cancelled.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
}

#[tokio::test]
async fn a_password_is_asked_for_where_there_is_one() {
    let world = World::with(Config::default());
    let config = PgwireConfig { password: Some(Secret::new("s3cret")), ..PgwireConfig::default() };
    let server = Server::start(&world, config).await;
    let client = server.connect(Some("s3cret")).await.unwrap();
    client.simple_query("SELECT 1").await.unwrap();
    let refused = server.connect(Some("wrong")).await.expect_err("a wrong password is refused");
    assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD));
    assert!(server.connect(None).await.is_err());
}

/// Whoever has Acme's key.
struct OneKey;

#[async_trait::async_trait]
impl Logins for OneKey {
    async fn login(&self, user: &str, password: &str, _: &str) -> Result<Reader, String> {
        match (user, password) {
            ("trader", "obk_acme") => Ok(Reader::Organisation("Acme".into())),
            _ => Err("no such key".to_owned()),
        }
    }
}

#[tokio::test]
async fn where_there_are_accounts_each_reads_with_their_own_eyes() {
    let world = World::new();
    let server = Server::with(&world, PgwireConfig::default(), Some(Arc::new(OneKey))).await;
    let refused = server.connect(Some("obk_beta")).await.expect_err("nobody has that key");
    assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD));
    assert!(!refused.to_string().contains("no such key"), "the reason stays here: {refused}");
    assert!(server.connect(None).await.is_err());
    let client = server.connect(Some("obk_acme")).await.unwrap();
    let bids = "SELECT bid FROM bids ORDER BY bid";
    let own = ["b-0", "b-1", "s-1"].map(|bid| [Some(bid.to_owned())]);
    assert_eq!(texts(&client, bids).await, own);
    // Prepared, inside a transaction, and after everything was reset: the same eyes.
    let rows = client.query("SELECT bid FROM bids WHERE organisation <> $1", &[&"Acme"]).await.unwrap();
    assert!(rows.is_empty());
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(texts(&client, bids).await, own);
    client.batch_execute("COMMIT").await.unwrap();
    client.batch_execute("RESET ALL").await.unwrap();
    assert_eq!(texts(&client, bids).await, own);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_in_words() {
    let world = World::new();
    let server = Server::start(&world, PgwireConfig { max_connections: 1, ..PgwireConfig::default() }).await;
    let first = server.connect(None).await.unwrap();
    let refused = server.connect(None).await.expect_err("the second is one too many");
    assert_eq!(refused.code(), Some(&SqlState::TOO_MANY_CONNECTIONS), "{refused}");
    first.simple_query("SELECT 1").await.unwrap();
}
