//! The binder, one a worker: decodes what its source hands over, and binds it to the T that is announced next.
//!
//! ```text
//! Source ─► decode ─► staged, by partition ─┐
//!                        announced T ───────┴─► ticks, bids, meters, rules at T, and one `Bound` (always, even if empty)
//! ```
//!
//! Records of one partition are bound in their order, so that a binding is an offset. With the wall clock a T
//! takes all that is staged; with the event clock only what the clock has reached, so that partitions that were
//! read unevenly are merged by time and nothing is late by the accident of fetching.
//! After a restart recorded T's come first: then records are kept as they came, undecoded, until a T on record says
//! up to which offset it takes each partition. So a T holds what it held, however the records are fetched this time.
//! State: at most `max_batch` rows and one chunk staged; while following a record, as much as one partition is read
//! ahead of another that a T waits for.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use model::wire::{Decoded, Decoder, Origin};
use model::{
    BidEvent, BidKind, DeadLetter, LocationId, LocationName, MeterReading, Notice, PartitionId, Rule, T, Tick,
};
use operators::keyed::Barrier;
use serde::{Deserialize, Serialize};

use crate::coordination::{Coordination, Head, UNCLOCKED};
use crate::dataflow::{Begin, Plan};
use crate::metrics::Metrics;
use crate::mint::Binds;
use crate::source::{Behind, Chunk, Next, Partition, Source};
use crate::status::Positions;

/// What one worker bound to one T, besides the records that operators take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) offsets: Vec<(PartitionId, i64)>,
    /// Partitions that this worker binds for the first time, by name: worker 0 may be in another process.
    pub(crate) partitions: Vec<(Arc<str>, i32)>,
    pub(crate) received: u64,
    pub(crate) refused: u64,
    pub(crate) names: Vec<LocationName>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// State is saved after this T.
    pub(crate) barrier: Option<Barrier>,
    /// This T is what was saved.
    pub(crate) saved: bool,
}

/// All that one worker bound to one T.
#[derive(Debug, Default)]
pub(crate) struct Share {
    pub(crate) ticks: Vec<Tick>,
    pub(crate) bids: Vec<BidEvent>,
    pub(crate) meters: Vec<MeterReading>,
    pub(crate) rules: Vec<(Rule, PartitionId, i64)>,
    pub(crate) bound: Bound,
}

struct Staged {
    decoded: Decoded,
    clock_ms: i64,
    next_offset: i64,
}

impl Staged {
    fn rows(&self) -> usize {
        let d = &self.decoded;
        let others = d.meters.len() + d.rules.len() + d.notices.len() + d.dead_letters.len();
        (d.ticks.len() + d.bids.len() + others).max(1)
    }
}

#[derive(Default)]
struct Lane {
    staged: VecDeque<Staged>,
    /// Greatest clock so far: a late record does not turn its partition back.
    clock_ms: Option<i64>,
    /// Chunks as they came, each with the number of records that have been taken out of it.
    kept: VecDeque<(Chunk, usize)>,
    /// Offset after the last record kept.
    kept_to: i64,
}

/// One worker's binder.
pub(crate) struct Binder {
    pub(crate) worker: usize,
    peers: usize,
    source: Box<dyn Source>,
    decoder: Decoder,
    pub(crate) shared: Arc<Coordination>,
    positions: Arc<Positions>,
    metrics: Metrics,
    max_batch: usize,
    event_step_ms: i64,
    lanes: BTreeMap<PartitionId, Lane>,
    /// Names of partitions that worker 0 has not been told yet.
    fresh: Vec<(Arc<str>, i32)>,
    /// Locations whose names this worker has told worker 0, where that is in another process. Each worker tells for itself,
    /// with the first record of its own: of two, the one that met a name first may be ahead with its records.
    told: Option<HashSet<LocationId>>,
    rows: usize,
    ended: bool,
    /// Records are kept until a recorded T takes them.
    following: bool,
    spare: Vec<Decoded>,
}

