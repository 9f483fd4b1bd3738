//! Runs the graph: feeds records at their T through any number of workers in any batching, captures everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::batch::Counts;
use model::{
    Anomaly, Award, BarRow, BidEvent, BidKpi, Clearing, Correlation, DeadLetter, Kpi, LiveBid, MeterReading, Names,
    Pnl, Rule, Settlement, T, Tick, TickRow, Zones,
};
use operators::bars::SavedMinute;
use operators::keyed::Barrier;
use operators::rules::SavedRule;
use operators::{Config, DurableInputs, Inputs, build};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::{Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, StreamVec};

/// Everything a run needs. Records are sorted by T.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) config: Config,
    pub(crate) zones: Zones,
    pub(crate) names: Arc<Names>,
    pub(crate) ticks: Vec<(T, Tick)>,
    pub(crate) bids: Vec<(T, BidEvent)>,
    pub(crate) meters: Vec<(T, MeterReading)>,
    pub(crate) rules: Vec<(T, SavedRule)>,
    /// When to save.
    pub(crate) barriers: Vec<(T, Barrier)>,
    /// What to begin with, at its T; bids, readings and rules are among the records.
    pub(crate) minutes: Vec<(T, SavedMinute)>,
    /// Sealed bars to begin with, and when.
    pub(crate) sealed: Option<(T, Vec<BarRow>)>,
    /// The T that inputs are advanced to before they are closed: outputs before it are complete.
    pub(crate) end: T,
}

/// Updates of a collection.
pub(crate) type Updates<R> = Vec<(R, T, isize)>;

/// Everything a run yields before its end, sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Captured {
    pub(crate) ticks: Vec<(T, TickRow)>,
    pub(crate) bars: Updates<BarRow>,
    pub(crate) kpis: Updates<Kpi>,
    pub(crate) anomalies: Updates<Anomaly>,
    pub(crate) correlations: Updates<Correlation>,
    pub(crate) bids: Updates<LiveBid>,
    pub(crate) clearing: Updates<Clearing>,
    pub(crate) awards: Updates<Award>,
    pub(crate) settlement: Updates<Settlement>,
    pub(crate) pnl: Updates<Pnl>,
    pub(crate) bid_kpis: Updates<BidKpi>,
    pub(crate) rules: Updates<Rule>,
    pub(crate) dead_letters: Vec<(T, DeadLetter)>,
    /// Added up a T.
    pub(crate) counts: BTreeMap<T, Counts>,
    pub(crate) saved_minutes: Vec<(T, SavedMinute)>,
    pub(crate) saved_bids: Vec<(T, BidEvent)>,
    pub(crate) saved_meters: Vec<(T, MeterReading)>,
    pub(crate) saved_rules: Vec<(T, SavedRule)>,
}

