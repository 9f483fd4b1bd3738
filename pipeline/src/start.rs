//! Starting the pipeline: the group, what is on record, the source, the threads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender};
use model::{Names, PartitionId, Snapshot, T, Zones};
use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot, watch};

use crate::binding::Log;
use crate::clock::now;
use crate::cluster::Layout;
use crate::config::Config;
use crate::coordination::Coordination;
use crate::dataflow::Begin;
use crate::fanout::{BatchQueue, Fanout, Progress, Written};
use crate::handle::{Ended, Handle};
use crate::metrics::Metrics;
use crate::mint::Barriers;
use crate::record::Record;
use crate::recovery::{self, Recovery};
use crate::shutdown::Shutdown;
use crate::source::Connector;
use crate::source::embedded::Embedded;
use crate::source::kafka::Kafka;
use crate::source::memory::Replay;
use crate::standby::{Held, Standby};
use crate::status::{Positions, SourceStatus};
use crate::{Error, checkpoint, cluster, dataflow, source};

/// How long a process that is asked to stop still does its part for process 0.
const PART: Duration = Duration::from_secs(1);

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
    /// Where bindings are kept: no batch is released before its binding is there. `None`: nothing outlives the program.
    pub log: Option<Box<dyn Log>>,
    /// Where state is saved. Needs a log.
    pub durable: Option<Durable>,
    /// Up to which T the history is safely written; the snapshot forgets nothing newer. `None`: there is no history.
    pub written: Option<Written>,
    /// Told what the start waits for.
    pub stage: Stage,
    /// Nothing is released before this is told (or dropped): whoever is to see every batch has subscribed by then.
    pub begin: Option<oneshot::Receiver<()>>,
    /// What the snapshot keeps.
    pub limits: model::snapshot::Limits,
    /// The pipeline's metrics.
    pub metrics: Metrics,
}

/// What a start that takes a while is doing, for whoever asks meanwhile. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stage(Arc<Mutex<String>>);

impl Stage {
    /// What is being done or waited for now.
    pub fn now(&self) -> String {
        let told = self.0.lock().clone();
        if told.is_empty() { "setting up".to_owned() } else { told }
    }

    fn tell(&self, what: impl Into<String>) {
        *self.0.lock() = what.into();
    }
}

/// What makes a restart short.
pub struct Durable {
    /// How often, and how many are kept.
    pub config: checkpoint::Config,
    /// Where.
    pub store: checkpoint::Store,
    /// Up to which T every sink has safely written.
    pub written: Written,
}

/// The pipeline. It has no state of its own: see [`Handle`].
#[derive(Debug)]
pub struct Pipeline;

