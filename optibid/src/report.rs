//! `optibid report omie`: the day-ahead book of Iberia cleared by us, beside what OMIE published.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clearing::omie::{self, PORTUGAL, SPAIN};
use clearing::{Day, Side};

/// What to report on.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Clear a complete day of the Iberian day-ahead market, and stand the prices beside the official ones.
    Omie {
        /// Folder with CAB_*, DET_*, capacidad_inter_pbc_*, participants_bidding_zones.csv and, if there, marginalpdbc_*.
        folder: PathBuf,
    },
}

/// Prints the report.
pub(crate) fn report(command: &Command) -> Result<()> {
    let Command::Omie { folder } = command;
    iberia(folder)
}

/// The one file of the folder whose name begins so.
fn read(folder: &Path, prefix: &str) -> Result<Option<Vec<u8>>> {
    let listed = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = listed.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    paths.sort();
    match &paths[..] {
        [] => Ok(None),
        [path] => Ok(Some(std::fs::read(path).with_context(|| format!("read {}", path.display()))?)),
        [one, other, ..] => anyhow::bail!("one day at a time: {} and {}", one.display(), other.display()),
    }
}

fn needed(folder: &Path, prefix: &str) -> Result<Vec<u8>> {
    read(folder, prefix)?.with_context(|| format!("no file {prefix}* in {}", folder.display()))
}

/// Says which rows were not read, and why.
fn told<R>(what: &str, rows: omie::Rows<R>) -> Vec<R> {
    if let Some(first) = rows.refused.first() {
        println!("{what}: {} rows refused, the first: {first}", rows.refused.len());
    }
    rows.rows
}

fn eur(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn mw(kw: i64) -> f64 {
    kw as f64 / 1e3
}

fn iberia(folder: &Path) -> Result<()> {
    const HOURS: u16 = 24;
    let headers = told("orders", omie::headers(&needed(folder, "CAB_")?));
    let details = told("steps", omie::details(&needed(folder, "DET_")?, HOURS));
    let zones = omie::zones(&needed(folder, "participants_bidding_zones")?);
    let borders = told("borders", omie::borders(&needed(folder, "capacidad_inter")?));
    let official = read(folder, "marginalpdbc_")?.map_or_else(Vec::new, |bytes| told("prices", omie::official(&bytes)));

    let mut day = Day::new(omie::config(HOURS));
    for order in omie::orders(&headers, &details, &zones) {
        let id = order.id;
        day.put(order).map_err(|refusal| anyhow::anyhow!("order {}: {refusal}", id.0))?;
    }
    omie::set_borders(&mut day, &borders, &headers);
    let started = Instant::now();
    day.clear();
    println!("{} orders, {} steps, cleared in {:.0?}", headers.len(), details.len(), started.elapsed());

    let unit = |id: u64| {
        let number = id / omie::IDS_PER_ORDER;
        headers.iter().find(|header| header.order == number).map_or("", |header| &header.unit)
    };
    let mut differences = Vec::new();
    println!(
        "hour  Spain €/MWh  Portugal  official Spain  difference  flow ES→PT MW  published    sold MW  marginal order"
    );
    for hour in 0..HOURS {
        let result = day.result(hour);
        let (spain, portugal) = (&result.zones[usize::from(SPAIN)], &result.zones[usize::from(PORTUGAL)]);
        let price = spain.price.map_or_else(|| "-".to_owned(), |price| format!("{:.2}", eur(price)));
        let given = official.iter().find(|row| row.period == hour + 1);
        let difference = given.and_then(|row| Some(eur(spain.price? - row.spain)));
        differences.extend(difference);
        let published = borders.iter().find(|row| (row.period, row.border) == (hour + 1, 2));
        println!(
            "{:>4} {price:>12} {:>9} {:>15} {:>11} {:>14.1} {:>10.1} {:>10.1}  {}",
            hour + 1,
            portugal.price.map_or_else(|| "-".to_owned(), |price| format!("{:.2}", eur(price))),
            given.map_or_else(|| "-".to_owned(), |row| format!("{:.2}", eur(row.spain))),
            difference.map_or_else(|| "-".to_owned(), |difference| format!("{difference:+.2}")),
            mw(result.flow),
            mw(published.map_or(0, |row| row.import + row.export)),
            mw(spain.sold),
            spain.marginal.map_or_else(String::new, |(side, id)| {
                let side = if side == Side::Buy { "buy" } else { "sell" };
                format!("{side} {} {}", id.0 / omie::IDS_PER_ORDER, unit(id.0))
            }),
        );
    }
    for component in day.components().filter(|component| component.intervals.len() > 1) {
        println!(
            "blocks and complex orders over {} hours: {} accepted, {} nodes, at most {:.2} € of welfare left",
            component.intervals.len(),
            component.accepted.len(),
            component.nodes,
            (component.bound - component.welfare) as f64 / 1e6
        );
    }
    if !differences.is_empty() {
        let exact = differences.iter().filter(|difference| difference.abs() <= 0.0101).count();
        let mean = differences.iter().map(|difference| difference.abs()).sum::<f64>() / differences.len() as f64;
        println!("exact (±0.01) in {exact} of {} hours, mean absolute error {mean:.3} €/MWh", differences.len());
    }
    Ok(())
}
