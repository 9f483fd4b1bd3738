//! The sinks as the pipeline sees them: queues that take batches.

use std::sync::Arc;

use async_trait::async_trait;
use model::{Batch, Snapshot};
use pipeline::BatchQueue;

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
