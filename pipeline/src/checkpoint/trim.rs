//! What goes: checkpoints beyond `keep`, and what nobody will ever finish.
//!
//! An older life that was only frozen (a *zombie*) may run this after a newer one has begun. That must take nothing
//! away that the newer one reads:
//!
//! * After it was fenced a life completes at most one manifest: the one whose barrier it had bound. The next barrier
//!   comes after that manifest, and cannot be bound any more.
//! * A life begins with the newest checkpoint or the one before (`resume_window`). So what the newer life began with is
//!   among the newest three that the older knows of. They are kept (`keep` is at least 3), with all their files; what
//!   none of them needs, no later manifest lists.
//! * Bindings are trimmed up to the oldest checkpoint kept, which is at most the one that the newer life began with.

use std::collections::BTreeSet;

use model::T;
use object_store::path::Path;

use super::manifest::Manifest;
use super::shelf::Shelf;

/// The T that an object belongs to: the beginning of its folder's name, or of a manifest's.
fn t_of(shelf: &Shelf, path: &Path) -> Option<T> {
    let mut parts = path.prefix_match(shelf.root())?;
    let first = parts.next()?;
    let name = first.as_ref();
    let digits = name.strip_prefix("manifest-").unwrap_or(name);
    digits.get(..20)?.parse().ok()
}

/// Removes checkpoints beyond `keep`, and the files that only they needed.
pub(super) fn trim(shelf: &Shelf, kept: &mut Vec<Manifest>, keep: usize) {
    while kept.len() > keep {
        let old = kept.remove(0);
        let needed: BTreeSet<&str> = kept.iter().flat_map(|kept| &kept.files).map(|file| file.path.as_str()).collect();
        let gone = old.files.iter().map(|file| file.path.as_str()).filter(|path| !needed.contains(path));
        let markers = (0..old.workers).map(|worker| format!("{}/worker-{worker}.json", old.folder()));
        // The manifest first: what it lists must be there.
        shelf.remove(&old.path(shelf.root()));
        gone.for_each(|path| shelf.remove(&shelf.path(path)));
        markers.for_each(|path| shelf.remove(&shelf.path(&path)));
    }
}

/// Removes what lives before this one left behind: everything from before the oldest checkpoint kept that none kept
/// needs. Manifests come first, as in [`trim`].
pub(super) fn sweep(shelf: &Shelf, kept: &[Manifest]) -> Result<(), crate::Error> {
    let Some(oldest) = kept.first() else { return Ok(()) };
    let needed: BTreeSet<Path> = kept.iter().flat_map(|kept| &kept.files).map(|file| shelf.path(&file.path)).collect();
    let is_over = |path: &Path| t_of(shelf, path).is_some_and(|t| t < oldest.t) && !needed.contains(path);
    let mut gone: Vec<Path> = shelf.list()?.into_iter().filter(is_over).collect();
    gone.sort_by_key(|path| Manifest::t_of(path).is_none());
    if !gone.is_empty() {
        tracing::debug!(objects = gone.len(), before = oldest.t, "removing what earlier lives left behind");
    }
    gone.iter().for_each(|path| shelf.remove(path));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Store;
    use super::super::manifest::{File, Kind, VERSION};
    use super::*;

    fn manifest(t: T, life: u64, paths: &[&str]) -> Manifest {
        let file = |path: &&str| File {
            path: (*path).to_owned(),
            kind: Kind::Bars,
            t,
            rows: 1,
            bytes: 1,
            xxh3: String::new(),
            until_t: T::MAX,
            kept_ms: 0,
        };
        Manifest {
            version: VERSION,
            t,
            life,
            counts: model::batch::Counts::default(),
            offsets: [].into(),
            settings: String::new(),
            workers: 1,
            files: paths.iter().map(file).collect(),
        }
    }

    fn put(shelf: &Shelf, manifest: &Manifest) {
        shelf.put(&manifest.path(shelf.root()), manifest.encode().into()).unwrap();
        let marker = format!("{}/worker-0.json", manifest.folder());
        for path in manifest.files.iter().map(|file| file.path.as_str()).chain([marker.as_str()]) {
            shelf.put(&shelf.path(path), "x".into()).unwrap();
        }
    }

    #[test]
    fn what_nobody_needs_goes_and_what_somebody_needs_stays() {
        let root = Path::from("some/where");
        let shelf = Shelf::new(Store { store: Arc::new(object_store::memory::InMemory::new()), root }).unwrap();
        let at = |t: T, life: u64, name: &str| format!("{}/{name}", super::super::manifest::folder(t, life));
        let (old, shared) = (at(10, 1, "a.parquet"), at(10, 1, "b.parquet"));
        let manifests = [
            manifest(10, 1, &[&old, &shared]),
            manifest(20, 1, &[&shared, &at(20, 1, "c.parquet")]),
            manifest(30, 1, &[&shared, &at(30, 1, "d.parquet")]),
            manifest(40, 1, &[&shared]),
        ];
        manifests.iter().for_each(|manifest| put(&shelf, manifest));
        // Another life's, half written and whole, before and after; and something that is none of ours.
        let theirs = [at(25, 2, "worker-0.json"), at(35, 2, "e.parquet")];
        theirs.iter().for_each(|path| shelf.put(&shelf.path(path), "x".into()).unwrap());
        put(&shelf, &manifest(26, 2, &[&at(26, 2, "f.parquet")]));
        shelf.put(&shelf.path("README"), "x".into()).unwrap();

        let mut kept = manifests[..3].to_vec();
        trim(&shelf, &mut kept, 2);
        assert_eq!(kept, manifests[1..3]);
        let has = |path: &str| shelf.get(&shelf.path(path)).is_ok();
        assert!(!has(&old) && has(&shared) && shelf.get(&manifests[0].path(shelf.root())).is_err());

        kept = manifests[2..].to_vec();
        sweep(&shelf, &kept).unwrap();
        let mut left: Vec<String> = shelf.list().unwrap().iter().map(ToString::to_string).collect();
        left.sort();
        let mut expected: Vec<String> = manifests[2..]
            .iter()
            .flat_map(|manifest| {
                let own = manifest.files.iter().map(|file| file.path.clone());
                own.chain([format!("{}/worker-0.json", manifest.folder())]).map(|path| shelf.path(&path).to_string())
            })
            .chain(manifests[2..].iter().map(|manifest| manifest.path(shelf.root()).to_string()))
            .chain(["some/where/README".to_owned(), shelf.path(&theirs[1]).to_string()])
            .collect();
        expected.sort();
        expected.dedup();
        assert_eq!(left, expected);
    }
}
