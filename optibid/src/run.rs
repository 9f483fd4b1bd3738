//! `optibid run`: the whole program, wired here and nowhere else, from top to bottom in the order of the data.
//! Stopping goes the same way: source, dataflow, sinks; the API with them.

use std::sync::Arc;

use anyhow::{Context, Result};
use model::{Names, T};
use pipeline::source::embedded::Embedded;
use pipeline::{Feed, Parts, Pipeline, Shutdown};
use prometheus::Registry;
use tokio::sync::{oneshot, watch};

use crate::config::Config;
use crate::feeder::{self, Feeder};
use crate::front::{self, Front};
use crate::{accounts, migrations, services, stores};

/// Which process of how many this is: over the `[pipeline.cluster]` section.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Processes that compute together.
    #[arg(long, env = "OPTIBID_PROCESSES", value_name = "N")]
    processes: Option<usize>,
    /// Which of them this is, from 0. Process 0 serves the API and feeds the stores.
    #[arg(long, env = "OPTIBID_INDEX", value_name = "I")]
    index: Option<usize>,
    /// Where they listen for each other: host:port of each, separated by commas, or one with {index} in it for all.
    #[arg(long, env = "OPTIBID_HOSTS", value_name = "HOSTS")]
    hosts: Option<String>,
}

impl Args {
    /// The configuration with what was said here.
    pub(crate) fn apply(self, mut config: Config) -> Config {
        let cluster = &mut config.pipeline.cluster;
        cluster.processes = self.processes.unwrap_or(cluster.processes);
        cluster.index = self.index.unwrap_or(cluster.index);
        cluster.hosts = self.hosts.unwrap_or_else(|| std::mem::take(&mut cluster.hosts));
        config
    }
}

/// What accounts begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seed {
    /// Whatever there is.
    Nothing,
    /// The demo's organisation and its people, with passwords that everybody knows.
    Demo,
}