impl Pipeline {
    /// Starts workers, readers and the fanout. Stopping `shutdown` stops them; so does the end of a finite feed.
    #[expect(
        clippy::too_many_lines,
        reason = "the order of a start is the protocol; each step is a function elsewhere"
    )]
    pub fn start(
        config: Config,
        operators: operators::Config,
        zones: Zones,
        names: Arc<Names>,
        parts: Parts,
        shutdown: &Shutdown,
    ) -> Result<Handle, Error> {
        config.validate()?;
        if config.cluster.is_group() && matches!(parts.feed, Feed::Embedded(_)) {
            return Err(Error::Config("several processes need a broker of their own: set kafka.bootstrap".to_owned()));
        }
        let shutdown = shutdown.child();
        let max_backlog = config.max_backlog;
        let positions = Arc::new(Positions::default());
        let layout = Layout::new(&config);
        let leads = layout.leads();
        let stands_by = config.standby.enabled && leads;
        if config.standby.enabled && (parts.log.is_none() || parts.durable.is_none()) {
            return Err(Error::Config("standby.enabled needs checkpoint.enabled".to_owned()));
        }
        let shared = Arc::new(Coordination::new(config.clock, layout.clone(), shutdown.clone()));
        let durable = parts.durable.is_some();
        let limits = if durable { checkpoint::limits(&operators, parts.limits) } else { parts.limits };
        let settings = settings(&operators, &zones);
        // Met first, fenced then: a group that never forms takes nothing over.
        let (mut group, opening) = match config.cluster.is_group() {
            true => {
                let identity = identity(&config, &settings, parts.durable.as_ref());
                let met = cluster::meet(&config.cluster, identity, &shutdown, &|stage| parts.stage.tell(stage))?;
                (Some(met.0), met.1)
            }
            false => (None, None),
        };
        parts.stage.tell("reading the checkpoint and what is on record");
        let mut log = parts.log.filter(|_| leads);
        let mut recovery = match (log.as_deref_mut(), opening) {
            (_, Some(opening)) => Recovery::of_another(&opening),
            (Some(log), None) => {
                recovery::recover(log, stands_by, parts.durable.as_ref(), &operators, limits, &settings, &names)?
            }
            (None, None) => Recovery::default(),
        };
        parts.stage.tell("connecting to the broker");
        let (connector, status, embedded) =
            connect(&config, &names, parts.feed, &parts.metrics, &positions, &recovery, &shutdown)?;
        if let Some(group) = group.as_mut().filter(|_| leads) {
            group.open(&recovery.opening())?;
        }
        let first = recovery.begin.as_mut().map(|begin| begin.take_snapshot(&operators, &zones));
        let bound =
            recovery.start.iter().map(|((topic, partition), offset)| (PartitionId::new(topic, *partition), *offset));
        let (bound, last_t) = (bound.collect(), recovery.last_t);
        let begun_t = recovery.begin.as_ref().map_or(0, |begin| begin.manifest.t);
        parts.metrics.checkpoint_t.set(i64::try_from(begun_t).unwrap_or(i64::MAX));
        let follows = recovery.follows;
        shared.repeat(std::mem::take(&mut recovery.recorded));
        let standby = stands_by.then(|| {
            shared.stand_by();
            let held = Held { batches: VecDeque::new(), limit: config.standby.max_held };
            let (fanout, words) = crossbeam_channel::unbounded();
            let store = parts.durable.as_ref().map(|durable| durable.store.clone());
            let (config, log) = (config.standby.clone(), log.take().expect("checked above"));
            let (shared, names) = (Arc::clone(&shared), Arc::clone(&names));
            let standby = Standby { config, log, store, shared, names, last_t, fanout };
            (standby, (held, words))
        });
        if !stands_by {
            shared.lead(last_t);
        }
        let (standby, held) = standby.unzip();
        let sources = dataflow::open(connector.as_ref(), &shared)?;
        // Room for what one T may close at once; beyond it worker 0 waits for the fanout.
        let (out, closed) = crossbeam_channel::bounded(config.max_backlog * 2);
        let first = first.unwrap_or_else(|| Snapshot::new(limits));
        let (snapshot, batches) = (Arc::new(ArcSwap::from_pointee(first)), broadcast::Sender::new(config.broadcast));
        let progress = watch::Sender::new(Progress::default());
        let (durability, cuts, kept_t, writer) = match parts.durable {
            Some(durable) => {
                let workers = (layout.here.len(), layout.peers);
                // The files of what a standby began with may be gone when it leads: it writes everything anew.
                let begun = recovery.begin.as_ref().filter(|_| !stands_by).map(|begin| begin.manifest.clone());
                let has_files = begun.is_some();
                let plan = |is_free, kept_t| checkpoint::Plan {
                    config: durable.config.clone(),
                    operators: operators.clone(),
                    limits,
                    settings,
                    names: Arc::clone(&names),
                    store: durable.store,
                    workers,
                    leads,
                    written: durable.written,
                    is_free,
                    kept_t,
                    begun,
                    metrics: parts.metrics.clone(),
                    shutdown: shutdown.clone(),
                };
                let begun =
                    durability(durable.config.clone(), plan, recovery.begin, recovery.begins, has_files, workers.0)?;
                (Some(begun.0), Some(begun.1), Some(begun.2), Some(begun.3))
            }
            None => (None, None, None, None),
        };
        let fanout = Fanout {
            shared: Arc::clone(&shared),
            metrics: parts.metrics.clone(),
            closed,
            snapshot: Arc::clone(&snapshot),
            batches: batches.clone(),
            progress: progress.clone(),
            queues: parts.queues,
            record: Record::new(log, last_t, kept_t, &shutdown),
            standby: held,
            begin: parts.begin,
            capacity: config.broadcast,
            cuts,
            bound,
            written: parts.written,
            max_backlog: config.max_backlog,
            give_up: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let fanout = thread("fanout", move || fanout.run(&runtime))?;
        if let Some(standby) = standby {
            thread("standby", move || standby.run())?;
        }
        let writer = writer.map(|writer| thread("checkpoint", move || writer.run())).transpose()?;
        let plan = dataflow::Plan {
            config,
            operators,
            zones,
            names,
            metrics: parts.metrics,
            shared: Arc::clone(&shared),
            positions: Arc::clone(&positions),
            sources: Mutex::new(sources),
            // Where worker 0 is not, the fanout has nothing to do.
            out: Mutex::new(leads.then_some(out)),
            follows,
            durable: durability,
        };
        let guards = dataflow::start(plan, group)?;
        let supervisor = {
            let shared = Arc::clone(&shared);
            thread("supervisor", move || supervise(&shared, connector.as_ref(), guards, fanout, writer))?
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
            leads,
            begun_t,
        })
    }
}

/// What this process has in common with the others of its group.
fn identity(config: &Config, settings: &str, durable: Option<&Durable>) -> cluster::Identity {
    let saving = durable.map(|durable| (durable.config.interval, durable.config.all_every));
    let also = format!("{settings}{:?}{:?}{saving:?}", config.clock, config.decode_limits());
    cluster::Identity {
        pipeline: config.kafka.prefix.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        processes: config.cluster.processes,
        workers: config.worker_threads(),
        settings: format!("{:016x}", xxhash_rust::xxh3::xxh3_64(also.as_bytes())),
    }
}

/// Tells settings apart: with others, the same bars say something else.
fn settings(operators: &operators::Config, zones: &Zones) -> String {
    // The table itself has no order that two processes agree on.
    let mut zones: Vec<String> = zones.iter().map(|zone| format!("{zone:?}")).collect();
    zones.sort_unstable();
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(format!("{operators:?}{zones:?}").as_bytes()))
}

