//! Drives one operator through a script of (T, records), on any number of workers and in any batching.
//!
//! Records are spread over the workers at random, workers step at random moments, and the order within a T is
//! shuffled, all from a seed. The result is every update the operator made up to the end, consolidated: it must not
//! depend on the seed or on the number of workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use differential_dataflow::VecCollection;
use model::T;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use timely::dataflow::{InputHandle, ProbeHandle, StreamVec};

/// A moment of a script: records of the first and of the second input at one T.
#[derive(Clone, Debug)]
pub(crate) struct Moment<A, B> {
    pub(crate) t: T,
    pub(crate) first: Vec<A>,
    pub(crate) second: Vec<B>,
}

/// Updates in the order of (T, row).
pub(crate) type Updates<O> = Vec<(T, O, isize)>;

/// Everything `graph` says before `end`, by `workers` workers.
pub(crate) fn run<A, B, O, G>(workers: usize, seed: u64, script: &[Moment<A, B>], end: T, graph: G) -> Updates<O>
where
    A: timely::ExchangeData + Clone + Sync,
    B: timely::ExchangeData + Clone + Sync,
    O: timely::ExchangeData + Clone + Ord,
    G: for<'s> Fn(StreamVec<'s, T, A>, StreamVec<'s, T, B>) -> VecCollection<'s, T, O, isize> + Send + Sync + 'static,
{
    let said = Arc::new(Mutex::new(Vec::new()));
    let (into, script) = (Arc::clone(&said), script.to_vec());
    timely::execute(timely::Config::process(workers), move |worker| {
        let mut first = InputHandle::<T, timely::container::CapacityContainerBuilder<Vec<A>>>::new();
        let mut second = InputHandle::<T, timely::container::CapacityContainerBuilder<Vec<B>>>::new();
        let probe = ProbeHandle::new();
        let into = Arc::clone(&into);
        worker.dataflow::<T, _, _>(|scope| {
            let (a, b) = (first.to_stream(scope), second.to_stream(scope));
            graph(a, b).inspect(move |update| into.lock().unwrap().push(update.clone())).probe_with(&probe);
        });
        // The same dice on every worker decide who sends what; each worker's own decide when it steps.
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut own = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(worker.index() as u64));
        for moment in &script {
            first.advance_to(moment.t);
            second.advance_to(moment.t);
            let (mut a, mut b) = (moment.first.clone(), moment.second.clone());
            a.shuffle(&mut dice);
            b.shuffle(&mut dice);
            for record in a {
                if dice.random_range(0..worker.peers()) == worker.index() {
                    first.send(record);
                }
            }
            for record in b {
                if dice.random_range(0..worker.peers()) == worker.index() {
                    second.send(record);
                }
            }
            if own.random_bool(0.4) {
                first.flush();
                second.flush();
                worker.step();
            }
        }
        first.advance_to(end);
        second.advance_to(end);
        first.flush();
        second.flush();
        worker.step_or_park_while(None, || probe.less_than(&end));
    })
    .unwrap()
    .join()
    .into_iter()
    .for_each(|result| result.unwrap());
    let said = std::mem::take(&mut *said.lock().unwrap());
    consolidate(said.into_iter().filter(|(_, t, _)| *t < end))
}

fn consolidate<O: Ord>(updates: impl Iterator<Item = (O, T, isize)>) -> Updates<O> {
    let mut sums: BTreeMap<(T, O), isize> = BTreeMap::new();
    for (row, t, diff) in updates {
        *sums.entry((t, row)).or_insert(0) += diff;
    }
    sums.into_iter().filter(|(_, diff)| *diff != 0).map(|((t, row), diff)| (t, row, diff)).collect()
}

/// The rows that stand after all updates up to and including `t`. Each must stand exactly once.
pub(crate) fn at<O: Ord + Clone + std::fmt::Debug>(updates: &Updates<O>, t: T) -> Vec<O> {
    let upto = updates.iter().take_while(|(when, ..)| *when <= t);
    let rows = consolidate(upto.map(|(_, row, diff)| (row.clone(), 0, *diff)));
    rows.into_iter()
        .map(|(_, row, diff)| {
            assert_eq!(diff, 1, "at {t}: {row:?}");
            row
        })
        .collect()
}
