//! Typed reads for the API: bars, latest prices, the records behind a bar, alerts, the lives of bids. Live state and history together,
//! corrections winning, everything at the snapshot's T.
//!
//! What the live state holds for certain is read from it directly; only ranges that reach further back ask history.

use std::sync::Arc;

use model::time::{DAY_MS, Granularity, MINUTE_MS};
use model::{Alert, AlertState, BarRow, LiveBid, LocationName, Reader, SeriesKey, Severity, Snapshot, T, TickRow};

use crate::decode;
use crate::engine::{Engine, Request};
use crate::error::Error;
use crate::session::SessionUser;
use crate::statement::Statement;

/// Identities looked for outside their bar's minute; a bar of more ticks than that is explained by its minute alone.
const MAX_IDENTITIES: usize = 2_000;

/// Typed reads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
}

/// A record that reached a bar, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickRecord {
    /// When it was taken in.
    pub t: T,
    /// The record and what became of it.
    pub row: TickRow,
    /// Kafka topic.
    pub topic: Arc<str>,
    /// Kafka partition. The offset is `row.tick.offset`.
    pub partition: i32,
}

/// One version of a bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BidVersion {
    /// The T at which it came to stand.
    pub t: T,
    /// The bid. Tables do not hold where it came from: partition and offset are 0.
    pub bid: LiveBid,
    /// Where it is, also when the process has not heard the name yet.
    pub place: LocationName,
}

/// Which alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertFilter {
    /// Series; any when empty.
    pub series: Vec<SeriesKey>,
    /// First start of a bar that fired, UTC ms.
    pub from_ms: i64,
    /// End (exclusive) of the starts, UTC ms.
    pub to_ms: i64,
    /// At least this severe.
    pub severity: Severity,
    /// Withdrawn ones too.
    pub withdrawn: bool,
    /// Most alerts, newest first.
    pub limit: usize,
}

impl Default for AlertFilter {
    fn default() -> Self {
        Self {
            series: Vec::new(),
            from_ms: i64::MIN,
            to_ms: i64::MAX,
            severity: Severity::Info,
            withdrawn: false,
            limit: 1_000,
        }
    }
}

