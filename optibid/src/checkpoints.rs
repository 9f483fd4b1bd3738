//! `optibid checkpoints …`: what a restart would begin with, and whether it is whole.

use anyhow::Result;
use model::T;
use model::time::rfc3339;
use pipeline::checkpoint::{self, Checkpoint, Manifest};

use crate::config::Config;

/// What to do with the checkpoints of the configuration.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List them, newest first.
    List,
    /// Read every file of each as a restart would. Fails when one is not whole.
    Verify,
}

/// Runs `optibid checkpoints …`.
pub(crate) async fn command(config: &Config, command: &Command) -> Result<()> {
    let section = config.checkpoints();
    let store = section.open()?;
    let found = checkpoint::list(&store).await?;
    println!("{}: {} checkpoints", section.root, found.len());
    let mut broken = 0;
    for Checkpoint { t, manifest } in &found {
        let told = match (manifest, command) {
            (Err(wrong), _) => Err(format!("its manifest: {wrong}")),
            (Ok(manifest), Command::List) => Ok(summary(manifest)),
            (Ok(manifest), Command::Verify) => checkpoint::verify(&store, manifest, &config.operators)
                .await
                .map(|rows| format!("whole, {rows} rows read")),
        };
        broken += usize::from(told.is_err());
        let told = told.unwrap_or_else(|wrong| format!("NOT WHOLE: {wrong}"));
        println!("{t}  {}  {told}", rfc3339(ms(*t)));
    }
    anyhow::ensure!(broken == 0, "{broken} of {} checkpoints are not whole", found.len());
    Ok(())
}

fn summary(manifest: &Manifest) -> String {
    let (rows, bytes) =
        manifest.files.iter().fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
    format!(
        "{rows} rows in {} files, {:.1} MiB, written by {} workers, {} tick records accounted for",
        manifest.files.len(),
        bytes as f64 / 1_048_576.0,
        manifest.workers,
        manifest.counts.received
    )
}

fn ms(t: T) -> i64 {
    i64::try_from(t).unwrap_or(i64::MAX)
}
