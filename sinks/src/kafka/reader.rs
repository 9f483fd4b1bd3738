//! The changelog's partitions as they are read: how far each is, what waits in it for its marker, the markers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Names, T};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::Config;
use super::decode::{Said, decode};
use super::gather::Gathered;
use super::load::{Heard, Load, by_topic};
use super::marker::{self, Marker, Placed, Quiet};
use super::topics::Kind;
use crate::Error;

/// How long the broker may take to say where a partition begins.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads partitions. Blocks.
pub(super) struct Reader {
    consumer: BaseConsumer<Quiet>,
    names: Arc<Names>,
    topics: HashMap<String, Topic>,
    prefix: String,
    /// Markers of runs that are not whole here yet, oldest first.
    pub(super) markers: VecDeque<Placed>,
}

struct Topic {
    kind: Kind,
    partitions: HashMap<i32, Partition>,
}

struct Partition {
    /// Everything before it has been read.
    position: i64,
    /// What lies before it is loaded, all else waits for its marker.
    load_until: i64,
    waiting: VecDeque<(i64, T, Said)>,
}

/// What came of one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Message,
    /// Nothing new for now.
    Quiet,
    /// The broker does not answer; librdkafka goes on trying.
    Away(RDKafkaErrorCode),
}

impl Reader {
    pub(super) fn open(config: &Config, names: &Arc<Names>) -> Result<Self, Error> {
        let topics = Kind::all().map(|kind| (kind.topic(&config.prefix), Topic { kind, partitions: HashMap::new() }));
        Ok(Self {
            consumer: marker::reader(config)?,
            names: Arc::clone(names),
            topics: topics.collect(),
            prefix: config.prefix.clone(),
            markers: VecDeque::new(),
        })
    }

    /// Begins with every partition that `marker` names and that is not read yet, from its first message. Dead letters
    /// begin where the marker ends: the live state has none.
    pub(super) fn begin(&mut self, marker: &Marker) -> Result<(), Error> {
        let mut list = TopicPartitionList::new();
        for (name, partition, reach) in by_topic(&marker.offsets) {
            let Some(topic) = self.topics.get_mut(name) else { continue };
            if topic.partitions.contains_key(&partition) {
                continue;
            }
            let position = match topic.kind {
                Kind::DeadLetters => reach,
                _ => self.consumer.fetch_watermarks(name, partition, PATIENCE)?.0,
            };
            list.add_partition_offset(name, partition, Offset::Offset(position))?;
            topic.partitions.insert(partition, Partition { position, load_until: 0, waiting: VecDeque::new() });
        }
        if list.count() > 0 {
            self.consumer.incremental_assign(&list)?;
        }
        Ok(())
    }