impl Binder {
    pub(crate) fn new((worker, peers): (usize, usize), source: Box<dyn Source>, plan: &Plan) -> Self {
        let told = (!plan.shared.layout.leads()).then(HashSet::new);
        let limits = plan.config.decode_limits();
        Self {
            worker,
            peers,
            source,
            decoder: Decoder { zones: plan.zones.clone(), names: Arc::clone(&plan.names), limits },
            following: plan.follows,
            shared: Arc::clone(&plan.shared),
            positions: Arc::clone(&plan.positions),
            metrics: plan.metrics.clone(),
            max_batch: plan.config.max_batch,
            event_step_ms: plan.config.event_step.millis_i64(),
            lanes: BTreeMap::new(),
            fresh: Vec::new(),
            told,
            rows: 0,
            ended: false,
            spare: Vec::new(),
        }
    }

    /// Takes what the source has, up to the limit. Returns whether there was anything.
    pub(crate) fn stage(&mut self) -> bool {
        let mut any = false;
        while self.rows < self.max_batch && self.stage_next() {
            any = true;
        }
        any
    }

    fn stage_next(&mut self) -> bool {
        if self.ended || self.shared.shutdown.is_stopping() {
            return false;
        }
        match self.source.next() {
            Next::Chunk(chunk) if self.following => self.keep(chunk),
            Next::Chunk(chunk) => self.stage_chunk(&chunk),
            Next::Idle => return false,
            Next::Ended => {
                self.ended = true;
                return false;
            }
        }
        true
    }

    /// Keeps a chunk as it is.
    fn keep(&mut self, chunk: Chunk) {
        let partition = Arc::clone(&chunk.partition);
        let next_offset = chunk.next_offset();
        self.metrics.read(partition.kind, chunk.len());
        self.positions.set(&partition, next_offset);
        self.rows += chunk.len();
        let lane = self.lane(&partition);
        lane.kept_to = next_offset;
        lane.kept.push_back((chunk, 0));
    }

    /// The lane of a partition; a new one is told by name.
    fn lane(&mut self, partition: &Partition) -> &mut Lane {
        self.lanes.entry(partition.id).or_insert_with(|| {
            self.fresh.push((Arc::clone(&partition.topic), partition.partition));
            Lane::default()
        })
    }

    /// Nothing on record any more: what was kept is staged as if it came now.
    pub(crate) fn lead(&mut self) {
        if !std::mem::take(&mut self.following) {
            return;
        }
        let kept: Vec<(Chunk, usize)> = self.lanes.values_mut().flat_map(|lane| lane.kept.drain(..)).collect();
        for (chunk, taken) in kept {
            self.rows -= chunk.len() - taken;
            self.decode_chunk(&chunk, taken);
        }
    }

    /// Whether a recorded T has all its records. Those that are missing are fetched, whatever else has to be kept
    /// for that.
    pub(crate) fn has(&mut self, binds: &Binds) -> bool {
        let Binds::Recorded(upto) = binds else { return true };
        loop {
            let is_there = |(id, upto)| self.lanes.get(&id).is_some_and(|lane| lane.kept_to >= upto);
            if self.mine(upto).all(is_there) {
                return true;
            }
            if !self.stage_next() {
                if self.shared.shutdown.is_stopping() {
                    self.shared.abandon();
                }
                return false;
            }
        }
    }

