//! A rule as it applies to the series of one zone and market.
//!
//! A rule that names an unknown zone, or asks for what cannot be meant (a flat line of fewer than two bars, a feed
//! that is stale at once), applies to nothing. A negative threshold of z or spread counts as 0.

use std::sync::Arc;

use model::{Anomaly, AnomalyKind, LocationId, Market, Rule, SeriesKey, Zone, Zones};

use super::baseline::MAX_WINDOW_BARS;

/// Number of a rule's name on this worker.
pub(super) type Slot = u32;

#[derive(Clone, Debug)]
pub(super) struct Applied {
    pub(super) slot: Slot,
    pub(super) rule: Arc<Rule>,
    /// The only location it is for; all when `None`.
    location: Option<LocationId>,
    /// Bars of the baseline, or of the flat line.
    pub(super) bars: usize,
    /// Silence that makes a feed stale, ms.
    pub(super) silence_ms: i64,
}

/// What a rule saw in a bar it fired on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) value: i64,
    pub(super) baseline: Option<i64>,
    pub(super) z_milli: Option<i64>,
}

impl Applied {
    /// `None` where the rule does not apply.
    pub(super) fn new(
        slot: Slot,
        rule: &Arc<Rule>,
        zones: &Zones,
        zone: Option<&Arc<Zone>>,
        market: Market,
    ) -> Option<Self> {
        let elsewhere = match &rule.zone {
            None => false,
            Some(name) => zones.get(name).is_none_or(|named| zone.is_none_or(|zone| zone.code != named.code)),
        };
        if !rule.enabled || rule.deleted || elsewhere || rule.market.is_some_and(|only| only != market) {
            return None;
        }
        let location = match (&rule.location, zone) {
            (Some(name), Some(zone)) => Some(zone.location(name)),
            (Some(_), None) => return None,
            (None, _) => None,
        };
        let bars = match rule.kind {
            AnomalyKind::FlatLine => rule.threshold_milli / 1000,
            _ => i64::from(rule.window_bars.max(2)),
        };
        let bars = usize::try_from(bars.min(i64::from(MAX_WINDOW_BARS))).unwrap_or(0);
        let silence_ms = silence_ms(rule, market);
        let meant = match rule.kind {
            AnomalyKind::FlatLine => bars >= 2,
            AnomalyKind::StaleFeed => silence_ms > 0,
            _ => true,
        };
        meant.then(|| Self { slot, rule: Arc::clone(rule), location, bars, silence_ms })
    }

    pub(super) fn is_for(&self, location: LocationId) -> bool {
        self.location.is_none_or(|only| only == location)
    }

    /// How many bars after a changed one may be judged differently.
    pub(super) fn reach(&self) -> usize {
        match self.rule.kind {
            AnomalyKind::ZScore | AnomalyKind::RobustZScore | AnomalyKind::FlatLine => self.bars,
            _ => 0,
        }
    }

    /// The threshold in 10⁻³, never negative.
    pub(super) fn threshold_milli(&self) -> i64 {
        self.rule.threshold_milli.max(0)
    }

    /// Whether an alert of this rule says just this (spares building it anew).
    pub(super) fn says(&self, alert: &Anomaly, seen: Seen) -> bool {
        let told = Seen { value: alert.value, baseline: alert.baseline, z_milli: alert.z_milli };
        let rule = (alert.kind, alert.severity, alert.threshold_milli);
        told == seen && rule == (self.rule.kind, self.rule.severity, self.rule.threshold_milli)
    }

    pub(super) fn alert(&self, series: SeriesKey, start_ms: i64, seen: Seen) -> Anomaly {
        Anomaly {
            id: Anomaly::stable_id(&self.rule.rule, self.rule.kind, series, start_ms),
            rule: self.rule.rule.clone(),
            kind: self.rule.kind,
            severity: self.rule.severity,
            series,
            start_ms,
            value: seen.value,
            baseline: seen.baseline,
            z_milli: seen.z_milli,
            threshold_milli: self.rule.threshold_milli,
        }
    }
}

/// A rule for every market means tick streams: of an interval market at least three intervals must have gone by.
fn silence_ms(rule: &Rule, market: Market) -> i64 {
    match rule.market {
        Some(_) => rule.threshold_milli,
        None if rule.threshold_milli <= 0 => 0,
        None => rule.threshold_milli.max(3 * i64::from(market.interval_ms())),
    }
}
