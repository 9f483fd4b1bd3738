//! Reads checkpoints: finds the newest that is whole, and says what is wrong with those that are not.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use model::{Alert, BarRow, BidEvent, LocationId, LocationName, MeterReading, Names, SeriesKey, Snapshot, T, Zones};
use object_store::{ObjectStore, ObjectStoreExt};
use operators::bars::{SavedMinute, open_from_ms, reach_ms};
use operators::rules::SavedRule;
use operators::settlement::{Priced, is_kept};

use super::Store;
use super::codec::{self, Wrong, parse};
use super::manifest::{File, Kind, Manifest, checksum};
use super::shelf::JoinAll;
use crate::Error;

/// A checkpoint in the store, whole or not.
#[derive(Debug)]
pub struct Checkpoint {
    /// Its T.
    pub t: T,
    /// Its manifest, or what is wrong with it.
    pub manifest: Result<Manifest, String>,
}

/// Every checkpoint in the store, newest first.
pub async fn list(store: &Store) -> Result<Vec<Checkpoint>, Error> {
    let failed = |error| Error::checkpoint("list checkpoints", error);
    let listed = store.store.list_with_delimiter(Some(&store.root)).await.map_err(failed)?;
    let mut found: Vec<_> = listed
        .objects
        .iter()
        .filter_map(|object| Some((Manifest::t_of(&object.location)?, &object.location)))
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    let mut checkpoints = Vec::new();
    for (t, path) in found {
        let bytes = match async { store.store.get(path).await?.bytes().await }.await {
            Ok(bytes) => bytes,
            // Somebody trims at the same time.
            Err(object_store::Error::NotFound { .. }) => continue,
            Err(error) => return Err(Error::checkpoint(format!("read {path}"), error)),
        };
        checkpoints.push(Checkpoint { t, manifest: Manifest::decode(&bytes) });
    }
    Ok(checkpoints)
}

/// Everything that a checkpoint holds.
#[derive(Debug)]
pub struct Recovered {
    /// Its manifest.
    pub manifest: Manifest,
    /// Bars, names, counts and alerts of the current state.
    pub(crate) snapshot: Snapshot,
    pub(crate) alerts: Vec<Alert>,
    /// Locations whose names were announced.
    pub(crate) announced: HashSet<LocationId>,
    pub(crate) minutes: Vec<SavedMinute>,
    pub(crate) bids: Vec<BidEvent>,
    pub(crate) meters: Vec<MeterReading>,
    pub(crate) rules: Vec<SavedRule>,
    /// Bars that operators look back at and whose records are gone: minutes, and five minutes for settlement.
    pub(crate) sealed_bars: Vec<BarRow>,
}

impl Recovered {
    /// Hands over the state, once what settlement looks back at is taken from it.
    pub(crate) fn take_snapshot(&mut self, operators: &operators::Config, zones: &Zones) -> Snapshot {
        let (priced, t) = (Priced::new(zones), self.manifest.t);
        let rows = self.snapshot.bars.values().map(|(_, row)| *row);
        self.sealed_bars.extend(rows.filter(|row| priced.takes(row) && is_kept(operators, row.key.start_ms, t)));
        std::mem::take(&mut self.snapshot)
    }

    /// Rows read, for people.
    pub fn rows(&self) -> usize {
        self.manifest.files.iter().map(|file| file.rows).sum()
    }
}

/// The checkpoint to begin with, `None` when there is none at all: the newest that is whole, or the one before it if the
/// newest is after `settled_t`. One that is damaged is named in the log and passed over, and so is one from before
/// `complete_after`, where the record begins; if none is left that is an error, for the numbers cannot be made again
/// silently.
pub async fn newest(
    store: &Store,
    operators: &operators::Config,
    limits: model::snapshot::Limits,
    names: &Arc<Names>,
    settled_t: T,
    complete_after: T,
) -> Result<Option<Recovered>, Error> {
    let load = async |manifest| load(store, manifest, operators, limits).await;
    let mut all = list(store).await?;
    loop {
        let newest_t = all.first().map(|newest| newest.t);
        prefer_settled(&mut all, settled_t, complete_after);
        let found = first_whole(all, complete_after, &load).await;
        if let Ok(found) = found {
            found.iter().flat_map(|found| found.snapshot.names.values()).for_each(|name| names.learn(name));
            return Ok(found);
        }
        // Somebody else leads (we stand by), and has removed what we were reading: then there are newer ones.
        all = list(store).await?;
        if all.first().map(|newest| newest.t) == newest_t {
            return found;
        }
    }
}

