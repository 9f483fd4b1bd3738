//! Threads that run queries, apart from those that serve requests.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::error::Error;

/// A runtime that may be dropped anywhere: it does not wait for what still runs.
#[derive(Debug)]
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    /// Starts `count` threads.
    pub(crate) fn start(count: usize) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("optibid-sql")
            .enable_all()
            .build()
            .map_err(|error| Error::Config(format!("start {count} threads: {error}")))?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a task there and waits for it; dropping the wait stops the task.
    pub(crate) async fn run<F>(&self, task: F) -> Result<F::Output, Error>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut running = self.runtime().spawn(task);
        let stop = StopOnDrop(running.abort_handle());
        let output = (&mut running).await.map_err(|error| Error::Internal(error.to_string()));
        drop(stop);
        output
    }

    /// Runs a task there.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime().spawn(task);
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("taken by drop alone")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

struct StopOnDrop(tokio::task::AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
