//! What a step says: differential changes of rows, and side records.

use model::T;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilderSession;

/// An open output port for records `R`.
pub(super) type Port<'a, R> = OutputBuilderSession<'a, T, CapacityContainerBuilder<Vec<R>>>;

/// Collects the output of all steps of one T. Reused between T's.
pub struct Emit<Out, Side> {
    t: T,
    changes: Vec<(Out, T, isize)>,
    side: Vec<Side>,
    /// Sizes of the last T, to allocate the next at once.
    sizes: (usize, usize),
}

impl<Out: 'static, Side: 'static> Emit<Out, Side> {
    /// Nothing said yet. Operators get theirs from the mechanism; this is for tests of machines by themselves.
    pub fn new() -> Self {
        Self { t: 0, changes: Vec::new(), side: Vec::new(), sizes: (0, 0) }
    }

    /// The moment that is being stepped.
    pub fn t(&self) -> T {
        self.t
    }

    /// A row appears.
    #[inline]
    pub fn put(&mut self, row: Out) {
        self.changes.push((row, self.t, 1));
    }

    /// A row disappears.
    #[inline]
    pub fn take(&mut self, row: Out) {
        self.changes.push((row, self.t, -1));
    }

    /// A row is now `new` and was `old`: says nothing if they are equal.
    #[inline]
    pub fn revise(&mut self, old: Option<Out>, new: Option<Out>)
    where
        Out: PartialEq,
    {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.take(old);
        }
        if let Some(new) = new {
            self.put(new);
        }
    }

    /// The rows of a key are now `new` (any order, left empty) and were `last` (left as the new rows, sorted): says
    /// the difference only.
    pub fn revise_all(&mut self, last: &mut Vec<Out>, new: &mut Vec<Out>)
    where
        Out: Ord + Clone,
    {
        new.sort_unstable();
        let (mut old_rows, mut new_rows) = (last.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (old_rows.peek(), new_rows.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some(new)) => old.cmp(new),
            };
            // Exactly one side moves on, or both when they agree.
            let old = if order.is_le() { old_rows.next() } else { None };
            let new = if order.is_ge() { new_rows.next() } else { None };
            match (old, new) {
                (Some(old), None) => self.changes.push((old.clone(), self.t, -1)),
                (None, Some(new)) => self.changes.push((new.clone(), self.t, 1)),
                _ => {}
            }
        }
        std::mem::swap(last, new);
        new.clear();
    }

    /// A side record.
    #[inline]
    pub fn side(&mut self, record: Side) {
        self.side.push(record);
    }

    /// What was said since `start`. For tests of machines by themselves.
    pub fn said(&mut self) -> (Vec<(Out, T, isize)>, Vec<Side>) {
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.side))
    }

    /// Starts a new moment.
    pub fn start(&mut self, t: T) {
        self.t = t;
        if self.changes.capacity() == 0 {
            self.changes.reserve(self.sizes.0);
        }
        if self.side.capacity() == 0 {
            self.side.reserve(self.sizes.1);
        }
    }

    pub(super) fn send(
        &mut self,
        changes_capability: &Capability<T>,
        changes: &mut Port<'_, (Out, T, isize)>,
        side_capability: &Capability<T>,
        side: &mut Port<'_, Side>,
    ) {
        if !self.changes.is_empty() {
            self.sizes.0 = self.changes.len();
            changes.session(changes_capability).give_container(&mut self.changes);
            self.changes.clear();
        }
        if !self.side.is_empty() {
            self.sizes.1 = self.side.len();
            side.session(side_capability).give_container(&mut self.side);
            self.side.clear();
        }
    }
}

impl<Out: 'static, Side: 'static> Default for Emit<Out, Side> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_are_said() {
        let mut emit = Emit::<i32, ()>::new();
        emit.start(7);
        let mut last = vec![1, 2, 4];
        emit.revise_all(&mut last, &mut vec![5, 4, 2]);
        assert_eq!(emit.said().0, [(1, 7, -1), (5, 7, 1)]);
        assert_eq!(last, [2, 4, 5]);
        emit.revise(Some(3), Some(3));
        assert!(emit.said().0.is_empty());
        emit.revise(Some(3), None);
        emit.revise(None, Some(4));
        assert_eq!(emit.said().0, [(3, 7, -1), (4, 7, 1)]);
    }
}
