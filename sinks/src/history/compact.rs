//! Merges small history files, so that a day is few files however often it was written.
//!
//! Files of one table and day are sorted into levels by size (each 16 times the last). When a level holds
//! `compact_files`, they become one file, which lands a level higher or shrinks for its duplicates: each row is
//! rewritten a few times at most. A merge takes at most `MERGE_ROWS` rows, so that its memory is bounded whatever the
//! rate: files that hold half of that are left alone. The merged file is put first; its parts are deleted after a grace, for readers that
//! have already listed them. A crash in between leaves parts beside their sum: readers count versions once, and the
//! parts are merged again some day.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use futures::TryStreamExt;
use model::T;
use model::table::Table;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::time::{Duration, Instant};

use super::{Config, encode};
use crate::Error;

/// Rows that are merged in one go: some 200 MiB while they are sorted.
const MERGE_ROWS: usize = 400_000;

#[derive(Debug)]
pub(super) struct Compactor {
    files: usize,
    bytes: u64,
    grace: Duration,
    /// Files written to a folder since it was last listed.
    added: HashMap<Path, usize>,
    /// Files with too many rows to be merged again. One that is forgotten is looked at once more.
    full: HashSet<Path>,
    /// Merged files and when they may go.
    doomed: VecDeque<(Instant, Path)>,
}

#[derive(Clone, Debug)]
struct Part {
    path: Path,
    size: u64,
    first_t: T,
    last_t: T,
}

impl Compactor {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            files: config.compact_files.max(2),
            bytes: config.compact_bytes,
            grace: config.grace.0,
            added: HashMap::new(),
            full: HashSet::new(),
            doomed: VecDeque::new(),
        }
    }

    /// A file was put into `folder`: merges there if it is time.
    pub(super) async fn added(&mut self, store: &dyn ObjectStore, table: Table, folder: Path) -> Result<(), Error> {
        let added = self.added.entry(folder.clone()).or_insert(self.files);
        *added += 1;
        if *added < self.files {
            return Ok(());
        }
        *added = 0;
        while let Some(parts) = self.full_level(store, &folder).await? {
            self.merge(store, table, &folder, parts).await?;
        }
        // Folders are days: forget those that nobody writes to any more.
        if self.added.len() > 10_000 {
            self.added.clear();
        }
        if self.full.len() > 100_000 {
            self.full.clear();
        }
        Ok(())
    }

    async fn full_level(&self, store: &dyn ObjectStore, folder: &Path) -> Result<Option<Vec<Part>>, Error> {
        let mut levels: BTreeMap<u32, Vec<Part>> = BTreeMap::new();
        let mut listing = store.list(Some(folder));
        while let Some(meta) = listing.try_next().await? {
            let doomed = self.doomed.iter().any(|(_, path)| *path == meta.location);
            if let Some((first_t, last_t)) = span(&meta.location)
                && !doomed
                && !self.full.contains(&meta.location)
                && meta.size < self.bytes
            {
                let part = Part { path: meta.location, size: meta.size, first_t, last_t };
                levels.entry(level(part.size)).or_default().push(part);
            }
        }
        Ok(levels.into_values().find(|parts| parts.len() >= self.files))
    }

    async fn merge(
        &mut self,
        store: &dyn ObjectStore,
        table: Table,
        folder: &Path,
        parts: Vec<Part>,
    ) -> Result<(), Error> {
        let Some(parts) = self.within_bounds(store, parts).await? else { return Ok(()) };
        let first_t = parts.iter().map(|part| part.first_t).min().unwrap_or(0);
        let last_t = parts.iter().map(|part| part.last_t).max().unwrap_or(0);
        let target = folder.clone().join(format!("{first_t}-{last_t}.parquet"));
        let mut contents = Vec::with_capacity(parts.len() + 1);
        for part in &parts {
            contents.push(store.get(&part.path).await?.bytes().await?);
        }
        // A file of that name which is not among the parts would be overwritten: take it in.
        if !parts.iter().any(|part| part.path == target) {
            match store.get(&target).await {
                Ok(found) => contents.push(found.bytes().await?),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let merged = tokio::task::spawn_blocking(move || encode::merge(table, &contents)).await??;
        tracing::debug!(table = table.name(), files = parts.len(), bytes = merged.len(), "history files merged");
        store.put(&target, PutPayload::from_bytes(merged)).await?;
        let due = Instant::now() + self.grace;
        self.doomed.extend(parts.into_iter().filter(|part| part.path != target).map(|part| (due, part.path)));
        Ok(())
    }

    /// The first of `parts` that are small enough to be merged together; `None` when those that are cannot be.
    async fn within_bounds(&mut self, store: &dyn ObjectStore, parts: Vec<Part>) -> Result<Option<Vec<Part>>, Error> {
        let (mut rows, mut taken) = (0, Vec::new());
        for part in parts {
            let more = encode::rows(&store.get(&part.path).await?.bytes().await?)?;
            if more > MERGE_ROWS / 2 {
                self.full.insert(part.path);
            } else if rows + more <= MERGE_ROWS {
                rows += more;
                taken.push(part);
            }
        }
        Ok((taken.len() > 1).then_some(taken))
    }

    /// Deletes merged files whose grace is over.
    pub(super) async fn sweep(&mut self, store: &dyn ObjectStore) -> Result<(), Error> {
        while let Some((due, path)) = self.doomed.front() {
            if *due > Instant::now() {
                break;
            }
            match store.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => self.doomed.pop_front(),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(())
    }
}

/// Level of a file: 0 below 64 KiB, then one for each factor of 16.
fn level(size: u64) -> u32 {
    (size >> 12).max(1).ilog2() / 4
}

/// First and last T of a file, from its name.
pub(super) fn span(path: &Path) -> Option<(T, T)> {
    let (first, last) = path.filename()?.strip_suffix(".parquet")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_by_size_and_named_by_their_span() {
        assert_eq!([level(0), level(65_535), level(65_536), level(1 << 20)], [0, 0, 1, 2]);
        assert_eq!(span(&Path::from("bars/day=2025-11-18/12-34.parquet")), Some((12, 34)));
        assert_eq!(span(&Path::from("bars/day=2025-11-18/readme.txt")), None);
    }
}
