//! The embedded history: Parquet files in an object store, so that SQL over the past needs no server.
//!
//! `<root>/<table>/day=YYYY-MM-DD/<first T>-<last T>.parquet`, zstd, columns of [`model::table`], days UTC by the
//! table's time column. Files are logs of versions: of rows with one key the newest `t` stands, unless `removed`.
//!
//! A run is a file: the driver gathers rows (`roll_rows`, `roll_interval`), so nothing is acknowledged before its file is
//! put, and the same run makes the same file. Small files are merged later ([`compact`]): first the merged file
//! appears, then, after a grace, its parts go. So readers may see a version twice and must count it once.

mod compact;
mod config;
mod encode;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use model::Batch;
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
}

impl History {
    /// Opens the store; makes a local root folder if it is missing.
    pub fn new(config: &Config, context: Context) -> Result<Self, Error> {
        let (store, root) = config.open()?;
        Ok(Self { context, store, root, compactor: Compactor::new(config) })
    }
}

fn folder(root: &Path, file: &File) -> Path {
    root.clone().join(file.table.name()).join(format!("day={}", file.day))
}

async fn put(store: &dyn ObjectStore, root: &Path, file: &File) -> Result<(), Error> {
    let path = folder(root, file).join(format!("{}-{}.parquet", file.first_t, file.last_t));
    store.put(&path, PutPayload::from_bytes(file.bytes.clone())).await?;
    Ok(())
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
        self.context.learn(batches);
        let (context, run) = (self.context.clone(), batches.to_vec());
        let files = tokio::task::spawn_blocking(move || encode::files(&context, &run)).await??;
        // Four at a time: an object store answers slowly but many at once.
        let (store, root) = (Arc::clone(&self.store), self.root.clone());
        futures::stream::iter(&files)
            .map(Ok)
            .try_for_each_concurrent(4, |file| put(store.as_ref(), &root, file))
            .await?;
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
}