type Begun = (dataflow::Durability, Sender<checkpoint::Cut>, Receiver<T>, checkpoint::Writer);

/// The two ends of checkpoints: what workers and fanout hand over, and the thread that writes it.
fn durability(
    config: checkpoint::Config,
    plan: impl FnOnce(Arc<AtomicBool>, Sender<T>) -> checkpoint::Plan,
    begin: Option<checkpoint::Recovered>,
    begins: bool,
    begins_files: bool,
    workers: usize,
) -> Result<Begun, Error> {
    let is_free = Arc::new(AtomicBool::new(true));
    // One barrier at a time: there is never more than a shard a worker and one cut.
    let (shards, all_shards) = crossbeam_channel::unbounded();
    let (cuts, all_cuts) = crossbeam_channel::unbounded();
    let (tell_kept, kept_t) = crossbeam_channel::bounded(1);
    let barriers = Barriers {
        interval_ms: config.interval.millis(),
        all_every: config.all_every,
        is_free: Arc::clone(&is_free),
        count: u64::from(begins_files),
        life: checkpoint::new_life(),
    };
    let writer = checkpoint::Writer::new(plan(is_free, tell_kept), all_shards, all_cuts)?;
    let (mut alerts, mut announced) = Default::default();
    let mut shares: Vec<Option<Begin>> = (0..workers).map(|_| begins.then(Begin::default)).collect();
    if let Some(begin) = begin {
        alerts = begin.alerts;
        announced = begin.announced;
        let mut worker = (0..workers).cycle();
        let mut share = |shares: &mut Vec<Option<Begin>>, put: &mut dyn FnMut(&mut Begin)| {
            let at = worker.next().expect("there is a worker");
            if let Some(share) = &mut shares[at] {
                put(share);
            }
        };
        begin.minutes.into_iter().for_each(|row| share(&mut shares, &mut |to| to.minutes.push(row.clone())));
        begin.bids.into_iter().for_each(|row| share(&mut shares, &mut |to| to.bids.push(row.clone())));
        begin.meters.into_iter().for_each(|row| share(&mut shares, &mut |to| to.meters.push(row.clone())));
        begin.rules.into_iter().for_each(|row| share(&mut shares, &mut |to| to.rules.push(row.clone())));
        begin.sealed_bars.into_iter().for_each(|row| share(&mut shares, &mut |to| to.sealed_bars.push(row)));
    }
    let durability = dataflow::Durability {
        barriers,
        shards,
        begin: Mutex::new(shares),
        alerts: Mutex::new(alerts),
        announced: Mutex::new(announced),
    };
    Ok((durability, cuts, kept_t, writer))
}

type Connected = (Box<dyn Connector>, Arc<SourceStatus>, Option<Embedded>);

fn connect(
    config: &Config,
    names: &Arc<Names>,
    feed: Feed,
    metrics: &Metrics,
    positions: &Arc<Positions>,
    recovery: &Recovery,
    shutdown: &Shutdown,
) -> Result<Connected, Error> {
    let start = &recovery.start;
    match feed {
        Feed::Memory(mut replay) => {
            replay.verify(start, &recovery.reach)?;
            replay.start_at(start);
            let status = Arc::new(SourceStatus::new("memory"));
            status.up(0);
            Ok((Box::new(replay), status, None))
        }
        Feed::Kafka => {
            let status = Arc::new(SourceStatus::new(&config.kafka.bootstrap));
            source::kafka::verify(&config.kafka, start, &recovery.reach, shutdown)?;
            let kafka = Kafka::start(&config.kafka, false, names, &status, metrics, positions, start)?;
            Ok((Box::new(kafka), status, None))
        }
        Feed::Embedded(embedded) => {
            let mut section = config.kafka.clone();
            section.bootstrap = embedded.bootstrap_servers().to_owned();
            let status = Arc::new(SourceStatus::new(format!("embedded broker {}", section.bootstrap)));
            let kafka = Kafka::start(&section, true, names, &status, metrics, positions, start)?;
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
    fanout: JoinHandle<Result<(), Error>>,
    writer: Option<JoinHandle<()>>,
) -> Result<(), Error> {
    shared.shutdown.wait();
    shared.minter.ring();
    connector.close();
    if !shared.layout.leads() {
        // What is open can still be closed with this process's part; then process 0 leaves, which ends the wait.
        let until = now() + PART;
        while !shared.is_finished() && now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        shared.finish();
    }
    let workers: Result<Vec<()>, String> = guards.join().into_iter().collect();
    let fanout = fanout.join();
    if let Some(writer) = writer
        && writer.join().is_err()
    {
        tracing::error!("the thread that writes checkpoints died");
    }
    tracing::debug!("the pipeline has ended");
    if let Some(lost) = shared.lost_peer() {
        return Err(lost);
    }
    workers.map_err(Error::Dataflow)?;
    fanout.map_err(|_| Error::Dataflow("the fanout died".to_owned()))?
}

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
