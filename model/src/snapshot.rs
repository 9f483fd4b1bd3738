//! The current state at one T: what all batches so far add up to.
//!
//! Persistent maps, so a clone is O(1): the writer applies a batch to its own copy and publishes it,
//! readers keep theirs as long as they like, and everybody reads one consistent T.
//!
//! Bound: minute bars 48 h, 5- and 15-minute bars 14 d, hourly and daily bars 400 d (`Limits`), alerts,
//! correlations, and clearing, awards, key figures of bids and settlement after their delivery as long as minute bars, ticks and
//! notices by number. P&L stays as long after its day of delivery.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::bar::{BarKey, BarRow};
use crate::batch::{Batch, Change, Counts};
use crate::bid::LiveBid;
use crate::bid_kpi::{BidKpi, BidKpiKey};
use crate::clearing::{Award, AwardKey, Clearing, ClearingKey};
use crate::location::{LocationId, LocationName, SeriesKey};
use crate::market::Market;
use crate::notice::Notice;
use crate::output::{Alert, Correlation, CorrelationKey, Kpi, KpiKey};
use crate::rule::Rule;
use crate::settlement::{Pnl, PnlKey, Settlement, SettlementKey};
use crate::tick::TickRow;
use crate::time::{DAY_MS, Granularity, HOUR_MS, MINUTE_MS, T};

/// How much the snapshot keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Minute bars, alerts and correlations, ms.
    pub minute_ms: i64,
    /// 5- and 15-minute bars, ms.
    pub five_minute_ms: i64,
    /// Hourly and daily bars, ms.
    pub hour_ms: i64,
    /// Interval prices of hourly and day-ahead markets, ms, where that is longer than `minute_ms`: a checkpoint needs
    /// them for as long as a correction can still reach their day. No setting: it follows from the operators'.
    #[serde(skip)]
    pub hourly_interval_ms: i64,
    /// Tick rows.
    pub ticks: usize,
    /// Notices.
    pub notices: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            minute_ms: 2 * DAY_MS,
            five_minute_ms: 14 * DAY_MS,
            hour_ms: 400 * DAY_MS,
            hourly_interval_ms: 0,
            ticks: 200_000,
            notices: 1_000,
        }
    }
}

impl Limits {
    /// How long every bar of this width is kept at least, ms behind T.
    pub fn bars_ms(&self, granularity: Granularity) -> i64 {
        match granularity {
            Granularity::M1 => self.minute_ms,
            Granularity::M5 | Granularity::M15 => self.five_minute_ms,
            Granularity::H1 | Granularity::D1 => self.hour_ms,
        }
    }

    /// How long bars of this width and market are kept, ms behind T.
    pub fn bars_of_ms(&self, market: Market, granularity: Granularity) -> i64 {
        match granularity {
            Granularity::M1 if market.is_hourly() => self.minute_ms.max(self.hourly_interval_ms),
            _ => self.bars_ms(granularity),
        }
    }
}

/// The state at T. Rows carry the T of their last change.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The moment; 0 before the first batch.
    pub t: T,
    /// T of the first batch applied; 0 before it. What changed from then on is here, what came before may not be.
    pub began_t: T,
    /// Bars of every granularity.
    pub bars: OrdMap<BarKey, (T, BarRow)>,
    /// Key figures.
    pub kpis: OrdMap<KpiKey, (T, Kpi)>,
    /// Alerts with their life, withdrawn ones included.
    pub alerts: OrdMap<u64, Alert>,
    /// Correlations.
    pub correlations: OrdMap<CorrelationKey, (T, Correlation)>,
    /// Live bids.
    pub bids: OrdMap<String, (T, LiveBid)>,
    /// Clearing results.
    pub clearing: OrdMap<ClearingKey, (T, Clearing)>,
    /// Awards.
    pub awards: OrdMap<AwardKey, (T, Award)>,
    /// Settlement of delivery intervals.
    pub settlement: OrdMap<SettlementKey, (T, Settlement)>,
    /// Profit and loss by day.
    pub pnl: OrdMap<PnlKey, (T, Pnl)>,
    /// Key figures of bids.
    pub bid_kpis: OrdMap<BidKpiKey, (T, BidKpi)>,
    /// Rules.
    pub rules: OrdMap<String, (T, Rule)>,
    /// Newest minute bar of each series: close and `last_ms` are the latest price. Outlives retention.
    pub latest: OrdMap<SeriesKey, (T, BarRow)>,
    /// Recent tick rows, oldest first, by batch.
    pub ticks: Vector<(T, Arc<[TickRow]>)>,
    /// Recent notices, oldest first.
    pub notices: Vector<(T, Notice)>,
    /// Every name known.
    pub names: OrdMap<LocationId, LocationName>,
    /// Records accounted for since the start.
    pub counts: Counts,
    /// Up to which T the history holds what this state may forget; the greatest T when there is no history to wait for.
    pub written_t: T,
    tick_rows: usize,
    limits: Limits,
    pruned_t: T,
}

