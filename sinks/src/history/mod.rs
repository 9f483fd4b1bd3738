//! The embedded history: Parquet files in an object store, so that SQL over the past needs no server.
//!
//! `<root>/<table>/day=YYYY-MM-DD/<first T>-<last T>.parquet`, zstd, columns of [`model::table`], days UTC by the
//! table's time column. Files are logs of versions: of rows with one key the newest `t` stands, unless `removed`.
//!
//! A run is a file: the driver gathers rows (`roll_rows`, `roll_interval`), so nothing is acknowledged before its file is
//! put, and the same run makes the same file. Small files are merged later ([`compact`]): first the merged file
//! appears, then, after a grace, its parts go. So readers may see a version twice and must count it once.
//!
//! After the files of a run an empty object `progress/<T>` says that everything up to T is there; the greatest counts, so
//! it does not matter who says it. A state that is told to a history which lacks it makes files `<first>-<last>-state`:
//! they hold less than a run from the first to the last T, and must not take the name of one.

mod compact;
mod config;
mod encode;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use model::{Batch, T};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use compact::Compactor;
pub use config::Config;
use encode::File;

use crate::{Context, Error, Sink};

/// Writes closed batches as Parquet files.
#[derive(Debug)]
pub struct History {
    context: Context,
    store: Arc<dyn ObjectStore>,
    root: Path,
    compactor: Compactor,
    /// What `progress` names, as far as this instance knows: older ones go when a newer one is there.
    told: BTreeSet<T>,
}

impl History {
    /// Opens the store; makes a local root folder if it is missing.
    pub fn new(config: &Config, context: Context) -> Result<Self, Error> {
        let (store, root) = config.open()?;
        Ok(Self { context, store, root, compactor: Compactor::new(config), told: BTreeSet::new() })
    }

    /// Puts a run's files, and then says how far they reach.
    async fn put(&mut self, batches: &[Arc<Batch>], suffix: &str) -> Result<Vec<File>, Error> {
        let Some(last_t) = batches.last().map(|batch| batch.t) else { return Ok(Vec::new()) };
        self.context.learn(batches);
        let (context, run) = (self.context.clone(), batches.to_vec());
        let files = tokio::task::spawn_blocking(move || encode::files(&context, &run)).await??;
        // Four at a time: an object store answers slowly but many at once.
        let (store, root) = (Arc::clone(&self.store), self.root.clone());
        futures::stream::iter(&files)
            .map(Ok)
            .try_for_each_concurrent(4, |file| put(store.as_ref(), &root, file, suffix))
            .await?;
        self.advance(last_t).await?;
        Ok(files)
    }

    async fn advance(&mut self, t: T) -> Result<(), Error> {
        if self.told.last().is_some_and(|told| *told >= t) {
            return Ok(());
        }
        self.store.put(&progress(&self.root, t), PutPayload::default()).await?;
        self.told.insert(t);
        while self.told.len() > 1
            && let Some(old) = self.told.first().copied()
        {
            match self.store.delete(&progress(&self.root, old)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => self.told.pop_first(),
                // It says less than the newest: no harm in it, and the next run tries again.
                Err(error) => {
                    tracing::debug!(%error, t = old, "an old mark of progress stays");
                    break;
                }
            };
        }
        Ok(())
    }

    /// The greatest T that a file is named by: a history from before there was `progress` has only that.
    async fn newest_file_t(&self) -> Result<T, Error> {
        let mut newest = 0;
        let mut listing = self.store.list(Some(&self.root));
        while let Some(meta) = listing.try_next().await? {
            newest = newest.max(compact::span(&meta.location).map_or(0, |(_, last_t)| last_t));
        }
        Ok(newest)
    }
}

fn folder(root: &Path, file: &File) -> Path {
    root.clone().join(file.table.name()).join(format!("day={}", file.day))
}

async fn put(store: &dyn ObjectStore, root: &Path, file: &File, suffix: &str) -> Result<(), Error> {
    let path = folder(root, file).join(format!("{}-{}{suffix}.parquet", file.first_t, file.last_t));
    store.put(&path, PutPayload::from_bytes(file.bytes.clone())).await?;
    Ok(())
}

fn progress(root: &Path, t: T) -> Path {
    root.clone().join("progress").join(t.to_string())
}

#[async_trait]
impl Sink for History {
    fn name(&self) -> &'static str {
        "history"
    }

    async fn check(&mut self) -> Result<(), Error> {
        // A store that lists is there and lets us in; an empty one lists nothing.
        self.store.list_with_delimiter(Some(&self.root)).await?;
        Ok(())
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        let files = self.put(batches, "").await?;
        for file in &files {
            let folder = folder(&self.root, file);
            // The run is durable by now: a merge that fails is tried again with the next file of that day.
            if let Err(error) = self.compactor.added(self.store.as_ref(), file.table, folder).await {
                tracing::warn!(%error, table = file.table.name(), day = file.day, "merging history files failed");
            }
        }
        if let Err(error) = self.compactor.sweep(self.store.as_ref()).await {
            tracing::warn!(%error, "removing merged history files failed");
        }
        Ok(())
    }

    async fn held_t(&mut self) -> Result<Option<T>, Error> {
        let mut listing = self.store.list(Some(&self.root.clone().join("progress")));
        while let Some(meta) = listing.try_next().await? {
            self.told.extend(meta.location.filename().and_then(|name| name.parse::<T>().ok()));
        }
        match self.told.last() {
            Some(t) => Ok(Some(*t)),
            None => Ok(Some(self.newest_file_t().await?)),
        }
    }

    async fn restore(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.put(batches, "-state").await.map(drop)
    }
}