/// Runs `work` on `workers` workers. `seed` decides who feeds which record, in which order and in what batches:
/// nothing that may matter.
pub(crate) fn run(work: &Workload, workers: usize, seed: u64) -> Captured {
    let into = Arc::new(Mutex::new(Captured::default()));
    let shared = (Arc::new(work.clone()), into.clone());
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (work, into) = &shared;
        let mut inputs = Handles::default();
        let probe = ProbeHandle::new();
        worker.dataflow::<T, _, _>(|scope| {
            let streams = Inputs {
                ticks: inputs.ticks.to_stream(scope),
                bids: inputs.bids.to_stream(scope),
                meters: inputs.meters.to_stream(scope),
                rules: inputs.rules.to_stream(scope),
                durable: Some(DurableInputs {
                    barriers: inputs.barriers.to_stream(scope),
                    minutes: inputs.minutes.to_stream(scope),
                    sealed_bars: work.sealed.as_ref().map(|_| inputs.sealed.to_stream(scope)),
                }),
            };
            let out = build(&work.config, &work.zones, streams);
            let end = work.end;
            updates(out.bars.inner, into, end, &probe, |all| &mut all.bars);
            updates(out.kpis.inner, into, end, &probe, |all| &mut all.kpis);
            updates(out.anomalies.inner, into, end, &probe, |all| &mut all.anomalies);
            updates(out.correlations.inner, into, end, &probe, |all| &mut all.correlations);
            updates(out.bids.inner, into, end, &probe, |all| &mut all.bids);
            updates(out.clearing.inner, into, end, &probe, |all| &mut all.clearing);
            updates(out.awards.inner, into, end, &probe, |all| &mut all.awards);
            updates(out.settlement.inner, into, end, &probe, |all| &mut all.settlement);
            updates(out.pnl.inner, into, end, &probe, |all| &mut all.pnl);
            updates(out.bid_kpis.inner, into, end, &probe, |all| &mut all.bid_kpis);
            updates(out.rules.inner, into, end, &probe, |all| &mut all.rules);
            records(out.ticks, into, &probe, |all, t, row| all.ticks.push((t, row)));
            let (zones, names) = (work.zones.clone(), work.names.clone());
            records(out.refused, into, &probe, move |all, t, tick| {
                all.dead_letters.push((t, tick.dead_letter(&zones, &names)));
            });
            let names = work.names.clone();
            records(out.refused_meters, into, &probe, move |all, t, reading| {
                all.dead_letters.push((t, reading.too_old(t, &names)));
            });
            records(out.counts, into, &probe, |all, t, counts| all.counts.entry(t).or_default().add(&counts));
            records(out.saved.minutes, into, &probe, |all, t, row| all.saved_minutes.push((t, row)));
            records(out.saved.bids, into, &probe, |all, t, row| all.saved_bids.push((t, row)));
            records(out.saved.meters, into, &probe, |all, t, row| all.saved_meters.push((t, row)));
            records(out.saved.rules, into, &probe, |all, t, row| all.saved_rules.push((t, row)));
        });
        // The same generator on every worker, so that each record has one feeder.
        let mut shares = ChaCha8Rng::seed_from_u64(seed);
        let mut pace = ChaCha8Rng::seed_from_u64(seed ^ (worker.index() as u64 + 1));
        let mut feeds: BTreeMap<T, Feed> = BTreeMap::new();
        let mut mine = || shares.random_range(0..workers) == worker.index();
        spread(&work.ticks, &mut mine, &mut feeds, |feed| &mut feed.ticks);
        spread(&work.bids, &mut mine, &mut feeds, |feed| &mut feed.bids);
        spread(&work.meters, &mut mine, &mut feeds, |feed| &mut feed.meters);
        spread(&work.rules, &mut mine, &mut feeds, |feed| &mut feed.rules);
        spread(&work.barriers, &mut || true, &mut feeds, |feed| &mut feed.barriers);
        spread(&work.minutes, &mut mine, &mut feeds, |feed| &mut feed.minutes);
        if let Some((t, rows)) = &work.sealed {
            let rows: Vec<_> = rows.iter().map(|row| (*t, (*row, *t, 1))).collect();
            spread(&rows, &mut mine, &mut feeds, |feed| &mut feed.sealed);
        }
        for (t, mut feed) in feeds {
            inputs.advance_to(t);
            feed.ticks.shuffle(&mut pace);
            feed.bids.shuffle(&mut pace);
            feed.meters.shuffle(&mut pace);
            feed.rules.shuffle(&mut pace);
            for tick in feed.ticks {
                inputs.ticks.send(tick);
                if pace.random_ratio(1, 50) {
                    inputs.ticks.flush();
                    worker.step();
                }
            }
            feed.bids.into_iter().for_each(|bid| inputs.bids.send(bid));
            feed.meters.into_iter().for_each(|reading| inputs.meters.send(reading));
            feed.rules.into_iter().for_each(|rule| inputs.rules.send(rule));
            feed.barriers.into_iter().for_each(|barrier| inputs.barriers.send(barrier));
            feed.minutes.into_iter().for_each(|minute| inputs.minutes.send(minute));
            feed.sealed.into_iter().for_each(|row| inputs.sealed.send(row));
            if pace.random_ratio(1, 8) {
                worker.step();
            }
        }
        inputs.advance_to(work.end);
        worker.step_or_park_while(None, || probe.less_than(&work.end));
    });
    for result in guards.expect("timely starts").join() {
        result.expect("no worker fails");
    }
    let mut captured = std::mem::take(&mut *into.lock().unwrap());
    captured.sort();
    captured
}

