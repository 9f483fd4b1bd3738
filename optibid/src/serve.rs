//! `optibid serve`: the API as a replica. Its live state is made from the changelog and follows it; it computes nothing
//! and keeps nothing, so there can be any number, and each can go at any time.
//!
//! ```text
//! changelog topics ─► Follower (a thread) ─► Snapshot, moments ─► the same front as `run`
//! ```
//!
//! Until the state has been whole once, `/readyz` and the WebSocket answer 503. When the changelog stands still, or its
//! broker is away, the replica goes on answering with what it has, and `/health` says how old that is.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arc_swap::ArcSwap;
use model::{Batch, Names, Snapshot};
use pipeline::Shutdown;
use prometheus::Registry;
use sinks::kafka::{Audience, FollowMetrics, Follower};
use tokio::sync::broadcast;

use crate::config::Config;
use crate::front::{self, Front};
use crate::{accounts, feeder, services};

/// Serves until Ctrl-C or SIGTERM.
pub(crate) async fn serve(config: Config) -> Result<()> {
    let kafka = &config.pipeline.kafka;
    ensure!(
        !kafka.bootstrap.is_empty(),
        "serve follows the changelog of a running `optibid run`: set pipeline.kafka.bootstrap or KAFKA_BOOTSTRAP_SERVERS"
    );
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let (registry, zones, names) = (Registry::new(), config.zone_table()?, Arc::new(Names::default()));
    let sinks_config = config.sinks_with(&kafka.bootstrap, false);

    // The live state, and what follows the changelog with it.
    let live = Arc::new(ArcSwap::from_pointee(Snapshot::new(config.snapshot)));
    let batches = broadcast::Sender::new(config.pipeline.broadcast);
    let context = sinks::Context { names: Arc::clone(&names), zones: zones.clone() };
    let metrics = FollowMetrics::new(&registry)?;
    let follower = Follower::new(sinks_config.kafka.clone(), context, config.snapshot, metrics);
    let status = follower.status();

    // The front. The WebSocket subscribes here: from now on it sees every moment.
    let parts = front::Parts {
        live: Arc::clone(&live),
        batches: batches.clone(),
        zones,
        names,
        history: sinks_config.history.enabled.then(|| sinks_config.history.root.clone()),
        producer: feeder::external_producer(kafka)?,
        health: services::follower_health(Arc::clone(&status)),
        is_current: Arc::new(move || status.is_current()),
        registry,
        platform: accounts::open(&config.accounts(), &shutdown)?,
    };
    let starting = api::Starting::new(&config.api, || "setting up".to_owned())?;
    let front = Front::open(&config, parts, starting, &shutdown).await?.start(&shutdown);
    let mut listeners = Listeners { live, batches, shutdown: shutdown.clone() };
    let thread = std::thread::Builder::new()
        .name("optibid-follower".to_owned())
        .spawn(move || follower.run(&mut listeners))
        .context("start the follower")?;

    shutdown.stopping().await;
    front.end().await?;
    let ended = tokio::task::spawn_blocking(move || thread.join()).await.context("the follower")?;
    ended.map_err(|_| anyhow::anyhow!("the follower died"))?;
    tracing::info!("ended");
    Ok(())
}

/// Who gets to see the state: first those who ask for it, then those who follow its moments.
struct Listeners {
    live: Arc<ArcSwap<Snapshot>>,
    batches: broadcast::Sender<Arc<Batch>>,
    shutdown: Shutdown,
}

/// The follower ends when asked to; should it die, the replica must not go on as if nothing were the matter.
impl Drop for Listeners {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

impl Audience for Listeners {
    fn is_stopping(&self) -> bool {
        self.shutdown.is_stopping()
    }

    fn show(&mut self, live: &Snapshot, moment: Batch) {
        self.live.store(Arc::new(live.clone()));
        // Nobody listening is no error.
        let _ = self.batches.send(Arc::new(moment));
    }
}
