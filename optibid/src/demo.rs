//! `optibid demo`: everything in one process, no server needed.

use std::path::PathBuf;

use anyhow::Result;
use simulator::Speed;

use crate::config::{Config, Data};
use crate::feeder::Feeder;
use crate::run;

/// The zones that clients call by name.
const ZONES: [&str; 9] = ["PJM", "CAISO", "ERCOT", "NYISO", "MISO", "SPP", "MUMBAI", "DELHI", "BANGALORE"];
/// So much of the market is made up at once, so that the first look shows charts and not dots. Less than the
/// correction horizon: older ticks of a continuous stream would be refused as sealed.
const WARM_UP_MS: i64 = 12 * 60_000;

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Replay real files instead of a simulated market: files, folders or zips (NYISO, PJM, AEMO, IEX, EPF, OMIE,
    /// TenneT).
    #[arg(long, num_args = 1.., value_name = "PATH")]
    replay: Vec<PathBuf>,
    /// Speed of the replay: a factor like 60x, or max.
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Scenario of the simulated market: calm, busy, faults or storm.
    #[arg(long)]
    scenario: Option<String>,
    /// Simulated ticks a second, all series together.
    #[arg(long)]
    rate: Option<f64>,
    /// Seed of the simulated market.
    #[arg(long)]
    seed: Option<u64>,
    /// Port of the page and the API.
    #[arg(long)]
    port: Option<u16>,
    /// On the broker of the configuration, with checkpoints: goes on after a `kill -9` where it was. Needs --data.
    #[arg(long, requires = "data")]
    durable: bool,
    /// Keep data in this folder; without it a scratch folder is used and removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs the demo until Ctrl-C.
pub(crate) async fn demo(mut config: Config, args: Args) -> Result<()> {
    if args.durable {
        anyhow::ensure!(
            !config.pipeline.kafka.bootstrap.is_empty(),
            "--durable needs a broker: set KAFKA_BOOTSTRAP_SERVERS"
        );
        config.checkpoint.enabled = true;
        // Soon enough to see it in a demo.
        config.checkpoint.interval = model::humane::Span::from_millis(10_000);
    } else {
        config.pipeline.kafka.bootstrap.clear();
    }
    if let Some(port) = args.port {
        config.api.listen.set_port(port);
    }
    let scratch = match args.data {
        Some(dir) => {
            config.data.dir = dir;
            None
        }
        None if config.data.dir == Data::default().dir => Some(Scratch::new()?),
        None => None,
    };
    if let Some(scratch) = &scratch {
        config.data.dir.clone_from(&scratch.0);
    }
    let feeder = if args.replay.is_empty() {
        let simulation = &mut config.simulation;
        if simulation.zones.is_empty() {
            simulation.zones = ZONES.map(str::to_owned).to_vec();
        }
        simulation.scenario = args.scenario.unwrap_or_else(|| simulation.scenario.clone());
        simulation.rate = args.rate.unwrap_or(simulation.rate);
        simulation.seed = args.seed.unwrap_or(simulation.seed);
        // A market that has been there before goes on; it does not happen again.
        let is_first = !config.checkpoint.enabled || !config.data.dir.exists();
        Feeder::Simulated { simulation: simulation.clone(), warm_up_ms: if is_first { WARM_UP_MS } else { 0 } }
    } else {
        // T follows the files: at the wall's clock everything in them would be too old.
        config.pipeline.clock = pipeline::Clock::Event;
        Feeder::Files { paths: args.replay, speed: args.speed }
    };
    run::run(config, Some(feeder), run::Seed::Demo).await
}

/// A folder that goes when the demo ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("optibid-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "the scratch folder stays");
        }
    }
}
