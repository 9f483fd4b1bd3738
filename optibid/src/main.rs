//! `optibid`: one binary, a subcommand for every job. Start reading at `run.rs`: it wires the whole program, top to
//! bottom, once.

#![allow(
    clippy::print_stdout,
    reason = "what a command answers goes to standard output; what it tells goes to the log"
)]

mod accounts;
mod audit;
mod checkpoints;
mod config;
mod demo;
mod feeder;
mod front;
mod migrate;
mod migrations;
mod replay;
mod report;
mod rules;
mod run;
mod serve;
mod services;
mod simulate;
mod sql;
mod stores;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Rows are made on one thread and dropped on another all the time, which glibc's allocator pays for with time and with
/// memory that it does not give back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An electricity market's numbers, right now, and right again the moment the past is corrected.
#[derive(Debug, Parser)]
#[command(name = "optibid", version, propagate_version = true)]
struct Cli {
    /// Configuration file (TOML); `optibid config print` shows every setting.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, over file and environment: --set api.listen=127.0.0.1:9000
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the pipeline and the API in one process, or one process of a group.
    Run(run::Args),
    /// Serve the API from the changelog of a running pipeline: a replica, any number of them.
    Serve,
    /// Bring the schemas of PostgreSQL and ClickHouse up to date, and end.
    Migrate(migrate::Args),
    /// Run everything with no server at all: embedded broker, embedded history, a simulated market or real files.
    Demo(demo::Args),
    /// Send a made-up market to Kafka.
    Simulate(simulate::Args),
    /// Send real market files to Kafka, at any speed.
    Replay(replay::Args),
    /// Ask with SQL: a prompt, or one command with -c.
    Sql(sql::Args),
    /// List or verify what a restart would begin with.
    #[command(subcommand)]
    Checkpoints(checkpoints::Command),
    /// Send a day of real bids through the dataflow and stand the clearing beside the official prices.
    #[command(subcommand)]
    Report(report::Command),
    /// Verify the audit log of accounts.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show or check the configuration.
    #[command(subcommand)]
    Config(config::Command),
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let result = config::load(cli.config.as_deref(), std::env::vars(), &cli.sets).and_then(|config| {
        pipeline::telemetry::init(&config.pipeline.log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(dispatch(cli.command, config));
        // A blocking read of the terminal or a stuck lookup must not hold up the end.
        runtime.shutdown_timeout(std::time::Duration::from_millis(200));
        result
    });
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("optibid: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command, config: config::Config) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run::run(args.apply(config), None, run::Seed::Nothing).await,
        Command::Serve => serve::serve(config).await,
        Command::Migrate(args) => migrate::migrate(&config, args).await,
        Command::Demo(args) => Box::pin(demo::demo(config, args)).await,
        Command::Simulate(args) => simulate::simulate(&config, args).await,
        Command::Replay(args) => replay::replay(&config, args).await,
        Command::Sql(args) => sql::sql(&config, args).await,
        Command::Checkpoints(command) => checkpoints::command(&config, &command).await,
        Command::Report(command) => report::report(config, command).await,
        Command::Audit(command) => audit::command(&config, &command).await,
        Command::Config(command) => config::command(&config, &command).await,
    }
}