    /// Begins with the markers after this one.
    pub(super) fn begin_markers(&mut self, after: &Placed) -> Result<(), Error> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&Kind::Moments.topic(&self.prefix), 0, Offset::Offset(after.offset + 1))?;
        self.consumer.incremental_assign(&list)?;
        Ok(())
    }

    /// Whether everything that belongs to the marker's run, and to those before, has been read.
    pub(super) fn has_reached(&self, marker: &Marker) -> bool {
        by_topic(&marker.offsets).all(|(topic, partition, reach)| {
            let Some(topic) = self.topics.get(topic) else { return true };
            topic.partitions.get(&partition).is_some_and(|read| read.position >= reach)
        })
    }

    /// From now on what lies before `marker` is to be loaded; what waits of it already is handed over.
    pub(super) fn aim(&mut self, marker: &Marker, load: &mut Load) -> Result<(), Error> {
        self.begin(marker)?;
        for (topic, partition, reach) in by_topic(&marker.offsets) {
            let topic = self.topics.get_mut(topic);
            if let Some(partition) = topic.and_then(|topic| topic.partitions.get_mut(&partition)) {
                partition.load_until = reach;
            }
        }
        self.take(marker, |t, said| load.add_decoded(t, said));
        Ok(())
    }

    /// Waits for the next message: it goes to `load` or waits for its marker.
    pub(super) fn look(&mut self, wait: Duration, load: Option<&mut Load>) -> Result<Look, Error> {
        let message = match self.consumer.poll(wait) {
            Some(Ok(message)) => message,
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Look::Message),
            Some(Err(KafkaError::MessageConsumption(code))) if is_away(code) => return Ok(Look::Away(code)),
            Some(Err(error)) => return Err(error.into()),
            None => {
                skip(&self.consumer, &mut self.topics)?;
                return Ok(Look::Quiet);
            }
        };
        let Some(topic) = self.topics.get_mut(message.topic()) else { return Ok(Look::Message) };
        if topic.kind == Kind::Moments {
            self.markers.push_back(Placed::read(&message)?);
            return Ok(Look::Message);
        }
        let Some(partition) = topic.partitions.get_mut(&message.partition()) else { return Ok(Look::Message) };
        let offset = message.offset();
        partition.position = offset + 1;
        let heard = heard(topic.kind, &message)?;
        if let Some(load) = load
            && offset < partition.load_until
        {
            load.add(&self.names, &heard)?;
            return Ok(Look::Message);
        }
        let said = decode(&self.names, heard.kind, heard.key, heard.value)?;
        partition.waiting.push_back((offset, heard.t, said));
        Ok(Look::Message)
    }

    /// Gives what belongs to the marker's run, and to those before.
    pub(super) fn take(&mut self, marker: &Marker, mut give: impl FnMut(T, Said)) {
        for (topic, partition, reach) in by_topic(&marker.offsets) {
            let partitions = self.topics.get_mut(topic).map(|topic| &mut topic.partitions);
            let Some(read) = partitions.and_then(|partitions| partitions.get_mut(&partition)) else { continue };
            while let Some((offset, _, _)) = read.waiting.front()
                && *offset < reach
            {
                if let Some((_, t, said)) = read.waiting.pop_front() {
                    give(t, said);
                }
            }
        }
    }

    /// The oldest run that is whole, if one is.
    pub(super) fn whole(&mut self) -> Result<Option<(Placed, Gathered)>, Error> {
        let Some(marker) = self.markers.front().map(|placed| placed.marker.clone()) else { return Ok(None) };
        self.begin(&marker)?;
        if !self.has_reached(&marker) {
            return Ok(None);
        }
        let mut gathered = Gathered::default();
        self.take(&marker, |t, said| gathered.add(t, said));
        Ok(self.markers.pop_front().map(|placed| (placed, gathered)))
    }
}

/// Takes over what librdkafka has passed without handing it out: ends of transactions.
fn skip(consumer: &BaseConsumer<Quiet>, topics: &mut HashMap<String, Topic>) -> Result<(), Error> {
    for place in consumer.position()?.elements() {
        if let Offset::Offset(next) = place.offset()
            && let Some(topic) = topics.get_mut(place.topic())
            && let Some(partition) = topic.partitions.get_mut(&place.partition())
        {
            partition.position = partition.position.max(next);
        }
    }
    Ok(())
}

fn is_away(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::UnknownTopicOrPartition
    )
}

fn heard<'a>(kind: Kind, message: &'a BorrowedMessage<'_>) -> Result<Heard<'a>, Error> {
    let number = |name: &str| {
        let headers = message.headers()?;
        let header = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(header.value?).ok()?.parse::<u64>().ok()
    };
    let place = || format!("offset {} of {}/{}", message.offset(), message.topic(), message.partition());
    let t = number("t").ok_or_else(|| Error::Schema(format!("no header t at {}", place())))?;
    let key = std::str::from_utf8(message.key().unwrap_or_default())
        .map_err(|_| Error::Schema(format!("the key at {} is no text", place())))?;
    let rows = number("rows").and_then(|rows| usize::try_from(rows).ok()).unwrap_or(0);
    Ok(Heard { kind, t, rows, key, value: message.payload() })
}
