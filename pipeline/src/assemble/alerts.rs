//! The life of alerts: raised, revised, withdrawn, and raised again.
//!
//! Operators say what is anomalous; which of it is news is known here. State: one alert an id, for bars within
//! retention; an alert that leaves retention is forgotten, not withdrawn.

use std::collections::BTreeMap;

use model::time::MINUTE_MS;
use model::{Alert, AlertState, Anomaly, T};

/// Every alert within retention, withdrawn ones included.
pub(crate) struct Alerts {
    retention_ms: i64,
    by_id: BTreeMap<u64, Alert>,
    pruned_t: T,
}

impl Alerts {
    /// `known`: the alerts of a life before, each as it stood then.
    pub(crate) fn new(retention_ms: i64, known: Vec<Alert>) -> Self {
        let by_id = known.into_iter().map(|alert| (alert.anomaly.id, alert)).collect();
        Self { retention_ms, by_id, pruned_t: 0 }
    }

    /// Every alert within retention, as it stands.
    pub(super) fn all(&self) -> Vec<Alert> {
        self.by_id.values().cloned().collect()
    }

    /// Takes what operators that begin with saved bars say is anomalous: only what was not known is news.
    pub(super) fn compare(&mut self, t: T, updates: Vec<(Anomaly, isize)>) -> Vec<Alert> {
        let stands = |anomaly: &Anomaly| {
            self.by_id
                .get(&anomaly.id)
                .is_some_and(|alert| alert.state != AlertState::Withdrawn && alert.anomaly == *anomaly)
        };
        let news = updates.into_iter().filter(|(anomaly, _)| !stands(anomaly)).collect();
        self.apply(t, news)
    }

    /// Applies the updates of one T and returns the alerts that changed, by id.
    pub(super) fn apply(&mut self, t: T, mut updates: Vec<(Anomaly, isize)>) -> Vec<Alert> {
        self.prune(t);
        updates.sort_unstable_by(|a, b| (a.0.id, &a.0).cmp(&(b.0.id, &b.0)));
        let mut changed = Vec::new();
        for same_id in updates.chunk_by(|a, b| a.0.id == b.0.id) {
            let mut net: Vec<(&Anomaly, isize)> = Vec::new();
            for (anomaly, diff) in same_id {
                match net.last_mut() {
                    Some(last) if last.0 == anomaly => last.1 += diff,
                    _ => net.push((anomaly, *diff)),
                }
            }
            let new = net.iter().find(|(_, diff)| *diff > 0).map(|(anomaly, _)| *anomaly);
            let old = net.iter().find(|(_, diff)| *diff < 0).map(|(anomaly, _)| *anomaly);
            let Some(anomaly) = new.or(old) else { continue };
            changed.push(self.change(t, anomaly, new.is_some(), old.is_some()));
        }
        changed
    }

    fn change(&mut self, t: T, anomaly: &Anomaly, fires: bool, fired: bool) -> Alert {
        let before = self.by_id.get(&anomaly.id);
        let state = match (fires, fired) {
            (false, _) => AlertState::Withdrawn,
            (true, true) => AlertState::Revised,
            (true, false) => AlertState::Raised,
        };
        let alert = Alert {
            anomaly: anomaly.clone(),
            state,
            raised_t: before.map_or(t, |alert| alert.raised_t),
            changed_t: t,
            revision: before.map_or(u32::from(fired), |alert| alert.revision.saturating_add(1)),
        };
        self.by_id.insert(anomaly.id, alert.clone());
        alert
    }

    /// Once a minute of T: retention is hours.
    fn prune(&mut self, t: T) {
        if t.saturating_sub(self.pruned_t) < MINUTE_MS.unsigned_abs() {
            return;
        }
        self.pruned_t = t;
        let horizon = i64::try_from(t).unwrap_or(i64::MAX).saturating_sub(self.retention_ms);
        self.by_id.retain(|_, alert| alert.anomaly.start_ms >= horizon);
    }
}

#[cfg(test)]
mod tests {
    use model::{AnomalyKind, LocationId, Market, Severity, output};

    use super::*;

    fn anomaly(value: i64) -> Anomaly {
        let series = model::SeriesKey { location: LocationId::new("PJM", "PJM"), market: Market::Continuous };
        Anomaly {
            id: output::Anomaly::stable_id("spike", AnomalyKind::ZScore, series, 60_000),
            rule: "spike".into(),
            kind: AnomalyKind::ZScore,
            severity: Severity::Warning,
            series,
            start_ms: 60_000,
            value,
            baseline: Some(1),
            z_milli: Some(3_000),
            threshold_milli: 2_500,
        }
    }

    #[test]
    fn an_alert_is_raised_revised_withdrawn_and_raised_again() {
        let mut alerts = Alerts::new(1_000_000, Vec::new());
        let mut step = |t, updates: &[(i64, isize)]| {
            let updates = updates.iter().map(|(value, diff)| (anomaly(*value), *diff)).collect();
            let changed = alerts.apply(t, updates);
            changed.iter().map(|a| (a.state, a.anomaly.value, a.raised_t, a.changed_t, a.revision)).collect::<Vec<_>>()
        };
        assert_eq!(step(100, &[(7, 1)]), [(AlertState::Raised, 7, 100, 100, 0)]);
        assert_eq!(step(101, &[(7, -1), (5, 1)]), [(AlertState::Revised, 5, 100, 101, 1)]);
        assert_eq!(step(102, &[(5, -1), (5, 1)]), [], "nothing changed");
        assert_eq!(step(103, &[(5, -1)]), [(AlertState::Withdrawn, 5, 100, 103, 2)]);
        assert_eq!(step(104, &[(6, 1)]), [(AlertState::Raised, 6, 100, 104, 3)]);
    }

    #[test]
    fn alerts_past_retention_are_forgotten() {
        let mut alerts = Alerts::new(1_000_000, Vec::new());
        alerts.apply(70_000, vec![(anomaly(7), 1)]);
        alerts.apply(5_000_000, vec![]);
        assert!(alerts.by_id.is_empty());
    }
}
