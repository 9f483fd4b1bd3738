//! `optibid simulate`: a made-up market to a broker.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use simulator::feed;
use simulator::{Generator, Speed};
use tokio::sync::watch;

use crate::config::Config;
use crate::feeder;

/// What to make up.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Broker, host:port,…
    #[arg(long)]
    brokers: Option<String>,
    /// calm, busy, faults or storm.
    #[arg(long)]
    scenario: Option<String>,
    /// Ticks a second, all series together; up to 1,000,000.
    #[arg(long)]
    rate: Option<f64>,
    /// The same seed and start give the same market, byte for byte.
    #[arg(long)]
    seed: Option<u64>,
    /// Zones, comma-separated; all of the table when absent.
    #[arg(long, value_delimiter = ',')]
    zones: Vec<String>,
    /// Start of the market (RFC 3339); now when absent.
    #[arg(long)]
    start: Option<String>,
    /// Stop after so many records.
    #[arg(long)]
    records: Option<u64>,
    /// Speed of simulated time: 1x, 60x or max.
    #[arg(long, default_value = "1x")]
    speed: Speed,
    /// Ticks in one columnar message; JSON, one a message, when absent.
    #[arg(long)]
    columnar: Option<usize>,
    /// Write what each message is, and what should become of it, to this file (JSON lines).
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

/// Sends until done or Ctrl-C.
pub(crate) async fn simulate(config: &Config, args: Args) -> Result<()> {
    let (kafka, mut simulation) = (with_brokers(config, args.brokers), config.simulation.clone());
    simulation.scenario = args.scenario.unwrap_or(simulation.scenario);
    simulation.rate = args.rate.unwrap_or(simulation.rate);
    simulation.seed = args.seed.unwrap_or(simulation.seed);
    if !args.zones.is_empty() {
        simulation.zones = args.zones;
    }
    let start_ms = match &args.start {
        Some(text) => model::time::parse_instant(text).with_context(|| format!("--start {text} is no instant"))?,
        None => feeder::now_ms(),
    };
    let zones = config.zone_table()?;
    let producer = feeder::external_producer(&kafka)?;
    let mut generator = Generator::new(simulation.settings(start_ms, &zones)?, &zones)?;
    let columnar_rows = args.columnar.unwrap_or(simulation.columnar_rows);
    let options = feed::Options { speed: args.speed, columnar_rows, ..Default::default() };
    let mut truth = args.truth.map(|path| std::fs::File::create(path).map(std::io::BufWriter::new)).transpose()?;
    let log = truth.as_mut().map(|file| file as &mut (dyn Write + Send));
    let (sent, totals) =
        feed::simulate(&mut generator, args.records, &producer, &options, log, stop_on_signal()?).await?;
    if let Some(mut file) = truth {
        file.flush()?;
    }
    println!("sent {} records in {} messages\n{totals:#?}", sent.records, sent.messages);
    Ok(())
}

/// The Kafka section with another broker.
pub(crate) fn with_brokers(config: &Config, brokers: Option<String>) -> pipeline::config::Kafka {
    let mut kafka = config.pipeline.kafka.clone();
    kafka.bootstrap = brokers.unwrap_or(kafka.bootstrap);
    kafka
}

/// True from the first Ctrl-C or SIGTERM on.
pub(crate) fn stop_on_signal() -> Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    let shutdown = pipeline::Shutdown::new();
    shutdown.on_signals()?;
    tokio::spawn(async move {
        shutdown.stopping().await;
        stop.send_replace(true);
        // Kept open: a closed channel would mean that nobody can stop it any more.
        stop.closed().await;
    });
    Ok(stopped)
}
