//! A fuse that blows at a chosen effect: from then on nothing that this life does has any effect, as after `kill -9`.
//!
//! Effects are counted wherever a life touches what outlives it: bindings appended, objects put or deleted, batches
//! applied by the store. The effect at which the fuse blows is done or not done, and never answered.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::T;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use pipeline::binding::memory::Memory;
use pipeline::{Binding, Log, Shutdown};

/// What the fuse says of an effect.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Now {
    Do,
    /// This one blows the fuse, after it is done.
    DoAndDie,
    Die,
}

#[derive(Clone)]
pub(crate) struct Fuse {
    left: Arc<AtomicI64>,
    blown: Arc<AtomicBool>,
    /// Whether the fatal effect is done.
    is_done: bool,
    life: Shutdown,
}

impl Fuse {
    /// Blows at the `effects`-th effect of a life that ends with `life`; never for `None`.
    pub(crate) fn new(effects: Option<u64>, is_done: bool, life: &Shutdown) -> Self {
        let left = effects.map_or(i64::MAX, |effects| effects as i64);
        Self { left: Arc::new(left.into()), blown: Arc::default(), is_done, life: life.clone() }
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.blown.load(Ordering::Acquire)
    }

    pub(crate) fn effect(&self) -> Now {
        match self.left.fetch_sub(1, Ordering::AcqRel) {
            1 => {
                self.blown.store(true, Ordering::Release);
                self.life.stop();
                if self.is_done { Now::DoAndDie } else { Now::Die }
            }
            left if left < 1 => Now::Die,
            _ => Now::Do,
        }
    }
}

/// A log that a life may die in.
pub(crate) struct FusedLog(pub(crate) Memory, pub(crate) Fuse);

impl FusedLog {
    fn died() -> pipeline::Error {
        pipeline::Error::Checkpoint("killed".to_owned())
    }
}

impl Log for FusedLog {
    fn take_over(&mut self, from: T) -> std::result::Result<Vec<Binding>, pipeline::Error> {
        self.0.take_over(from)
    }

    fn append(&mut self, bindings: &[Binding]) -> std::result::Result<(), pipeline::Error> {
        match self.1.effect() {
            Now::Do => self.0.append(bindings),
            Now::DoAndDie => self.0.append(bindings).and(Err(Self::died())),
            Now::Die => Err(Self::died()),
        }
    }

    fn trim(&mut self, t: T) -> std::result::Result<(), pipeline::Error> {
        if self.1.effect() == Now::Do { self.0.trim(t) } else { Err(Self::died()) }
    }
}

/// An object store that a life may die in.
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
        match self.1.effect() {
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
        let allowed = locations.map(move |path| if fuse.effect() == Now::Die { Err(killed()) } else { path });
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
