//! Kafka changelog: compacted topics that hold every row as it stands, dead letters whole, and what a replica needs
//! besides to have the whole live state ([`Follower`] is one).
//!
//! A run is one transaction: its messages and, last, a marker that says how far it reaches. A reader of committed
//! messages sees all of it or nothing, whatever happens to this program in between. The transactional id fences: whoever
//! takes over ends what an older instance has begun, reads how far it came, and leaves that out; so every message is
//! there once. The older instance is refused from then on, for good,
//! unless something else ends it (`Config::guarded`). Before the first write nothing is taken over, so
//! `check` disturbs nobody.
//!
//! librdkafka's calls block: they run on a thread of their own. A write that is given up goes on there; the next one
//! waits for it, and finds its batches written.

mod config;
mod decode;
mod encode;
mod follow;
mod gather;
mod lines;
mod load;
mod marker;
mod reader;
mod session;
mod status;
mod topics;

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use model::Batch;
use rdkafka::producer::Producer;
use tokio::task::JoinHandle;

pub use config::Config;
pub use follow::{Audience, Follower};
pub use status::{FollowMetrics, Status};

use crate::{Context, Error, Sink};
use session::Desk;

/// How a write ended, and what it wrote with.
type Written = (Box<Desk>, Result<(), Error>);

/// Writes closed batches to changelog topics.
pub struct Kafka {
    config: Config,
    context: Context,
    desk: Option<Box<Desk>>,
    /// A write that is under way; it may be one that was given up.
    running: Option<JoinHandle<Written>>,
    gone: Arc<AtomicBool>,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
    }
}

impl Kafka {
    /// A sink that will connect when first used.
    pub fn new(config: Config, context: Context) -> Result<Self, Error> {
        // Wrong settings show here and not at the first write.
        drop(session::producer(&config)?);
        let gone = Arc::new(AtomicBool::new(false));
        let desk = Desk::new(config.clone(), context.clone(), instance(), Arc::clone(&gone));
        Ok(Self { config, context, desk: Some(Box::new(desk)), running: None, gone })
    }

    /// Waits for the write that is under way, if one is.
    async fn settle(&mut self) -> Result<(), Error> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let ended = running.await;
        self.running = None;
        let (desk, result) = ended?;
        self.desk = Some(desk);
        result
    }
}

/// A name for this instance, from the standard library's random keys.
fn instance() -> String {
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

#[async_trait]
impl Sink for Kafka {
    fn name(&self) -> &'static str {
        "changelog"
    }

    async fn check(&mut self) -> Result<(), Error> {
        if self.config.create_topics {
            return topics::create(&self.config).await;
        }
        let client: rdkafka::producer::BaseProducer = topics::client(&self.config).create()?;
        // librdkafka's metadata call blocks.
        tokio::task::spawn_blocking(move || client.client().fetch_metadata(None, Duration::from_secs(5))).await??;
        Ok(())
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.context.learn(batches);
        // How a write ended that was given up shows in what is there already.
        if let Err(error) = self.settle().await {
            tracing::debug!(%error, "the write before this one");
        }
        let desk = self.desk.take();
        let mut desk = desk.ok_or_else(|| Error::Config("the thread that writes the changelog died".to_owned()))?;
        let run = batches.to_vec();
        self.running = Some(tokio::task::spawn_blocking(move || {
            let result = desk.write(&run);
            (desk, result)
        }));
        self.settle().await
    }
}
