//! The dataflow: N timely workers, each with a reader of its own, and one graph; in a group of processes, over them all.
//!
//! ```text
//! worker 0: mint ─ T ─► broadcast ─► bind (every worker) ─► operators::build ─► assemble (worker 0) ─► fanout
//! ```
//!
//! A T closes when every worker has bound what it had to it, even if that is nothing, and the operators are done
//! with it. Workers park when there is nothing to do; bells wake them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crossbeam_channel::Sender;
use model::{BarRow, BidEvent, LocationId, MeterReading, Names, T, Tick, Zones};
use operators::bars::SavedMinute;
use operators::keyed::Barrier;
use operators::rules::SavedRule;
use operators::{DurableInputs, Inputs, Outputs};
use parking_lot::Mutex;
use timely::communication::WorkerGuards;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::{Scope, StreamVec};
use timely::worker::Worker;

use crate::Error;
use crate::assemble::{Alerts, Assembler, Closed, assemble};
use crate::bind::{Binder, Bound};
use crate::cluster::Group;
use crate::config::Config;
use crate::coordination::Coordination;
use crate::hints;
use crate::metrics::Metrics;
use crate::mint::{Announced, Barriers, Binds, mint};
use crate::save::{Shard, save};
use crate::source::{Connector, Source};
use crate::status::Positions;

/// What every worker needs to build its part.
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) operators: operators::Config,
    pub(crate) zones: Zones,
    pub(crate) names: Arc<Names>,
    pub(crate) metrics: Metrics,
    pub(crate) shared: Arc<Coordination>,
    pub(crate) positions: Arc<Positions>,
    /// Each worker's source, taken once.
    pub(crate) sources: Mutex<Vec<Option<Box<dyn Source>>>>,
    /// Taken by worker 0, so that the fanout ends when worker 0 does.
    pub(crate) out: Mutex<Option<Sender<Closed>>>,
    /// T's on record come first. (A worker that starts late must not ask: they may be announced by then.)
    pub(crate) follows: bool,
    /// What makes the state outlive the program.
    pub(crate) durable: Option<Durability>,
}

/// The workers' side of checkpoints.
pub(crate) struct Durability {
    pub(crate) barriers: Barriers,
    /// Where each worker's shard goes.
    pub(crate) shards: Sender<Shard>,
    /// What each worker begins with, taken once; empty at a first start.
    pub(crate) begin: Mutex<Vec<Option<Begin>>>,
    /// The life of alerts to begin with, taken by worker 0.
    pub(crate) alerts: Mutex<Vec<model::Alert>>,
    /// The names that were announced before, taken by worker 0: they are not announced again.
    pub(crate) announced: Mutex<HashSet<LocationId>>,
}

/// What one worker begins with: its part of the saved state, whoever's keys it is.
#[derive(Debug, Default)]
pub(crate) struct Begin {
    pub(crate) minutes: Vec<SavedMinute>,
    pub(crate) bids: Vec<BidEvent>,
    pub(crate) meters: Vec<MeterReading>,
    pub(crate) rules: Vec<SavedRule>,
    pub(crate) sealed_bars: Vec<BarRow>,
}

/// Opens the share of the source of every worker here.
pub(crate) fn open(connector: &dyn Connector, shared: &Coordination) -> Result<Vec<Option<Box<dyn Source>>>, Error> {
    let layout = &shared.layout;
    let open = |worker| connector.open(worker, layout, Arc::clone(shared.binder(worker))).map(Some);
    layout.here.clone().map(open).collect()
}

/// Starts the workers of this process; with those of the others, if there is a group.
pub(crate) fn start(plan: Plan, group: Option<Group>) -> Result<WorkerGuards<()>, Error> {
    let workers = plan.shared.layout.here.len();
    let plan = Arc::new(plan);
    let builders = match group {
        Some(group) => {
            let (builders, guard) = group.connect(workers, &plan.shared)?;
            // Waiting for its threads would be waiting for the others (see `cluster::link`): they end with the process.
            std::mem::forget(guard);
            builders
        }
        None => {
            let alone = match workers {
                1 => timely::CommunicationConfig::Thread,
                _ => timely::CommunicationConfig::Process(workers),
            };
            alone.try_build().map_err(Error::Dataflow)?.0
        }
    };
    let run = move |worker: &mut Worker| run(worker, &plan);
    timely::execute::execute_from(builders, Box::new(()), timely::WorkerConfig::default(), run).map_err(Error::Dataflow)
}

