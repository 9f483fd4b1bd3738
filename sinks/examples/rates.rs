//! Rows per second into each store: `cargo run --release --example rates`, with the servers of
//! `scripts/with-servers.sh` around it. Stores whose address is not set are left out.

use std::sync::Arc;
use std::time::Duration;

use model::humane::Secret;
use model::{
    Bar, BarKey, BarRow, Batch, Change, Disposition, Granularity, Market, Names, SeriesKey, Tick, TickRow, Zones,
};
use sinks::{Context, Sink};

const START_MS: i64 = 1_763_424_000_000;
const ZONES: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let context = Context { names: Arc::new(Names::default()), zones: Zones::built_in() };
    context.names.partition("optibid.ticks.rates", 0)?;
    // Ticks for the stores that keep them; for the others what comes of ticks: bars, a few a moment.
    let ticks = run(&context, 100, 2_000, 60);
    let bars = run(&context, 500, 0, 100);
    let name = format!("rates_{}", std::process::id());
    let folder = std::env::temp_dir().join(&name);
    let history = sinks::history::Config { root: folder.to_string_lossy().into_owned(), ..Default::default() };
    rate("history", &mut sinks::history::History::new(&history, context.clone())?, &ticks, 100).await?;
    std::fs::remove_dir_all(&folder)?;
    if let Ok(url) = std::env::var("OPTIBID_TEST_REDIS") {
        let config = sinks::redis::Config { url: Secret::new(url), prefix: name.clone(), ..Default::default() };
        rate("redis", &mut sinks::redis::Redis::new(config, context.clone())?, &bars, 20).await?;
    }
    if let Ok(bootstrap_servers) = std::env::var("OPTIBID_TEST_KAFKA") {
        let config = sinks::kafka::Config { bootstrap_servers, prefix: name.clone(), ..Default::default() };
        rate("changelog", &mut sinks::kafka::Kafka::new(config, context.clone())?, &bars, 100).await?;
    }
    // These two want their tables: point them at a database that `optibid` has migrated.
    if let Ok(url) = std::env::var("OPTIBID_RATES_POSTGRES") {
        let config = sinks::postgres::Config { url: Secret::new(url), ..Default::default() };
        rate("postgres", &mut sinks::postgres::Postgres::new(config, context.clone()), &bars, 100).await?;
    }
    if let (Ok(url), Ok(database)) =
        (std::env::var("OPTIBID_TEST_CLICKHOUSE"), std::env::var("OPTIBID_RATES_CLICKHOUSE"))
    {
        let config = sinks::clickhouse::Config { url, database, ..Default::default() };
        rate("clickhouse", &mut sinks::clickhouse::ClickHouse::new(config, context.clone()), &ticks, 100).await?;
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "an example that prints what it measures")]
async fn rate(name: &str, sink: &mut dyn Sink, run: &[Arc<Batch>], piece: usize) -> Result<(), sinks::Error> {
    sink.check().await?;
    let began = tokio::time::Instant::now();
    for piece in run.chunks(piece) {
        sink.write(piece).await?;
    }
    let (rows, took): (usize, Duration) = (run.iter().map(|batch| batch.rows()).sum(), began.elapsed());
    println!("{name}: {rows} rows in {:.2} s, {:.0} rows/s", took.as_secs_f64(), rows as f64 / took.as_secs_f64());
    Ok(())
}

fn run(context: &Context, count: u64, ticks: u64, bars: u64) -> Vec<Arc<Batch>> {
    let series: Vec<SeriesKey> = (0..ZONES)
        .map(|zone| SeriesKey {
            location: context.names.location("PJM", &format!("NODE {zone}")).0,
            market: Market::Continuous,
        })
        .collect();
    let price = |at: u64| 40_000_000 + (at.wrapping_mul(2_654_435_761) % 20_000_000) as i64;
    let batch = |index: u64| {
        let t = START_MS as u64 + index * 1_000;
        let rows = (0..ticks).map(|n| tick(series[n as usize % ZONES], t as i64, price(t + n), index * ticks + n));
        let minute = t as i64 / 60_000 * 60_000;
        let changed = (0..bars).map(|n| {
            let start_ms = minute - (n / ZONES as u64) as i64 * 60_000;
            let key = BarKey { series: series[n as usize % ZONES], granularity: Granularity::M1, start_ms };
            Change::Put(BarRow { key, end_ms: start_ms + 60_000, bar: Bar::of(start_ms, price(t + n), 1_000) })
        });
        Arc::new(Batch { t, ticks: rows.collect(), bars: changed.collect(), ..Batch::default() })
    };
    (1..=count).map(batch).collect()
}

fn tick(series: SeriesKey, event_ms: i64, price_micros: i64, offset: u64) -> TickRow {
    let tick = Tick {
        location: series.location,
        market: series.market,
        event_ms,
        duration_ms: 0,
        price_micros,
        volume_kwh: 1_000,
        id: offset,
        revision: 0,
        cancelled: false,
        partition: model::PartitionId::new("optibid.ticks.rates", 0),
        offset: offset as i64,
        extra: None,
    };
    TickRow { tick, disposition: Disposition::Applied }
}
