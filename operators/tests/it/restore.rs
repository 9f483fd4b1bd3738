//! What is saved at barriers, and the sealed bars, are the whole state: a graph that begins with them says at every
//! later T exactly what the first one says, on any other number of workers.

use std::collections::BTreeMap;

use model::bid::{BidKind, BidStatus, Side, Step};
use model::humane::Span;
use model::{AnomalyKind, BarRow, BidEvent, Granularity, Market, MeterReading, PartitionId, Rule, SeriesKey, T};
use operators::bars::{open_from_ms, open_ms, reach_ms};
use operators::keyed::Barrier;
use operators::settlement::{Priced, is_kept};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{Captured, Updates, Workload, run, same, standing_at};
use crate::{anomaly, workload};

const HOUR_MS: u64 = 3_600_000;

/// A rule over seven bars.
fn rule(name: &str, kind: AnomalyKind, threshold_milli: i64, revision: i64) -> Rule {
    anomaly::rule(name, kind, threshold_milli, 7, revision)
}

/// Ticks of every kind, alerts of every kind with rules that change, bids that end, meters of their assets.
fn everything(seed: u64) -> Workload {
    let mut work = workload::ticks(seed, 700);
    let mut dice = ChaCha8Rng::seed_from_u64(seed ^ 0xb1d5);
    work.config.anomalies.window = Span::from_millis(3 * HOUR_MS);
    work.config.anomalies.rules.push(rule("spread", AnomalyKind::SpreadBreak, 9_000, 0));
    work.config.anomalies.rules.push(rule("flat", AnomalyKind::FlatLine, 2_000, 0));
    work.config.anomalies.rules.push(rule("stale", AnomalyKind::StaleFeed, 200_000, 0));
    work.config.correlations.locations = vec!["NYISO/*".into(), "NYISO/N.Y.C.".into(), "NYISO/WEST".into()];
    work.config.correlations.windows_min = vec![30, 120];
    work.config.correlations.min_count = 3;
    let moments: Vec<T> = work.ticks.iter().map(|(t, _)| *t).collect();
    let series = work.ticks[0].1.series();
    for number in 0..200 {
        let t = moments[dice.random_range(0..moments.len())];
        let delivery_ms = t as i64 / HOUR_MS as i64 * HOUR_MS as i64 + dice.random_range(-4..4) * HOUR_MS as i64;
        let event = BidEvent {
            bid: format!("bid-{}", dice.random_range(0..60)),
            revision: dice.random_range(0..5),
            status: BidStatus::Submitted,
            organisation: "acme".into(),
            asset: (number % 3 != 0).then(|| format!("unit-{}", number % 4)),
            series: SeriesKey { market: Market::DayAheadHourly, ..series },
            delivery_ms,
            duration_ms: 3_600_000,
            side: if number % 2 == 0 { Side::Buy } else { Side::Sell },
            kind: BidKind::Curve,
            steps: vec![Step::flat(delivery_ms, if number % 2 == 0 { 1_000_000 + number } else { number }, 10)],
            event_ms: t as i64,
            partition: PartitionId(7),
            offset: number,
        };
        work.bids.push((t, event));
    }
    for offset in 0..400 {
        let t = moments[dice.random_range(0..moments.len())];
        let width_ms = [900_000, 3_600_000][dice.random_range(0..2)];
        let start_ms = t as i64 / width_ms * width_ms - dice.random_range(0..9) * width_ms;
        let is_old = dice.random_ratio(1, 20);
        let reading = MeterReading {
            asset: format!("unit-{}", dice.random_range(0..4)),
            start_ms: if is_old { start_ms - 32 * HOUR_MS as i64 } else { start_ms },
            duration_ms: width_ms as u32,
            power_kw: dice.random_range(-20..40),
            revision: dice.random_range(0..3),
            cancelled: dice.random_ratio(1, 10),
            source: None,
            partition: PartitionId(8),
            offset,
        };
        work.meters.push((t, reading));
    }
    for offset in 0..8 {
        let t = moments[dice.random_range(0..moments.len())];
        let rule = rule("z_score", AnomalyKind::ZScore, 1_000 + 200 * offset, offset);
        work.rules.push((t, (rule, PartitionId(9), offset)));
    }
    work.bids.sort_by_key(|(t, _)| *t);
    work.meters.sort_by_key(|(t, _)| *t);
    work.rules.sort_by_key(|(t, _)| *t);
    work
}

