//! `optibid report omie`: the day-ahead book of Iberia through the broker and the dataflow, beside what OMIE published.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use model::money::{price, volume_mwh};
use model::{Batch, BidKind, Clearing, Granularity, LocationId, Market, Names, SeriesKey, Snapshot, Zones};
use pipeline::source::embedded::Embedded;
use pipeline::{Clock, Feed, Parts, Pipeline, Shutdown};
use simulator::feed;
use simulator::replay::Body;
use tokio::sync::{broadcast, watch};

use crate::config::Config;
use crate::feeder;

/// How long nothing may come before the report gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to report on.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Send a complete day of the Iberian day-ahead market through the broker and the dataflow, and stand the clearing
    /// beside the official prices.
    Omie {
        /// Folder with CAB_*, DET_*, capacidad_inter_pbc_*, participants_bidding_zones.csv and, if there, marginalpdbc_*.
        folder: PathBuf,
    },
}

/// Prints the report.
pub(crate) async fn report(config: Config, command: Command) -> Result<()> {
    let Command::Omie { folder } = command;
    let zones = config.zone_table()?;
    let replay = feeder::open(std::slice::from_ref(&folder), &zones)?;
    let expected = Expected::of(feeder::open(&[folder], &zones)?)?;
    anyhow::ensure!(!expected.revisions.is_empty(), "no bids in the folder");
    #[expect(clippy::disallowed_methods, reason = "how long it took is part of the report")]
    let started = Instant::now();
    let (state, letters) = through(config, &zones, replay, &expected).await?;
    println!(
        "{} bids of {} messages, {} refused, through broker and dataflow in {:.1} s",
        state.bids.len(),
        expected.messages,
        letters.len(),
        started.elapsed().as_secs_f64()
    );
    for (reason, times) in &letters {
        println!("refused {times} ×: {reason}");
    }
    print(&state, &zones);
    Ok(())
}

/// What must have arrived before the report can be written.
struct Expected {
    /// The last revision of each bid.
    revisions: BTreeMap<String, i64>,
    messages: usize,
    prices: u64,
}

impl Expected {
    fn of(replay: simulator::Replay) -> Result<Self> {
        let mut expected = Self { revisions: BTreeMap::new(), messages: 0, prices: 0 };
        for record in replay {
            match record?.body {
                Body::Bid(bid) => {
                    expected.messages += 1;
                    let last = expected.revisions.entry(bid.bid).or_insert(bid.revision);
                    *last = bid.revision.max(*last);
                }
                Body::Tick(_) => expected.prices += 1,
                // The market operator's folder has none.
                Body::Meter(_) => {}
            }
        }
        Ok(expected)
    }
}

/// Bids that were refused, by reason.
type Letters = BTreeMap<String, usize>;

/// Sends everything through an embedded broker and the dataflow; the state once all of it is in.
async fn through(
    mut config: Config,
    zones: &Zones,
    replay: simulator::Replay,
    expected: &Expected,
) -> Result<(Arc<Snapshot>, Letters)> {
    config.pipeline.kafka.bootstrap.clear();
    config.pipeline.clock = Clock::Event;
    let (shutdown, names) = (Shutdown::new(), Arc::new(Names::default()));
    let embedded = Embedded::start(&config.pipeline, zones).context("start the embedded broker")?;
    let bootstrap = embedded.bootstrap_servers().to_owned();
    let parts = Parts {
        feed: Feed::Embedded(embedded),
        queues: Vec::new(),
        log: None,
        durable: None,
        written: None,
        stage: pipeline::Stage::default(),
        begin: None,
        limits: config.snapshot,
        metrics: pipeline::Metrics::new(&prometheus::Registry::new())?,
    };
    let start = {
        let (settings, operators) = (config.pipeline.clone(), config.operators.clone());
        let (zones, names, shutdown) = (zones.clone(), Arc::clone(&names), shutdown.clone());
        move || Pipeline::start(settings, operators, zones, names, parts, &shutdown)
    };
    let handle = tokio::task::spawn_blocking(start).await.context("start the pipeline")??;
    let mut batches = handle.batches.subscribe();
    let producer = feeder::embedded_producer(&config.pipeline.kafka, &bootstrap, handle.shared_positions())?;
    let (_keep, stopped) = watch::channel(false);
    let sending = tokio::spawn(async move {
        let options = feed::Options { speed: simulator::Speed::Max, ..feed::Options::default() };
        feed::replay(replay, &producer, &options, stopped).await
    });
    let mut letters = Letters::new();
    let mut refused = 0;
    loop {
        match tokio::time::timeout(PATIENCE, batches.recv()).await {
            Ok(Ok(batch)) => refused += count_letters(&batch, &mut letters),
            Ok(Err(broadcast::error::RecvError::Lagged(_))) => {}
            Ok(Err(broadcast::error::RecvError::Closed)) => anyhow::bail!("the dataflow ended before all bids were in"),
            Err(_) => anyhow::bail!("nothing came for {PATIENCE:?}, and not all bids are in"),
        }
        let state = handle.snapshot.load_full();
        let has = |(bid, revision): (&String, &i64)| {
            state.bids.get(bid).is_some_and(|(_, standing)| standing.revision >= *revision)
        };
        let there = expected.revisions.iter().filter(|bid| has(*bid)).count();
        if there + refused >= expected.revisions.len() && state.counts.received >= expected.prices {
            sending.await.context("send the files")??;
            handle.stop().await.map_err(|error| anyhow::anyhow!(error))?;
            return Ok((state, letters));
        }
    }
}

