//! The sinks as the pipeline sees them: queues that take batches, behind which stores are made ready and written.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use model::{Batch, Snapshot};
use pipeline::BatchQueue;
use sinks::{Driver, Handle, Sink};
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
    let sinks = config.build(context)?.into_iter().map(|(sink, limits)| {
        let sink = Box::new(AfterMigrations { migrated: migrated.clone(), sink });
        Driver::spawn(sink, limits, metrics, shutdown())
    });
    Ok(sinks.collect())
}

/// A sink that is not asked whether its tables are there before somebody has tried to make them.
struct AfterMigrations {
    migrated: Migrated,
    sink: Box<dyn Sink>,
}

#[async_trait]
impl Sink for AfterMigrations {
    fn name(&self) -> &'static str {
        self.sink.name()
    }

    fn takes_quiet_moments(&self) -> bool {
        self.sink.takes_quiet_moments()
    }

    async fn check(&mut self) -> Result<(), sinks::Error> {
        self.migrated.tried(self.sink.name()).await;
        self.sink.check().await
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), sinks::Error> {
        self.sink.write(batches).await
    }
}
