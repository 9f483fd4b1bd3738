//! Starting the pipeline, and what the rest of the program holds of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::health::{ServiceHealth, ServiceState};
use model::{Batch, Names, Snapshot, T, Zones};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use crate::binding::Hook;
use crate::config::Config;
use crate::coordination::Coordination;
use crate::fanout::{BatchQueue, Fanout, Progress, Written};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::source::Connector;
use crate::source::embedded::Embedded;
use crate::source::kafka::Kafka;
use crate::source::memory::Replay;
use crate::status::{Loss, Positions, SourceStatus, TopicPartition};
use crate::{Error, dataflow};

/// An open T older than this makes the dataflow `Degraded`.
const SLOW: Duration = Duration::from_secs(5);

/// Where records come from.
pub enum Feed {
    /// The broker of the configuration.
    Kafka,
    /// The broker in this process.
    Embedded(Embedded),
    /// Records in memory.
    Memory(Replay),
}

/// What the pipeline is given by the program around it.
pub struct Parts {
    /// Where records come from.
    pub feed: Feed,
    /// The sinks' queues, in the order in which batches are offered.
    pub queues: Vec<Box<dyn BatchQueue>>,
    /// Receives every binding before its batch is delivered.
    pub on_binding: Option<Hook>,
    /// Up to which T the history is safely written; the snapshot forgets nothing newer. `None`: there is no history.
    pub written: Option<Written>,
    /// What the snapshot keeps.
    pub limits: model::snapshot::Limits,
    /// The pipeline's metrics.
    pub metrics: Metrics,
}

/// The pipeline. It has no state of its own: see [`Handle`].
#[derive(Debug)]
pub struct Pipeline;

impl Pipeline {
    /// Starts workers, readers and the fanout. Stopping `shutdown` stops them; so does the end of a finite feed.
    pub fn start(
        config: Config,
        operators: operators::Config,
        zones: Zones,
        names: Arc<Names>,
        parts: Parts,
        shutdown: &Shutdown,
    ) -> Result<Handle, Error> {
        config.validate()?;
        let shutdown = shutdown.child();
        let max_backlog = config.max_backlog;
        let positions = Arc::new(Positions::default());
        let shared = Arc::new(Coordination::new(config.clock, config.worker_threads(), shutdown.clone()));
        let (connector, status, embedded) = connect(&config, &names, parts.feed, &parts.metrics, &positions)?;
        let sources = dataflow::open(connector.as_ref(), &shared)?;
        // Room for what one T may close at once; beyond it worker 0 waits for the fanout.
        let (out, closed) = crossbeam_channel::bounded(config.max_backlog * 2);
        let (snapshot, batches) =
            (Arc::new(ArcSwap::from_pointee(Snapshot::new(parts.limits))), broadcast::Sender::new(config.broadcast));
        let progress = watch::Sender::new(Progress::default());
        let fanout = Fanout {
            shared: Arc::clone(&shared),
            metrics: parts.metrics.clone(),
            closed,
            snapshot: Arc::clone(&snapshot),
            batches: batches.clone(),
            progress: progress.clone(),
            queues: parts.queues,
            hook: parts.on_binding,
            written: parts.written,
            max_backlog: config.max_backlog,
            give_up: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let fanout = thread("fanout", move || fanout.run(&runtime))?;
        let guards = dataflow::start(dataflow::Plan {
            config,
            operators,
            zones,
            names,
            metrics: parts.metrics,
            shared: Arc::clone(&shared),
            positions: Arc::clone(&positions),
            sources: Mutex::new(sources),
            out: Mutex::new(Some(out)),
        })?;
        let supervisor = {
            let shared = Arc::clone(&shared);
            thread("supervisor", move || supervise(&shared, connector.as_ref(), guards, fanout))?
        };
        let ended = ended(supervisor)?;
        Ok(Handle {
            snapshot,
            batches,
            progress: progress.subscribe(),
            positions,
            status,
            shared,
            shutdown,
            ended,
            embedded,
            max_backlog,
        })
    }
}

type Connected = (Box<dyn Connector>, Arc<SourceStatus>, Option<Embedded>);

fn connect(
    config: &Config,
    names: &Arc<Names>,
    feed: Feed,
    metrics: &Metrics,
    positions: &Arc<Positions>,
) -> Result<Connected, Error> {
    match feed {
        Feed::Memory(replay) => {
            let status = Arc::new(SourceStatus::new("memory"));
            status.up(0);
            Ok((Box::new(replay), status, None))
        }
        Feed::Kafka => {
            let status = Arc::new(SourceStatus::new(&config.kafka.bootstrap));
            let kafka = Kafka::start(&config.kafka, false, names, &status, metrics, positions)?;
            Ok((Box::new(kafka), status, None))
        }
        Feed::Embedded(embedded) => {
            let mut section = config.kafka.clone();
            section.bootstrap = embedded.bootstrap_servers().to_owned();
            let status = Arc::new(SourceStatus::new(format!("embedded broker {}", section.bootstrap)));
            let kafka = Kafka::start(&section, true, names, &status, metrics, positions)?;
            Ok((Box::new(kafka), status, Some(embedded)))
        }
    }
}

fn thread<R: Send + 'static>(name: &str, run: impl FnOnce() -> R + Send + 'static) -> Result<JoinHandle<R>, Error> {
    Ok(std::thread::Builder::new().name(format!("optibid-{name}")).spawn(run)?)
}

