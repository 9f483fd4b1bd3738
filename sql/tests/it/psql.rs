//! The real psql.

use sql::PgwireConfig;
use tokio::process::Command;

use crate::pgwire::Server;
use crate::world::World;

async fn psql(server: &Server, arguments: &[&str]) -> String {
    let port = server.port.to_string();
    let output = Command::new("psql")
        .args(["-X", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &port, "-U", "trader", "-d", "optibid"])
        .args(arguments)
        .env("PGCLIENTENCODING", "UTF8")
        .output()
        .await
        .expect("psql (package postgresql-15) is installed");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "psql {arguments:?}: {err}{out}");
    assert!(!err.contains("ERROR"), "psql {arguments:?}: {err}");
    out.into_owned()
}

#[tokio::test]
async fn describes_lists_and_queries() {
    let world = World::new();
    let server = Server::start(&world, PgwireConfig::default()).await;
    for command in ["\\d", "\\dt"] {
        let out = psql(&server, &["-c", command]).await;
        for table in [
            "anomalies",
            "awards",
            "bars",
            "bid_kpis",
            "bid_versions",
            "bids",
            "clearing",
            "correlations",
            "kpis",
            "merit_order",
            "pnl",
            "settlement",
            "system_state",
            "ticks",
            "zones",
        ] {
            assert!(out.contains(&format!(" public | {table} ")), "{command}: {out}");
        }
    }
    let out = psql(&server, &["-c", "\\d bars"]).await;
    assert!(out.contains("Table \"public.bars\""), "{out}");
    for line in [
        " start_time       | timestamp with time zone |           | not null | ",
        " close            | double precision         |           | not null | ",
        " vwap             | double precision         |           |          | ",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert!(psql(&server, &["-c", "\\l"]).await.contains(" optibid | optibid | UTF8 "));
    assert!(psql(&server, &["-c", "\\dn"]).await.contains(" public | optibid"));
    assert!(psql(&server, &["-c", "\\du"]).await.contains(" optibid "));
    assert!(psql(&server, &["-c", "\\conninfo"]).await.contains("\"optibid\""));
    psql(&server, &["-c", "\\df"]).await;
    psql(&server, &["-c", "\\d+ bars"]).await;
    let out = psql(&server, &["-A", "-t", "-c", "SELECT zone, close, std FROM bars WHERE granularity = '1m' AND start_time = '2026-03-10 11:59:00+00' ORDER BY zone"]).await;
    assert_eq!(out, "NYISO|60|\nPJM|50|\n");
    let out = psql(&server, &["-A", "-t", "-c", "BEGIN", "-c", "SELECT version()", "-c", "COMMIT"]).await;
    assert!(out.contains("PostgreSQL 15"), "{out}");
    let out = psql(&server, &["--csv", "-c", "SELECT close FROM bars WHERE zone = 'PJM' AND granularity = '1m' AND start_time >= '2026-03-10T11:58:00Z' ORDER BY start_time"]).await;
    assert_eq!(out, "close\n40\n50\n");
}

/// What Grafana asks when a data source is saved and a query is built.
#[tokio::test]
async fn grafanas_questions_are_answered() {
    let world = World::new();
    let server = Server::start(&world, PgwireConfig::default()).await;
    let ask = async |sql: &str| psql(&server, &["-A", "-t", "-c", sql]).await;
    assert_eq!(ask("SELECT 1").await, "1\n");
    assert_eq!(ask("SELECT current_setting('server_version_num')::int/100 as version").await, "1500\n");
    assert_eq!(ask("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").await, "");
    let tables = ask("SELECT quote_ident(table_name) as \"table\" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog') AND table_type = 'BASE TABLE' ORDER BY 1").await;
    assert!(tables.starts_with("anomalies\nawards\nbars\n"), "{tables}");
    let columns = ask("SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns WHERE table_name = 'bars' AND column_name = 'close'").await;
    assert!(columns.starts_with("close|"), "{columns}");
    let series = ask("SELECT date_bin(INTERVAL '5 minutes', start_time) AS time, zone AS metric, avg(close) AS value FROM bars WHERE granularity = '1m' AND start_time BETWEEN '2026-03-10T11:00:00Z' AND '2026-03-10T12:00:00Z' GROUP BY 1, 2 ORDER BY 1, 2").await;
    assert_eq!(series, "2026-03-10 11:55:00+00|NYISO|80\n2026-03-10 11:55:00+00|PJM|30\n");
}