/// Puts the one before the newest first if the newest is after `settled_t`. Not further back than one: a zombie may remove
/// what is older (`trim`).
fn prefer_settled(all: &mut [Checkpoint], settled_t: T, complete_after: T) {
    if let [newest, before, ..] = all
        && newest.t > settled_t
        && newest.manifest.is_ok()
        && before.manifest.is_ok()
        && before.t >= complete_after
    {
        std::mem::swap(newest, before);
    }
}

async fn first_whole(
    all: Vec<Checkpoint>,
    complete_after: T,
    load: &impl AsyncFn(Manifest) -> Result<Recovered, Wrong>,
) -> Result<Option<Recovered>, Error> {
    let mut last_wrong = None;
    for Checkpoint { t, manifest } in all {
        let loaded = match manifest {
            Ok(_) if t < complete_after => {
                Err(format!("the moments up to {complete_after} are not on record any more"))
            }
            Ok(manifest) => load(manifest).await,
            Err(wrong) => Err(wrong),
        };
        match loaded {
            Ok(recovered) => return Ok(Some(recovered)),
            // A newer program wrote it: the older ones would be a step back in time.
            Err(wrong) if wrong.contains("run a newer one") => {
                return Err(Error::Checkpoint(format!("checkpoint {t}: {wrong}")));
            }
            Err(wrong) => {
                tracing::error!(t, "checkpoint cannot be used and is passed over: {wrong}");
                last_wrong = Some((t, wrong));
            }
        }
    }
    match last_wrong {
        None => Ok(None),
        Some((t, wrong)) => Err(Error::Checkpoint(format!(
            "no checkpoint is whole (the oldest, {t}: {wrong}): put one back from a backup, or move the folder away to \
             begin with the topics' first records"
        ))),
    }
}

/// Reads every file of a checkpoint as a restart would. Returns the rows read, or what is wrong.
pub async fn verify(store: &Store, manifest: &Manifest, operators: &operators::Config) -> Result<usize, String> {
    let limits = model::snapshot::Limits::default();
    load(store, manifest.clone(), operators, limits).await.map(|recovered| recovered.rows())
}

/// What is in a file.
enum Rows {
    Minutes(Vec<SavedMinute>),
    Bars(Vec<(T, BarRow)>),
    Texts(Bytes),
}

fn decode(kind: Kind, bytes: Bytes) -> Result<Rows, Wrong> {
    match kind {
        Kind::Ticks => codec::decode_minutes(bytes).map(Rows::Minutes),
        Kind::Bars => codec::decode_bars(bytes).map(Rows::Bars),
        Kind::Records | Kind::State => Ok(Rows::Texts(bytes)),
    }
}

/// What the files say so far, but for bars: a later file replaces what an earlier one says of a key.
#[derive(Default)]
struct Gathered {
    minutes: BTreeMap<(SeriesKey, i64), SavedMinute>,
    bids: BTreeMap<String, BidEvent>,
    meters: BTreeMap<(String, i64), MeterReading>,
    rules: BTreeMap<String, SavedRule>,
    alerts: Vec<Alert>,
    names: Vec<LocationName>,
    latest: Vec<(T, BarRow)>,
}

impl Gathered {
    fn text(&mut self, table: &str, row: &str) -> Result<(), Wrong> {
        match table {
            "bids" => {
                let bid: BidEvent = parse(row)?;
                self.bids.insert(bid.bid.clone(), bid);
            }
            "meters" => {
                let reading: MeterReading = parse(row)?;
                self.meters.insert((reading.asset.clone(), reading.start_ms), reading);
            }
            "rules" => {
                let rule: SavedRule = parse(row)?;
                self.rules.insert(rule.0.rule.clone(), rule);
            }
            "alerts" => self.alerts.push(parse(row)?),
            "names" => self.names.push(parse(row)?),
            "latest" => self.latest.push(parse(row)?),
            other => return Err(format!("no table {other:?}")),
        }
        Ok(())
    }
}