/// What one worker sends at one T.
#[derive(Default)]
struct Feed {
    ticks: Vec<Tick>,
    bids: Vec<BidEvent>,
    meters: Vec<MeterReading>,
    rules: Vec<SavedRule>,
    barriers: Vec<Barrier>,
    minutes: Vec<SavedMinute>,
    sealed: Vec<(BarRow, T, isize)>,
}

type Handle<R> = InputHandle<T, CapacityContainerBuilder<Vec<R>>>;

#[derive(Default)]
struct Handles {
    ticks: Handle<Tick>,
    bids: Handle<BidEvent>,
    meters: Handle<MeterReading>,
    rules: Handle<SavedRule>,
    barriers: Handle<Barrier>,
    minutes: Handle<SavedMinute>,
    sealed: Handle<(BarRow, T, isize)>,
}

impl Handles {
    fn advance_to(&mut self, t: T) {
        self.ticks.advance_to(t);
        self.bids.advance_to(t);
        self.meters.advance_to(t);
        self.rules.advance_to(t);
        self.barriers.advance_to(t);
        self.minutes.advance_to(t);
        self.sealed.advance_to(t);
    }
}

/// Puts this worker's share of `records` into its feeds.
fn spread<R: Clone>(
    records: &[(T, R)],
    mine: &mut impl FnMut() -> bool,
    feeds: &mut BTreeMap<T, Feed>,
    list: impl Fn(&mut Feed) -> &mut Vec<R>,
) {
    for (t, record) in records {
        if mine() {
            list(feeds.entry(*t).or_default()).push(record.clone());
        }
    }
}

/// Captures a collection's updates before `end`. An update's own T counts: a message may carry several.
fn updates<R: Clone + Send + 'static>(
    stream: StreamVec<'_, T, (R, T, isize)>,
    into: &Arc<Mutex<Captured>>,
    end: T,
    probe: &ProbeHandle<T>,
    list: impl Fn(&mut Captured) -> &mut Updates<R> + 'static,
) {
    let into = into.clone();
    stream
        .inspect_core(move |event| {
            if let Ok((_, rows)) = event {
                let mut all = into.lock().unwrap();
                list(&mut all).extend(rows.iter().filter(|(_, t, _)| *t < end).cloned());
            }
        })
        .probe_with(probe);
}

/// Captures a stream's records.
fn records<R: Clone + Send + 'static>(
    stream: StreamVec<'_, T, R>,
    into: &Arc<Mutex<Captured>>,
    probe: &ProbeHandle<T>,
    add: impl Fn(&mut Captured, T, R) + 'static,
) {
    let into = into.clone();
    stream
        .inspect_core(move |event| {
            if let Ok((stamp, rows)) = event {
                let t = *stamp.as_singleton().expect("records travel at one T");
                let mut all = into.lock().unwrap();
                rows.iter().for_each(|row| add(&mut all, t, row.clone()));
            }
        })
        .probe_with(probe);
}

impl Captured {
    fn sort(&mut self) {
        self.ticks.sort();
        self.bars.sort();
        self.kpis.sort();
        self.anomalies.sort();
        self.correlations.sort();
        consolidate(&mut self.correlations);
        self.bids.sort();
        self.clearing.sort();
        self.awards.sort();
        self.settlement.sort();
        self.pnl.sort();
        self.bid_kpis.sort();
        self.rules.sort();
        self.dead_letters.sort();
        self.saved_minutes.iter_mut().for_each(|(_, minute)| minute.records.sort());
        self.saved_minutes.sort();
        self.saved_bids.sort();
        self.saved_meters.sort();
        self.saved_rules.sort();
    }
}

/// Adds up updates of one row at one T. A differential operator may say in two messages what another run says in one.
fn consolidate<R: PartialEq>(updates: &mut Updates<R>) {
    updates.dedup_by(|next, kept| {
        let same = next.0 == kept.0 && next.1 == kept.1;
        if same {
            kept.2 += next.2;
        }
        same
    });
    updates.retain(|(_, _, diff)| *diff != 0);
}

