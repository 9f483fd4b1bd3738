//! Ticks, bars, key figures, correlations and alerts of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Alert, AlertState, Anomaly, AnomalyKind, Bar, BarKey, BarRow, Change, Correlation, Disposition, Granularity, Kpi,
    Severity, Tick, TickExtra, TickRow,
};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Maker, START_MS, put_or_remove, settle};

impl Maker {
    pub(super) fn ticks(&mut self, t: u64) -> Arc<[TickRow]> {
        let mut rows = Vec::new();
        for _ in 0..self.rng.random_range(0..12) {
            self.offset += 1;
            let series = self.any_series();
            let extra =
                TickExtra { source: Some("test".into()), energy_micros: Some(1_500_000), ..TickExtra::default() };
            let tick = Tick {
                location: series.location,
                market: series.market,
                event_ms: t as i64 - self.rng.random_range(0..90_000),
                duration_ms: series.market.interval_ms(),
                price_micros: self.price(),
                volume_kwh: self.rng.random_range(0..1_000_000),
                id: self.rng.random(),
                revision: 0,
                cancelled: false,
                partition: model::PartitionId::new("optibid.ticks.pjm", 3),
                offset: self.offset,
                extra: self.rng.random_bool(0.5).then(|| Box::new(extra)),
            };
            rows.push(TickRow { tick, disposition: Disposition::Applied });
        }
        rows.into()
    }

    pub(super) fn bars(&mut self, t: u64) -> Vec<Change<BarRow>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..10) {
            let series = self.any_series();
            let granularity =
                *[Granularity::M1, Granularity::M1, Granularity::H1, Granularity::D1].choose(&mut self.rng).unwrap();
            let back = self.rng.random_range(0..8) * 60_000;
            let ahead = if series.market.is_day_ahead() { 30 * 3_600_000 } else { 0 };
            let (start_ms, end_ms) = granularity.bucket(t as i64 - back + ahead, self.zones.timezone(series.location));
            let key = BarKey { series, granularity, start_ms };
            let mut bar = Bar::of(start_ms + 1, self.price(), self.rng.random_range(0..50_000));
            bar.append(&Bar::of(start_ms + 2, self.price(), self.rng.random_range(0..50_000)));
            changes.insert(key, Change::Put(BarRow { key, end_ms, bar }));
        }
        let withdrawn = self.rng.random_range(0..3).min(self.bars.len());
        let standing: Vec<BarRow> = self.bars.values().copied().collect();
        for row in standing.choose_multiple(&mut self.rng, withdrawn) {
            changes.insert(row.key, Change::Remove(*row));
        }
        settle(&mut self.bars, changes)
    }

    pub(super) fn kpis(&mut self) -> Vec<Change<Kpi>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..4) {
            let series = self.any_series();
            let window_min = *[5, 60].choose(&mut self.rng).unwrap();
            let row = Kpi {
                series,
                window_min,
                last: self.price(),
                last_ms: START_MS,
                change: -1_250_000,
                change_ppm: self.rng.random_bool(0.7).then_some(-31_250),
                min: -5,
                max: self.price(),
                mean: self.price(),
                vwap: None,
                volatility: Some(7),
                volume_kwh: self.rng.random_range(0..1_000_000),
                count: self.rng.random_range(1..500),
                spread: None,
            };
            put_or_remove(&mut self.rng, &self.kpis, &mut changes, (row.key(), row));
        }
        settle(&mut self.kpis, changes)
    }

    pub(super) fn correlations(&mut self) -> Vec<Change<Correlation>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..3) {
            let (a, b) = (self.any_series(), self.any_series());
            let r_nano = self.rng.random_bool(0.8).then(|| self.rng.random_range(-1_000_000_000..1_000_000_000));
            let row = Correlation { a: a.min(b), b: a.max(b), window_min: 60, lag_min: 0, n: 42, r_nano };
            put_or_remove(&mut self.rng, &self.correlations, &mut changes, (row.key(), row));
        }
        settle(&mut self.correlations, changes)
    }

    pub(super) fn alerts(&mut self, t: u64) -> Vec<Alert> {
        let mut changed: BTreeMap<u64, Alert> = BTreeMap::new();
        if self.rng.random_bool(0.5) {
            let (series, start_ms) = (self.any_series(), t as i64 / 60_000 * 60_000);
            let anomaly = Anomaly {
                id: Anomaly::stable_id("spikes", AnomalyKind::ZScore, series, start_ms),
                rule: "spikes".to_owned(),
                kind: AnomalyKind::ZScore,
                severity: Severity::Warning,
                series,
                start_ms,
                value: self.price(),
                baseline: Some(40_000_000),
                z_milli: Some(3_100),
                threshold_milli: 2_500,
            };
            if !self.alerts.contains_key(&anomaly.id) {
                let alert = Alert { anomaly, state: AlertState::Raised, raised_t: t, changed_t: t, revision: 0 };
                changed.insert(alert.anomaly.id, alert);
            }
        }
        let known: Vec<Alert> = self.alerts.values().cloned().collect();
        for alert in known.choose_multiple(&mut self.rng, 2) {
            let mut alert = alert.clone();
            alert.state = if self.rng.random_bool(0.5) { AlertState::Revised } else { AlertState::Withdrawn };
            alert.anomaly.value = self.price();
            alert.revision += 1;
            alert.changed_t = t;
            changed.insert(alert.anomaly.id, alert);
        }
        self.alerts.extend(changed.clone());
        changed.into_values().collect()
    }
}
