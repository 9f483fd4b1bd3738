//! Key figures and spreads against the plain recomputation.

use model::time::Granularity;

use crate::support::{assert_one_change_a_key, run_all, sample_times, standing_at};
use crate::{oracle, workload};

#[test]
fn key_figures_equal_a_plain_recomputation_at_any_time() {
    for seed in [21, 22, 23] {
        let work = workload::ticks(seed, 900);
        let got = run_all(&work, seed * 100);
        assert_one_change_a_key(&got.kpis, |kpi| (kpi.series, kpi.window_min));
        let mut spreads = 0;
        for t in sample_times(&work, 20, seed) {
            let bars = oracle::bars(&work, &oracle::ticks(&work, t).live, Granularity::M1);
            let expected = oracle::kpis(&work, &bars, t);
            let kpis = standing_at(&got.kpis, t);
            for (kpi, expected) in kpis.iter().zip(&expected) {
                assert_eq!(kpi, expected, "seed {seed}, T {t}");
            }
            assert_eq!(kpis.len(), expected.len(), "number of rows, seed {seed}, T {t}");
            spreads += kpis.iter().filter(|kpi| kpi.spread.is_some_and(|spread| spread != 0)).count();
        }
        assert!(spreads > 20, "the workload has spreads");
    }
}

#[test]
fn windows_empty_themselves_without_any_input() {
    let mut work = workload::ticks(24, 200);
    let last = work.ticks.last().unwrap().0;
    work.end = last + 200 * 60_000;
    // Day-ahead prices of the future would fill windows again.
    work.ticks.retain(|(_, tick)| !tick.market.is_day_ahead());
    let got = run_all(&work, 2400);
    assert!(!standing_at(&got.kpis, last).is_empty());
    assert!(standing_at(&got.kpis, work.end).is_empty());
    // Bars stay: leaving the dataflow's memory is no correction.
    assert!(!standing_at(&got.bars, work.end).is_empty());
}
