//! What the binders of other processes have, told to process 0, where T is minted.
//!
//! ```text
//! process 1, 2 …: binder ─ bell ─► Tell ─ what has changed ─► worker 0: shares ─ bell ─► minter
//! ```
//!
//! A dataflow of its own, in which time stands still: a hint belongs to no T, and must not wait for one.

use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::OutputBuilderSession;
use timely::dataflow::operators::generic::operator::{Operator, source};
use timely::worker::Worker;

use crate::coordination::{Coordination, Hint};

type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Hint>>>;

/// Builds it, on every worker of a group.
pub(crate) fn build(worker: &mut Worker, shared: &Arc<Coordination>) {
    // One worker of each process tells for all of it.
    let tells = !shared.layout.leads() && worker.index() == shared.layout.here.start;
    worker.dataflow::<u64, _, _>(|scope| {
        let hints = source(scope, "Tell", |capability, info| {
            if tells {
                shared.minter.connect(scope.worker().sync_activator_for(info.address.to_vec()));
            }
            let shared = Arc::clone(shared);
            // Held for good: there is always something more to tell.
            let capability = tells.then_some(capability);
            let mut told: Vec<Option<Hint>> = vec![None; shared.layout.peers];
            move |output: &mut Output<'_>| {
                let Some(capability) = &capability else { return };
                shared.minter.answer();
                let mut session = output.session(capability);
                for worker in shared.layout.here.clone() {
                    let hint = shared.hint(worker);
                    if told[worker].as_ref() != Some(&hint) {
                        told[worker] = Some(hint.clone());
                        session.give(hint);
                    }
                }
            }
        });
        let shared = Arc::clone(shared);
        hints.sink(Exchange::new(|_: &Hint| 0), "Heard", move |(input, _frontier)| {
            input.for_each(|_, hints| {
                for hint in hints.drain(..) {
                    shared.publish(hint.worker, hint.staged, hint.head, hint.ended);
                }
            });
        });
    });
}
