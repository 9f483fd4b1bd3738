//! The start commands of the Kubernetes manifests, run as local processes: migrate, a group of workers, a replica of the
//! API. One worker is killed, the group gets other sizes, and the stores hold what one process would have written.
//!
//! From the manifests come arguments, variables, files and the number of workers a process; from here what a cluster
//! supplies: addresses, secrets, the pod's index and the size of the group.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Program, eventually, free_port};
use crate::stores::{Stores, expected, market, same, send, sql_bars, totals};

/// Records for each group.
const PART: u64 = 2_000;
const RECORDS: u64 = 5 * PART;

/// Of one pod: what it is started with.
struct Pod {
    args: Vec<String>,
    variables: BTreeMap<String, Value>,
}

/// The manifests, and what stands in for the cluster around the pods.
struct Manifests {
    all: Vec<Value>,
    stores: Stores,
    /// The bucket, and the mounted files.
    dir: tempfile::TempDir,
}

impl Manifests {
    fn read(stores: Stores) -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/k8s-validate.sh");
        let output = Command::new(script).args(["commands", "dev"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let all = serde_json::from_slice(&output.stdout).unwrap();
        Self { all, stores, dir: tempfile::tempdir().unwrap() }
    }

    fn pod(&self, name: &str) -> Pod {
        let pod = self.all.iter().find(|pod| pod["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        let files = pod["files"].as_object().unwrap();
        let mount = |arg: &str| match files.get(arg) {
            Some(text) => {
                let path = self.dir.path().join(arg.rsplit('/').next().unwrap());
                std::fs::write(&path, text.as_str().unwrap()).unwrap();
                path.to_str().unwrap().to_owned()
            }
            None => arg.to_owned(),
        };
        let args = pod["args"].as_array().unwrap().iter().map(|arg| mount(arg.as_str().unwrap())).collect();
        let variables = pod["env"].as_object().unwrap().clone().into_iter().collect();
        Pod { args, variables }
    }

    /// What the cluster puts into a variable; `None` for those that only a bucket needs.
    fn supply(&self, name: &str, value: &Value, index: usize, ports: &[u16]) -> Option<String> {
        let Stores { redis, postgres, clickhouse, source, .. } = &self.stores;
        let folder = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let hosts = || ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
        Some(match name {
            "KAFKA_BOOTSTRAP_SERVERS" => source.clone(),
            "CLICKHOUSE_HOST" => clickhouse.clone(),
            "REDIS_URL" => redis.clone(),
            "DATABASE_URL" => postgres.clone(),
            "OPTIBID__CHECKPOINT__ROOT" => folder("checkpoints"),
            "OPTIBID__SINKS__HISTORY__ROOT" => folder("history"),
            "OPTIBID_PROCESSES" => ports.len().to_string(),
            "OPTIBID_HOSTS" => hosts(),
            "OPTIBID_INDEX" => {
                assert_eq!(value["field"], "metadata.labels['apps.kubernetes.io/pod-index']");
                index.to_string()
            }
            "OPTIBID__SINKS__CLICKHOUSE__USER" => "default".to_owned(),
            "OPTIBID__SINKS__CLICKHOUSE__PASSWORD" => String::new(),
            name if name.starts_with("AWS_") => return None,
            _ => value["value"].as_str().unwrap_or("a secret").to_owned(),
        })
    }

    fn start(&self, name: &str, index: usize, ports: &[u16], sets: &[String]) -> Program {
        let pod = self.pod(name);
        let variables: Vec<(String, String)> = pod
            .variables
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), self.supply(name, value, index, ports)?)))
            .collect();
        let args: Vec<&str> = pod.args.iter().map(String::as_str).collect();
        Program::spawn(&args, &variables, sets)
    }

    /// Starts a group and waits until all have met.
    async fn group(&self, size: usize, sets: &[String]) -> Vec<Program> {
        let ports: Vec<u16> = (0..size).map(|_| free_port()).collect();
        let start = |index| self.start("optibid-worker", index, &ports, sets);
        // The last first: whoever is there waits.
        let mut group: Vec<Program> = (0..size).rev().map(start).collect();
        group.reverse();
        for program in &mut group {
            program.answers().await;
        }
        group
    }
}

/// What differs from the manifests, so that the run is short and the servers are shared with other tests.
fn sets(stores: &Stores) -> Vec<String> {
    let prefix = &stores.prefix;
    [
        format!("pipeline.kafka.prefix={prefix}"),
        format!("sinks.redis.prefix={prefix}"),
        format!("sinks.clickhouse.database={prefix}"),
        format!("sinks.kafka.prefix={prefix}"),
        "pipeline.clock=event".into(),
        "pipeline.event_step=2s".into(),
        "operators.bars.correction_horizon=24h".into(),
        "checkpoint.interval=20s".into(),
        "sinks.history.roll_interval=200ms".into(),
        "sinks.clickhouse.driver.max_delay=100ms".into(),
    ]
    .into()
}

