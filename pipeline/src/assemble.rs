//! Assemble: everything the operators say about one T becomes one `Batch`, when the frontier passes T.
//!
//! ```text
//! Bound, ticks, bars, kpis, … ─ exchanged to worker 0 ─► moments by T ─ frontier ─► changes ─► Batch ─► fanout
//! ```
//!
//! Updates may lie in the future (windows expire): they wait here for their time, which need not be a T that was
//! minted. State: the moments not closed yet, and the life of each alert within retention.

mod alerts;
mod changes;
mod moment;
mod names;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use model::{Alert, Batch, LocationId, Names, PartitionId, T, Zones};
use operators::Outputs;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::InputCapability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, StreamVec};

use crate::bind::Bound;
use crate::binding::Binding;
use crate::coordination::Coordination;
use crate::metrics::Metrics;
pub(crate) use alerts::Alerts;
use moment::Moment;
use names::Announcer;

/// A closed T on its way to the fanout.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) batch: Arc<Batch>,
    pub(crate) binding: Binding,
    pub(crate) minted_at: Option<Instant>,
    /// State is saved after this T: the life of all alerts, which nobody else knows.
    pub(crate) alerts: Option<Vec<Alert>>,
    /// The batch is what was saved, said again: news to nobody.
    pub(crate) saved: bool,
}

/// Collects what arrives on worker 0.
pub(crate) struct Assembler {
    shared: Arc<Coordination>,
    metrics: Metrics,
    out: Sender<Closed>,
    /// Empty batches are at least this far apart.
    quiet_ms: u64,
    moments: BTreeMap<T, Moment>,
    alerts: Alerts,
    names: Announcer,
    zones: Zones,
    /// Offsets of T's that changed nothing, for the next binding.
    carried: BTreeMap<PartitionId, i64>,
    last_sent: T,
    /// What the operators say before the first T (built-in rules): it belongs to the first T.
    prelude: Option<Moment>,
}

impl Assembler {
    pub(crate) fn new(
        shared: Arc<Coordination>,
        metrics: Metrics,
        out: Sender<Closed>,
        (names, announced): (Arc<Names>, HashSet<LocationId>),
        zones: Zones,
        quiet_ms: u64,
        alerts: Alerts,
    ) -> Self {
        Self {
            shared,
            metrics,
            out,
            quiet_ms,
            moments: BTreeMap::new(),
            alerts,
            names: Announcer::new(names, announced),
            zones,
            carried: BTreeMap::new(),
            last_sent: 0,
            prelude: Some(Moment::default()),
        }
    }

    fn at(&mut self, t: T) -> &mut Moment {
        self.moments.entry(t).or_default()
    }

    /// Sorts differential updates to their moments.
    fn updates<R>(&mut self, rows: &mut Vec<(R, T, isize)>, list: impl Fn(&mut Moment) -> &mut Vec<(R, isize)>) {
        let mut rows = rows.drain(..).peekable();
        while let Some((row, t, diff)) = rows.next() {
            let moment = list(self.at(t));
            moment.push((row, diff));
            while let Some((row, _, diff)) = rows.next_if(|(_, next, _)| *next == t) {
                moment.push((row, diff));
            }
        }
    }

    /// Closes every moment before `frontier`.
    fn close(&mut self, frontier: T) {
        while let Some(entry) = self.moments.first_entry()
            && *entry.key() < frontier
        {
            let (t, moment) = entry.remove_entry();
            self.close_moment(t, moment);
        }
    }

    fn close_moment(&mut self, t: T, mut moment: Moment) {
        if let Some(mut prelude) = self.prelude.take() {
            prelude.absorb(moment);
            if !prelude.is_minted() {
                self.prelude = Some(prelude);
                return;
            }
            moment = prelude;
        }
        let minted_at = moment.is_minted().then(|| {
            self.metrics.closed.inc();
            self.shared.closed(t)
        });
        self.carried.append(&mut moment.offsets);
        let (saved, is_barrier) = (moment.saved, moment.barrier.is_some());
        let mut batch = moment.into_batch(t, &mut self.alerts, &self.zones, self.names.known());
        batch.names = self.names.announce(&batch);
        let is_news = saved || is_barrier || !batch.is_empty();
        if !is_news && (minted_at.is_none() || t < self.last_sent.saturating_add(self.quiet_ms)) {
            return;
        }
        let alerts = is_barrier.then(|| self.alerts.all());
        self.last_sent = t;
        let binding = Binding { t, offsets: std::mem::take(&mut self.carried) };
        self.shared.sent();
        // The fanout only goes first when it died; then the workers are told to leave anyway.
        let _ =
            self.out.send(Closed { batch: Arc::new(batch), binding, minted_at: minted_at.flatten(), alerts, saved });
    }
}

