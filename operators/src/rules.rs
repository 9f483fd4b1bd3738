//! Live rules: of all records of one rule name the winner stands, unless it is deleted.
//!
//! ```sql
//! select distinct on (rule) * from rules order by rule, revision desc, "offset" desc, partition
//! ```
//! and of these the rows that are not `deleted`. The winner is a maximum over a total order, so late, duplicate and
//! out-of-order records give the same rule. State: the winner of every rule name ever seen (deleted ones too, or
//! a late older revision would bring them back). Bound: the number of rule names, which people choose.

use std::cmp::Reverse;

use differential_dataflow::{AsCollection, VecCollection};
use model::{PartitionId, Rule, T};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::vec::ToStream;

use crate::keyed::{Barrier, Durable, Emit, Machine, Visit, keyed_durable};

/// The rules that stand, and at each barrier every winner as the record it was. `defaults` stand from T = 0 on, as records before every offset, so a record of the same name
/// and at least their revision replaces them.
pub fn live_rules<'s>(
    defaults: &[Rule],
    records: StreamVec<'s, T, SavedRule>,
    barriers: Option<StreamVec<'s, T, Barrier>>,
) -> (VecCollection<'s, T, Rule, isize>, StreamVec<'s, T, SavedRule>) {
    let scope = records.scope();
    // Once in the cluster, not once a worker.
    let defaults: Vec<_> = match scope.worker().index() {
        0 => defaults.iter().map(|rule| (rule.clone(), PartitionId::default(), i64::MIN)).collect(),
        _ => Vec::new(),
    };
    let records = records.concat(defaults.to_stream(scope));
    let name = |record: &SavedRule| record.0.rule.clone();
    // A winner that was saved comes back as what it is: a record.
    let durable = barriers.map(|barriers| Durable { restore: empty(scope), barriers });
    let live = keyed_durable("LiveRules", records, durable, name, name, Winners);
    (live.changes.as_collection(), live.saved)
}

/// A record of the rules topic with its partition and offset: also what a winner is saved as.
pub type SavedRule = (Rule, PartitionId, i64);

struct Winners;

impl Machine for Winners {
    type Key = String;
    type State = Option<SavedRule>;
    type In = SavedRule;
    type Shared = ();
    type Out = Rule;
    type Side = ();
    type Saved = SavedRule;

    fn step(
        &mut self,
        _visit: Visit<'_, String>,
        winner: &mut Self::State,
        input: &mut Vec<Self::In>,
        out: &mut Emit<Rule, ()>,
    ) -> Option<T> {
        let old = standing(winner.as_ref());
        for record in input.drain(..) {
            if winner.as_ref().is_none_or(|winner| rank(winner) < rank(&record)) {
                *winner = Some(record);
            }
        }
        out.revise(old, standing(winner.as_ref()));
        None
    }

    fn is_empty(&self, winner: &Self::State) -> bool {
        winner.is_none()
    }

    /// All of them each time: people write rules, so there are few.
    fn save(&mut self, _name: &String, winner: &mut Self::State, _barrier: Barrier, out: &mut Vec<SavedRule>) {
        out.extend(winner.clone());
    }
}

/// Highest revision, then the latest offset. Two partitions cannot hold one rule unless a topic was repartitioned;
/// then the smaller partition id wins, so that the order is total.
fn rank(record: &SavedRule) -> (i64, i64, Reverse<PartitionId>) {
    (record.0.revision, record.2, Reverse(record.1))
}

fn standing(winner: Option<&SavedRule>) -> Option<Rule> {
    winner.map(|winner| &winner.0).filter(|rule| !rule.deleted).cloned()
}
