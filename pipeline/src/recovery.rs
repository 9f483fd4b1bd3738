//! Beginning again: take the log over, load the newest checkpoint, and say which T's are to be repeated.
//!
//! ```text
//! 1 take over   the log's older instance is fenced: what it has written by now is all there will ever be
//! 2 load        the newest checkpoint that is whole and `resume_window` before the end of the record, at T = C
//! 3 repeat      C (what was saved), then every T on record after C, each with the offsets that it binds
//! 4 go on       T's of our own, after the last on record
//! ```
//!
//! Fence first, read then: read the other way round, the older instance could still append what we do not know of.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Names, T};

use crate::Error;
use crate::binding::{Binding, Log};
use crate::checkpoint::{self, Recovered};
use crate::cluster::Opening;
use crate::mint::{Announced, Binds};
use crate::start::Durable;
use crate::status::TopicPartition;

/// What to do before anything new is minted.
#[derive(Default)]
pub(crate) struct Recovery {
    /// The checkpoint to begin with.
    pub(crate) begin: Option<Recovered>,
    /// Workers begin with what was saved, here or in process 0.
    pub(crate) begins: bool,
    /// T's on record come first.
    pub(crate) follows: bool,
    /// T's to repeat, in order.
    pub(crate) recorded: Vec<Announced>,
    /// The last T on record.
    pub(crate) last_t: T,
    /// Where reading begins; partitions that are not named begin with their oldest record.
    pub(crate) start: BTreeMap<TopicPartition, i64>,
    /// The offsets that recorded T's reach, per partition.
    pub(crate) reach: BTreeMap<TopicPartition, i64>,
}

impl Recovery {
    /// What the other processes of the group are told.
    pub(crate) fn opening(&self) -> Opening {
        let start = self.start.iter().map(|((topic, partition), offset)| (Arc::clone(topic), *partition, *offset));
        Opening { begins: self.begins, follows: self.follows, start: start.collect() }
    }

    /// A process that does not lead begins as process 0 tells it. Saved state comes through the dataflow.
    pub(crate) fn of_another(opening: &Opening) -> Self {
        Self { begins: opening.begins, follows: opening.follows, start: opening.start(), ..Self::default() }
    }
}

/// A T on record, as it is announced.
pub(crate) fn recorded(binding: &Binding, names: &Names) -> Announced {
    let upto = binding.offsets.iter().filter_map(|(id, offset)| {
        let (topic, partition) = names.partition_name(*id)?;
        Some((topic, partition, *offset))
    });
    Announced { t: binding.t, binds: Binds::Recorded(upto.collect()), barrier: None, leads: false }
}

/// Reads, and takes over unless it is to stand by.
pub(crate) fn recover(
    log: &mut dyn Log,
    stands_by: bool,
    durable: Option<&Durable>,
    operators: &operators::Config,
    limits: model::snapshot::Limits,
    settings: &str,
    names: &Arc<Names>,
) -> Result<Recovery, Error> {
    let bindings = if stands_by { log.follow()?.unwrap_or_default() } else { log.take_over(0)? };
    let complete_after = log.complete_after();
    let begin = match durable {
        Some(Durable { config, store, .. }) => {
            let window_ms = config.resume_window.millis();
            let settled_t = bindings.last().map_or(T::MAX, |last| last.t.saturating_sub(window_ms));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(checkpoint::newest(store, operators, limits, names, settled_t, complete_after))?
        }
        None => None,
    };
    if begin.is_none() && complete_after > 0 {
        return Err(Error::Checkpoint(format!(
            "the record begins after T {complete_after}, and there is no checkpoint to begin with: put the checkpoints back \
             (checkpoint.root), or begin anew: another prefix (pipeline.kafka.prefix), other stores"
        )));
    }
    let from = begin.as_ref().map_or(0, |begin| begin.manifest.t);
    let bindings = once(bindings.into_iter().filter(|binding| binding.t > from))?;
    let last_t = bindings.last().map_or(from, |binding| binding.t);
    match &begin {
        Some(begin) => tracing::info!(
            checkpoint = from,
            rows = begin.rows(),
            repeated = bindings.len(),
            last_t,
            "beginning where the last life ended"
        ),
        None if !bindings.is_empty() => {
            tracing::info!(repeated = bindings.len(), last_t, "no checkpoint: beginning with the topics' first records")
        }
        None => tracing::info!("no checkpoint and nothing on record: a first start, with the topics' first records"),
    }
    if let Some(begin) = begin.as_ref().filter(|begin| begin.manifest.settings != settings) {
        tracing::warn!(
            checkpoint = begin.manifest.t,
            "settings of operators or zones have changed since the checkpoint: results differ from those in the stores \
             until they next change"
        );
    }
    let start: BTreeMap<TopicPartition, i64> =
        begin.iter().flat_map(|begin| offsets(&begin.manifest.offsets)).collect();
    let mut reach = start.clone();
    let mut recorded: Vec<Announced> = Vec::with_capacity(bindings.len() + 1);
    if begin.is_some() {
        recorded.push(Announced { t: from, binds: Binds::Saved, barrier: None, leads: false });
    }
    for binding in &bindings {
        let announced = self::recorded(binding, names);
        if let Binds::Recorded(upto) = &announced.binds {
            reach.extend(upto.iter().map(|(topic, partition, offset)| ((Arc::clone(topic), *partition), *offset)));
        }
        recorded.push(announced);
    }
    if let Some(last) = recorded.last_mut().filter(|_| !stands_by) {
        last.leads = true;
    }
    let follows = stands_by || !recorded.is_empty();
    Ok(Recovery { begins: begin.is_some(), follows, begin, recorded, last_t, start, reach })
}

