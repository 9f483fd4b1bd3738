//! `/api/explain/bar/{location}/{minute}`: the ticks behind a bar: where each came from (topic, partition,
//! offset), what it did, and which record it replaced.

use std::collections::BTreeMap;

use model::money::{price, volume_mwh};
use model::time::{T, rfc3339};
use model::{BarRow, Disposition, Granularity, SeriesKey, Snapshot, Tick};
use serde::Serialize;
use sql::TickRecord;
use utoipa::ToSchema;
use warp::Filter;

use super::market::market;
use super::{Answer, Routes, Shared, answer, json, with};
use crate::error::{Error, ErrorBody};
use crate::history::{self, Range};
use crate::params::{Params, decode, instant, raw_query};
use crate::series;
use crate::view::{Bar, Series};

/// `/api/explain/…`.
pub(crate) fn routes(app: &Shared) -> Routes {
    warp::path!("api" / "explain" / "bar" / String / String)
        .and(warp::get())
        .and(raw_query())
        .and(with(app))
        .then(|location: String, minute: String, query: String, app| {
            answer(async move { explain_bar(&location, &minute, &query, &app).await })
        })
        .boxed()
}

/// A bar and what it is made of.
#[derive(Serialize, ToSchema)]
pub(crate) struct Explanation {
    /// The moment the live part is at, UTC ms.
    t: T,
    series: Series,
    /// The bar as it stands; null when corrections withdrew all of it.
    bar: Option<Bar>,
    /// Whether the ticks listed account for the whole bar (their log is kept for a while only).
    complete: bool,
    /// The records, by event time, partition and offset.
    ticks: Vec<TickView>,
}

/// One record.
#[derive(Serialize, ToSchema)]
pub(crate) struct TickView {
    /// The record's id; without one the identity the program gave it, in hexadecimal.
    id: String,
    revision: i64,
    timestamp: String,
    /// Interval length, ms; 0 for a tick.
    duration_ms: u32,
    price: f64,
    volume: f64,
    /// This revision withdraws the record.
    cancelled: bool,
    source: Option<String>,
    /// Where it was read.
    topic: String,
    partition: i32,
    offset: i64,
    /// T at which it was applied.
    t: T,
    /// `applied`, `corrected` or `superseded`, as it was when it came.
    disposition: &'static str,
    /// Whether the bar counts it now.
    counts: bool,
    /// What this record replaced or withdrew.
    replaced: Option<Replaced>,
}

/// A record that was replaced.
#[derive(Serialize, ToSchema)]
pub(crate) struct Replaced {
    revision: i64,
    topic: String,
    partition: i32,
    offset: i64,
    price: f64,
    volume: f64,
}

/// The ticks, partitions, offsets and corrections behind a minute bar.
#[utoipa::path(get, path = "/api/explain/bar/{location}/{minute}", tag = "explain",
    params(("location" = String, Path, description = "ZONE, ZONE/LOCATION (the slash as %2F), or a location's name if only one zone has it", example = "pjm"),
        ("minute" = String, Path, description = "Any instant in the minute: RFC 3339 or UTC milliseconds", example = "2025-11-18T10:00:00Z"),
        ("market" = Option<String>, Query, description = "Market; the first that has a bar there without")),
    responses((status = 200, description = "The bar and its records", body = Explanation),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "No such location, or no bar in that minute", body = ErrorBody)))]
pub(crate) async fn explain_bar(location: &str, minute: &str, query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["market"])?;
    let minute = decode(minute)?;
    let at = instant("minute", &minute)?;
    let market = market(&params)?;
    let series = series::find(&app.labels, &decode(location)?, market)?;
    let snapshot = app.snapshot();
    let (from_ms, to_ms) = Granularity::M1.bucket(at, chrono_tz::UTC);
    let range = Range { granularity: Granularity::M1, from_ms, to_ms, max_bars: 2 };
    let store = &app.deps.store;
    let (series, bar, records) = match history::first_with_bars(&snapshot, store, &series, range).await? {
        Some((series, rows)) => (series, rows.first().copied(), store.ticks_of_bar(series, from_ms).await?),
        None => {
            let (series, records) = withdrawn(app, &snapshot, &series, from_ms).await?;
            (series, None, records)
        }
    };
    let complete = accounts(bar.as_ref(), &records, from_ms, to_ms);
    json(&Explanation {
        t: snapshot.t,
        series: app.labels.series(series),
        bar: bar.as_ref().map(Bar::new),
        complete,
        ticks: views(&records),
    })
}