/// One worker's life.
fn run(worker: &mut Worker, plan: &Arc<Plan>) {
    let shared = Arc::clone(&plan.shared);
    let guard = Guard(&shared);
    let index = worker.index();
    if shared.layout.peers > shared.layout.here.len() {
        hints::build(worker, &shared);
    }
    worker.dataflow::<T, _, _>(|scope| build(scope, plan));
    while !shared.is_finished() {
        worker.step_or_park(None);
        // A T on record may wait for records that come no more: it is repeated at the next start.
        let is_done = shared.open() == 0 || shared.repeats() || shared.is_abandoned();
        if index == 0 && shared.shutdown.is_stopping() && is_done {
            shared.finish();
        }
    }
    // Dropped, not drained: draining would let windows expire that nobody has reached (see `mint`).
    for dataflow in worker.installed_dataflows() {
        worker.drop_dataflow(dataflow);
    }
    drop(guard);
}

/// Takes the other workers along when one dies.
struct Guard<'a>(&'a Coordination);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a dataflow worker died");
            self.0.fail();
        }
    }
}

/// The graph.
fn build(scope: Scope<'_, T>, plan: &Plan) {
    let barriers = plan.durable.as_ref().map(|durable| durable.barriers.clone());
    let announced = mint(scope, &plan.config, barriers, &plan.shared).broadcast();
    let here = scope.index() - plan.shared.layout.here.start;
    let source = plan.sources.lock()[here].take().expect("each worker builds once");
    let binder = Binder::new((scope.index(), scope.peers()), source, plan);
    let begin = plan.durable.as_ref().and_then(|durable| durable.begin.lock()[here].take());
    let begins = begin.is_some();
    let records = bind(scope, announced, binder, begin.unwrap_or_default());
    let durable = plan.durable.as_ref().map(|_| DurableInputs {
        barriers: records.barriers.clone(),
        minutes: records.minutes,
        sealed_bars: begins.then_some(records.sealed_bars),
    });
    let Records { ticks, bids, meters, rules, .. } = records;
    let inputs = Inputs { ticks, bids, meters, rules, durable };
    let outputs: Outputs<'_> = operators::build(&plan.operators, &plan.zones, inputs);
    let assembler = (scope.index() == 0).then(|| {
        let out = plan.out.lock().take().expect("worker 0 builds once");
        let quiet_ms = plan.config.idle_interval.millis();
        let alerts = plan.durable.as_ref().map(|durable| std::mem::take(&mut *durable.alerts.lock()));
        let announced = plan.durable.as_ref().map(|durable| std::mem::take(&mut *durable.announced.lock()));
        let names = (Arc::clone(&plan.names), announced.unwrap_or_default());
        let alerts = Alerts::new(plan.operators.retention.minute.millis_i64(), alerts.unwrap_or_default());
        let zones = plan.zones.clone();
        Assembler::new(Arc::clone(&plan.shared), plan.metrics.clone(), out, names, zones, quiet_ms, alerts)
    });
    let saved = outputs.saved.clone();
    assemble(scope, records.bound, outputs, assembler);
    if let Some(durable) = &plan.durable {
        save(scope, records.barriers, saved, durable.shards.clone());
    }
}

/// What the binders emit.
struct Records<'s> {
    ticks: StreamVec<'s, T, Tick>,
    bids: StreamVec<'s, T, BidEvent>,
    meters: StreamVec<'s, T, MeterReading>,
    rules: StreamVec<'s, T, SavedRule>,
    bound: StreamVec<'s, T, Bound>,
    barriers: StreamVec<'s, T, Barrier>,
    minutes: StreamVec<'s, T, SavedMinute>,
    sealed_bars: StreamVec<'s, T, (BarRow, T, isize)>,
}