impl Snapshot {
    /// An empty snapshot with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, written_t: T::MAX, ..Self::default() }
    }

    /// The limits it keeps.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Applies the next closed batch. Batches at or before `self.t` change nothing, so a repeat is harmless.
    pub fn apply(&mut self, batch: &Batch) {
        self.take(batch);
        self.shed();
    }

    /// Applies consecutive closed batches as one: what is forgotten is forgotten after the last. A state that begins
    /// with them begins at the last one's T, since what was removed before is not in them.
    pub fn apply_all<'a>(&mut self, batches: impl IntoIterator<Item = &'a Batch>) {
        let is_first = self.t == 0;
        batches.into_iter().for_each(|batch| self.take(batch));
        if is_first {
            self.began_t = self.t;
        }
        self.shed();
    }

    fn take(&mut self, batch: &Batch) {
        let t = batch.t;
        if t <= self.t && self.t != 0 {
            return;
        }
        if self.t == 0 {
            self.began_t = t;
        }
        self.t = t;
        for name in &batch.names {
            self.names.insert(name.id, name.clone());
        }
        for change in &batch.bars {
            self.apply_bar(t, change);
        }
        apply_rows(&mut self.kpis, t, &batch.kpis, Kpi::key);
        apply_rows(&mut self.correlations, t, &batch.correlations, Correlation::key);
        apply_rows(&mut self.bids, t, &batch.bids, |bid| bid.bid.clone());
        apply_rows(&mut self.clearing, t, &batch.clearing, Clearing::key);
        apply_rows(&mut self.awards, t, &batch.awards, Award::key);
        apply_rows(&mut self.settlement, t, &batch.settlement, Settlement::key);
        apply_rows(&mut self.pnl, t, &batch.pnl, Pnl::key);
        apply_rows(&mut self.bid_kpis, t, &batch.bid_kpis, BidKpi::key);
        apply_rows(&mut self.rules, t, &batch.rules, |rule| rule.rule.clone());
        for alert in &batch.alerts {
            self.alerts.insert(alert.anomaly.id, alert.clone());
        }
        if !batch.ticks.is_empty() {
            self.tick_rows += batch.ticks.len();
            self.ticks.push_back((t, Arc::clone(&batch.ticks)));
        }
        self.notices.extend(batch.notices.iter().map(|notice| (t, notice.clone())));
        self.counts.add(&batch.counts);
    }

    fn shed(&mut self) {
        self.shed_by_number();
        // Once a minute of T is often enough: retention is hours.
        if self.t.saturating_sub(self.pruned_t) >= MINUTE_MS as u64 {
            self.pruned_t = self.t;
            self.prune_by_age();
        }
    }

    /// Completes a state that was loaded (bars, names, counts of everything up to `batch.t`) with what operators say
    /// of it: rows that are there already keep the T of their last change.
    pub fn complete(&mut self, batch: &Batch) {
        let t = batch.t;
        for change in &batch.bars {
            if self.bars.get(&change.row().key).is_none_or(|(_, known)| known != change.row()) {
                self.apply_bar(t, change);
            }
        }
        let rest = Batch { bars: Vec::new(), counts: Counts::default(), ..batch.clone() };
        self.t = 0;
        let began_t = if self.began_t == 0 { t } else { self.began_t };
        self.apply(&rest);
        self.began_t = began_t;
    }

    /// Puts back what a checkpoint held. Rows come with the T of their last change.
    pub fn load(
        &mut self,
        t: T,
        bars: impl IntoIterator<Item = (T, BarRow)>,
        names: Vec<LocationName>,
        alerts: Vec<Alert>,
        counts: Counts,
    ) {
        for alert in alerts {
            self.alerts.insert(alert.anomaly.id, alert);
        }
        for name in names {
            self.names.insert(name.id, name);
        }
        for (changed_t, row) in bars {
            self.apply_bar(changed_t, &Change::Put(row));
        }
        (self.t, self.began_t, self.counts) = (t, t, counts);
    }

    fn apply_bar(&mut self, t: T, change: &Change<BarRow>) {
        let row = *change.row();
        let series = row.key.series;
        match change {
            Change::Put(row) => {
                self.bars.insert(row.key, (t, *row));
            }
            Change::Remove(row) => {
                self.bars.remove(&row.key);
            }
        }
        if row.key.granularity != Granularity::M1 {
            return;
        }
        let newest = self.latest.get(&series).map(|(_, latest)| latest.key.start_ms);
        match change {
            Change::Put(row) if newest.is_none_or(|start| start <= row.key.start_ms) => {
                self.latest.insert(series, (t, *row));
            }
            Change::Remove(row) if newest == Some(row.key.start_ms) => {
                let before = self.series_bars(series, Granularity::M1, i64::MIN, row.key.start_ms).last().copied();
                match before {
                    Some(found) => self.latest.insert(series, (t, found)),
                    None => self.latest.remove(&series),
                };
            }
            _ => {}
        }
    }

    fn shed_by_number(&mut self) {
        while self.tick_rows > self.limits.ticks {
            match self.ticks.pop_front() {
                Some((_, rows)) => self.tick_rows -= rows.len(),
                None => break,
            }
        }
        while self.notices.len() > self.limits.notices {
            self.notices.pop_front();
        }
    }

    fn prune_by_age(&mut self) {
        let now = i64::try_from(self.t).unwrap_or(i64::MAX);
        let limits = self.limits;
        let series: Vec<SeriesKey> = self.latest.keys().copied().collect();
        for series in series {
            for granularity in Granularity::ALL {
                let start_ms = now.saturating_sub(limits.bars_of_ms(series.market, granularity));
                let end = BarKey { series, granularity, start_ms };
                let begin = BarKey { start_ms: i64::MIN, ..end };
                // What is not in the history yet stays, or a query between the two would find it in neither.
                let written = |(_, (t, _)): &(&BarKey, &(T, BarRow))| *t <= self.written_t;
                let old: Vec<BarKey> = self.bars.range(begin..end).filter(written).map(|(key, _)| *key).collect();
                for key in old {
                    self.bars.remove(&key);
                }
            }
        }
        let minute = now.saturating_sub(limits.minute_ms);
        let is_old = |alert: &Alert| alert.anomaly.start_ms < minute && alert.changed_t <= self.written_t;
        let old: Vec<u64> = self.alerts.iter().filter(|(_, alert)| is_old(alert)).map(|(id, _)| *id).collect();
        for id in old {
            self.alerts.remove(&id);
        }
        let written_t = self.written_t;
        let is_old = |start_ms: i64, t: T| start_ms < minute && t <= written_t;
        let old = self.clearing.iter().filter(|(key, (t, _))| is_old(key.1, *t)).map(|(key, _)| *key);
        for key in old.collect::<Vec<_>>() {
            self.clearing.remove(&key);
        }
        let old = self.awards.iter().filter(|(key, (t, _))| is_old(key.1, *t)).map(|(key, _)| key.clone());
        for key in old.collect::<Vec<_>>() {
            self.awards.remove(&key);
        }
        let old = self.settlement.iter().filter(|(_, (t, row))| is_old(row.start_ms, *t)).map(|(key, _)| key.clone());
        for key in old.collect::<Vec<_>>() {
            self.settlement.remove(&key);
        }
        let old = self.pnl.iter().filter(|(_, (t, row))| is_old(row.day_end_ms, *t)).map(|(key, _)| key.clone());
        for key in old.collect::<Vec<_>>() {
            self.pnl.remove(&key);
        }
        let old = self.bid_kpis.iter().filter(|(key, (t, _))| is_old(key.start_ms, *t)).map(|(key, _)| key.clone());
        for key in old.collect::<Vec<_>>() {
            self.bid_kpis.remove(&key);
        }
    }

    /// Bars of one series and granularity with start in `[from_ms, to_ms)`, earliest first.
    pub fn series_bars(
        &self,
        series: SeriesKey,
        granularity: Granularity,
        from_ms: i64,
        to_ms: i64,
    ) -> impl DoubleEndedIterator<Item = &BarRow> {
        let key = |start_ms| BarKey { series, granularity, start_ms };
        let to_ms = to_ms.max(from_ms);
        self.bars.range(key(from_ms)..key(to_ms)).map(|(_, (_, row))| row)
    }

    /// The minute bars in the window `(t − window, t]` of one series, earliest first.
    pub fn window_bars(&self, series: SeriesKey, window_ms: i64) -> impl DoubleEndedIterator<Item = &BarRow> {
        let now = i64::try_from(self.t).unwrap_or(i64::MAX);
        self.series_bars(series, Granularity::M1, now.saturating_sub(window_ms) + 1, now.saturating_add(1))
    }

    /// Every series that has had a price.
    pub fn series(&self) -> impl Iterator<Item = SeriesKey> {
        self.latest.keys().copied()
    }

    /// How far T is behind `now_ms` (negative when T is ahead).
    pub fn lag_ms(&self, now_ms: i64) -> i64 {
        now_ms - i64::try_from(self.t).unwrap_or(i64::MAX)
    }
}

fn apply_rows<K: Ord + Clone, R: Clone>(
    rows: &mut OrdMap<K, (T, R)>,
    t: T,
    changes: &[Change<R>],
    key: impl Fn(&R) -> K,
) {
    for change in changes {
        match change {
            Change::Put(row) => rows.insert(key(row), (t, row.clone())),
            Change::Remove(row) => rows.remove(&key(row)),
        };
    }
}

/// Milliseconds of `hours`, for limits in configurations and tests.
pub const fn hours(hours: i64) -> i64 {
    hours * HOUR_MS
}
