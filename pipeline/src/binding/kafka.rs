//! The log of bindings on Kafka: topic `<prefix>.bindings`, one partition, one transaction a group of bindings.
//!
//! * The transactional id is the pipeline's: whoever takes over first fences (the broker ends an older instance's
//!   transaction and refuses its next), and reads only then. So what is read is all there will ever be from before.
//! * A message is a group: `{"v":1,"after":…,"bindings":[{"t":…,"offsets":{"optibid.ticks.pjm/0":17}}]}`. `after` is
//!   the T before it: the first group that is left says from where on the log is complete.
//! * A group of none says that whoever leads lives.
//! * A transaction that fails for a while is tried again, the same group: readers see committed groups only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Names, T};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::{Binding, Log};
use crate::Error;
use crate::config;
use crate::shutdown::Shutdown;

const READING: &str = "read the log of bindings";
const VERSION: u32 = 1;
const TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Serialize, Deserialize)]
struct Group {
    v: u32,
    /// The last T of the group before; 0 in logs of before this was said, which are complete.
    #[serde(default)]
    after: T,
    bindings: Vec<Named>,
}

/// A binding with the names of partitions.
#[derive(Serialize, Deserialize)]
struct Named {
    t: T,
    offsets: BTreeMap<String, i64>,
}

/// The log on a real broker.
pub struct Kafka {
    section: config::Kafka,
    topic: String,
    names: Arc<Names>,
    producer: FutureProducer,
    /// The T before the first group in the log, once one was read or written.
    complete_after: Option<T>,
    /// The last T in the log.
    last_t: T,
    /// Last T and offset of the groups in the log, for trimming.
    groups: VecDeque<(T, i64)>,
    trimmed: i64,
    /// Reads what the leading instance appends.
    following: Option<BaseConsumer<Quiet>>,
    shutdown: Shutdown,
    runtime: tokio::runtime::Runtime,
}