/// Barriers, each where corrections of correlations have taken effect; the first saves all.
fn barriers(work: &Workload, count: usize, dice: &mut ChaCha8Rng) -> Vec<T> {
    let refresh = work.config.correlations.refresh.millis();
    let (first, last) = (work.ticks[0].0, work.end - 1);
    let mut times: Vec<T> = (0..count).map(|_| dice.random_range(first..last) / refresh * refresh).collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// The rest of `work` after `at`, beginning with what `whole` saved up to then.
fn rest(work: &Workload, whole: &Captured, at: T) -> Workload {
    // A barrier that saves all is a new beginning.
    let all = work.barriers.iter().filter(|(t, barrier)| barrier.all && *t <= at).map(|(t, _)| *t);
    let from = all.max().unwrap_or(0);
    let mut minutes = BTreeMap::new();
    for (_, minute) in whole.saved_minutes.iter().filter(|(t, _)| (from..=at).contains(t)) {
        minutes.insert((minute.series, minute.start_ms), minute.clone());
    }
    let mut bids = BTreeMap::new();
    for (_, bid) in whole.saved_bids.iter().filter(|(t, _)| (from..=at).contains(t)) {
        bids.insert(bid.bid.clone(), bid.clone());
    }
    let mut meters = BTreeMap::new();
    for (_, reading) in whole.saved_meters.iter().filter(|(t, _)| (from..=at).contains(t)) {
        meters.insert((reading.asset.clone(), reading.start_ms), reading.clone());
    }
    meters.retain(|(_, start_ms), _| is_kept(&work.config, *start_ms, at));
    // Of settlement's bars those that no record can change any more.
    let priced = Priced::new(&work.zones);
    let is_final = |row: &BarRow| row.end_ms + open_ms(&work.config, row.key.series.market) <= at as i64;
    let is_price = |row: &BarRow| priced.takes(row) && is_final(row) && is_kept(&work.config, row.key.start_ms, at);
    // Of what is sealed no more than is said to be needed, or a checkpoint that keeps just that would be wrong.
    let bars = standing_at(&whole.bars, at);
    let mut newest = BTreeMap::new();
    for row in &bars {
        let start_ms = newest.entry(row.key.series).or_insert(row.key.start_ms);
        *start_ms = row.key.start_ms.max(*start_ms);
    }
    let is_needed = |row: &BarRow| {
        let (series, start_ms) = (row.key.series, row.key.start_ms);
        let is_sealed = start_ms < open_from_ms(&work.config, series.market, at as i64);
        let is_within_reach = start_ms >= at as i64 - reach_ms(&work.config, series.market);
        let is_newest = newest[&series] == start_ms;
        row.key.granularity == Granularity::M1 && is_sealed && (is_within_reach || is_newest)
    };
    let sealed = bars.into_iter().filter(|row| is_needed(row) || is_price(row)).collect();
    let mut rest = work.clone();
    rest.ticks.retain(|(t, _)| *t > at);
    rest.bids.retain(|(t, _)| *t > at);
    rest.meters.retain(|(t, _)| *t > at);
    rest.rules.retain(|(t, _)| *t > at);
    rest.bids.splice(0..0, bids.into_values().map(|bid| (at, bid)));
    rest.meters.splice(0..0, meters.into_values().map(|reading| (at, reading)));
    let rules = whole.saved_rules.iter().filter(|(t, _)| *t == at);
    rest.rules.splice(0..0, rules.map(|(_, rule)| (at, rule.clone())));
    rest.barriers.retain(|(t, _)| *t > at);
    rest.minutes = minutes.into_values().map(|minute| (at, minute)).collect();
    rest.sealed = Some((at, sealed));
    rest
}

#[track_caller]
fn after<R: Clone + PartialEq + std::fmt::Debug>(
    what: &str,
    at: T,
    workers: usize,
    whole: &Updates<R>,
    again: &Updates<R>,
) {
    let later = |updates: &Updates<R>| updates.iter().filter(|(_, t, _)| *t > at).cloned().collect::<Vec<_>>();
    same(&format!("{what} after {at}"), workers, &later(whole), &later(again));
}

#[test]
fn a_restored_graph_says_what_the_first_one_says() {
    let mut settled = 0;
    for seed in 0..6 {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut work = everything(seed);
        let times = barriers(&work, 4, &mut dice);
        work.barriers = times.iter().enumerate().map(|(n, t)| (*t, Barrier { all: n == 1, life: 0 })).collect();
        let whole = run(&work, 2, seed);
        assert!(whole.saved_minutes.len() > 100 && !whole.saved_bids.is_empty() && !whole.saved_rules.is_empty());
        assert!(whole.saved_meters.len() > 50, "seed {seed}");
        // Where the gate is the day before, all bids of these hours come too late.
        settled += whole.settlement.iter().filter(|(row, _, _)| row.imbalance_micros.is_some()).count();
        for at in times {
            let workers = [1, 2, 4][dice.random_range(0..3)];
            let again = run(&rest(&work, &whole, at), workers, seed + 50);
            after("bars", at, workers, &whole.bars, &again.bars);
            after("kpis", at, workers, &whole.kpis, &again.kpis);
            after("anomalies", at, workers, &whole.anomalies, &again.anomalies);
            after("correlations", at, workers, &whole.correlations, &again.correlations);
            after("bids", at, workers, &whole.bids, &again.bids);
            after("clearing", at, workers, &whole.clearing, &again.clearing);
            after("awards", at, workers, &whole.awards, &again.awards);
            after("settlement", at, workers, &whole.settlement, &again.settlement);
            after("pnl", at, workers, &whole.pnl, &again.pnl);
            after("key figures of bids", at, workers, &whole.bid_kpis, &again.bid_kpis);
            after("rules", at, workers, &whole.rules, &again.rules);
            let later = |(t, _): &&(T, _)| *t > at;
            assert!(
                whole
                    .dead_letters
                    .iter()
                    .filter(|(t, _)| *t > at)
                    .eq(again.dead_letters.iter().filter(|(t, _)| *t > at))
            );
            assert!(whole.counts.range(at + 1..).eq(again.counts.range(at + 1..)), "counts after {at}");
            assert!(whole.ticks.iter().filter(later).eq(again.ticks.iter().filter(later)), "ticks after {at}");
            assert_eq!(standing_at(&whole.kpis, at), standing_at(&again.kpis, at), "kpis at {at}");
            assert_eq!(standing_at(&whole.correlations, at), standing_at(&again.correlations, at), "at {at}");
            assert_eq!(standing_at(&whole.clearing, at), standing_at(&again.clearing, at), "clearing at {at}");
            assert_eq!(standing_at(&whole.awards, at), standing_at(&again.awards, at), "awards at {at}");
            assert_eq!(standing_at(&whole.bid_kpis, at), standing_at(&again.bid_kpis, at), "figures of bids at {at}");
            assert_eq!(standing_at(&whole.rules, at), standing_at(&again.rules, at), "rules at {at}");
            // What is frozen or forgotten is not said again; what is said stands.
            subset("bars", &standing_at(&again.bars, at), &standing_at(&whole.bars, at));
            subset("anomalies", &standing_at(&again.anomalies, at), &standing_at(&whole.anomalies, at));
            subset("settlement", &standing_at(&again.settlement, at), &standing_at(&whole.settlement, at));
            subset("pnl", &standing_at(&again.pnl, at), &standing_at(&whole.pnl, at));
            subset("bids", &standing_at(&again.bids, at), &standing_at(&whole.bids, at));
        }
    }
    assert!(settled > 10, "{settled} rows with a meter and a price");
}

#[track_caller]
fn subset<R: Ord + std::fmt::Debug>(what: &str, part: &[R], whole: &[R]) {
    let missing = part.iter().find(|row| whole.binary_search(row).is_err());
    assert!(missing.is_none(), "{what}: {missing:#?} is said only by the restored graph");
}