/// The operator around a binder. A T on record waits, with its capabilities, until its records are there.
fn bind<'s>(
    scope: Scope<'s, T>,
    announced: StreamVec<'s, T, Announced>,
    mut binder: Binder,
    mut begin: Begin,
) -> Records<'s> {
    let mut builder = OperatorBuilder::new("Bind".to_owned(), scope);
    let mut announced = builder.new_input(announced, Pipeline);
    let (ticks_out, ticks) = builder.new_output::<Vec<Tick>>();
    let (bids_out, bids) = builder.new_output::<Vec<BidEvent>>();
    let (rules_out, rules) = builder.new_output::<Vec<SavedRule>>();
    let (bound_out, bound) = builder.new_output::<Vec<Bound>>();
    let (barriers_out, barriers) = builder.new_output::<Vec<Barrier>>();
    let (minutes_out, minutes) = builder.new_output::<Vec<SavedMinute>>();
    let (sealed_out, sealed_bars) = builder.new_output::<Vec<(BarRow, T, isize)>>();
    let (meters_out, meters) = builder.new_output::<Vec<MeterReading>>();
    let (mut ticks_out, mut bids_out) = (OutputBuilder::from(ticks_out), OutputBuilder::from(bids_out));
    let (mut rules_out, mut bound_out) = (OutputBuilder::from(rules_out), OutputBuilder::from(bound_out));
    let (mut barriers_out, mut minutes_out) = (OutputBuilder::from(barriers_out), OutputBuilder::from(minutes_out));
    let (mut sealed_out, mut meters_out) = (OutputBuilder::from(sealed_out), OutputBuilder::from(meters_out));
    let bell = Arc::clone(binder.shared.binder(binder.worker));
    bell.connect(scope.worker().sync_activator_for(builder.operator_info().address.to_vec()));
    builder.build(move |_capabilities| {
        let mut waiting: VecDeque<(Vec<Capability<T>>, Announced)> = VecDeque::new();
        move |_frontiers| {
            bell.answer();
            announced.for_each(|cap, moments| {
                for moment in moments.drain(..) {
                    waiting.push_back(((0..8).map(|output| cap.delayed(&moment.t, output)).collect(), moment));
                }
            });
            let (mut ticks, mut bids) = (ticks_out.activate(), bids_out.activate());
            let (mut rules, mut bound) = (rules_out.activate(), bound_out.activate());
            let mut meters = meters_out.activate();
            while let Some((caps, moment)) = waiting.pop_front_if(|(_, moment)| binder.has(&moment.binds)) {
                let mut share = match &moment.binds {
                    Binds::Recorded(upto) => binder.bind_recorded(upto),
                    Binds::Staged => {
                        binder.lead();
                        binder.bind(moment.t)
                    }
                    Binds::Saved => {
                        let t = moment.t;
                        minutes_out.activate().session(&caps[5]).give_container(&mut begin.minutes);
                        let sealed = std::mem::take(&mut begin.sealed_bars);
                        sealed_out
                            .activate()
                            .session(&caps[6])
                            .give_iterator(sealed.into_iter().map(|row| (row, t, 1)));
                        binder.bind_saved(&mut begin)
                    }
                };
                if moment.leads {
                    binder.lead();
                }
                ticks.session(&caps[0]).give_container(&mut share.ticks);
                bids.session(&caps[1]).give_container(&mut share.bids);
                rules.session(&caps[2]).give_container(&mut share.rules);
                meters.session(&caps[7]).give_container(&mut share.meters);
                share.bound.barrier = moment.barrier;
                bound.session(&caps[3]).give(share.bound);
                if let Some(barrier) = moment.barrier {
                    barriers_out.activate().session(&caps[4]).give(barrier);
                }
            }
            binder.stage();
            binder.publish();
        }
    });
    Records { ticks, bids, meters, rules, bound, barriers, minutes, sealed_bars }
}
