//! Differential updates of one T to one change a key: −old +new is `Put(new)`, −old alone is `Remove(old)`.

use model::Change;

/// Consolidates and groups. Rows order by their key first (all of ours do), so the result is sorted by key.
pub(super) fn changes<R: Ord, K: PartialEq>(mut updates: Vec<(R, isize)>, key: impl Fn(&R) -> K) -> Vec<Change<R>> {
    updates.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut result: Vec<Change<R>> = Vec::with_capacity(updates.len());
    let mut updates = updates.into_iter().peekable();
    while let Some((row, mut diff)) = updates.next() {
        while let Some((_, more)) = updates.next_if(|(next, _)| *next == row) {
            diff += more;
        }
        let change = match diff {
            0 => continue,
            diff if diff > 0 => Change::Put(row),
            _ => Change::Remove(row),
        };
        match result.last_mut() {
            Some(last) if key(last.row()) == key(change.row()) => {
                debug_assert!(last.is_remove() != change.is_remove(), "two live rows under one key");
                if last.is_remove() {
                    *last = change;
                }
            }
            _ => result.push(change),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(updates: &[((u8, u8), isize)]) -> Vec<Change<(u8, u8)>> {
        changes(updates.to_vec(), |row| row.0)
    }

    #[test]
    fn one_change_a_key_sorted() {
        let got = grouped(&[((3, 1), -1), ((1, 9), 1), ((1, 2), -1), ((2, 5), 1), ((2, 7), -1), ((4, 4), 1)]);
        assert_eq!(
            got,
            [Change::Put((1, 9)), Change::Put((2, 5)), Change::Remove((3, 1)), Change::Put((4, 4))],
            "whichever of old and new is greater"
        );
    }

    #[test]
    fn what_cancels_is_no_change() {
        assert_eq!(grouped(&[((1, 1), 1), ((1, 1), -1)]), []);
        assert_eq!(grouped(&[((1, 1), -1), ((1, 2), 1), ((1, 2), -1), ((1, 1), 1)]), []);
        assert_eq!(grouped(&[((1, 1), -1), ((1, 2), 1), ((1, 2), -1), ((1, 3), 1)]), [Change::Put((1, 3))]);
    }
}
