//! Reads the differential updates of one T as what they say about rows: now this, or gone.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use model::T;

/// Calls `now` once for every key in `updates`, in the order of keys: with the row that stands after them, or with
/// `None` when it is gone. Holds for collections with at most one `-1` and one `+1` a key and T (all of ours).
pub fn upserts<R, K: Ord>(updates: &mut Vec<(R, T, isize)>, key: impl Fn(&R) -> K, mut now: impl FnMut(K, Option<R>)) {
    if !updates.is_sorted_by(|a, b| (key(&a.0), a.2) <= (key(&b.0), b.2)) {
        updates.sort_unstable_by_key(|(row, _, diff)| (key(row), *diff));
    }
    let mut rows = updates.drain(..).peekable();
    while let Some((row, _, diff)) = rows.next() {
        let of = key(&row);
        // The insertion sorts last; a removal before it is its old row.
        if rows.peek().is_none_or(|(next, _, _)| key(next) != of) {
            now(of, (diff > 0).then_some(row));
        }
    }
}

/// Sets or removes a map's entry; returns the old one.
pub fn set<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_that_stands_is_told_whatever_the_order() {
        let mut updates = vec![((2, 'b'), 9, 1), ((1, 'x'), 9, -1), ((2, 'a'), 9, -1), ((3, 'n'), 9, 1)];
        let mut told = Vec::new();
        upserts(&mut updates, |row| row.0, |key, row| told.push((key, row.map(|row| row.1))));
        assert_eq!(told, [(1, None), (2, Some('b')), (3, Some('n'))]);
    }
}