    /// This worker's partitions among `upto`.
    fn mine<'a>(&self, upto: &'a [(Arc<str>, i32, i64)]) -> impl Iterator<Item = (PartitionId, i64)> + use<'a> {
        let (worker, peers) = (self.worker, self.peers);
        let mine =
            upto.iter().filter(move |(topic, partition, _)| Partition::worker(topic, *partition, peers) == worker);
        mine.map(|(topic, partition, offset)| (PartitionId::new(topic, *partition), *offset))
    }

    /// Binds what a recorded T holds.
    pub(crate) fn bind_recorded(&mut self, upto: &[(Arc<str>, i32, i64)]) -> Share {
        let mut share = self.share();
        let mine: Vec<(PartitionId, i64)> = self.mine(upto).collect();
        for (id, upto) in mine {
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            let mut decoded = self.spare.pop().unwrap_or_default();
            decoded.clear();
            while let Some((chunk, taken)) = lane.kept.front_mut() {
                let mut origin = origin(chunk);
                // Those before were taken by an earlier T.
                for (offset, timestamp_ms, bytes) in chunk.iter().skip(*taken).take_while(|(offset, ..)| *offset < upto)
                {
                    (origin.offset, origin.timestamp_ms) = (offset, timestamp_ms);
                    self.decoder.decode(chunk.partition.kind, &origin, bytes, &mut decoded);
                    *taken += 1;
                    self.rows -= 1;
                }
                if *taken < chunk.len() {
                    break;
                }
                lane.kept.pop_front();
            }
            if decoded.clock_ms != i64::MIN {
                lane.clock_ms = lane.clock_ms.max(Some(decoded.clock_ms));
            }
            append(&mut share, &mut decoded);
            share.bound.offsets.push((id, upto));
            self.spare.push(decoded);
        }
        self.tell_names(&mut share);
        share
    }

    fn stage_chunk(&mut self, chunk: &Chunk) {
        self.decode_chunk(chunk, 0);
        self.metrics.read(chunk.partition.kind, chunk.len());
        self.positions.set(&chunk.partition, chunk.next_offset());
    }

    fn decode_chunk(&mut self, chunk: &Chunk, taken: usize) {
        let partition = &chunk.partition;
        let mut origin = origin(chunk);
        let mut decoded = self.spare();
        let mut first_clock = None;
        let mut next_offset = chunk.next_offset();
        // What was taken by a recorded T is not decoded again.
        for (offset, timestamp_ms, bytes) in chunk.iter().skip(taken) {
            (origin.offset, origin.timestamp_ms) = (offset, timestamp_ms);
            self.decoder.decode(partition.kind, &origin, bytes, &mut decoded);
            next_offset = offset + 1;
            if !self.shared.by_event() || decoded.clock_ms == i64::MIN {
                continue;
            }
            let first = *first_clock.get_or_insert(decoded.clock_ms);
            if decoded.clock_ms.saturating_sub(first) >= self.event_step_ms {
                let full = std::mem::replace(&mut decoded, self.spare());
                self.push(partition, full, next_offset);
                first_clock = None;
            }
        }
        self.push(partition, decoded, next_offset);
    }

    fn push(&mut self, partition: &Partition, decoded: Decoded, next_offset: i64) {
        let lane = self.lane(partition);
        if decoded.clock_ms != i64::MIN {
            lane.clock_ms = lane.clock_ms.max(Some(decoded.clock_ms));
        }
        let staged = Staged { decoded, clock_ms: lane.clock_ms.unwrap_or(i64::MIN), next_offset };
        let rows = staged.rows();
        lane.staged.push_back(staged);
        self.rows += rows;
    }

    fn spare(&mut self) -> Decoded {
        let mut decoded = self.spare.pop().unwrap_or_default();
        decoded.clear();
        decoded
    }

    fn share(&mut self) -> Share {
        let bound = Bound { partitions: std::mem::take(&mut self.fresh), ..Bound::default() };
        Share { bound, ..Share::default() }
    }

    /// Binds saved bids, meter readings and rules: they come back as the records they were.
    pub(crate) fn bind_saved(&self, begin: &mut Begin) -> Share {
        Share {
            bids: std::mem::take(&mut begin.bids),
            meters: std::mem::take(&mut begin.meters),
            rules: std::mem::take(&mut begin.rules),
            bound: Bound { saved: true, ..Bound::default() },
            ..Share::default()
        }
    }

    /// Binds what belongs to `t`.
    pub(crate) fn bind(&mut self, t: T) -> Share {
        let mut share = self.share();
        let now = if self.shared.by_event() { i64::try_from(t).unwrap_or(i64::MAX) } else { i64::MAX };
        let mut budget = self.max_batch;
        // With the event clock, what is at hand and belongs to T may still have to be staged.
        loop {
            self.take(now, &mut budget, &mut share);
            if !self.shared.by_event() || budget == 0 || !self.stage() {
                break;
            }
        }
        self.tell_names(&mut share);
        share
    }

    /// Names of the locations in a share that worker 0 may not know.
    fn tell_names(&mut self, share: &mut Share) {
        let Some(told) = &mut self.told else { return };
        let capacity = |bid: &BidEvent| match bid.kind {
            BidKind::Capacity { to } => Some(to),
            _ => None,
        };
        let ticks = share.ticks.iter().map(|tick| tick.location);
        let bids = share.bids.iter().flat_map(|bid| [Some(bid.series.location), capacity(bid)]).flatten();
        let fresh = ticks.chain(bids).filter(|location| told.insert(*location));
        share.bound.names.extend(fresh.filter_map(|location| self.decoder.names.name(location)));
    }

    fn take(&mut self, now_ms: i64, budget: &mut usize, share: &mut Share) {
        for (id, lane) in &mut self.lanes {
            let mut moved = None;
            while *budget > 0
                && let Some(mut staged) = lane.staged.pop_front_if(|staged| staged.clock_ms <= now_ms)
            {
                let rows = staged.rows();
                self.rows -= rows;
                *budget = budget.saturating_sub(rows);
                moved = Some(staged.next_offset);
                append(share, &mut staged.decoded);
                if self.spare.len() < 64 {
                    self.spare.push(staged.decoded);
                }
            }
            share.bound.offsets.extend(moved.map(|offset| (*id, offset)));
        }
    }

    /// Tells the minter what there is.
    pub(crate) fn publish(&self) {
        let ended = self.ended && self.rows == 0;
        self.shared.publish(self.worker, self.rows, self.head(), ended);
    }

    fn head(&self) -> Head {
        if !self.shared.by_event() {
            return Head::Ready(None);
        }
        let full = self.rows >= self.max_batch;
        let clocks = self.lanes.values().filter_map(|lane| lane.staged.front()).map(|staged| staged.clock_ms);
        // Records without a clock of their own (rules) go with whatever T comes. Alone they wait for the first record
        // that has one, unless there is no room to wait in or nothing left to wait for.
        let unclocked = (self.rows > 0 && (full || self.ended)).then_some(UNCLOCKED);
        let head = clocks.filter(|clock| *clock != i64::MIN).min().or(unclocked);
        if full || self.shared.shutdown.is_stopping() {
            return Head::Ready(head);
        }
        let staged = |id| self.lanes.get(&id).is_some_and(|lane| !lane.staged.is_empty());
        match self.source.behind(&staged) {
            Behind::No => Head::Ready(head),
            Behind::Likely => Head::Likely(head),
            Behind::Surely => Head::Staging,
        }
    }
}

fn origin(chunk: &Chunk) -> Origin {
    let partition = &chunk.partition;
    Origin {
        topic: Arc::clone(&partition.topic),
        partition: partition.partition,
        partition_id: partition.id,
        offset: 0,
        timestamp_ms: 0,
    }
}

fn append(share: &mut Share, decoded: &mut Decoded) {
    share.ticks.append(&mut decoded.ticks);
    share.bids.append(&mut decoded.bids);
    share.meters.append(&mut decoded.meters);
    share.rules.append(&mut decoded.rules);
    share.bound.notices.append(&mut decoded.notices);
    share.bound.dead_letters.append(&mut decoded.dead_letters);
    share.bound.received += decoded.received;
    share.bound.refused += decoded.refused;
}
