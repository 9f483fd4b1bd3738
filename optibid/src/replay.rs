//! `optibid replay`: real market files to a broker.

use std::path::PathBuf;

use anyhow::Result;
use simulator::{Speed, feed};

use crate::config::Config;
use crate::feeder;
use crate::simulate::{stop_on_signal, with_brokers};

/// What to send, and how fast.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, folders or zips in the market operators' own formats; the format is found from the content.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Broker, host:port,…
    #[arg(long)]
    brokers: Option<String>,
    /// A factor like 60x, or max.
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Ticks in one columnar message; JSON, one a message, when absent.
    #[arg(long, default_value_t = 0)]
    columnar: usize,
    /// Only say what is in the files.
    #[arg(long)]
    dry_run: bool,
}

/// Sends until the end or Ctrl-C.
pub(crate) async fn replay(config: &Config, args: Args) -> Result<()> {
    let zones = config.zone_table()?;
    let replay = feeder::open(&args.paths, &zones)?;
    let (records, bids, meters) = (replay.records(), replay.bids(), replay.meters());
    let (prices, files) = (records - bids - meters, replay.reports().len());
    println!("{prices} prices, {bids} bids and {meters} meter readings in {files} files");
    if args.dry_run {
        return Ok(());
    }
    let producer = feeder::external_producer(&with_brokers(config, args.brokers))?;
    let options = feed::Options { speed: args.speed, columnar_rows: args.columnar, ..Default::default() };
    let sent = feed::replay(replay, &producer, &options, stop_on_signal()?).await?;
    println!("sent {} records ({} bids) in {} messages", sent.records, sent.bids, sent.messages);
    Ok(())
}