/// Reads and checks every file of a checkpoint: some ahead of others, on all cores, and in their order.
pub(super) async fn load(
    store: &Store,
    manifest: Manifest,
    operators: &operators::Config,
    limits: model::snapshot::Limits,
) -> Result<Recovered, Wrong> {
    let (mut gathered, mut snapshot) = (Gathered::default(), Snapshot::new(limits));
    let decoded = |file: File| async move {
        let bytes = read(store, &file).await?;
        let rows = tokio::task::spawn_blocking(move || decode(file.kind, bytes)).await;
        let named = |wrong: Wrong| format!("{}: {wrong}", file.path);
        let rows = rows.map_err(|error| named(error.to_string()))?.map_err(named)?;
        Ok::<_, Wrong>((file.path, rows))
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut files = futures::stream::iter(manifest.files.clone()).map(decoded).buffered(cores);
    while let Some(file) = files.next().await {
        let (path, rows) = file?;
        match rows {
            Rows::Minutes(read) => {
                let keyed = read.into_iter().map(|minute| ((minute.series, minute.start_ms), minute));
                gathered.minutes.extend(keyed);
            }
            // At once, so that there is never more than a few files of them twice in memory.
            Rows::Bars(read) => snapshot.load(manifest.t, read, Vec::new(), Vec::new(), manifest.counts),
            Rows::Texts(bytes) => codec::decode_texts(bytes, |table, row| gathered.text(table, row))
                .map_err(|wrong| format!("{path}: {wrong}"))?,
        }
    }
    drop(files);
    let Gathered { minutes, bids, mut meters, rules, alerts, names, latest } = gathered;
    // Forgotten since they were saved: as records they would be refused, and once is enough.
    meters.retain(|(_, start_ms), _| is_kept(operators, *start_ms, manifest.t));
    snapshot.load(manifest.t, latest, names, alerts.clone(), manifest.counts);
    let t_ms = i64::try_from(manifest.t).unwrap_or(i64::MAX);
    let is_within_reach =
        |row: &BarRow| row.key.start_ms >= t_ms.saturating_sub(reach_ms(operators, row.key.series.market));
    let is_sealed = |row: &BarRow| {
        row.key.granularity == model::Granularity::M1
            && row.key.start_ms < open_from_ms(operators, row.key.series.market, t_ms)
    };
    // Whatever operators look back at: the bars within reach, and the newest of each series whatever its age.
    let newest = |row: &BarRow| snapshot.latest.get(&row.key.series).is_some_and(|(_, latest)| latest.key == row.key);
    let sealed_bars = snapshot
        .bars
        .values()
        .map(|(_, row)| *row)
        .filter(|row| is_sealed(row) && (is_within_reach(row) || newest(row)))
        .collect();
    Ok(Recovered {
        announced: snapshot.names.keys().copied().collect(),
        snapshot,
        alerts,
        minutes: minutes.into_values().collect(),
        bids: bids.into_values().collect(),
        meters: meters.into_values().collect(),
        rules: rules.into_values().collect(),
        sealed_bars,
        manifest,
    })
}

async fn read(store: &Store, file: &File) -> Result<Bytes, Wrong> {
    let path = store.root.clone().join_all(&file.path);
    let got = async { store.store.get(&path).await?.bytes().await }.await;
    let bytes = got.map_err(|error| match error {
        object_store::Error::NotFound { .. } => format!("{} is missing", file.path),
        other => format!("{}: {other}", file.path),
    })?;
    if bytes.len() as u64 != file.bytes || checksum(&bytes) != file.xxh3 {
        return Err(format!("{} is damaged: its length or checksum does not match", file.path));
    }
    Ok(bytes)
}
