//! `optibid audit …`: the audit log, from outside the program that writes it.

use anyhow::{Context, Result, ensure};

use crate::config::Config;

/// `optibid audit …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Recompute every chain of the audit log, and name the first entry of each that does not fit.
    Verify,
}

/// Runs `optibid audit …`; fails when a chain is broken.
pub(crate) async fn command(config: &Config, command: &Command) -> Result<()> {
    let Command::Verify = command;
    let accounts = config.accounts();
    let patience = model::humane::Span::from_millis(10_000);
    let database = platform::database::Database::new(accounts.postgres_url.expose(), 1, patience)?;
    let report = platform::audit::verify(&database).await.context("read the audit log")?;
    println!("{report}");
    ensure!(report.is_whole(), "the audit log was changed behind its back");
    Ok(())
}
