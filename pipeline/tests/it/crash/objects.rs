//! An object store that a life may die in, or freeze in.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::fuse::{Fuse, Now, What};

#[derive(Clone)]
pub(crate) struct FusedStore(pub(crate) Arc<InMemory>, pub(crate) Fuse);

impl fmt::Debug for FusedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FusedStore")
    }
}

impl fmt::Display for FusedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FusedStore")
    }
}

fn killed() -> Error {
    Error::Generic { store: "fused", source: "killed".into() }
}

#[async_trait]
impl ObjectStore for FusedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_manifest = location.filename().is_some_and(|name| name.starts_with("manifest-"));
        match self.1.effect(if is_manifest { What::Manifest } else { What::Put }).await {
            Now::Do => self.0.put_opts(location, payload, options).await,
            Now::DoAndDie => self.0.put_opts(location, payload, options).await.and(Err(killed())),
            Now::Die => Err(killed()),
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(killed())
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let fuse = self.1.clone();
        let allowed = locations.then(move |path| {
            let fuse = fuse.clone();
            async move { if fuse.effect(What::Delete).await == Now::Die { Err(killed()) } else { path } }
        });
        self.0.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}
