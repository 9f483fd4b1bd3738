//! An alert was raised, and what raised it was corrected away while the program was down: after the restart every store
//! shows it withdrawn, and what an older instance still says of it does not raise it again.

use std::sync::Arc;

use model::{Alert, AlertState, Anomaly, AnomalyKind, Batch, Market, SeriesKey, Severity};
use sinks::clickhouse::ClickHouse;
use sinks::history::History;
use sinks::postgres::Postgres;
use sinks::redis::Redis;
use sinks::{Memory, Sink};

use crate::run::{self, Run, START_MS};
use crate::{clickhouse, history, postgres, redis, server};

/// A run with two more alerts: one is raised before the last life ended and withdrawn by the first new moment after
/// it, the other stands. Returns the run and how many batches the last life wrote.
fn run() -> (Run, usize) {
    let Run { context, mut batches } = run::random(61, 60);
    let series = SeriesKey { location: context.names.location("PJM", "PJM").0, market: Market::Continuous };
    let alert = |rule: &str, at: usize, state| {
        let anomaly = Anomaly {
            id: Anomaly::stable_id(rule, AnomalyKind::ZScore, series, START_MS),
            rule: rule.to_owned(),
            kind: AnomalyKind::ZScore,
            severity: Severity::Critical,
            series,
            start_ms: START_MS,
            value: 900_000_000,
            baseline: Some(40_000_000),
            z_milli: Some(9_000),
            threshold_milli: 2_500,
        };
        let revision = u32::from(state != AlertState::Raised);
        Alert { anomaly, state, raised_t: batches[20].t, changed_t: batches[at].t, revision }
    };
    let (gone, stands) = (alert("gone", 20, AlertState::Raised), alert("stands", 20, AlertState::Raised));
    let withdrawn = alert("gone", 40, AlertState::Withdrawn);
    let mut say = |at: usize, alerts: Vec<Alert>| {
        let mut batch = Batch::clone(&batches[at]);
        batch.alerts.extend(alerts);
        batches[at] = Arc::new(batch);
    };
    say(20, vec![gone, stands]);
    say(40, vec![withdrawn]);
    (Run { context, batches }, 40)
}

/// The last life, the next one, which repeats from some T on and cuts otherwise, and a straggler of the last.
async fn live(run: &Run, ended: usize, sink: impl Fn() -> Box<dyn Sink>) {
    let mut last = sink();
    last.check().await.unwrap();
    for piece in run.batches[..ended].chunks(7) {
        last.write(piece).await.unwrap();
    }
    let mut next = sink();
    for piece in run.batches[ended - 25..].chunks(11) {
        next.write(piece).await.unwrap();
    }
    last.write(&run.batches[ended - 22..ended]).await.unwrap();
}

#[tokio::test]
async fn an_alert_withdrawn_while_we_were_down_is_withdrawn_in_every_store() {
    let (run, ended) = run();
    let id = |rule: &str| {
        let found = run.last_alerts().into_iter().find(|alert| alert.anomaly.rule == rule).unwrap();
        (format!("{:016x}", found.anomaly.id), found.state)
    };
    let ((gone, state), (stands, _)) = (id("gone"), id("stands"));
    assert_eq!(state, AlertState::Withdrawn);

    let memory = Memory::default();
    live(&run, ended, || Box::new(memory.clone())).await;
    assert_eq!(memory.snapshot().alerts, run.state(60).alerts);

    let prefix = server::unique("withdrawn");
    live(&run, ended, || Box::new(Redis::new(redis::config(&prefix), run.context.clone()).unwrap())).await;
    let mut connection = redis::connect().await;
    redis::assert_stands(&mut connection, &prefix, &run).await;
    let board: Vec<String> =
        ::redis::cmd("HKEYS").arg(format!("{prefix}:alerts:current")).query_async(&mut connection).await.unwrap();
    assert!(!board.contains(&gone) && board.contains(&stands), "{board:?}");

    let (url, client) = postgres::database("withdrawn", true).await;
    live(&run, ended, || Box::new(Postgres::new(postgres::config(&url), run.context.clone()))).await;
    postgres::assert_stands(&client, &run).await;
    postgres::assert_passed(&client, &run).await;
    let current = client.query("SELECT id FROM anomalies_current", &[]).await.unwrap();
    let current: Vec<String> = current.iter().map(|row| row.get(0)).collect();
    assert!(!current.contains(&gone) && current.contains(&stands), "{current:?}");

    let config = clickhouse::database("withdrawn").await;
    let client = config.client();
    clickhouse::migrate(&client).await;
    live(&run, ended, || Box::new(ClickHouse::new(config.clone(), run.context.clone()))).await;
    clickhouse::assert_stands(&client, &run).await;
    clickhouse::assert_passed(&client, &run).await;

    let folder = tempfile::tempdir().unwrap();
    let config = history::config(folder.path());
    live(&run, ended, || Box::new(History::new(&config, run.context.clone()).unwrap())).await;
    history::assert_holds(folder.path(), &run);
}