impl Kafka {
    /// Prepares; the broker is not asked yet.
    pub fn new(section: &config::Kafka, names: &Arc<Names>, shutdown: &Shutdown) -> Result<Self, Error> {
        let topic = format!("{}.bindings", section.prefix);
        let mut settings = client(section, "bindings");
        settings
            .set("transactional.id", &topic)
            .set("transaction.timeout.ms", "30000")
            .set("linger.ms", "0")
            .set("acks", "all")
            // A transaction that follows the last at once is put off by the broker while that one ends. Every batch waits
            // for its binding: asking again is to be soon.
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "100");
        let producer = settings.create().map_err(Error::kafka("set up the log of bindings"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            section: section.clone(),
            topic,
            names: Arc::clone(names),
            producer,
            complete_after: None,
            last_t: 0,
            groups: VecDeque::new(),
            trimmed: 0,
            following: None,
            shutdown: shutdown.clone(),
            runtime,
        })
    }

    /// Does it until it succeeds, fails for good, or the program stops.
    fn persist<R>(&self, what: &str, mut attempt: impl FnMut() -> Result<R, KafkaError>) -> Result<R, Error> {
        let mut told = false;
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(error) if is_taken_over(&error) => return Err(Error::TakenOver),
                Err(error) if !is_transient(&error) || self.shutdown.is_stopping() => {
                    return Err(Error::kafka(what)(error));
                }
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(%error, "{what}: trying on");
                }
                Err(_) => {}
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn create_topic(&self) -> Result<(), Error> {
        let admin: AdminClient<DefaultClientContext> =
            client(&self.section, "bindings-admin").create().map_err(Error::kafka("set up the log of bindings"))?;
        let replication = TopicReplication::Fixed(self.section.bindings_replication);
        // Trimmed by us, by what checkpoints need: never by age.
        let topic =
            NewTopic::new(&self.topic, 1, replication).set("cleanup.policy", "delete").set("retention.ms", "-1");
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        self.persist("make the topic of bindings", || {
            let made = self.runtime.block_on(admin.create_topics([&topic], &options))?;
            match made.into_iter().next() {
                Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => Err(KafkaError::AdminOp(code)),
                _ => Ok(()),
            }
        })
    }

    /// A consumer that stands before the first group that was not read yet.
    fn reader(&self) -> Result<BaseConsumer<Quiet>, Error> {
        let mut settings = client(&self.section, "bindings-reader");
        settings
            .set("group.id", format!("{}-bindings", self.section.prefix))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10");
        let failed = || Error::kafka(READING);
        let consumer: BaseConsumer<Quiet> = settings.create_with_context(Quiet).map_err(failed())?;
        let from = self.groups.back().map_or(Offset::Beginning, |(_, offset)| Offset::Offset(offset + 1));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, from).map_err(failed())?;
        consumer.assign(&list).map_err(failed())?;
        Ok(consumer)
    }

    /// Every binding up to the end of the log, as it is now.
    fn read_to_the_end(&mut self, consumer: &BaseConsumer<Quiet>) -> Result<Vec<Binding>, Error> {
        let mut bindings = Vec::new();
        loop {
            let message = self.persist(READING, || match consumer.poll(TIMEOUT) {
                None => Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
                Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
                Some(Err(error)) => Err(error),
                Some(Ok(message)) => Ok(Some(message)),
            })?;
            let Some(message) = message else { return Ok(bindings) };
            self.take_in(&message, &mut bindings)?;
        }
    }

    /// What has come since, without waiting; `None` when nothing has.
    fn read_on(&mut self, consumer: &BaseConsumer<Quiet>) -> Result<Option<Vec<Binding>>, Error> {
        let (mut bindings, mut heard) = (Vec::new(), false);
        while let Some(polled) = consumer.poll(Duration::ZERO) {
            match polled {
                Ok(message) => {
                    heard = true;
                    self.take_in(&message, &mut bindings)?;
                }
                Err(KafkaError::PartitionEOF(_)) => {}
                // librdkafka goes on by itself.
                Err(error) if is_transient(&error) => tracing::debug!(%error, READING),
                Err(error) => return Err(Error::kafka(READING)(error)),
            }
        }
        Ok(heard.then_some(bindings))
    }

    fn take_in(&mut self, message: &impl Message, bindings: &mut Vec<Binding>) -> Result<(), Error> {
        let (offset, bytes) = (message.offset(), message.payload().unwrap_or_default());
        let group: Group = serde_json::from_slice(bytes)
            .map_err(|error| Error::Checkpoint(format!("binding at offset {offset} of {}: {error}", self.topic)))?;
        if group.v > VERSION {
            let v = group.v;
            return Err(Error::Checkpoint(format!("bindings of form {v} in {}: run a newer program", self.topic)));
        }
        self.complete_after.get_or_insert(group.after);
        if let Some(last) = group.bindings.last() {
            self.last_t = last.t;
            self.groups.push_back((last.t, offset));
        }
        for named in group.bindings {
            bindings.push(self.binding(named)?);
        }
        Ok(())
    }

    fn binding(&self, named: Named) -> Result<Binding, Error> {
        let mut offsets = BTreeMap::new();
        for (name, offset) in named.offsets {
            let parts = name.rsplit_once('/').and_then(|(topic, partition)| Some((topic, partition.parse().ok()?)));
            let (topic, partition): (&str, i32) =
                parts.ok_or_else(|| Error::Checkpoint(format!("{}: {name:?} is no partition", self.topic)))?;
            let id = self
                .names
                .partition(topic, partition)
                .map_err(|other| Error::Checkpoint(format!("partitions {name} and {other} share a hash")))?;
            offsets.insert(id, offset);
        }
        Ok(Binding { t: named.t, offsets })
    }

    fn named(&self, binding: &Binding) -> Named {
        let offsets = binding.offsets.iter().filter_map(|(id, offset)| {
            let (topic, partition) = self.names.partition_name(*id)?;
            Some((format!("{topic}/{partition}"), *offset))
        });
        Named { t: binding.t, offsets: offsets.collect() }
    }

    /// Writes a group until it is written; its offset.
    fn write(&self, bindings: &[Binding]) -> Result<i64, Error> {
        let after = self.last_t;
        let group = Group { v: VERSION, after, bindings: bindings.iter().map(|binding| self.named(binding)).collect() };
        let bytes = serde_json::to_vec(&group).expect("bindings have string keys and whole numbers only");
        self.persist("write bindings", || {
            self.commit(&bytes).inspect_err(|_| {
                // Whatever became of it, the next attempt begins anew. An abort that fails shows there.
                let _ = self.producer.abort_transaction(TIMEOUT);
            })
        })
    }

    /// One group in one transaction.
    fn commit(&self, bytes: &[u8]) -> Result<i64, KafkaError> {
        self.producer.begin_transaction()?;
        let sent = self.producer.send_result(FutureRecord::<(), [u8]>::to(&self.topic).partition(0).payload(bytes));
        let delivery = sent.map_err(|(error, _)| error)?;
        // Waited for first: committing would flush, and rust-rdkafka's flush sleeps 100 ms for a delivery that the producer's
        // own thread takes. Not on a runtime: the fanout says that it lives while it waits on its own.
        let delivered = futures::executor::block_on(delivery).map_err(|_| KafkaError::Canceled)?;
        let delivered = delivered.map_err(|(error, _)| error)?;
        // One that takes too long goes on where it was.
        loop {
            match self.producer.commit_transaction(TIMEOUT) {
                Ok(()) => break,
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !self.shutdown.is_stopping() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(delivered.offset)
    }
}

impl Log for Kafka {
    fn follow(&mut self) -> Result<Option<Vec<Binding>>, Error> {
        let (consumer, bindings) = match self.following.take() {
            Some(consumer) => {
                let bindings = self.read_on(&consumer)?;
                (consumer, bindings)
            }
            None => {
                self.create_topic()?;
                let consumer = self.reader()?;
                let bindings = self.read_to_the_end(&consumer)?;
                (consumer, Some(bindings))
            }
        };
        self.following = Some(consumer);
        Ok(bindings)
    }

    fn take_over(&mut self, from: T) -> Result<Vec<Binding>, Error> {
        if self.following.is_none() {
            self.create_topic()?;
        }
        self.persist("take the pipeline over", || self.producer.init_transactions(TIMEOUT))?;
        // A consumer that has been at the end before does not say so again: another one does.
        self.following = None;
        let consumer = self.reader()?;
        let bindings = self.read_to_the_end(&consumer)?;
        Ok(bindings.into_iter().filter(|binding| binding.t > from).collect())
    }

    fn complete_after(&self) -> T {
        self.complete_after.unwrap_or(0)
    }

    fn append(&mut self, bindings: &[Binding]) -> Result<(), Error> {
        let Some(last_t) = bindings.last().map(|last| last.t) else { return Ok(()) };
        let offset = self.write(bindings)?;
        self.last_t = last_t;
        if offset >= 0 {
            self.groups.push_back((last_t, offset));
        }
        Ok(())
    }

    fn live(&mut self) -> Result<(), Error> {
        self.write(&[]).map(drop)
    }

    fn trim(&mut self, t: T) -> Result<(), Error> {
        let mut before = None;
        // The last one stays: an empty log says nothing of what it has lost.
        while self.groups.len() > 1 && self.groups.front().is_some_and(|(last_t, _)| *last_t <= t) {
            before = self.groups.pop_front().map(|(_, offset)| offset + 1);
        }
        let Some(before) = before.filter(|before| *before > self.trimmed) else { return Ok(()) };
        let admin: AdminClient<DefaultClientContext> =
            client(&self.section, "bindings-admin").create().map_err(Error::kafka("trim the log of bindings"))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(before)).map_err(Error::kafka("trim bindings"))?;
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        self.runtime
            .block_on(admin.delete_records(&list, &options))
            .map_err(Error::kafka("trim the log of bindings"))?;
        self.trimmed = before;
        Ok(())
    }
}

/// The end of the partition is what we wait for, and no error; what is one shows in `poll`.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Quiet {}

fn client(section: &config::Kafka, role: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &section.bootstrap)
        .set("client.id", format!("optibid-{role}"))
        .set("log_level", "4");
    for (key, value) in &section.options.0 {
        client.set(key, value);
    }
    client
}

fn is_taken_over(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    let code = match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    };
    code.is_some_and(|code| matches!(code, Fenced | InvalidProducerEpoch | ProducerFenced))
}

fn is_transient(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => !error.is_fatal(),
        error => error.rdkafka_error_code() != Some(RDKafkaErrorCode::Fatal),
    }
}