impl Store {
    /// Reads through this engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The newest snapshot, for what it holds entirely: KPIs, correlations, rules, notices.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.engine.snapshot()
    }

    /// The newest minute bar of a series and the T of its last change: its close is the latest price.
    pub fn latest(&self, series: SeriesKey) -> Option<(T, BarRow)> {
        self.engine.snapshot().latest.get(&series).copied()
    }

    /// Bars of one series with start in `[from_ms, to_ms)`, earliest first.
    pub async fn bars(
        &self,
        series: SeriesKey,
        granularity: Granularity,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<BarRow>, Error> {
        self.bars_at(&self.engine.snapshot(), series, granularity, from_ms, to_ms).await
    }

    /// The same at a snapshot that the caller holds, so that several reads show one T.
    pub async fn bars_at(
        &self,
        snapshot: &Arc<Snapshot>,
        series: SeriesKey,
        granularity: Granularity,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<BarRow>, Error> {
        if !self.engine.has_history() || from_ms >= complete_from(snapshot, granularity) {
            return Ok(snapshot.series_bars(series, granularity, from_ms, to_ms).copied().collect());
        }
        let Some(place) = self.place(series) else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT * FROM bars WHERE {place} AND granularity = '{}' AND {} ORDER BY start_time",
            granularity.as_str(),
            between("start_time", from_ms, to_ms)
        );
        let mut bars = Vec::new();
        for batch in self.rows(&sql, snapshot).await? {
            decode::bars(&batch, &mut bars)?;
        }
        Ok(bars)
    }

    /// Every record that touched the minute of one series that starts at `minute_ms`: those with an event time in it
    /// and every other revision of the same identities (a correction may have moved a tick in or out), in the order
    /// they were taken in.
    pub async fn ticks_of_bar(&self, series: SeriesKey, minute_ms: i64) -> Result<Vec<TickRecord>, Error> {
        let snapshot = self.engine.snapshot();
        let minute_ms = minute_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let end_ms = minute_ms.saturating_add(MINUTE_MS);
        let mut found = if self.engine.has_history() {
            self.recorded_ticks(&snapshot, series, minute_ms, end_ms).await?
        } else {
            self.live_ticks(&snapshot, series, minute_ms, end_ms)
        };
        found.sort_by(|a, b| {
            let order = |record: &TickRecord| (record.t, record.row.tick.event_ms, record.row.tick.offset);
            order(a).cmp(&order(b)).then_with(|| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)))
        });
        Ok(found)
    }

    fn live_ticks(&self, snapshot: &Snapshot, series: SeriesKey, from_ms: i64, to_ms: i64) -> Vec<TickRecord> {
        let rows = || {
            let all = snapshot.ticks.iter().flat_map(|(t, rows)| rows.iter().map(move |row| (*t, row)));
            all.filter(|(_, row)| row.tick.series() == series)
        };
        let inside = |row: &TickRow| (from_ms..to_ms).contains(&row.tick.event_ms);
        let identities: std::collections::HashSet<u64> =
            rows().filter(|(_, row)| inside(row)).map(|(_, row)| row.tick.id).collect();
        let touched = rows().filter(|(_, row)| identities.contains(&row.tick.id));
        touched
            .map(|(t, row)| {
                let origin = self.engine.names().partition_name(row.tick.partition);
                let (topic, partition) = origin.unwrap_or_else(|| ("?".into(), -1));
                TickRecord { t, row: row.clone(), topic, partition }
            })
            .collect()
    }

    async fn recorded_ticks(
        &self,
        snapshot: &Arc<Snapshot>,
        series: SeriesKey,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<TickRecord>, Error> {
        let Some(place) = self.place(series) else { return Ok(Vec::new()) };
        let within = between("event_time", from_ms, to_ms);
        let mut found = self.tick_rows(&format!("SELECT * FROM ticks WHERE {place} AND {within}"), snapshot).await?;
        let mut ids: Vec<String> = found.iter().map(|record| quoted(&id_text(&record.row))).collect();
        ids.sort();
        ids.dedup();
        if ids.is_empty() || ids.len() > MAX_IDENTITIES {
            return Ok(found);
        }
        let around = between("event_time", from_ms.saturating_sub(DAY_MS), to_ms.saturating_add(DAY_MS));
        let sql =
            format!("SELECT * FROM ticks WHERE {place} AND {around} AND NOT ({within}) AND id IN ({})", ids.join(", "));
        found.extend(self.tick_rows(&sql, snapshot).await?);
        Ok(found)
    }

    async fn tick_rows(&self, sql: &str, snapshot: &Arc<Snapshot>) -> Result<Vec<TickRecord>, Error> {
        let mut found = Vec::new();
        for batch in self.rows(sql, snapshot).await? {
            decode::ticks(self.engine.names(), &batch, &mut found)?;
        }
        Ok(found)
    }

    /// Alerts, newest bar first.
    pub async fn alerts(&self, filter: &AlertFilter) -> Result<Vec<Alert>, Error> {
        let snapshot = self.engine.snapshot();
        let mut alerts: Vec<Alert> = if !self.engine.has_history()
            || filter.from_ms >= complete_from(&snapshot, Granularity::M1)
        {
            let inside = |alert: &&Alert| (filter.from_ms..filter.to_ms).contains(&alert.anomaly.start_ms);
            snapshot.alerts.values().filter(inside).cloned().collect()
        } else {
            let sql = format!("SELECT * FROM anomalies WHERE {}", between("start_time", filter.from_ms, filter.to_ms));
            let mut alerts = Vec::new();
            for batch in self.rows(&sql, &snapshot).await? {
                decode::alerts(&batch, &mut alerts)?;
            }
            alerts
        };
        alerts.retain(|alert| {
            (filter.series.is_empty() || filter.series.contains(&alert.anomaly.series))
                && alert.anomaly.severity >= filter.severity
                && (filter.withdrawn || alert.state != AlertState::Withdrawn)
        });
        alerts.sort_by_key(|alert| (std::cmp::Reverse(alert.anomaly.start_ms), alert.anomaly.id));
        alerts.truncate(filter.limit);
        Ok(alerts)
    }

    /// Every version of a bid that stood at the end of a T, from live and history, oldest first. Without a history that
    /// is the version that stands; one that was overtaken before the history sink wrote it follows when it is written
    /// (see [`Snapshot::written_t`]).
    pub async fn versions_of_bid(&self, bid: &str) -> Result<Vec<BidVersion>, Error> {
        self.versions_of_bid_at(&self.engine.snapshot(), bid).await
    }

    /// The same at a snapshot that the caller holds, so that several reads show one T.
    pub async fn versions_of_bid_at(&self, snapshot: &Arc<Snapshot>, bid: &str) -> Result<Vec<BidVersion>, Error> {
        let sql = format!("SELECT * FROM bid_versions WHERE bid = {} ORDER BY t", quoted(bid));
        let mut versions = Vec::new();
        for batch in self.rows(&sql, snapshot).await? {
            decode::bid_versions(&batch, &mut versions)?;
        }
        Ok(versions)
    }

    async fn rows(&self, sql: &str, snapshot: &Arc<Snapshot>) -> Result<Vec<arrow::array::RecordBatch>, Error> {
        let statement = Statement::parse_one(sql)?;
        let request = Request { statement, parameters: None, user: SessionUser::reading(&Reader::House) };
        self.engine.run(request, Arc::clone(snapshot), &self.engine.limits()).await?.collect().await
    }

    /// Names as a condition; `None` for a location that nobody has named.
    fn place(&self, series: SeriesKey) -> Option<String> {
        let name = self.engine.names().name(series.location)?;
        let (zone, location, market) = (quoted(&name.zone), quoted(&name.location), quoted(series.market.as_str()));
        Some(format!("zone = {zone} AND location = {location} AND market = {market}"))
    }
}

/// From which start on the live state has every bar of a granularity.
fn complete_from(snapshot: &Snapshot, granularity: Granularity) -> i64 {
    if snapshot.t == 0 {
        return i64::MAX;
    }
    let kept_ms = snapshot.limits().bars_ms(granularity);
    let (now, began) = (i64::try_from(snapshot.t), i64::try_from(snapshot.began_t));
    now.unwrap_or(i64::MAX).saturating_sub(kept_ms).max(began.unwrap_or(i64::MAX))
}

fn between(column: &str, from_ms: i64, to_ms: i64) -> String {
    let instant = |ms: i64| format!("arrow_cast({ms}, 'Timestamp(Millisecond, Some(\"UTC\"))')");
    format!("({column} >= {} AND {column} < {})", instant(from_ms), instant(to_ms))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn id_text(row: &TickRow) -> String {
    match row.tick.extra.as_deref().and_then(|extra| extra.id.as_deref()) {
        Some(id) => id.to_owned(),
        None => format!("{:016x}", row.tick.id),
    }
}
