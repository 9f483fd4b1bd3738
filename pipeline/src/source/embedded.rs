//! The broker inside the process: librdkafka's mock cluster, for demos and tests without a server.
//!
//! It keeps 5 MiB of each partition and forgets older records without a word, so producers must not run further
//! ahead of the consumer than that (`Handle::positions`). Topics are created here, not by the admin client.
//! The cluster cannot move between threads: it lives on one of its own, and ends with the last clone.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use model::Zones;
use model::wire::TopicKind;
use rdkafka::mocking::MockCluster;

use crate::Error;
use crate::config::Config;

/// A running broker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Embedded {
    bootstrap: Arc<str>,
    commands: Sender<Command>,
}

struct Command {
    topic: String,
    partitions: i32,
    done: Sender<Result<(), String>>,
}

impl Embedded {
    /// Starts a broker with the topics that the pipeline reads: one for each zone's ticks, bids, meters, rules and notices.
    pub fn start(config: &Config, zones: &Zones) -> Result<Self, Error> {
        let broker = Self::empty()?;
        let prefix = &config.kafka.prefix;
        for zone in zones.iter() {
            broker.create_topic(&TopicKind::ticks_topic(prefix, &zone.code), config.embedded.partitions)?;
        }
        for topic in ["bids", "meters", "rules", "notices"] {
            broker.create_topic(&format!("{prefix}.{topic}"), 1)?;
        }
        Ok(broker)
    }

    /// Starts a broker without topics.
    pub fn empty() -> Result<Self, Error> {
        let (commands, inbox) = channel();
        let (ready, started) = channel();
        std::thread::Builder::new().name("optibid-broker".to_owned()).spawn(move || serve(&ready, &inbox))?;
        let bootstrap = started
            .recv()
            .map_err(|_| Error::Embedded("start: the thread died".to_owned()))?
            .map_err(|why| Error::Embedded(format!("start: {why}")))?;
        tracing::info!(%bootstrap, "embedded broker started");
        Ok(Self { bootstrap: bootstrap.into(), commands })
    }

    /// Where clients connect; other processes may, too.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap
    }

    /// Creates a topic.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), Error> {
        let failed = |why: String| Error::Embedded(format!("create topic {topic}: {why}"));
        let (done, result) = channel();
        let command = Command { topic: topic.to_owned(), partitions, done };
        self.commands.send(command).map_err(|_| failed("the broker has ended".to_owned()))?;
        result.recv().map_err(|_| failed("the broker has ended".to_owned()))?.map_err(failed)
    }
}

/// The cluster's thread: until every handle is gone.
fn serve(ready: &Sender<Result<String, String>>, inbox: &Receiver<Command>) {
    let cluster = match MockCluster::new(1) {
        Ok(cluster) => cluster,
        Err(error) => return drop(ready.send(Err(error.to_string()))),
    };
    if ready.send(Ok(cluster.bootstrap_servers())).is_err() {
        return;
    }
    while let Ok(command) = inbox.recv() {
        let result = cluster.create_topic(&command.topic, command.partitions, 1).map_err(|error| error.to_string());
        // Whoever asked may have stopped waiting.
        let _ = command.done.send(result);
    }
}