/// Every T once. A group whose writing was not answered is written again, so it may stand there twice.
fn once(bindings: impl Iterator<Item = Binding>) -> Result<Vec<Binding>, Error> {
    let mut all: BTreeMap<T, Binding> = BTreeMap::new();
    for binding in bindings {
        let t = binding.t;
        if let Some(other) = all.insert(t, binding)
            && other != all[&t]
        {
            return Err(Error::Checkpoint(format!("the log of bindings says two things of T {t}: it is damaged")));
        }
    }
    Ok(all.into_values().collect())
}

/// Offsets by topic and partition, from `topic/partition`.
fn offsets(named: &BTreeMap<String, i64>) -> impl Iterator<Item = (TopicPartition, i64)> + '_ {
    named.iter().filter_map(|(name, offset)| {
        let (topic, partition) = name.rsplit_once('/')?;
        Some(((Arc::from(topic), partition.parse().ok()?), *offset))
    })
}

/// What is wrong with a partition that a recovery needs, if anything: `low` and `high` are its first and next offset, or
/// `None` where it is gone.
pub(crate) fn judge(
    (topic, partition): &TopicPartition,
    start: i64,
    reach: i64,
    found: Option<(i64, i64)>,
) -> Result<(), Error> {
    let what = match found {
        None => format!("it is gone, and its records from {start} on are needed"),
        Some((low, _)) if low > start && reach > start => {
            format!(
                "its records {start} to {} are gone (the oldest left is {low}): retention was shorter than the \
                     time since the checkpoint",
                low - 1
            )
        }
        Some((_, high)) if high < reach => {
            format!("it ends at {high}, before {reach}, which has been read: was it made anew, or its broker restored?")
        }
        Some(_) => return Ok(()),
    };
    Err(Error::Checkpoint(format!(
        "{topic}/{partition}: {what}. The numbers in the stores cannot be made again from this. Put the topic back, or \
         begin anew: other topics (pipeline.kafka.prefix), other stores, no checkpoints"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_t_that_was_written_twice_counts_once_and_never_says_two_things() {
        let binding = |t, offset| Binding { t, offsets: [(model::PartitionId::new("t", 0), offset)].into() };
        let (one, two, three) = (binding(1, 5), binding(2, 7), binding(3, 8));
        let twice = [&one, &two, &one, &two, &three].map(Clone::clone);
        assert_eq!(once(twice.into_iter()).unwrap(), [one.clone(), two, three]);
        let told = once([one, binding(1, 6)].into_iter()).unwrap_err().to_string();
        assert!(told.contains("T 1"), "{told}");
    }

    #[test]
    fn a_partition_that_cannot_be_repeated_is_refused_by_name() {
        let partition = (Arc::from("optibid.ticks.pjm"), 3);
        let judge = |start, reach, found| judge(&partition, start, reach, found).map_err(|error| error.to_string());
        assert!(judge(5, 9, Some((0, 9))).is_ok());
        assert!(
            judge(5, 5, Some((7, 9))).is_ok(),
            "nothing of it is repeated; what was lost since is the reader's to tell"
        );
        for (found, says) in
            [(None, "is gone"), (Some((6, 20)), "records 5 to 5 are gone"), (Some((0, 8)), "ends at 8")]
        {
            let told = judge(5, 9, found).unwrap_err();
            assert!(told.contains(says) && told.contains("optibid.ticks.pjm/3"), "{told}");
        }
    }
}