/// A bar may be gone because every record of it was withdrawn: its records still tell.
async fn withdrawn(
    app: &Shared,
    snapshot: &Snapshot,
    candidates: &[SeriesKey],
    from_ms: i64,
) -> Result<(SeriesKey, Vec<TickRecord>), Error> {
    for series in candidates.iter().filter(|series| snapshot.latest.contains_key(*series)) {
        let records = app.deps.store.ticks_of_bar(*series, from_ms).await?;
        if !records.is_empty() {
            return Ok((*series, records));
        }
    }
    Err(Error::NotFound(format!("no bar at {}", rfc3339(from_ms))))
}

/// The winner of each identity: it stands, the others do not.
fn winners(records: &[TickRecord]) -> BTreeMap<u64, &Tick> {
    let mut winners: BTreeMap<u64, &Tick> = BTreeMap::new();
    for record in records {
        let tick = &record.row.tick;
        let best = winners.entry(tick.id).or_insert(tick);
        if tick.rank() > best.rank() {
            *best = tick;
        }
    }
    winners
}

fn accounts(bar: Option<&BarRow>, records: &[TickRecord], from_ms: i64, to_ms: i64) -> bool {
    let inside = |tick: &&&Tick| !tick.cancelled && (from_ms..to_ms).contains(&tick.event_ms);
    let standing = winners(records).values().filter(inside).count() as i64;
    standing == bar.map_or(0, |row| row.bar.count)
}

fn views(records: &[TickRecord]) -> Vec<TickView> {
    let winners = winners(records);
    let view = |record: &TickRecord| {
        let tick = &record.row.tick;
        let extra = tick.extra.as_deref();
        // It replaced the best of those that had come before it.
        let earlier = records.iter().filter(|other| {
            let other_tick = &other.row.tick;
            other_tick.id == tick.id && other_tick.rank() < tick.rank() && other.t <= record.t
        });
        let replaced = earlier.max_by_key(|other| other.row.tick.rank());
        let corrected = record.row.disposition == Disposition::Corrected;
        TickView {
            id: extra.and_then(|e| e.id.as_deref()).map_or_else(|| format!("{:016x}", tick.id), str::to_owned),
            revision: tick.revision,
            timestamp: rfc3339(tick.event_ms),
            duration_ms: tick.duration_ms,
            price: price(tick.price_micros),
            volume: volume_mwh(tick.volume_kwh),
            cancelled: tick.cancelled,
            source: extra.and_then(|e| e.source.as_deref()).map(str::to_owned),
            topic: record.topic.to_string(),
            partition: record.partition,
            offset: tick.offset,
            t: record.t,
            disposition: record.row.disposition.as_str(),
            counts: !tick.cancelled && winners.get(&tick.id).is_some_and(|best| best.rank() == tick.rank()),
            replaced: replaced.filter(|_| corrected).map(|other| Replaced {
                revision: other.row.tick.revision,
                topic: other.topic.to_string(),
                partition: other.partition,
                offset: other.row.tick.offset,
                price: price(other.row.tick.price_micros),
                volume: volume_mwh(other.row.tick.volume_kwh),
            }),
        }
    };
    let mut views: Vec<TickView> = records.iter().map(view).collect();
    views.sort_by(|a, b| (&a.timestamp, a.partition, a.offset).cmp(&(&b.timestamp, b.partition, b.offset)));
    views
}