/// Runs until Ctrl-C, SIGTERM or the end of the dataflow. `feeder` sends records beside it.
#[expect(clippy::too_many_lines, reason = "the wiring of the whole program, once, from top to bottom")]
pub(crate) async fn run(mut config: Config, feeder: Option<Feeder>, seed: Seed) -> Result<()> {
    config.pipeline.validate()?;
    if !config.pipeline.cluster.leads() {
        // Stores, SQL and the simulated market are process 0's.
        config.sinks = sinks::Config::none();
        config.sql.pgwire.enabled = false;
        config.simulation.enabled = false;
        config.platform.enabled = false;
    }
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let stage = pipeline::Stage::default();
    let starting = {
        let stage = stage.clone();
        api::Starting::new(&config.api, move || stage.now())?
    };
    let (registry, zones, names) = (Registry::new(), config.zone_table()?, Arc::new(Names::default()));

    // The broker.
    let embedded = match config.pipeline.kafka.bootstrap.as_str() {
        "" => Some(Embedded::start(&config.pipeline, &zones).context("start the embedded broker")?),
        _ => None,
    };
    let bootstrap =
        embedded.as_ref().map_or(&config.pipeline.kafka.bootstrap as &str, Embedded::bootstrap_servers).to_owned();

    // The stores. They stop after the dataflow, once they have written what it closed.
    let sinks_config = config.sinks_with(&bootstrap, embedded.is_some());
    let drained = Shutdown::new();
    let accounts_config = config.accounts();
    let migrated = migrations::start(&sinks_config, &accounts_config, &shutdown);
    let context = sinks::Context { names: Arc::clone(&names), zones: zones.clone() };
    let metrics = sinks::Metrics::new(&registry)?;
    let spawned = stores::spawn(&sinks_config, &context, &metrics, &migrated, || drained.stopping())?;
    let (handles, drivers): (Vec<_>, Vec<_>) = spawned.into_iter().unzip();
    let queues = handles.iter().map(|handle| Box::new(stores::Queue(handle.clone())) as _).collect();

    // The dataflow.
    let (begin, may_begin) = oneshot::channel();
    let (log, durable) = durability(&config, &names, &handles, embedded.is_some(), &shutdown)?;
    let parts = Parts {
        feed: embedded.map_or(Feed::Kafka, Feed::Embedded),
        queues,
        log,
        durable,
        stage,
        begin: Some(may_begin),
        written: handles
            .iter()
            .find(|handle| handle.name() == "history")
            .cloned()
            .map(|h| Box::new(move || h.acked_t()) as _),
        limits: config.snapshot,
        metrics: pipeline::Metrics::new(&registry)?,
    };
    let is_embedded = matches!(parts.feed, Feed::Embedded(_));
    let start = {
        let (pipeline, operators) = (config.pipeline.clone(), config.operators.clone());
        let (zones, names, shutdown) = (zones.clone(), Arc::clone(&names), shutdown.clone());
        // Reading a checkpoint takes a while and blocks.
        move || Pipeline::start(pipeline, operators, zones, names, parts, &shutdown)
    };
    let pipeline = tokio::task::spawn_blocking(start).await.context("start the pipeline")??;

    // Accounts.
    let platform = accounts::open(&accounts_config, &shutdown)?;
    if let (Some(platform), Seed::Demo) = (&platform, seed) {
        tokio::spawn(accounts::seed_demo(platform.clone(), migrated, shutdown.clone()));
    }

    // SQL, the API, the WebSocket, the page.
    let producer = match is_embedded {
        true => feeder::embedded_producer(&config.pipeline.kafka, &bootstrap, pipeline.shared_positions())?,
        false => feeder::external_producer(&config.pipeline.kafka)?,
    };
    let parts = front::Parts {
        live: Arc::clone(&pipeline.snapshot),
        batches: pipeline.batches.clone(),
        zones: zones.clone(),
        names,
        history: sinks_config.history.enabled.then(|| sinks_config.history.root.clone()),
        producer: producer.clone(),
        health: services::health(pipeline.clone(), handles, sinks_config.disabled()),
        is_current: {
            let pipeline = pipeline.clone();
            Arc::new(move || pipeline.is_current())
        },
        registry,
        platform: platform.clone(),
    };
    let front = Front::open(&config, parts, starting, &shutdown).await?;
    // The WebSocket has subscribed: from here on it sees every moment. (It may be gone only when the program ends.)
    let _ = begin.send(());
    let front = front.start(&shutdown);

    // The market.
    let feeder = feeder.or_else(|| config.simulation.enabled.then(|| simulated(&config)));
    let feeding = feeder.map(|feeder| tokio::spawn(feed(feeder, zones, producer, shutdown.clone())));

    let result = pipeline.wait().await.map_err(|error| anyhow::anyhow!(error));
    shutdown.stop();
    drained.stop();
    for driver in drivers {
        driver.await.context("a sink's driver")?;
    }
    if let Some(feeding) = feeding {
        feeding.await.context("the feeder")?;
    }
    front.end().await?;
    tracing::info!("ended");
    result
}

type Durability = (Option<Box<dyn pipeline::Log>>, Option<pipeline::Durable>);

/// What makes the state outlive the program: the log of bindings on the source's broker, and checkpoints.
fn durability(
    config: &Config,
    names: &Arc<Names>,
    handles: &[sinks::Handle],
    is_embedded: bool,
    shutdown: &Shutdown,
) -> Result<Durability> {
    if !config.checkpoint.enabled {
        return Ok((None, None));
    }
    anyhow::ensure!(
        !is_embedded,
        "checkpoint.enabled needs a broker that outlives the program: set pipeline.kafka.bootstrap"
    );
    config.checkpoint.validate(&config.operators)?;
    let checkpoints = config.checkpoints();
    let log = pipeline::binding::kafka::Kafka::new(&config.pipeline.kafka, names, shutdown)?;
    let handles = handles.to_vec();
    let durable = pipeline::Durable {
        store: checkpoints.open()?,
        config: checkpoints,
        written: Box::new(move || handles.iter().map(sinks::Handle::acked_t).min().unwrap_or(T::MAX)),
    };
    Ok((Some(Box::new(log)), Some(durable)))
}

fn simulated(config: &Config) -> Feeder {
    Feeder::Simulated { simulation: config.simulation.clone(), warm_up_ms: 0 }
}

/// Sends records beside the pipeline. When it fails the pipeline goes on: there may be other producers.
async fn feed(feeder: Feeder, zones: model::Zones, producer: simulator::Producer, shutdown: Shutdown) {
    let (stop, stopped) = watch::channel(false);
    let watcher = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            shutdown.stopping().await;
            stop.send_replace(true);
        }
    });
    if let Err(error) = feeder.run(&zones, &producer, stopped).await
        && !shutdown.is_stopping()
    {
        tracing::error!(error = format!("{error:#}"), "sending records failed");
    }
    watcher.abort();
}
