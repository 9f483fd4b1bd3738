//! Key figures of bids against a plain recomputation from the winners and the awards, at every T: random bids of every kind,
//! amended, withdrawn with and without steps, late, repeated, before and after the gate, and after their day is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use model::bid::{BidKind, BidStatus, Step};
use model::humane::Span;
use model::{Award, BidEvent, BidKpi, BidKpiKey, T, Zones};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use timely::dataflow::StreamVec;

use crate::auctions::{self, HOUR, iberia, ms, place};
use crate::driven::{Moment, Standing, Updates, run};

fn config() -> operators::Config {
    let mut config = operators::Config::default();
    config.retention.minute = Span::from_millis(HOUR as u64);
    config
}

/// The T at which the day of a key is forgotten.
fn forgotten_at(key: &BidKpiKey) -> T {
    let (_, iberian_end_ms, _) = iberia();
    let end_ms = if key.series.location == place("PJM") { ms("2025-03-30T04:00:00Z") } else { iberian_end_ms };
    (end_ms + HOUR) as T
}

/// The T from which on acceptance is said of a key.
fn closes_at(key: &BidKpiKey) -> T {
    let (_, _, gate_ms) = iberia();
    (if key.series.location == place("PJM") { key.start_ms } else { gate_ms }) as T
}

/// The bids of the auctions' test; some are withdrawn without steps, some come twice, some when their day is over.
fn script(seed: u64) -> Vec<Moment<BidEvent, ()>> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed + 1_000);
    let mut moments = auctions::script(seed);
    let mut all: Vec<BidEvent> = Vec::new();
    for moment in &mut moments {
        for event in moment.first.iter_mut().filter(|event| !event.is_live() && !is_capacity(event)) {
            if dice.random_bool(0.5) {
                event.steps.clear();
            }
        }
        if !all.is_empty() && dice.random_bool(0.5) {
            let again = dice.random_range(0..all.len());
            moment.first.push(all[again].clone());
        }
        all.extend(moment.first.iter().cloned());
    }
    for late in ["2025-03-30T02:00:00Z", "2025-03-30T06:00:00Z", "2025-03-31T00:00:00Z"] {
        let mut first = Vec::new();
        for event in &all {
            if dice.random_bool(0.2) {
                let mut event = event.clone();
                event.revision += 10;
                let is_amended = !event.steps.is_empty() && dice.random_bool(0.5);
                event.status = if is_amended { BidStatus::Amended } else { BidStatus::Withdrawn };
                first.push(event);
            }
        }
        moments.push(Moment { t: ms(late) as T, first, second: Vec::new() });
    }
    moments
}

fn is_capacity(event: &BidEvent) -> bool {
    matches!(event.kind, BidKind::Capacity { .. })
}

/// What must be said of `bids` (winners, whatever their status) and `awards` at `t`.
fn oracle(bids: &BTreeMap<String, BidEvent>, awards: &BTreeSet<Award>, t: T) -> BTreeSet<BidKpi> {
    let mut by_key: BTreeMap<BidKpiKey, Vec<&BidEvent>> = BTreeMap::new();
    for bid in bids.values().filter(|bid| !is_capacity(bid)) {
        let mut starts: BTreeSet<i64> = bid.steps.iter().map(|step| step.start_ms).collect();
        if starts.is_empty() {
            starts.insert(bid.delivery_ms);
        }
        for start_ms in starts {
            let organisation = bid.organisation.clone();
            let key =
                BidKpiKey { series: bid.series, start_ms, duration_ms: bid.duration_ms, side: bid.side, organisation };
            by_key.entry(key).or_default().push(bid);
        }
    }
    let row = |(key, bids): (BidKpiKey, Vec<&BidEvent>)| {
        let count = |status| bids.iter().filter(|bid| bid.status == status).count() as i64;
        let live = bids.iter().filter(|bid| bid.is_live());
        let steps: Vec<&Step> =
            live.clone().flat_map(|bid| &bid.steps).filter(|step| step.start_ms == key.start_ms).collect();
        let offered_kw: i64 = steps.iter().map(|step| step.power_kw).sum();
        let ends = |step: &Step| i128::from(step.price_micros + step.end_price_micros);
        let twice: i128 = steps.iter().map(|step| i128::from(step.power_kw) * ends(step)).sum();
        let of_key = |award: &&Award| {
            award.organisation == key.organisation
                && (award.series, award.start_ms, award.side) == (key.series, key.start_ms, key.side)
        };
        let awarded_kw: i64 = awards.iter().filter(of_key).map(|award| award.power_kw).sum();
        let acceptance = model::money::div_round(i128::from(awarded_kw) * 1_000_000, i128::from(offered_kw));
        BidKpi {
            live: live.count() as i64,
            withdrawn: count(BidStatus::Withdrawn),
            rejected: count(BidStatus::Rejected),
            expired: count(BidStatus::Expired),
            offered_kw,
            mean_price_micros: model::money::div_round(twice, 2 * i128::from(offered_kw)),
            awarded_kw,
            acceptance_ppm: acceptance.filter(|_| t >= closes_at(&key)),
            key,
        }
    };
    by_key.into_iter().map(row).collect()
}

