//! Kafka changelog: compacted topics that hold every row as it stands, and dead letters whole.
//!
//! A compacted topic is a table: writing a run again leaves the same newest value for each key. The producer is
//! idempotent and ordered; a run's marker is sent once all its messages have arrived, so a reader that has seen the
//! marker for T has everything up to T before it. Transactions (exactly the messages, no repeats after a crash) belong
//! in [`Kafka::write`], around both steps; they come with checkpoints.

mod config;
mod encode;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::Batch;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

pub use config::Config;
use encode::Message;

use crate::{Context, Error, Sink};

/// Writes closed batches to changelog topics.
pub struct Kafka {
    config: Config,
    context: Context,
    producer: FutureProducer,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Kafka {
    /// A sink that will connect when first used.
    pub fn new(config: Config, context: Context) -> Result<Self, Error> {
        let producer = producer(&config)?;
        Ok(Self { config, context, producer })
    }

    /// Hands all messages over, then waits for each to arrive. librdkafka keeps their order within a partition.
    async fn send(&self, messages: &[Message]) -> Result<(), Error> {
        let patience = self.config.driver.write_timeout.0;
        let sends = messages.iter().map(|message| {
            let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
            for (key, value) in &message.headers {
                headers = headers.insert(Header { key, value: Some(value) });
            }
            let mut record = FutureRecord::<str, [u8]>::to(&message.topic).key(&message.key).headers(headers);
            if let Some(value) = &message.value {
                record = record.payload(value);
            }
            self.producer.send(record, patience)
        });
        futures::future::try_join_all(sends).await.map_err(|(error, _)| error)?;
        Ok(())
    }

    async fn create_topics(&self) -> Result<(), Error> {
        let admin: AdminClient<DefaultClientContext> = client_config(&self.config).create()?;
        let replication = || TopicReplication::Fixed(self.config.replication);
        let retention = self.config.dead_letter_retention.millis().to_string();
        let names: Vec<String> =
            encode::TABLES.iter().map(|table| encode::changelog(&self.config.prefix, table.name())).collect();
        let moments = encode::changelog(&self.config.prefix, "moments");
        let dead_letters = encode::dead_letters_topic(&self.config.prefix);
        let mut topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| NewTopic::new(name, self.config.partitions, replication()).set("cleanup.policy", "compact"))
            .collect();
        topics.push(NewTopic::new(&moments, 1, replication()).set("cleanup.policy", "compact"));
        topics
            .push(NewTopic::new(&dead_letters, self.config.partitions, replication()).set("retention.ms", &retention));
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        for result in admin.create_topics(&topics, &options).await? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    tracing::warn!(topic, %code, "topic was not made");
                    return Err(KafkaError::AdminOp(code).into());
                }
            }
        }
        Ok(())
    }
}

fn producer(config: &Config) -> Result<FutureProducer, Error> {
    let mut settings = client_config(config);
    settings
        .set("enable.idempotence", "true")
        .set("compression.type", &config.compression)
        .set("linger.ms", "5")
        .set("delivery.timeout.ms", config.driver.write_timeout.millis().max(1_000).to_string());
    settings.extend(config.properties.clone());
    Ok(settings.create()?)
}

fn client_config(config: &Config) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &config.bootstrap_servers).set("client.id", "optibid-changelog");
    settings.extend(config.properties.clone());
    settings
}

#[async_trait]
impl Sink for Kafka {
    fn name(&self) -> &'static str {
        "changelog"
    }

    async fn check(&mut self) -> Result<(), Error> {
        if self.config.create_topics {
            return self.create_topics().await;
        }
        let producer = self.producer.clone();
        // librdkafka's metadata call blocks.
        tokio::task::spawn_blocking(move || producer.client().fetch_metadata(None, Duration::from_secs(5))).await??;
        Ok(())
    }

    async fn write(&mut self, batches: &[Arc<Batch>]) -> Result<(), Error> {
        self.context.learn(batches);
        // An idempotent producer that has lost its thread never sends again: the next one starts a new thread, and what
        // is sent twice leaves the same newest values.
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            tracing::warn!(%code, reason, "producer is made anew");
            self.producer = producer(&self.config)?;
        }
        self.send(&encode::messages(&self.context, &self.config.prefix, batches)?).await?;
        if let Some(marker) = encode::marker(&self.config.prefix, batches) {
            self.send(&[marker]).await?;
        }
        Ok(())
    }
}
