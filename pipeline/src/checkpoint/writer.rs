//! Writes checkpoints, on a thread of its own: the workers hand over rows and go on.
//!
//! One at a time: the next barrier comes after the manifest of the last ([`Plan::is_free`]). A store that does not
//! answer is tried again with growing pauses; meanwhile there are no new checkpoints, and nothing else suffers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use model::{Names, T};

use super::codec::Texts;
use super::manifest::{File, Kind, Manifest, VERSION, folder};
use super::shelf::Shelf;
use super::trim::{sweep, trim};
use super::{Config, Cut, Store, bars, codec, merge};
use crate::Error;
use crate::clock::now;
use crate::metrics::Metrics;
use crate::save::Shard;
use crate::shutdown::Shutdown;

const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the writer needs.
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) operators: operators::Config,
    pub(crate) limits: model::snapshot::Limits,
    pub(crate) settings: String,
    pub(crate) names: Arc<Names>,
    pub(crate) store: Store,
    /// Workers of this process, and of all.
    pub(crate) workers: (usize, usize),
    /// The process that writes manifests.
    pub(crate) leads: bool,
    /// Up to which T every sink has safely written.
    pub(crate) written: Box<dyn Fn() -> T + Send>,
    /// Set when the next barrier may come.
    pub(crate) is_free: Arc<AtomicBool>,
    /// Told the T of the oldest checkpoint kept: nothing before it is needed.
    pub(crate) kept_t: Sender<T>,
    /// The checkpoint that this life began with.
    pub(crate) begun: Option<Manifest>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
}

/// The thread's state.
pub(crate) struct Writer {
    plan: Plan,
    shards: Receiver<Shard>,
    cuts: Receiver<Cut>,
    shelf: Shelf,
    /// Files that the next manifest needs.
    files: Vec<File>,
    /// Manifests in the store, oldest first.
    kept: Vec<Manifest>,
    /// Checkpoints of this life.
    count: u64,
}

impl Writer {
    pub(crate) fn new(plan: Plan, shards: Receiver<Shard>, cuts: Receiver<Cut>) -> Result<Self, Error> {
        let shelf = Shelf::new(plan.store.clone())?;
        let kept: Vec<Manifest> = plan.begun.clone().into_iter().collect();
        let files = kept.last().map(|manifest| manifest.files.clone()).unwrap_or_default();
        Ok(Self { plan, shards, cuts, shelf, files, kept, count: 0 })
    }

    /// Runs until the workers are gone or the program stops.
    pub(crate) fn run(mut self) {
        while let Some(shards) = self.gather() {
            let Some((t, life)) = shards.first().map(|shard| (shard.t, shard.life)) else { continue };
            let started = now();
            let Some(()) = self.persist("write shards", |writer| writer.write_shards(&shards)) else { return };
            drop(shards);
            if self.plan.leads {
                let Ok(cut) = self.cuts.recv() else { return };
                debug_assert_eq!(cut.t, t, "cuts and shards come in the order of their barriers");
                let Some(files) = self.persist("write bars", |writer| writer.write_cut(&cut, life)) else { return };
                let Some(manifest) = self.persist("gather shards", |writer| writer.assemble(&cut, life, &files)) else {
                    return;
                };
                if !self.wait_for_sinks(t) {
                    return;
                }
                let Some(()) = self.persist("write manifest", |writer| writer.commit(&manifest)) else { return };
                self.plan.metrics.checkpoint_t.set(i64::try_from(t).unwrap_or(i64::MAX));
                self.plan.metrics.checkpoint_seconds.observe(started.elapsed().as_secs_f64());
                tracing::debug!(t, files = manifest.files.len(), "checkpoint");
                self.tidy(manifest);
            }
            self.plan.is_free.store(true, Ordering::Release);
        }
    }

    /// The shards of all workers here, of one barrier.
    fn gather(&self) -> Option<Vec<Shard>> {
        let mut gathered: BTreeMap<T, Vec<Shard>> = BTreeMap::new();
        loop {
            match self.shards.recv_timeout(Duration::from_millis(200)) {
                Ok(shard) => {
                    let t = shard.t;
                    let shards = gathered.entry(t).or_default();
                    shards.push(shard);
                    if shards.len() == self.plan.workers.0 {
                        return gathered.remove(&t);
                    }
                }
                Err(RecvTimeoutError::Timeout) if !self.plan.shutdown.is_stopping() => {}
                Err(_) => return None,
            }
        }
    }

