//! The dataflow: N timely workers, each with a reader of its own, and one graph.
//!
//! ```text
//! worker 0: mint ─ T ─► broadcast ─► bind (every worker) ─► operators::build ─► assemble (worker 0) ─► fanout
//! ```
//!
//! A T closes when every worker has bound what it had to it, even if that is nothing, and the operators are done
//! with it. Workers park when there is nothing to do; bells wake them.

use std::sync::Arc;

use crossbeam_channel::Sender;
use model::wire::Decoder;
use model::{BidEvent, Names, PartitionId, Rule, T, Tick, Zones};
use operators::{Inputs, Outputs};
use parking_lot::Mutex;
use timely::communication::WorkerGuards;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::{Scope, StreamVec};
use timely::worker::Worker;

use crate::Error;
use crate::assemble::{Assembler, Closed, assemble};
use crate::bind::{Binder, Bound};
use crate::config::Config;
use crate::coordination::Coordination;
use crate::metrics::Metrics;
use crate::mint::mint;
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
}

/// Opens every worker's share of the source.
pub(crate) fn open(connector: &dyn Connector, shared: &Coordination) -> Result<Vec<Option<Box<dyn Source>>>, Error> {
    let peers = shared.binders.len();
    (0..peers).map(|worker| connector.open(worker, peers, Arc::clone(&shared.binders[worker])).map(Some)).collect()
}

/// Starts the workers.
pub(crate) fn start(plan: Plan) -> Result<WorkerGuards<()>, Error> {
    let workers = plan.shared.binders.len();
    let config = if workers == 1 { timely::Config::thread() } else { timely::Config::process(workers) };
    let plan = Arc::new(plan);
    timely::execute(config, move |worker| run(worker, &plan)).map_err(Error::Dataflow)
}

/// One worker's life.
fn run(worker: &mut Worker, plan: &Arc<Plan>) {
    let shared = Arc::clone(&plan.shared);
    let guard = Guard(&shared);
    let index = worker.index();
    worker.dataflow::<T, _, _>(|scope| build(scope, plan));
    while !shared.is_finished() {
        worker.step_or_park(None);
        if index == 0 && shared.shutdown.is_stopping() && shared.open() == 0 {
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
    let announced = mint(scope, &plan.config, &plan.shared).broadcast();
    let source = plan.sources.lock()[scope.index()].take().expect("each worker builds once");
    let binder = Binder::new(
        scope.index(),
        source,
        Decoder { zones: plan.zones.clone(), names: Arc::clone(&plan.names), limits: plan.config.decode_limits() },
        Arc::clone(&plan.shared),
        Arc::clone(&plan.positions),
        plan.metrics.clone(),
        &plan.config,
    );
    let records = bind(scope, announced, binder);
    let inputs = Inputs { ticks: records.ticks, bids: records.bids, rules: records.rules, durable: None };
    let outputs: Outputs<'_> = operators::build(&plan.operators, &plan.zones, &plan.names, inputs);
    let assembler = (scope.index() == 0).then(|| {
        let out = plan.out.lock().take().expect("worker 0 builds once");
        let quiet_ms = plan.config.idle_interval.millis();
        let retention_ms = plan.operators.retention.minute.millis_i64();
        Assembler::new(
            Arc::clone(&plan.shared),
            plan.metrics.clone(),
            out,
            Arc::clone(&plan.names),
            quiet_ms,
            retention_ms,
        )
    });
    assemble(scope, records.bound, outputs, assembler);
}

/// What the binders emit.
struct Records<'s> {
    ticks: StreamVec<'s, T, Tick>,
    bids: StreamVec<'s, T, BidEvent>,
    rules: StreamVec<'s, T, (Rule, PartitionId, i64)>,
    bound: StreamVec<'s, T, Bound>,
}

/// The operator around a binder.
fn bind<'s>(scope: Scope<'s, T>, announced: StreamVec<'s, T, T>, mut binder: Binder) -> Records<'s> {
    let mut builder = OperatorBuilder::new("Bind".to_owned(), scope);
    let mut announced = builder.new_input(announced, Pipeline);
    let (ticks_out, ticks) = builder.new_output::<Vec<Tick>>();
    let (bids_out, bids) = builder.new_output::<Vec<BidEvent>>();
    let (rules_out, rules) = builder.new_output::<Vec<(Rule, PartitionId, i64)>>();
    let (bound_out, bound) = builder.new_output::<Vec<Bound>>();
    let (mut ticks_out, mut bids_out) = (OutputBuilder::from(ticks_out), OutputBuilder::from(bids_out));
    let (mut rules_out, mut bound_out) = (OutputBuilder::from(rules_out), OutputBuilder::from(bound_out));
    let bell = Arc::clone(&binder.shared.binders[binder.worker]);
    bell.connect(scope.worker().sync_activator_for(builder.operator_info().address.to_vec()));
    builder.build(move |_capabilities| {
        move |_frontiers| {
            bell.answer();
            let (mut ticks, mut bids) = (ticks_out.activate(), bids_out.activate());
            let (mut rules, mut bound) = (rules_out.activate(), bound_out.activate());
            announced.for_each(|cap, moments| {
                for t in moments.drain(..) {
                    let mut share = binder.bind(t);
                    ticks.session(&cap).give_container(&mut share.ticks);
                    bids.session(&cap).give_container(&mut share.bids);
                    rules.session(&cap).give_container(&mut share.rules);
                    bound.session(&cap).give(share.bound);
                }
            });
            binder.stage();
            binder.publish();
        }
    });
    Records { ticks, bids, rules, bound }
}
