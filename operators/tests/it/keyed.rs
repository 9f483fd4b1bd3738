//! The mechanism itself: order, once a key and T, wakes between the source's T's, shared records.

use std::sync::{Arc, Mutex};

use model::T;
use operators::keyed::{Emit, Machine, Visit, keyed_shared};
use timely::dataflow::operators::{Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};

/// Says at every step: key, inputs (sorted), and the shared value; asks to be woken 10 after every input.
#[derive(Default)]
struct Echo {
    shared: i64,
}

impl Machine for Echo {
    type Key = u64;
    type State = u32;
    type In = (u64, i64);
    type Shared = i64;
    type Out = (u64, Vec<i64>, i64);
    type Side = T;
    type Saved = ();

    fn share(&mut self, _t: T, records: &mut Vec<i64>) -> bool {
        self.shared += records.drain(..).sum::<i64>();
        self.shared != 0
    }

    fn step(
        &mut self,
        visit: Visit<'_, u64>,
        wakes: &mut u32,
        input: &mut Vec<(u64, i64)>,
        out: &mut Emit<Self::Out, T>,
    ) -> Option<T> {
        let mut values: Vec<i64> = input.iter().map(|(_, value)| *value).collect();
        values.sort_unstable();
        *wakes = if values.is_empty() { wakes.saturating_sub(1) } else { 2 };
        out.put((*visit.key, values, self.shared));
        (*wakes > 0).then_some(visit.t + 10)
    }

    fn end(&mut self, t: T, out: &mut Emit<Self::Out, T>) {
        out.side(t);
    }

    fn is_empty(&self, wakes: &u32) -> bool {
        *wakes == 0
    }
}

type Told = Vec<(T, u64, Vec<i64>, i64)>;

fn run(workers: usize, records: Vec<(T, u64, i64)>, shared: Vec<(T, i64)>, end: T) -> Told {
    let told = Arc::new(Mutex::new(Told::new()));
    let into = told.clone();
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (mut input, mut shares) = (InputHandle::new(), InputHandle::new());
        let probe = ProbeHandle::new();
        worker.dataflow::<T, _, _>(|scope| {
            let into = into.clone();
            keyed_shared("Echo", input.to_stream(scope), shares.to_stream(scope), |record| record.0, Echo::default())
                .changes
                .inspect(move |((key, values, shared), t, _)| {
                    into.lock().unwrap().push((*t, *key, values.clone(), *shared));
                })
                .probe_with(&probe);
        });
        for (number, (t, key, value)) in records.iter().enumerate() {
            input.advance_to(*t);
            if number % worker.peers() == worker.index() {
                input.send((*key, *value));
            }
        }
        for (t, value) in shared.iter().filter(|_| worker.index() == 0) {
            shares.advance_to(*t);
            shares.send(*value);
        }
        input.advance_to(end);
        shares.advance_to(end);
        worker.step_or_park_while(None, || probe.less_than(&end));
    });
    guards.unwrap().join().into_iter().for_each(|result| result.unwrap());
    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.sort();
    told
}

#[test]
fn keys_step_once_a_time_and_wake_between_the_times_of_the_source() {
    for workers in [1, 2, 3] {
        let records = vec![(100, 7, 2), (100, 7, 1), (100, 8, 5), (115, 7, 3), (200, 9, 4)];
        let told = run(workers, records, vec![], 1000);
        let expected: Told = vec![
            (100, 7, vec![1, 2], 0),
            (100, 8, vec![5], 0),
            (110, 7, vec![], 0),
            (110, 8, vec![], 0),
            (115, 7, vec![3], 0), // The wake of 120 is forgotten: 125 and 135 take its place.
            (120, 8, vec![], 0),
            (125, 7, vec![], 0),
            (135, 7, vec![], 0),
            (200, 9, vec![4], 0),
            (210, 9, vec![], 0),
            (220, 9, vec![], 0),
        ];
        assert_eq!(told, expected, "{workers} workers");
    }
}

#[test]
fn shared_records_step_every_key_that_is_known() {
    for workers in [1, 2, 4] {
        let records = vec![(100, 1, 1), (100, 2, 2), (105, 3, 3)];
        let told = run(workers, records, vec![(103, 40), (105, 2)], 106);
        let expected: Told = vec![
            (100, 1, vec![1], 0),
            (100, 2, vec![2], 0),
            (103, 1, vec![], 40),
            (103, 2, vec![], 40),
            (105, 1, vec![], 42),
            (105, 2, vec![], 42),
            (105, 3, vec![3], 42),
        ];
        assert_eq!(told, expected, "{workers} workers");
    }
}