/// Waits until so many records have been read and there is a checkpoint.
async fn gets_on(leader: &Program, records: u64) {
    eventually("the group to get on", async || {
        let checkpoint = leader.metric("optibid_pipeline_checkpoint_t").await;
        (checkpoint > 0.0 && leader.accounted().await >= records).then_some(())
    })
    .await;
}

/// All are asked to stop at once, as when pods are deleted, and end by themselves.
async fn stop(mut group: Vec<Program>) {
    group.iter().for_each(|program| program.signal("TERM"));
    for program in &mut group {
        assert_eq!(program.ends().await, Some(0), "{}", program.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_commands_survive_a_kill_and_other_sizes() {
    let zones = model::Zones::built_in();
    let stores = Stores::of_the_run("cluster").await;
    let sets = sets(&stores);
    let manifests = Manifests::read(stores);
    let stores = &manifests.stores;
    let mut migrate = manifests.start("optibid-migrate", 0, &[], &sets);
    assert_eq!(migrate.ends().await, Some(0), "{}", migrate.log());

    let mut group = manifests.group(3, &sets).await;
    let mut market = market(&zones);
    let mut sent = send(&mut market, PART, &stores.prefix).await.ticks;
    gets_on(&group[0], sent).await;
    stores.caught_up(&group[0]).await;
    stores.hold(&expected(&zones, PART)).await;

    sent += send(&mut market, PART, &stores.prefix).await.ticks;
    gets_on(&group[0], sent - PART / 2).await;
    assert_eq!(group[1].try_get("/readyz").await.0, 200);
    let (status, told) = group[1].try_get("/api/market/prices/latest").await;
    assert_eq!((status, told.contains("see /health")), (503, true), "{told}");

    group[1].kill();
    let killed = Instant::now();
    for index in [0, 2] {
        assert_eq!(group[index].ends().await, Some(1), "{}", group[index].log());
        let log = group[index].log();
        assert!(log.contains("of this group"), "process {index} says why it ends:\n{log}");
    }
    assert!(killed.elapsed() < Duration::from_secs(20), "the others end promptly: {:?}", killed.elapsed());
    drop(group);

    for size in [3, 2, 4] {
        let group = manifests.group(size, &sets).await;
        assert!(group[0].log().contains("beginning where the last life ended"), "{}", group[0].log());
        gets_on(&group[0], sent).await;
        sent += send(&mut market, PART, &stores.prefix).await.ticks;
        gets_on(&group[0], sent - PART / 2).await;
        if size != 4 {
            stop(group).await;
            continue;
        }
        let (leader, totals) = (&group[0], totals(&zones, RECORDS));
        leader.received(totals.ticks).await;
        stores.caught_up(leader).await;
        let expected = expected(&zones, RECORDS);
        stores.hold(&expected).await;
        stores.agree_on_auctions(leader).await;
        stores.agree_on_settlement(leader).await;
        same("sql", &sql_bars(leader).await, &expected);
        let health = leader.get("/health").await;
        let count = |name: &str| health["records"][name].as_u64().unwrap_or_else(|| panic!("{name} in {health}"));
        assert_eq!((count("received"), count("applied")), (totals.ticks, totals.applied));
        assert_eq!((count("duplicates"), count("dead_letters")), (totals.duplicates, totals.refused()));
        assert_eq!(count("corrected") + count("superseded"), totals.corrected);

        let mut replica = manifests.start("optibid-api", 0, &[], &sets);
        replica.answers().await;
        eventually("the replica", async || (replica.try_get("/readyz").await.0 == 200).then_some(())).await;
        same("the replica", &sql_bars(&replica).await, &expected);
        stop(group).await;
    }

    // One process with one worker, with stores of its own.
    let alone = Stores { source: stores.source.clone(), ..Stores::of_the_run("alone").await };
    let topics = [format!("pipeline.kafka.prefix={}", stores.prefix), "pipeline.workers=1".into()];
    let sets = alone.sets(&["operators.bars.correction_horizon=24h", "sinks.history.roll_interval=200ms"]);
    let program = Program::start(&["run"], &sets.into_iter().chain(topics).collect::<Vec<_>>()).await;
    eventually("every record", async || (program.accounted().await >= sent).then_some(())).await;
    alone.caught_up(&program).await;
    alone.hold(&expected(&zones, RECORDS)).await;
}
