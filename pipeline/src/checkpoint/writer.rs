//! Writes checkpoints, on a thread of its own: the workers hand over rows and go on.
//!
//! One at a time: the next barrier comes after the manifest of the last ([`Plan::is_free`]). A store that does not
//! answer is tried again with growing pauses; meanwhile there are no new checkpoints, and nothing else suffers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use model::{Names, T};
use object_store::{ObjectStoreExt, PutPayload};

use super::codec::Texts;
use super::manifest::{File, Kind, Manifest, VERSION, checksum};
use super::{Config, Cut, Store, bars, codec};
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
    runtime: tokio::runtime::Runtime,
    /// Files that the next manifest needs.
    files: Vec<File>,
    /// Manifests in the store, oldest first.
    kept: Vec<Manifest>,
}

impl Writer {
    pub(crate) fn new(plan: Plan, shards: Receiver<Shard>, cuts: Receiver<Cut>) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let kept: Vec<Manifest> = plan.begun.clone().into_iter().collect();
        let files = kept.last().map(|manifest| manifest.files.clone()).unwrap_or_default();
        Ok(Self { plan, shards, cuts, runtime, files, kept })
    }

    /// Runs until the workers are gone or the program stops.
    pub(crate) fn run(mut self) {
        while let Some(shards) = self.gather() {
            let Some(t) = shards.first().map(|shard| shard.t) else { continue };
            let started = now();
            let Some(()) = self.persist("write shards", |writer| writer.write_shards(&shards)) else { return };
            drop(shards);
            if self.plan.leads {
                let Ok(cut) = self.cuts.recv() else { return };
                debug_assert_eq!(cut.t, t, "cuts and shards come in the order of their barriers");
                let Some(files) = self.persist("write bars", |writer| writer.write_cut(&cut)) else { return };
                let Some(manifest) = self.persist("gather shards", |writer| writer.assemble(&cut, &files)) else {
                    return;
                };
                if !self.wait_for_sinks(t) {
                    return;
                }
                let Some(()) = self.persist("write manifest", |writer| writer.commit(&manifest)) else { return };
                self.plan.metrics.checkpoint_t.set(i64::try_from(t).unwrap_or(i64::MAX));
                self.plan.metrics.checkpoint_seconds.observe(started.elapsed().as_secs_f64());
                tracing::debug!(t, files = manifest.files.len(), "checkpoint");
                self.files.clone_from(&manifest.files);
                self.kept.push(manifest);
                self.trim();
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

    fn put(&self, path: &str, bytes: Bytes) -> Result<(), Error> {
        let full = self.plan.store.root.clone().join_all(path);
        let put = self.plan.store.store.put(&full, PutPayload::from_bytes(bytes));
        self.runtime.block_on(put).map_err(|error| Error::checkpoint(format!("write {full}"), error))?;
        Ok(())
    }

    fn write(&self, kind: Kind, t: T, name: &str, rows: usize, until_t: T, bytes: Bytes) -> Result<File, Error> {
        let path = format!("{t:020}/{name}.parquet");
        let file =
            File { path: path.clone(), kind, t, rows, bytes: bytes.len() as u64, xxh3: checksum(&bytes), until_t };
        self.put(&path, bytes)?;
        Ok(file)
    }

    /// Every shard's files, and then a marker that says they are whole.
    fn write_shards(&mut self, shards: &[Shard]) -> Result<(), Error> {
        for shard in shards {
            let Shard { t, worker, .. } = *shard;
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
                files.push(self.write(Kind::Ticks, t, &format!("worker-{worker}-ticks"), rows, until_t, bytes)?);
            }
            let mut texts = Texts::new();
            texts.add("bids", &shard.bids).map_err(|error| wrong("bids", error))?;
            texts.add("rules", &shard.rules).map_err(|error| wrong("rules", error))?;
            if texts.len() > 0 {
                let rows = texts.len();
                let bytes = texts.encode().map_err(|error| wrong("records", error))?;
                files.push(self.write(Kind::Records, t, &format!("worker-{worker}-records"), rows, T::MAX, bytes)?);
            }
            let marker = Marker { worker, all: shard.all, files };
            let json = serde_json::to_vec(&marker).expect("a marker has nothing that JSON has not");
            self.put(&format!("{t:020}/worker-{worker}.json"), json.into())?;
        }
        Ok(())
    }

    fn write_cut(&mut self, cut: &Cut) -> Result<Vec<File>, Error> {
        let plan = &self.plan;
        let wrong = |wrong: String| Error::checkpoint("encode the state", wrong);
        let from = self.kept.last().map_or(0, |manifest| manifest.t);
        let mut files = Vec::new();
        let rows = bars::newly_final(&plan.operators, &cut.snapshot, from, cut.t);
        if !rows.is_empty() {
            let until = rows.iter().map(|(_, row)| {
                let kept_ms = bars::kept_ms(&plan.operators, plan.limits, row.key.granularity);
                T::try_from(row.key.start_ms.saturating_add(kept_ms)).unwrap_or(0)
            });
            let until_t = until.max().unwrap_or(T::MAX);
            let bytes = codec::encode_bars(&rows).map_err(wrong)?;
            files.push(self.write(Kind::Bars, cut.t, "bars", rows.len(), until_t, bytes)?);
        }
        let mut texts = Texts::new();
        texts.add("alerts", &cut.alerts).map_err(wrong)?;
        texts.add("names", cut.snapshot.names.values()).map_err(wrong)?;
        texts.add("latest", bars::of_silent_series(&plan.operators, &cut.snapshot, cut.t)).map_err(wrong)?;
        let rows = texts.len();
        files.push(self.write(Kind::State, cut.t, "state", rows, T::MAX, texts.encode().map_err(wrong)?)?);
        Ok(files)
    }

    /// The manifest, once every worker of every process has written its shard.
    fn assemble(&mut self, cut: &Cut, own: &[File]) -> Result<Manifest, Error> {
        let (t, mut all, mut new) = (cut.t, true, Vec::new());
        for worker in 0..self.plan.workers.1 {
            let path = self.plan.store.root.clone().join_all(&format!("{t:020}/worker-{worker}.json"));
            let store = &self.plan.store.store;
            let bytes = self
                .runtime
                .block_on(async { store.get(&path).await?.bytes().await })
                .map_err(|error| Error::checkpoint(format!("read {path}"), error))?;
            let marker: Marker =
                serde_json::from_slice(&bytes).map_err(|error| Error::checkpoint(format!("read {path}"), error))?;
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
            counts: cut.snapshot.counts,
            offsets: offsets.collect(),
            settings: self.plan.settings.clone(),
            workers: self.plan.workers.1,
            files,
        })
    }

    /// Nobody may need a T from before a manifest: the sinks' queues are gone after a restart.
    fn wait_for_sinks(&self, t: T) -> bool {
        while (self.plan.written)() < t {
            if self.plan.shutdown.is_stopping() {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    fn commit(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let path = Manifest::path(&self.plan.store.root, manifest.t);
        let put = self.plan.store.store.put(&path, PutPayload::from(manifest.encode()));
        self.runtime.block_on(put).map_err(|error| Error::checkpoint(format!("write {path}"), error))?;
        Ok(())
    }

    /// Removes checkpoints beyond `keep`, and the files that only they needed. What fails is left for another time.
    fn trim(&mut self) {
        while self.kept.len() > self.plan.config.keep {
            let old = self.kept.remove(0);
            let store = Arc::clone(&self.plan.store.store);
            let root = self.plan.store.root.clone();
            let needed =
                |file: &File| self.kept.iter().any(|kept| kept.files.iter().any(|other| other.path == file.path));
            let gone: Vec<_> =
                old.files.iter().filter(|file| !needed(file)).map(|file| root.clone().join_all(&file.path)).collect();
            let markers =
                (0..old.workers).map(|worker| root.clone().join_all(&format!("{:020}/worker-{worker}.json", old.t)));
            // The manifest first: what it lists must be there.
            let paths = std::iter::once(Manifest::path(&root, old.t)).chain(gone).chain(markers);
            for path in paths {
                if let Err(error) = self.runtime.block_on(store.delete(&path)) {
                    tracing::debug!(%path, %error, "an old checkpoint's file stays");
                }
            }
        }
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

/// Joins a path of several parts.
pub(super) trait JoinAll {
    fn join_all(self, parts: &str) -> Self;
}

impl JoinAll for object_store::path::Path {
    fn join_all(self, parts: &str) -> Self {
        parts.split('/').fold(self, |path, part| path.join(part))
    }
}
