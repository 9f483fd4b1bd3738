//! What the API needs from the rest: someone who publishes, and how everybody is doing.

use std::sync::Arc;

use async_trait::async_trait;
use model::health::ServiceHealth;
use model::wire::TopicKind;
use simulator::Producer;

/// Publishes what clients send over HTTP; answers when the broker has it.
pub(crate) struct KafkaPublisher(pub(crate) Producer);

#[async_trait]
impl api::Publisher for KafkaPublisher {
    async fn publish(&self, kind: TopicKind, zone: Option<&str>, key: &str, payload: Vec<u8>) -> Result<(), String> {
        let topic = self.0.topic(kind, zone.unwrap_or_default());
        self.0.publish(&topic, key, &payload).await.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Health of the source, the dataflow and every store.
pub(crate) fn health(
    pipeline: pipeline::Handle,
    stores: Vec<sinks::Handle>,
    disabled: Vec<ServiceHealth>,
) -> api::Health {
    Arc::new(move || {
        let mut services = pipeline.health();
        services.extend(stores.iter().map(sinks::Handle::health));
        services.extend(disabled.iter().cloned());
        services
    })
}

/// Health of what follows the changelog.
pub(crate) fn follower_health(status: Arc<sinks::kafka::Status>) -> api::Health {
    Arc::new(move || vec![status.health(i64::try_from(pipeline::clock::wall_ms()).unwrap_or(i64::MAX))])
}
