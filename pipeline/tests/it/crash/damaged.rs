//! Checkpoints that something has happened to: each is named, and survived or refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use model::Names;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use pipeline::Clock;
use pipeline::checkpoint::{self, Store};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::fuse::Fate;
use super::life::{Place, Storm};
use super::market::Feed;

type Objects = BTreeMap<Path, Bytes>;

/// Everything in a store.
async fn objects(store: &InMemory) -> Objects {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut objects = Objects::new();
    for meta in listed {
        let bytes = store.get(&meta.location).await.unwrap().bytes().await.unwrap();
        objects.insert(meta.location, bytes);
    }
    objects
}

/// The T that a restart would begin with, or why it would not.
async fn begins(objects: &Objects, work: &operators::Config) -> Result<Option<u64>, String> {
    begins_with(objects, work, u64::MAX, 0).await
}

/// The same with a record that begins after `complete_after`, when clients resume from `settled_t` on.
async fn begins_with(
    objects: &Objects,
    work: &operators::Config,
    settled_t: u64,
    complete_after: u64,
) -> Result<Option<u64>, String> {
    let store = Arc::new(InMemory::new());
    for (path, bytes) in objects {
        store.put(path, PutPayload::from_bytes(bytes.clone())).await.unwrap();
    }
    let store = Store { store, root: Path::default() };
    let (limits, names) = (model::snapshot::Limits::default(), Arc::new(Names::default()));
    let found = checkpoint::newest(&store, work, limits, &names, settled_t, complete_after).await;
    found.map(|recovered| recovered.map(|recovered| recovered.manifest.t)).map_err(|error| error.to_string())
}

fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    bytes.into()
}

/// The manifest of a later form.
fn newer(bytes: &Bytes) -> Bytes {
    let text = std::str::from_utf8(bytes).unwrap();
    let json = text.lines().next().unwrap().replacen("\"version\":1", "\"version\":2", 1);
    format!("{json}\n{:016x}\n", xxhash_rust::xxh3::xxh3_64(json.as_bytes())).into_bytes().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_checkpoint_is_named_and_survived_or_refused() {
    let (place, feed) = (Place::new(4, Clock::Event), Feed::open(4, Clock::Event));
    let mut dice = ChaCha8Rng::seed_from_u64(4);
    let life = place.live(&feed.replay, &mut dice, Fate::Lives, Storm::default()).await;
    life.end(4).await.result.unwrap();
    let whole = objects(&place.objects).await;
    let manifests: Vec<&Path> = whole.keys().filter(|path| path.as_ref().contains("manifest-")).collect();
    let [.., before, last] = manifests[..] else { panic!("three checkpoints are kept: {manifests:?}") };
    let t = |path: &Path| path.filename().unwrap()["manifest-".len()..][..20].parse::<u64>().unwrap();
    let (before_t, last_t) = (t(before), t(last));
    let work = &operators::Config::default();
    assert_eq!(begins(&whole, work).await, Ok(Some(last_t)));
    assert_eq!(begins(&Objects::new(), work).await, Ok(None), "nothing at all is a first start");

    // Clients that resume are given what they lack, if it is on record.
    assert_eq!(begins_with(&whole, work, last_t, 0).await, Ok(Some(last_t)));
    assert_eq!(begins_with(&whole, work, last_t - 1, 0).await, Ok(Some(before_t)), "the one before");
    assert_eq!(begins_with(&whole, work, last_t - 1, before_t + 1).await, Ok(Some(last_t)));
    let told = begins_with(&whole, work, u64::MAX, last_t + 1).await.unwrap_err();
    assert!(told.contains("not on record any more"), "{told}");

    // What only the last one has, damaged or gone: the one before is taken.
    let own = format!("{last_t:020}-");
    // Files that were merged after it belong to the next.
    let is_own = |path: &&Path| {
        let path = path.as_ref();
        path.starts_with(&own) && path.ends_with(".parquet") && !path.contains("merged-")
    };
    let files: Vec<&Path> = whole.keys().filter(is_own).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let mut damaged = whole.clone();
        damaged.insert(file.clone(), flipped(&whole[file]));
        assert_eq!(begins(&damaged, work).await, Ok(Some(before_t)), "a flipped byte in {file}");
        damaged.remove(file);
        assert_eq!(begins(&damaged, work).await, Ok(Some(before_t)), "{file} is gone");
    }
    for half in [flipped(&whole[last]), whole[last].slice(..whole[last].len() / 2)] {
        let mut damaged = whole.clone();
        damaged.insert(last.clone(), half);
        assert_eq!(begins(&damaged, work).await, Ok(Some(before_t)), "a damaged manifest");
    }

    // A newer program's is refused: going back would not be noticed.
    let mut damaged = whole.clone();
    damaged.insert(last.clone(), newer(&whole[last]));
    let told = begins(&damaged, work).await.unwrap_err();
    assert!(told.contains("run a newer one") && told.contains(&last_t.to_string()), "{told}");

    // None is whole: refused, with what to do.
    let damaged: Objects = whole.iter().map(|(path, bytes)| (path.clone(), flipped(bytes))).collect();
    let told = begins(&damaged, work).await.unwrap_err();
    assert!(told.contains("no checkpoint is whole") && told.contains("backup"), "{told}");
}