fn count_letters(batch: &Batch, letters: &mut Letters) -> usize {
    let of_bids = batch.dead_letters.iter().filter(|letter| letter.topic.ends_with(".bids"));
    of_bids.map(|letter| *letters.entry(letter.detail.clone()).or_default() += 1).count()
}

fn print(state: &Snapshot, zones: &Zones) {
    let index = |code: &str| zones.get(code).map_or(LocationId(0), |zone| zone.index());
    let (spain, portugal) = (index("MIBEL-ES"), index("MIBEL-PT"));
    let rows: Vec<&Clearing> =
        state.clearing.values().map(|(_, row)| row).filter(|row| row.series.location == spain).collect();
    let euro = |micros: Option<i64>| micros.map_or_else(|| "-".to_owned(), |micros| format!("{:.2}", price(micros)));
    println!(
        "interval start        Spain €/MWh  Portugal  official Spain  difference  flow ES→PT MW    sold MW  marginal bid"
    );
    let mut differences = Vec::new();
    for row in rows {
        let other = state.clearing.get(&(SeriesKey { location: portugal, ..row.series }, row.start_ms));
        let official = official(state, spain, row.series.market, row.start_ms);
        let difference = row.price_micros.zip(official).map(|(ours, theirs)| price(ours) - price(theirs));
        differences.extend(difference);
        let asset = |bid: &str| state.bids.get(bid).and_then(|(_, bid)| bid.asset.clone()).unwrap_or_default();
        println!(
            "{}  {:>10} {:>9} {:>15} {:>11} {:>14.1} {:>10.1}  {}",
            model::time::rfc3339(row.start_ms),
            euro(row.price_micros),
            euro(other.and_then(|(_, row)| row.price_micros)),
            euro(official),
            difference.map_or_else(|| "-".to_owned(), |difference| format!("{difference:+.2}")),
            volume_mwh(-row.import_kw),
            volume_mwh(row.sold_kw),
            row.marginal.as_ref().map_or_else(String::new, |(side, bid)| format!(
                "{} {bid} {}",
                side.as_str(),
                asset(bid)
            )),
        );
    }
    let complex = state.bids.values().filter(|(_, bid)| !matches!(bid.kind, BidKind::Curve | BidKind::Capacity { .. }));
    println!("blocks and complex bids: {}; awards: {}", complex.count(), state.awards.len());
    if !differences.is_empty() {
        let exact = differences.iter().filter(|difference| difference.abs() <= 0.0101).count();
        let mean = differences.iter().map(|difference| difference.abs()).sum::<f64>() / differences.len() as f64;
        println!("exact (±0.01) in {exact} of {} intervals, mean absolute error {mean:.3} €/MWh", differences.len());
    }
}

/// The price that the operator published.
fn official(state: &Snapshot, location: LocationId, market: Market, start_ms: i64) -> Option<i64> {
    let series = SeriesKey { location, market };
    state.series_bars(series, Granularity::M1, start_ms, start_ms + 60_000).next().map(|row| row.bar.close)
}
