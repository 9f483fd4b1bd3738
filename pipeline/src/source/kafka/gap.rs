//! Contiguity of offsets: what a reader expects next in each partition, and what a surprise means.

use crate::source::Partition;
use model::wire::TopicKind;

/// What an offset says about the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next one.
    Next,
    /// Records were skipped for a good reason (or one that we cannot tell from a good one).
    Skipped(u64),
    /// Records are gone.
    Lost(u64),
    /// The partition goes back: the topic was made anew or truncated.
    Back,
}

/// Judges the offset `got` where `expected` was next. `strict`: every gap is a loss.
pub(super) fn judge(partition: &Partition, strict: bool, expected: i64, got: i64) -> Step {
    let missing = got - expected;
    match u64::try_from(missing) {
        Ok(0) => Step::Next,
        // Compaction removes replaced rules: that is its purpose.
        Ok(missing) if strict && partition.kind != TopicKind::Rules => Step::Lost(missing),
        Ok(missing) => Step::Skipped(missing),
        Err(_) => Step::Back,
    }
}

#[cfg(test)]
mod tests {
    use model::PartitionId;

    use super::*;

    #[test]
    fn a_gap_is_a_loss_only_where_nothing_may_be_skipped() {
        let partition = |kind| Partition { topic: "t".into(), partition: 0, id: PartitionId::new("t", 0), kind };
        let (ticks, rules) = (partition(TopicKind::Ticks), partition(TopicKind::Rules));
        assert_eq!(judge(&ticks, true, 5, 5), Step::Next);
        assert_eq!(judge(&ticks, true, 5, 8), Step::Lost(3));
        assert_eq!(judge(&ticks, false, 5, 8), Step::Skipped(3));
        assert_eq!(judge(&rules, true, 5, 8), Step::Skipped(3));
        assert_eq!(judge(&ticks, true, 5, 4), Step::Back);
    }
}