    /// Does it until it succeeds; `None` when the program stops first.
    fn persist<R>(&mut self, what: &str, mut attempt: impl FnMut(&mut Self) -> Result<R, Error>) -> Option<R> {
        let mut pause = PAUSE;
        loop {
            match attempt(self) {
                Ok(done) => return Some(done),
                Err(_) if self.plan.shutdown.is_stopping() => return None,
                Err(error) => {
                    if pause == PAUSE {
                        tracing::warn!(%error, "checkpoint: {what}: trying on");
                    }
                    self.plan.metrics.checkpoint_failures.inc();
                }
            }
            if self.plan.shutdown.is_stopping() {
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Every shard's files, and then a marker that says they are whole.
    fn write_shards(&mut self, shards: &[Shard]) -> Result<(), Error> {
        for shard in shards {
            let Shard { t, worker, life, .. } = *shard;
            let wrong = |what: &str, wrong: String| Error::checkpoint(format!("encode {what}"), wrong);
            let mut files = Vec::new();
            if !shard.minutes.is_empty() {
                let rows = shard.minutes.iter().map(|minute| minute.records.len().max(1)).sum();
                let until_t = shard
                    .minutes
                    .iter()
                    .map(|minute| bars::final_at(&self.plan.operators, minute.series.market, minute.start_ms + 60_000));
                let bytes = codec::encode_minutes(&shard.minutes).map_err(|error| wrong("minutes", error))?;
                let until_t = until_t.max().unwrap_or(T::MAX);
                let file = self.shelf.write(Kind::Ticks, (t, life), &format!("worker-{worker}-ticks"), rows, bytes)?;
                files.push(File { until_t, ..file });
            }
            let mut texts = Texts::new();
            texts.add("bids", &shard.bids).map_err(|error| wrong("bids", error))?;
            texts.add("meters", &shard.meters).map_err(|error| wrong("meters", error))?;
            texts.add("rules", &shard.rules).map_err(|error| wrong("rules", error))?;
            if texts.len() > 0 {
                let rows = texts.len();
                let bytes = texts.encode().map_err(|error| wrong("records", error))?;
                files.push(self.shelf.write(
                    Kind::Records,
                    (t, life),
                    &format!("worker-{worker}-records"),
                    rows,
                    bytes,
                )?);
            }
            let marker = Marker { worker, all: shard.all, files };
            let json = serde_json::to_vec(&marker).expect("a marker has nothing that JSON has not");
            self.shelf.put(&self.marker(t, life, worker), json.into())?;
        }
        Ok(())
    }

    /// Where a worker says that its shard is whole.
    fn marker(&self, t: T, life: u64, worker: usize) -> object_store::path::Path {
        self.shelf.path(&format!("{}/worker-{worker}.json", folder(t, life)))
    }

    fn write_cut(&mut self, cut: &Cut, life: u64) -> Result<Vec<File>, Error> {
        let plan = &self.plan;
        let wrong = |wrong: String| Error::checkpoint("encode the state", wrong);
        let from = self.kept.last().map_or(0, |manifest| manifest.t);
        let mut files = Vec::new();
        // A file for all that is kept equally long, so that it can go as a whole.
        let mut classes: BTreeMap<i64, Vec<(T, model::BarRow)>> = BTreeMap::new();
        for row in bars::newly_final(&plan.operators, &cut.snapshot, from, cut.t) {
            let kept_ms = plan.limits.bars_of_ms(row.1.key.series.market, row.1.key.granularity);
            classes.entry(kept_ms).or_default().push(row);
        }
        for (class, (kept_ms, rows)) in classes.iter().enumerate() {
            let last_ms = rows.iter().map(|(_, row)| row.key.start_ms).max().unwrap_or(0);
            let until_t = T::try_from(last_ms.saturating_add(*kept_ms)).unwrap_or(0);
            let bytes = codec::encode_bars(rows).map_err(wrong)?;
            let file = self.shelf.write(Kind::Bars, (cut.t, life), &format!("bars-{class}"), rows.len(), bytes)?;
            files.push(File { until_t, kept_ms: *kept_ms, ..file });
        }
        let mut texts = Texts::new();
        texts.add("alerts", &cut.alerts).map_err(wrong)?;
        texts.add("names", cut.snapshot.names.values()).map_err(wrong)?;
        texts.add("latest", bars::of_silent_series(&plan.operators, &cut.snapshot, cut.t)).map_err(wrong)?;
        let rows = texts.len();
        files.push(self.shelf.write(Kind::State, (cut.t, life), "state", rows, texts.encode().map_err(wrong)?)?);
        Ok(files)
    }

    /// The manifest, once every worker of every process has written its shard.
    fn assemble(&mut self, cut: &Cut, life: u64, own: &[File]) -> Result<Manifest, Error> {
        let (t, mut all, mut new) = (cut.t, true, Vec::new());
        for worker in 0..self.plan.workers.1 {
            let path = self.marker(t, life, worker);
            let marker: Marker = serde_json::from_slice(&self.shelf.get(&path)?)
                .map_err(|error| Error::checkpoint(format!("read {path}"), error))?;
            all &= marker.all;
            new.extend(marker.files);
        }
        let is_needed = |file: &File| match file.kind {
            // Records of minutes that are bars for good by now, and what a worker has just written anew, whole.
            Kind::Ticks | Kind::Records => !all && file.until_t > t,
            Kind::Bars => file.until_t > t,
            Kind::State => false,
        };
        let mut files: Vec<File> = self.files.iter().filter(|file| is_needed(file)).cloned().collect();
        files.extend(new);
        files.extend(own.iter().cloned());
        let names = &self.plan.names;
        let offsets = cut.bound.iter().filter_map(|(id, offset)| {
            let (topic, partition) = names.partition_name(*id)?;
            Some((format!("{topic}/{partition}"), *offset))
        });
        Ok(Manifest {
            version: VERSION,
            t,
            life,
            counts: cut.snapshot.counts,
            offsets: offsets.collect(),
            settings: self.plan.settings.clone(),
            workers: self.plan.workers.1,
            files,
        })
    }

    /// Nobody may need a T from before a manifest: the sinks' queues are gone after a restart. `false` when the program
    /// stops: then full queues are given up some time, and what is written after that does not mean that all before is.
    fn wait_for_sinks(&self, t: T) -> bool {
        loop {
            let is_written = (self.plan.written)() >= t;
            // In this order: what was read before stopping was asked for is true.
            if self.plan.shutdown.is_stopping() {
                return false;
            }
            if is_written {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn commit(&mut self, manifest: &Manifest) -> Result<(), Error> {
        self.shelf.put(&manifest.path(self.shelf.root()), manifest.encode().into())
    }

    /// After a manifest: old checkpoints go, small files become larger ones. The checkpoint is whole without.
    fn tidy(&mut self, manifest: Manifest) {
        self.files.clone_from(&manifest.files);
        let (limit, own) = (self.plan.config.bar_files, (manifest.t, manifest.life));
        if let Err(error) = merge::merge(&self.shelf, &mut self.files, limit, own, &self.plan.shutdown) {
            self.plan.metrics.checkpoint_failures.inc();
            tracing::warn!(%error, "merging files of checkpoints failed: trying again after the next");
        }
        self.kept.push(manifest);
        let keep = self.plan.config.keep;
        let is_full = self.kept.len() >= keep;
        trim(&self.shelf, &mut self.kept, keep);
        // Now and then, for what only listing finds; first as soon as nothing is needed but what this life knows of.
        if is_full
            && self.count.is_multiple_of(self.plan.config.all_every.max(1))
            && let Err(error) = sweep(&self.shelf, &self.kept)
        {
            tracing::debug!(%error, "what earlier lives left behind stays for now");
        }
        self.count += u64::from(is_full);
        if let Some(oldest) = self.kept.first() {
            let _ = self.plan.kept_t.try_send(oldest.t);
        }
    }
}

/// What one worker has written at a barrier.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Marker {
    worker: usize,
    all: bool,
    files: Vec<File>,
}
