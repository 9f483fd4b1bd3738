//! What can go wrong while the pipeline starts or runs. Bad records are no errors: they are dead letters.

/// Why the pipeline could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration value that cannot work.
    #[error("pipeline configuration: {0}")]
    Config(String),
    /// Kafka refused something that no retry mends, or could not be reached at the start.
    #[error("{attempted}: {source}")]
    Kafka {
        /// What was attempted.
        attempted: String,
        /// What librdkafka said.
        source: rdkafka::error::KafkaError,
    },
    /// The embedded broker could not be started or asked.
    #[error("embedded broker: {0}")]
    Embedded(String),
    /// The dataflow's workers could not be started, or one of them died.
    #[error("dataflow: {0}")]
    Dataflow(String),
    /// A metric could not be registered.
    #[error("register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A thread could not be started.
    #[error("start thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A checkpoint or binding that cannot be read, written or trusted.
    #[error("{0}")]
    Checkpoint(String),
    /// Another process of the group is gone, or will not have us.
    #[error("process {index} ({address}) of this group: {why}")]
    Peer {
        /// Its index.
        index: usize,
        /// Where it listens.
        address: String,
        /// What became of it.
        why: String,
    },
    /// Another instance has taken the pipeline over.
    #[error("another instance has taken over: this one ends")]
    TakenOver,
    /// Logging could not be set up.
    #[error("set up logging: {0}")]
    Telemetry(String),
}

impl Error {
    /// Names what was attempted when Kafka failed.
    pub(crate) fn kafka(attempted: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let attempted = attempted.into();
        move |source| Self::Kafka { attempted, source }
    }

    /// Names what was attempted with a checkpoint, and what came of it.
    pub(crate) fn checkpoint(attempted: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Checkpoint(format!("{attempted}: {why}"))
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        use rdkafka::types::RDKafkaErrorCode as Code;
        match self {
            Self::Kafka { source, .. } => source.rdkafka_error_code().is_some_and(|code| {
                matches!(
                    code,
                    Code::BrokerTransportFailure
                        | Code::AllBrokersDown
                        | Code::OperationTimedOut
                        | Code::RequestTimedOut
                        | Code::LeaderNotAvailable
                        | Code::Resolve
                )
            }),
            _ => false,
        }
    }
}