/// Waits for the end, in order: source, workers, fanout.
fn supervise(
    shared: &Coordination,
    connector: &dyn Connector,
    guards: timely::communication::WorkerGuards<()>,
    fanout: JoinHandle<()>,
) -> Result<(), Error> {
    shared.shutdown.wait();
    shared.minter.ring();
    connector.close();
    let workers: Result<Vec<()>, String> = guards.join().into_iter().collect();
    let fanout = fanout.join();
    tracing::debug!("the pipeline has ended");
    workers.map_err(Error::Dataflow)?;
    fanout.map_err(|_| Error::Dataflow("the fanout died".to_owned()))
}

type Ended = watch::Receiver<Option<Result<(), Arc<Error>>>>;

/// Makes the supervisor's end something that many can wait for.
fn ended(supervisor: JoinHandle<Result<(), Error>>) -> Result<Ended, Error> {
    let (tell, ended) = watch::channel(None);
    thread("end", move || {
        let result = supervisor.join().unwrap_or_else(|_| Err(Error::Dataflow("the supervisor died".to_owned())));
        if let Err(error) = &result {
            tracing::error!(%error, "the pipeline ended badly");
        }
        tell.send_replace(Some(result.map_err(Arc::new)));
    })?;
    Ok(ended)
}

/// The running pipeline. Cheap to clone; dropping it stops nothing.
#[derive(Clone)]
pub struct Handle {
    /// The current state. The fanout is its only writer.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The stream of closed batches. A subscriber that lags more than `broadcast` batches loses its place.
    pub batches: broadcast::Sender<Arc<Batch>>,
    progress: watch::Receiver<Progress>,
    positions: Arc<Positions>,
    status: Arc<SourceStatus>,
    shared: Arc<Coordination>,
    shutdown: Shutdown,
    ended: Ended,
    embedded: Option<Embedded>,
    max_backlog: usize,
}

impl Handle {
    /// Next offset to read, by topic and partition.
    pub fn positions(&self) -> BTreeMap<TopicPartition, i64> {
        self.positions.all()
    }

    /// The same, to be shared.
    pub fn shared_positions(&self) -> Arc<Positions> {
        Arc::clone(&self.positions)
    }

    /// The embedded broker, if that is the feed.
    pub fn embedded(&self) -> Option<&Embedded> {
        self.embedded.as_ref()
    }

    /// Records lost at the source since the start.
    pub fn records_lost(&self) -> u64 {
        self.status.records_lost()
    }

    /// The latest losses at the source.
    pub fn losses(&self) -> Vec<Loss> {
        self.status.losses()
    }

    /// How far delivery is.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Rows for `/health`: the source and the dataflow.
    pub fn health(&self) -> Vec<ServiceHealth> {
        vec![self.status.health(), self.dataflow_health()]
    }

    fn dataflow_health(&self) -> ServiceHealth {
        let progress = *self.progress.borrow();
        let (backlog, staged) = (self.shared.backlog(), self.shared.staged());
        let stuck = self.shared.oldest_open().map(|at| at.elapsed()).filter(|age| *age > SLOW);
        let (state, detail) = if self.shared.has_failed() {
            (ServiceState::Down, "a worker died".to_owned())
        } else if self.ended.borrow().is_some() {
            (ServiceState::Down, "stopped".to_owned())
        } else if backlog >= self.max_backlog {
            let taken = progress.delivered_t;
            let detail = format!("{backlog} batches wait for a full queue since T {taken}, {staged} rows staged");
            (ServiceState::Degraded, detail)
        } else if let Some(age) = stuck {
            (ServiceState::Degraded, format!("T {} is open for {} ms", self.shared.last_t(), age.as_millis()))
        } else {
            (ServiceState::Up, format!("T {}, {} batches, {staged} rows staged", progress.t, progress.batches))
        };
        ServiceHealth { name: "dataflow".to_owned(), state, detail, required: true }
    }

    /// Waits until `reached` holds of the progress. `false` when the pipeline ends before.
    pub async fn wait_for(&self, mut reached: impl FnMut(&Progress) -> bool) -> bool {
        let mut progress = self.progress.clone();
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            found = progress.wait_for(|p| reached(p)) => found.is_ok(),
            _ = ended.wait_for(Option::is_some) => false,
        }
    }

    /// Waits until `n` tick records are accounted for and published.
    pub async fn await_received(&self, n: u64) -> bool {
        self.wait_for(|progress| progress.counts.received >= n).await
    }

    /// Waits until T has been published.
    pub async fn await_t(&self, t: T) -> bool {
        self.wait_for(|progress| progress.t >= t).await
    }

    /// Waits until the pipeline has ended: by its own, or because it was stopped.
    pub async fn wait(&self) -> Result<(), Arc<Error>> {
        let mut ended = self.ended.clone();
        let result = ended.wait_for(Option::is_some).await.ok().and_then(|result| result.clone());
        result.unwrap_or_else(|| Err(Arc::new(Error::Dataflow("the supervisor died".to_owned()))))
    }

    /// Stops and waits for the end.
    pub async fn stop(&self) -> Result<(), Arc<Error>> {
        self.shutdown.stop();
        self.wait().await
    }
}
