//! One small batch by hand, for the encoders' own tests.

use std::sync::Arc;

use model::{
    Alert, AlertState, Anomaly, AnomalyKind, Bar, BarKey, BarRow, Batch, Change, DeadLetter, Granularity, Market,
    Names, Reason, SeriesKey, Severity, Zones,
};

use crate::Context;

/// 2025-11-18T10:00:00Z.
pub(crate) const T: u64 = 1_763_460_000_000;

/// PJM's own index, continuous; a minute bar put, an hourly one removed, an alert raised, a record refused.
pub(crate) fn batch() -> (Context, Arc<Batch>) {
    let (names, zones) = (Arc::new(Names::default()), Zones::built_in());
    let series = SeriesKey { location: names.location("PJM", "PJM").0, market: Market::Continuous };
    let bar = |granularity, start_ms, end_ms| BarRow {
        key: BarKey { series, granularity, start_ms },
        end_ms,
        bar: Bar::of(start_ms + 500, 52_500_000, 1_000),
    };
    let start_ms = T as i64 - 60_000;
    let anomaly = Anomaly {
        id: 0xabc,
        rule: "spikes".to_owned(),
        kind: AnomalyKind::ZScore,
        severity: Severity::Warning,
        series,
        start_ms,
        value: 52_500_000,
        baseline: None,
        z_milli: Some(3_100),
        threshold_milli: 2_500,
    };
    let batch = Batch {
        t: T,
        bars: vec![
            Change::Put(bar(Granularity::M1, start_ms, start_ms + 60_000)),
            Change::Remove(bar(Granularity::H1, T as i64 - 3_600_000, T as i64)),
        ],
        alerts: vec![Alert { anomaly, state: AlertState::Raised, raised_t: T, changed_t: T, revision: 0 }],
        dead_letters: vec![DeadLetter {
            topic: "optibid.ticks.pjm".into(),
            partition: 3,
            offset: 7,
            row: 0,
            reason: Reason::Malformed,
            detail: "no JSON".to_owned(),
            bytes: b"{oops".to_vec(),
        }],
        ..Batch::default()
    };
    (Context { names, zones }, Arc::new(batch))
}
