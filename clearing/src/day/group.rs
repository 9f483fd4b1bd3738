//! Which intervals have to be decided together: those that complex orders connect.
//!
//! A block and a minimum-income order connect their own intervals; an exclusive group and a family of linked blocks
//! those of their members. Components that did not change keep their tables and their result.

use crate::day::{Day, Solved};
use crate::order::{Interval, Kind, Order, OrderId};
use std::collections::{BTreeMap, BTreeSet};

impl Day {
    /// Connect intervals by the complex orders again; components that did not change are kept. Returns the intervals
    /// of components that went or came.
    pub(super) fn regroup(&mut self, changed: &BTreeSet<OrderId>) -> Vec<Interval> {
        let mut root: Vec<usize> = (0..self.merits.len()).collect();
        let tied: Vec<(&Order, Vec<Interval>)> =
            self.complex.iter().map(|id| (&self.orders[id], self.orders[id].intervals())).collect();
        let mut groups: BTreeMap<u64, Interval> = BTreeMap::new();
        for (order, intervals) in &tied {
            let Some(first) = intervals.first().copied() else { continue };
            let mut ties: Vec<Interval> = Vec::new();
            if let Kind::Block(block) = &order.kind {
                // families and groups decide together
                ties.extend(block.exclusive_group.map(|group| *groups.entry(group).or_insert(first)));
                let parent = block.parent.and_then(|parent| self.orders.get(&parent));
                let parent = parent.filter(|parent| matches!(parent.kind, Kind::Block(_)));
                ties.extend(parent.and_then(|parent| parent.intervals().first().copied()));
            }
            let income = matches!(&order.kind, Kind::Steps(_, Some(_)) | Kind::Block(_));
            if income {
                ties.extend(intervals);
            }
            for tie in ties {
                let (a, b) = (find(&mut root, usize::from(first)), find(&mut root, usize::from(tie)));
                root[a.max(b)] = a.min(b);
            }
        }
        let mut members: BTreeMap<usize, (BTreeSet<Interval>, Vec<OrderId>)> = BTreeMap::new();
        for (order, intervals) in &tied {
            for interval in intervals {
                let entry = members.entry(find(&mut root, usize::from(*interval))).or_default();
                if entry.1.last() != Some(&order.id) {
                    entry.1.push(order.id);
                }
            }
        }
        for interval in 0..self.merits.len() {
            if let Some(entry) = members.get_mut(&find(&mut root, interval)) {
                entry.0.insert(Interval::try_from(interval).expect("checked in new"));
            }
        }
        let mut old: Vec<Solved> = std::mem::take(&mut self.components);
        let mut again = Vec::new();
        self.of_interval.fill(None);
        for (intervals, orders) in members.into_values() {
            let intervals: Vec<Interval> = intervals.into_iter().collect();
            let same = |solved: &Solved| {
                solved.summary.intervals == intervals
                    && solved.orders == orders
                    && !orders.iter().any(|order| changed.contains(order))
            };
            let kept = old.iter().position(same).map(|at| old.swap_remove(at));
            for interval in &intervals {
                self.of_interval[usize::from(*interval)] = Some(self.components.len());
            }
            self.components.push(kept.unwrap_or_else(|| {
                again.extend(intervals.iter().copied());
                Solved::new(intervals, orders)
            }));
        }
        again.extend(old.into_iter().flat_map(|gone| gone.summary.intervals));
        again
    }
}

/// Root of a set, halving the path.
fn find(root: &mut [usize], mut at: usize) -> usize {
    while root[at] != at {
        root[at] = root[root[at]];
        at = root[at];
    }
    at
}
