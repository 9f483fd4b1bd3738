//! What sends records to Kafka beside the pipeline: a simulated market, or real files.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use model::{PartitionId, Zones};
use simulator::feed::{self, Sent};
use simulator::{Generator, Lag, Producer, Simulation, Speed, producer};
use tokio::sync::watch;

/// What to send.
#[derive(Clone, Debug)]
pub(crate) enum Feeder {
    /// A made-up market that begins `warm_up_ms` before now and goes on in real time.
    Simulated { simulation: Simulation, warm_up_ms: i64 },
    /// Real files, in their order of publication.
    Files { paths: Vec<PathBuf>, speed: Speed },
}

/// A producer for the broker of the configuration, which keeps what it is given.
pub(crate) fn external_producer(kafka: &pipeline::config::Kafka) -> Result<Producer> {
    anyhow::ensure!(
        !kafka.bootstrap.is_empty(),
        "no broker: set pipeline.kafka.bootstrap, KAFKA_BOOTSTRAP_SERVERS or --brokers"
    );
    Ok(Producer::new(&options(kafka, &kafka.bootstrap))?)
}

/// A producer for the embedded broker: paced by what the pipeline has read, because that broker forgets.
pub(crate) fn embedded_producer(
    kafka: &pipeline::config::Kafka,
    bootstrap: &str,
    positions: Arc<pipeline::status::Positions>,
) -> Result<Producer> {
    let consumed = move |topic: &str, partition| positions.of(PartitionId::new(topic, partition)).unwrap_or(-1);
    let lag = Some(Lag::embedded(Arc::new(consumed)));
    Ok(Producer::new(&producer::Options { lag, ..options(kafka, bootstrap) })?)
}

fn options(kafka: &pipeline::config::Kafka, bootstrap: &str) -> producer::Options {
    let client = kafka.options.0.clone();
    producer::Options { client, ..producer::Options::new(bootstrap, &kafka.prefix) }
}

impl Feeder {
    /// Sends until the end, or until `stop` is true.
    pub(crate) async fn run(self, zones: &Zones, producer: &Producer, stop: watch::Receiver<bool>) -> Result<Sent> {
        match self {
            Self::Simulated { simulation, warm_up_ms } => {
                let now_ms = now_ms();
                let settings = simulation.settings(now_ms - warm_up_ms, zones)?;
                let columnar_rows = simulation.columnar_rows;
                let options = feed::Options { columnar_rows, now_ms: Some(now_ms), ..feed::Options::default() };
                let mut generator = Generator::new(settings, zones)?;
                let (sent, _) = feed::simulate(&mut generator, None, producer, &options, None, stop).await?;
                Ok(sent)
            }
            Self::Files { paths, speed } => {
                let replay = open(&paths, zones)?;
                let sent = feed::replay(replay, producer, &feed::Options { speed, ..Default::default() }, stop).await?;
                tracing::info!(records = sent.records, "replay finished");
                Ok(sent)
            }
        }
    }
}

/// Opens files for replay and says what is in them, and what could not be read.
pub(crate) fn open(paths: &[PathBuf], zones: &Zones) -> Result<simulator::Replay> {
    let replay = simulator::Replay::open(paths, zones).context("open the files to replay")?;
    for report in replay.reports() {
        let format = report.format.map_or_else(|| "no format known".to_owned(), |format| format!("{format:?}"));
        let (records, bids, meters) = (report.records, report.bids, report.meters);
        let bad_rows = report.bad_rows.len();
        tracing::info!(file = %report.file, format, records, bids, meters, bad_rows, "file");
        for row in report.bad_rows.iter().take(5) {
            tracing::warn!(file = %report.file, ?row, "row left out");
        }
        for (note, times) in &report.notes {
            tracing::info!(file = %report.file, times, "{note}");
        }
    }
    anyhow::ensure!(replay.records() > 0, "no price, no bid and no meter reading in any of the files");
    Ok(replay)
}

/// The wall clock, for the start of a simulated market.
#[allow(clippy::disallowed_methods, reason = "a simulated market begins now; nothing in the dataflow sees this")]
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