/// A row of either collection: both come from one run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
enum Row {
    Award(Award),
    Figures(BidKpi),
}

fn both(workers: usize, seed: u64, script: &[Moment<BidEvent, ()>], end: T) -> (Updates<Award>, Updates<BidKpi>) {
    let rows = run(workers, seed, script, end, |events, _: StreamVec<'_, T, ()>| {
        let (config, zones) = (config(), Zones::built_in());
        let bids = operators::bids::live_bids(&config, &zones, events, None).0;
        let awards = operators::auctions::auctions(&config, &zones, bids.clone()).1;
        let figures = operators::bid_kpis::bid_kpis(&config, &zones, bids, awards.clone());
        awards.map(Row::Award).concat(figures.map(Row::Figures))
    });
    let (mut awards, mut figures) = (Vec::new(), Vec::new());
    for (t, row, diff) in rows {
        match row {
            Row::Award(row) => awards.push((t, row, diff)),
            Row::Figures(row) => figures.push((t, row, diff)),
        }
    }
    (awards, figures)
}

#[test]
fn at_every_t_they_are_what_a_recomputation_says_on_any_number_of_workers() {
    let (mut accepted, mut refused, mut withdrawn) = (0, 0, 0);
    for seed in 0..3 {
        let script = script(seed);
        let end = ms("2025-03-31T02:00:00Z") as T;
        let (awards, figures) = both(1, seed, &script, end);
        for workers in [2, 4] {
            let other = both(workers, seed + 100, &script, end);
            assert_eq!(other, (awards.clone(), figures.clone()), "seed {seed}, {workers} workers");
        }
        let mut changes: BTreeSet<(T, BidKpiKey, isize)> = BTreeSet::new();
        for (t, row, diff) in &figures {
            assert!(changes.insert((*t, row.key(), *diff)), "seed {seed}: two changes of {:?} at {t}", row.key);
            assert!(*t < forgotten_at(&row.key), "seed {seed}: {row:?} is forgotten at {t}");
        }
        let mut times: BTreeSet<T> = script.iter().map(|moment| moment.t).collect();
        times.extend(figures.iter().map(|(t, ..)| *t));
        times.extend(figures.iter().map(|(_, row, _)| closes_at(&row.key)));
        let (mut given, mut rows) = (Standing::new(&awards), Standing::new(&figures));
        let (mut bids, mut expected): (BTreeMap<String, BidEvent>, BTreeSet<BidKpi>) = Default::default();
        for t in times {
            for event in script.iter().filter(|moment| moment.t == t).flat_map(|moment| &moment.first) {
                let rank = |event: &BidEvent| (event.revision, event.partition, event.offset);
                let winner = bids.entry(event.bid.clone()).or_insert_with(|| event.clone());
                if rank(event) > rank(winner) {
                    *winner = event.clone();
                }
            }
            // What is forgotten stays as it was said last.
            let mut now = oracle(&bids, given.at(t), t);
            now.retain(|row| t < forgotten_at(&row.key));
            now.extend(expected.into_iter().filter(|row| t >= forgotten_at(&row.key)));
            expected = now;
            assert_eq!(rows.at(t), &expected, "seed {seed} at {t}");
            accepted += expected.iter().filter(|row| row.acceptance_ppm.is_some_and(|ppm| ppm > 0)).count();
            refused += expected.iter().filter(|row| row.acceptance_ppm == Some(0)).count();
            withdrawn += expected.iter().filter(|row| row.withdrawn > 0 && row.live == 0).count();
        }
    }
    assert!(accepted > 100 && refused > 100 && withdrawn > 100, "{accepted} accepted, {refused}, {withdrawn}");
}