/// The rows that stand at `t`: fails unless each stands exactly once.
pub(crate) fn standing_at<R: Ord + Clone + std::fmt::Debug>(updates: &Updates<R>, t: T) -> Vec<R> {
    let mut sums: BTreeMap<&R, isize> = BTreeMap::new();
    for (row, _, diff) in updates.iter().filter(|(_, at, _)| *at <= t) {
        *sums.entry(row).or_default() += diff;
    }
    sums.retain(|_, sum| *sum != 0);
    sums.into_iter()
        .map(|(row, sum)| {
            assert_eq!(sum, 1, "{row:?} stands {sum} times at {t}");
            row.clone()
        })
        .collect()
}

/// No T says the same row twice or takes back what it says: every T is consolidated, one change a key.
pub(crate) fn assert_one_change_a_key<R: Clone, K: Ord + std::fmt::Debug>(updates: &Updates<R>, key: impl Fn(&R) -> K) {
    let mut changes: BTreeMap<(T, K), (i32, i32)> = BTreeMap::new();
    for (row, t, diff) in updates {
        let counts = changes.entry((*t, key(row))).or_default();
        if *diff == 1 {
            counts.0 += 1
        } else {
            counts.1 += 1
        }
        assert!(counts.0 <= 1 && counts.1 <= 1 && diff.abs() == 1, "{:?} at {t}", key(row));
    }
}

/// T's worth looking at: some of the records' own, some between, around whole minutes, and the last.
pub(crate) fn sample_times(work: &Workload, count: usize, seed: u64) -> Vec<T> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (first, last) = (work.ticks[0].0, work.end - 1);
    let mut times: Vec<T> = (0..count)
        .map(|number| match number % 3 {
            0 => work.ticks[random.random_range(0..work.ticks.len())].0,
            1 => random.random_range(first..=last),
            _ => random.random_range(first..=last) / 60_000 * 60_000 - random.random_range(0..2),
        })
        .collect();
    times.push(last);
    times.sort_unstable();
    times
}

/// Runs on 1, 2 and 4 workers with different batching, checks that all yield the same, and returns it.
pub(crate) fn run_all(work: &Workload, seed: u64) -> Captured {
    let one = run(work, 1, seed);
    for (workers, seed) in [(1, seed + 1), (2, seed + 2), (4, seed + 3)] {
        let other = run(work, workers, seed);
        assert_eq!(one.counts, other.counts, "counts with {workers} workers");
        same("ticks", workers, &one.ticks, &other.ticks);
        same("bars", workers, &one.bars, &other.bars);
        same("kpis", workers, &one.kpis, &other.kpis);
        same("bids", workers, &one.bids, &other.bids);
        same("clearing", workers, &one.clearing, &other.clearing);
        same("awards", workers, &one.awards, &other.awards);
        same("settlement", workers, &one.settlement, &other.settlement);
        same("pnl", workers, &one.pnl, &other.pnl);
        same("key figures of bids", workers, &one.bid_kpis, &other.bid_kpis);
        same("anomalies", workers, &one.anomalies, &other.anomalies);
        same("correlations", workers, &one.correlations, &other.correlations);
        same("rules", workers, &one.rules, &other.rules);
        same("dead letters", workers, &one.dead_letters, &other.dead_letters);
        same("saved minutes", workers, &one.saved_minutes, &other.saved_minutes);
        same("saved bids", workers, &one.saved_bids, &other.saved_bids);
        same("saved meters", workers, &one.saved_meters, &other.saved_meters);
        same("saved rules", workers, &one.saved_rules, &other.saved_rules);
    }
    one
}

pub(crate) fn same<R: PartialEq + std::fmt::Debug>(what: &str, workers: usize, one: &[R], other: &[R]) {
    let first = one.iter().zip(other).find(|(one, other)| one != other);
    assert!(first.is_none(), "{what} differ with {workers} workers, first {first:#?}");
    assert_eq!(one.len(), other.len(), "number of {what} with {workers} workers");
}
