//! Stopping, in order: the source stops, what is bound runs through, the last batch is delivered, threads end.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long the queues of sinks may keep the end waiting.
pub const GRACE: Duration = Duration::from_millis(750);

/// A token that everything listens to. Cheap to clone; stopping twice is stopping once.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A token that nobody has pulled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody to stop.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Whether stopping has been asked for.
    pub fn is_stopping(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until stopping is asked for.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.0.clone().cancelled_owned()
    }

    /// Waits until stopping is asked for, on a thread outside the runtime.
    pub fn wait(&self) {
        futures::executor::block_on(self.0.cancelled());
    }

    /// A token that stops with this one, and can be stopped without it.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Stops on Ctrl-C or SIGTERM. To be called within the runtime.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
                _ = terminate.recv() => tracing::info!("asked to terminate: stopping"),
                () = shutdown.stopping() => return,
            }
            shutdown.stop();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_stops_with_its_parent_but_not_the_other_way_round() {
        let parent = Shutdown::new();
        let child = parent.child();
        child.stop();
        assert!(child.is_stopping() && !parent.is_stopping());
        let other = parent.child();
        parent.stop();
        other.wait();
        assert!(other.is_stopping());
    }
}
