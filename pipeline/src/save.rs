//! Each worker's part of a checkpoint: what its operators say at a barrier, gathered until the barrier's T is over.
//!
//! ```text
//! barrier T ─► operators ─ what changed since the last barrier ─► Save ─ frontier passes T ─► Shard ─► checkpoint
//! ```
//!
//! Every worker hands over one shard a barrier, even an empty one: a checkpoint is whole when all have.

use std::collections::BTreeMap;

use crossbeam_channel::Sender;
use model::{BidEvent, MeterReading, T};
use operators::Saved;
use operators::bars::SavedMinute;
use operators::keyed::Barrier;
use operators::rules::SavedRule;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::InputCapability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};

/// What one worker saved at one barrier.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    pub(crate) t: T,
    pub(crate) worker: usize,
    /// Everything, not only what changed.
    pub(crate) all: bool,
    /// The life that asked for it.
    pub(crate) life: u64,
    pub(crate) minutes: Vec<SavedMinute>,
    pub(crate) bids: Vec<BidEvent>,
    pub(crate) meters: Vec<MeterReading>,
    pub(crate) rules: Vec<SavedRule>,
}

/// Builds the operator.
pub(crate) fn save<'s>(
    scope: Scope<'s, T>,
    barriers: StreamVec<'s, T, Barrier>,
    saved: Saved<'s>,
    shards: Sender<Shard>,
) {
    let worker = scope.index();
    let mut builder = OperatorBuilder::new("Save".to_owned(), scope);
    let mut barriers = builder.new_input(barriers, Pipeline);
    let mut minutes = builder.new_input(saved.minutes, Pipeline);
    let mut bids = builder.new_input(saved.bids, Pipeline);
    let mut meters = builder.new_input(saved.meters, Pipeline);
    let mut rules = builder.new_input(saved.rules, Pipeline);
    builder.build(move |_capabilities| {
        let mut open: BTreeMap<T, Shard> = BTreeMap::new();
        move |frontiers| {
            let mut at = |capability: &InputCapability<T>, take: &mut dyn FnMut(&mut Shard)| {
                let t = capability.stamp().iter().copied().min().expect("messages of this dataflow carry a time");
                take(open.entry(t).or_insert_with(|| Shard { t, worker, ..Shard::default() }));
            };
            barriers.for_each(|cap, rows| {
                at(&cap, &mut |shard| {
                    for barrier in rows.iter() {
                        shard.all |= barrier.all;
                        shard.life = barrier.life;
                    }
                });
            });
            minutes.for_each(|cap, rows| at(&cap, &mut |shard| shard.minutes.append(rows)));
            bids.for_each(|cap, rows| at(&cap, &mut |shard| shard.bids.append(rows)));
            meters.for_each(|cap, rows| at(&cap, &mut |shard| shard.meters.append(rows)));
            rules.for_each(|cap, rows| at(&cap, &mut |shard| shard.rules.append(rows)));
            let Some(least) = frontiers.iter().filter_map(|f| f.frontier().first().copied()).min() else { return };
            while let Some(entry) = open.first_entry()
                && *entry.key() < least
            {
                // Nobody takes it only when the program ends: then there is no checkpoint either.
                let _ = shards.send(entry.remove());
            }
        }
    });
}
