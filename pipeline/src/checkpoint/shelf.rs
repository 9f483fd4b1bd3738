//! The object store, spoken to from a thread: each call waits.

use bytes::Bytes;
use futures::TryStreamExt;
use model::T;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::Store;
use super::manifest::{File, Kind, checksum, folder};
use crate::Error;

/// The store of one writer.
pub(super) struct Shelf {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Shelf {
    pub(super) fn new(store: Store) -> Result<Self, Error> {
        Ok(Self { store, runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()? })
    }

    /// Where something below the root is.
    pub(super) fn path(&self, below: &str) -> Path {
        self.store.root.clone().join_all(below)
    }

    pub(super) fn root(&self) -> &Path {
        &self.store.root
    }

    pub(super) fn put(&self, path: &Path, bytes: Bytes) -> Result<(), Error> {
        let put = self.store.store.put(path, PutPayload::from_bytes(bytes));
        self.runtime.block_on(put).map_err(|error| Error::checkpoint(format!("write {path}"), error))?;
        Ok(())
    }

    pub(super) fn get(&self, path: &Path) -> Result<Bytes, Error> {
        let get = async { self.store.store.get(path).await?.bytes().await };
        self.runtime.block_on(get).map_err(|error| Error::checkpoint(format!("read {path}"), error))
    }

    /// Writes a file into the folder of a barrier.
    pub(super) fn write(
        &self,
        kind: Kind,
        (t, life): (T, u64),
        name: &str,
        rows: usize,
        bytes: Bytes,
    ) -> Result<File, Error> {
        let path = format!("{}/{name}.parquet", folder(t, life));
        let (length, xxh3) = (bytes.len() as u64, checksum(&bytes));
        self.put(&self.path(&path), bytes)?;
        Ok(File { path, kind, t, rows, bytes: length, xxh3, until_t: T::MAX, kept_ms: 0 })
    }

    /// A file that a manifest lists, as it was written.
    pub(super) fn file(&self, file: &File) -> Result<Bytes, Error> {
        let bytes = self.get(&self.path(&file.path))?;
        if checksum(&bytes) != file.xxh3 {
            return Err(Error::checkpoint(format!("read {}", file.path), "its checksum does not match"));
        }
        Ok(bytes)
    }

    /// Removes it. What is gone already is no error; what fails stays for another time.
    pub(super) fn remove(&self, path: &Path) {
        match self.runtime.block_on(self.store.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::debug!(%path, %error, "an old checkpoint's file stays"),
        }
    }

    /// Everything below the root.
    pub(super) fn list(&self) -> Result<Vec<Path>, Error> {
        let listed = self.store.store.list(Some(&self.store.root)).map_ok(|meta| meta.location).try_collect();
        self.runtime.block_on(listed).map_err(|error| Error::checkpoint("list checkpoints", error))
    }
}

/// Joins a path of several parts.
pub(super) trait JoinAll {
    fn join_all(self, parts: &str) -> Self;
}

impl JoinAll for Path {
    fn join_all(self, parts: &str) -> Self {
        parts.split('/').fold(self, |path, part| path.join(part))
    }
}