/// Where an input's records belong: every record of a message carries the message's one time.
fn time(capability: &InputCapability<T>) -> T {
    capability.stamp().iter().copied().min().expect("messages of this dataflow carry a time")
}

/// Builds the operator. `assembler` is there on worker 0 only.
pub(crate) fn assemble<'s>(
    scope: Scope<'s, T>,
    bound: StreamVec<'s, T, Bound>,
    outputs: Outputs<'s>,
    mut assembler: Option<Assembler>,
) {
    let mut builder = OperatorBuilder::new("Assemble".to_owned(), scope);
    let mut bound = builder.new_input(bound, Exchange::new(|_: &Bound| 0));
    let mut ticks = builder.new_input(outputs.ticks, Exchange::new(|_: &_| 0));
    let mut refused = builder.new_input(outputs.refused, Exchange::new(|_: &_| 0));
    let mut refused_meters = builder.new_input(outputs.refused_meters, Exchange::new(|_: &_| 0));
    let mut counts = builder.new_input(outputs.counts, Exchange::new(|_: &_| 0));
    let mut bars = builder.new_input(outputs.bars.inner, Exchange::new(|_: &_| 0));
    let mut kpis = builder.new_input(outputs.kpis.inner, Exchange::new(|_: &_| 0));
    let mut anomalies = builder.new_input(outputs.anomalies.inner, Exchange::new(|_: &_| 0));
    let mut correlations = builder.new_input(outputs.correlations.inner, Exchange::new(|_: &_| 0));
    let mut bids = builder.new_input(outputs.bids.inner, Exchange::new(|_: &_| 0));
    let mut clearing = builder.new_input(outputs.clearing.inner, Exchange::new(|_: &_| 0));
    let mut awards = builder.new_input(outputs.awards.inner, Exchange::new(|_: &_| 0));
    let mut settlement = builder.new_input(outputs.settlement.inner, Exchange::new(|_: &_| 0));
    let mut pnl = builder.new_input(outputs.pnl.inner, Exchange::new(|_: &_| 0));
    let mut bid_kpis = builder.new_input(outputs.bid_kpis.inner, Exchange::new(|_: &_| 0));
    let mut rules = builder.new_input(outputs.rules.inner, Exchange::new(|_: &_| 0));
    builder.build(move |_capabilities| {
        move |frontiers| {
            let Some(to) = assembler.as_mut() else { return };
            bound.for_each(|cap, rows| {
                let t = time(&cap);
                rows.iter().for_each(|row| to.names.learn(row));
                rows.drain(..).for_each(|row| to.at(t).bound(row));
            });
            ticks.for_each(|cap, rows| to.at(time(&cap)).ticks.append(rows));
            refused.for_each(|cap, rows| to.at(time(&cap)).refused.append(rows));
            refused_meters.for_each(|cap, rows| to.at(time(&cap)).refused_meters.append(rows));
            counts.for_each(|cap, rows| {
                let t = time(&cap);
                rows.drain(..).for_each(|row| to.at(t).counts.add(&row));
            });
            bars.for_each(|_, rows| to.updates(rows, |moment| &mut moment.bars));
            kpis.for_each(|_, rows| to.updates(rows, |moment| &mut moment.kpis));
            anomalies.for_each(|_, rows| to.updates(rows, |moment| &mut moment.anomalies));
            correlations.for_each(|_, rows| to.updates(rows, |moment| &mut moment.correlations));
            bids.for_each(|_, rows| to.updates(rows, |moment| &mut moment.bids));
            clearing.for_each(|_, rows| to.updates(rows, |moment| &mut moment.clearing));
            awards.for_each(|_, rows| to.updates(rows, |moment| &mut moment.awards));
            settlement.for_each(|_, rows| to.updates(rows, |moment| &mut moment.settlement));
            pnl.for_each(|_, rows| to.updates(rows, |moment| &mut moment.pnl));
            bid_kpis.for_each(|_, rows| to.updates(rows, |moment| &mut moment.bid_kpis));
            rules.for_each(|_, rows| to.updates(rows, |moment| &mut moment.rules));
            // An output that can never say anything has an empty frontier, and holds nobody up.
            if let Some(least) = frontiers.iter().filter_map(|f| f.frontier().first().copied()).min() {
                to.close(least);
            }
        }
    });
}
