//! Runs the graph: feeds records at their T through any number of workers in any batching, captures everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::batch::Counts;
use model::{
    Anomaly, BarRow, BidEvent, Correlation, DeadLetter, Kpi, LiveBid, Names, PartitionId, Rule, T, Tick, TickRow, Zones,
};
use operators::{Config, Inputs, build};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
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
    pub(crate) rules: Vec<(T, (Rule, PartitionId, i64))>,
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
    pub(crate) rules: Updates<Rule>,
    pub(crate) dead_letters: Vec<(T, DeadLetter)>,
    /// Added up a T.
    pub(crate) counts: BTreeMap<T, Counts>,
}

/// Runs `work` on `workers` workers. `seed` decides who feeds which record, in which order and in what batches:
/// nothing that may matter.
pub(crate) fn run(work: &Workload, workers: usize, seed: u64) -> Captured {
    let into = Arc::new(Mutex::new(Captured::default()));
    let shared = (Arc::new(work.clone()), into.clone());
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (work, into) = &shared;
        let mut inputs = (InputHandle::new(), InputHandle::new(), InputHandle::new());
        let probe = ProbeHandle::new();
        worker.dataflow::<T, _, _>(|scope| {
            let streams = Inputs {
                ticks: inputs.0.to_stream(scope),
                bids: inputs.1.to_stream(scope),
                rules: inputs.2.to_stream(scope),
            };
            let out = build(&work.config, &work.zones, &work.names, streams);
            let end = work.end;
            updates(out.bars.inner, into, end, &probe, |all| &mut all.bars);
            updates(out.kpis.inner, into, end, &probe, |all| &mut all.kpis);
            updates(out.anomalies.inner, into, end, &probe, |all| &mut all.anomalies);
            updates(out.correlations.inner, into, end, &probe, |all| &mut all.correlations);
            updates(out.bids.inner, into, end, &probe, |all| &mut all.bids);
            updates(out.rules.inner, into, end, &probe, |all| &mut all.rules);
            records(out.ticks, into, &probe, |all, t, row| all.ticks.push((t, row)));
            records(out.dead_letters, into, &probe, |all, t, row| all.dead_letters.push((t, row)));
            records(out.counts, into, &probe, |all, t, counts| all.counts.entry(t).or_default().add(&counts));
        });
        // The same generator on every worker, so that each record has one feeder.
        let mut shares = ChaCha8Rng::seed_from_u64(seed);
        let mut pace = ChaCha8Rng::seed_from_u64(seed ^ (worker.index() as u64 + 1));
        let mine = |shares: &mut ChaCha8Rng| shares.random_range(0..workers) == worker.index();
        let mut feeds = Feeds::default();
        for (t, tick) in work.ticks.iter().filter(|_| mine(&mut shares)) {
            feeds.0.entry(*t).or_default().0.push(tick.clone());
        }
        for (t, bid) in work.bids.iter().filter(|_| mine(&mut shares)) {
            feeds.0.entry(*t).or_default().1.push(bid.clone());
        }
        for (t, rule) in work.rules.iter().filter(|_| mine(&mut shares)) {
            feeds.0.entry(*t).or_default().2.push(rule.clone());
        }
        for (t, (mut ticks, mut bids, mut rules)) in feeds.0 {
            inputs.0.advance_to(t);
            inputs.1.advance_to(t);
            inputs.2.advance_to(t);
            ticks.shuffle(&mut pace);
            bids.shuffle(&mut pace);
            rules.shuffle(&mut pace);
            for tick in ticks {
                inputs.0.send(tick);
                if pace.random_ratio(1, 50) {
                    inputs.0.flush();
                    worker.step();
                }
            }
            bids.into_iter().for_each(|bid| inputs.1.send(bid));
            rules.into_iter().for_each(|rule| inputs.2.send(rule));
            if pace.random_ratio(1, 8) {
                worker.step();
            }
        }
        inputs.0.advance_to(work.end);
        inputs.1.advance_to(work.end);
        inputs.2.advance_to(work.end);
        worker.step_or_park_while(None, || probe.less_than(&work.end));
    });
    for result in guards.expect("timely starts").join() {
        result.expect("no worker fails");
    }
    let mut captured = std::mem::take(&mut *into.lock().unwrap());
    captured.sort();
    captured
}

#[derive(Default)]
struct Feeds(BTreeMap<T, Feed>);

type Feed = (Vec<Tick>, Vec<BidEvent>, Vec<(Rule, PartitionId, i64)>);

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
        self.rules.sort();
        self.dead_letters.sort();
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
        same("anomalies", workers, &one.anomalies, &other.anomalies);
        same("correlations", workers, &one.correlations, &other.correlations);
        same("rules", workers, &one.rules, &other.rules);
        same("dead letters", workers, &one.dead_letters, &other.dead_letters);
    }
    one
}

fn same<R: PartialEq + std::fmt::Debug>(what: &str, workers: usize, one: &[R], other: &[R]) {
    let first = one.iter().zip(other).find(|(one, other)| one != other);
    assert!(first.is_none(), "{what} differ with {workers} workers, first {first:#?}");
    assert_eq!(one.len(), other.len(), "number of {what} with {workers} workers");
}
