//! The sinks as the pipeline sees them: queues that take batches, behind which stores are made ready and written.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use model::{Batch, Snapshot};
use pipeline::BatchQueue;
use sinks::{Driver, Handle};
use tokio::task::JoinHandle;

use crate::migrations::Migrated;

/// A sink's queue.
pub(crate) struct Queue(pub(crate) sinks::Handle);

#[async_trait]
impl BatchQueue for Queue {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn push(&mut self, batch: Arc<Batch>) -> bool {
        self.0.push(batch).await.is_ok()
    }

    fn restore(&mut self, state: Arc<Snapshot>) {
        BatchQueue::restore(&mut self.0, state);
    }
}

/// Starts a driver for every sink that is switched on. Each drains and ends when its `shutdown()` completes.
pub(crate) fn spawn<S>(
    config: &sinks::Config,
    context: &sinks::Context,
    metrics: &sinks::Metrics,
    migrated: &Migrated,
    shutdown: impl Fn() -> S,
) -> Result<Vec<(Handle, JoinHandle<()>)>>
where
    S: Future<Output = ()> + Send + 'static,
{
    let spawned = config.build(context)?.into_iter().map(|(sink, limits)| {
        let (name, migrated, stopping) = (sink.name(), migrated.clone(), shutdown());
        let (handle, driver) = Driver::new(sink, limits, metrics);
        let shutdown = shutdown();
        let run = async move {
            // Nobody asks whether tables are there before somebody has tried to make them.
            tokio::select! { () = migrated.tried(name) => {}, () = stopping => {} }
            driver.run(shutdown).await;
        };
        (handle, tokio::spawn(run))
    });
    Ok(spawned.collect())
}
