//! The one mechanism behind every hand-written operator: a state machine a key, stepped in the order of T.
//!
//! ```text
//! records ──exchange by key──► inbox of each key ─┐ when the frontier passes T:   ┌─► changes (row, T, ±1)
//! shared  ──broadcast────────► Machine::share ────┴► Machine::step, once a key ───┴─► side records
//!                                                     ▲ wake at a later T ──┘
//! ```
//!
//! * A key is stepped exactly once for every T at which it has input or asked to be woken (or at which shared
//!   records changed for all). T's come in order, and only when the frontier has passed them, so a step sees all
//!   of T: results do not depend on workers, batching or arrival. The order of records *within* an inbox does
//!   depend on them; a machine for which it matters sorts its inbox.
//! * A wake is a delayed capability: it holds back no time before it, and its output carries exactly its T, even
//!   if the source never minted that T. When all inputs have *ended* (not merely advanced) outstanding wakes are
//!   dropped: the end of the input is not the passage of time. Whoever closes an input first advances it and
//!   waits for the outputs to follow.
//! * State: one `Machine::State` a key, dropped as soon as `Machine::is_empty` says so.
//! * Durable machines say at a [`Barrier`] what changed in their keys since the last one (after the steps of that T),
//!   and take it back through the same exchange by key: so what was saved by any number of workers is restored on
//!   any other. A restored key is stepped at the T of the restoring and says all its rows anew.

mod emit;
mod slots;
mod upsert;

use std::collections::VecDeque;
use std::hash::Hash;
use std::rc::Rc;

use model::T;
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Capability, InputCapability};
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;

use crate::hash::route;
use emit::Port;
use slots::Slots;

pub use emit::Emit;
pub use upsert::{set, upserts};

/// A record that may cross workers.
pub trait Record: timely::ExchangeData + Clone {}
impl<R: timely::ExchangeData + Clone> Record for R {}

/// What a keyed operator does. One value a worker (configuration, scratch space, shared records), one `State` a key.
pub trait Machine: 'static {
    /// What records are grouped by.
    type Key: Clone + Eq + Hash + 'static;
    /// State of one key; the default is a key never seen.
    type State: Default + 'static;
    /// Records on the keyed input. For a collection: `(row, T, isize)`.
    type In: Record;
    /// Records on the broadcast input; `()` for a machine without one.
    type Shared: Record;
    /// Rows of the output collection.
    type Out: Record;
    /// Records of the second output; `()` for a machine without one.
    type Side: Record;
    /// What the state of a key is saved as; `()` for a machine whose state follows from its input.
    type Saved: Record;

    /// Takes the shared records of `t`, before any key is stepped at `t`. Every worker gets all of them, in any
    /// order. Returns whether every key known must be stepped at `t`.
    fn share(&mut self, t: T, records: &mut Vec<Self::Shared>) -> bool {
        let _ = t;
        records.clear();
        false
    }

    /// Steps one key: takes its input (possibly none), emits what changed, and returns when to be woken next,
    /// strictly after `visit.t` (an earlier wake that was asked for is forgotten: the answer is the whole truth).
    fn step(
        &mut self,
        visit: Visit<'_, Self::Key>,
        state: &mut Self::State,
        input: &mut Vec<Self::In>,
        out: &mut Emit<Self::Out, Self::Side>,
    ) -> Option<T>;

    /// Ends `t`, after the last step of `t` on this worker: for what is said once a T and not once a key.
    fn end(&mut self, t: T, out: &mut Emit<Self::Out, Self::Side>) {
        let _ = (t, out);
    }

    /// Whether a state may be forgotten. Asked after every step that returned no wake.
    fn is_empty(&self, state: &Self::State) -> bool;

    /// Says what changed in a key since it was last saved; with `barrier.all`, everything.
    fn save(&mut self, key: &Self::Key, state: &mut Self::State, barrier: Barrier, out: &mut Vec<Self::Saved>) {
        let _ = (key, state, barrier, out);
    }

    /// Takes back what `save` said, before the key is stepped at `t`.
    fn restore(&mut self, t: T, state: &mut Self::State, saved: Self::Saved) {
        let _ = (t, state, saved);
    }
}

/// A moment after which durable machines save what changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Barrier {
    /// Save everything, changed or not: a new beginning for readers.
    pub all: bool,
    /// Whose it is: the life of the program that asks, so that what two lives save is never mixed.
    pub life: u64,
}

/// What makes a keyed operator durable.
pub struct Durable<'s, S> {
    /// What was saved, at the T of its barrier; on any worker.
    pub restore: StreamVec<'s, T, S>,
    /// When to save; on every worker.
    pub barriers: StreamVec<'s, T, Barrier>,
}

/// Which key is stepped, and why.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a, K> {
    /// The key.
    pub key: &'a K,
    /// The moment.
    pub t: T,
    /// Shared records changed at this moment, so that every key is stepped.
    pub shared_changed: bool,
}

/// Both outputs of a keyed operator.
pub struct Keyed<'s, M: Machine> {
    /// The output collection's updates; `.as_collection()` makes it one.
    pub changes: StreamVec<'s, T, (M::Out, T, isize)>,
    /// The second output.
    pub side: StreamVec<'s, T, M::Side>,
    /// What is to be saved, at the T of each barrier.
    pub saved: StreamVec<'s, T, M::Saved>,
}

/// A keyed operator without shared records.
pub fn keyed<'s, M: Machine>(
    name: &str,
    stream: StreamVec<'s, T, M::In>,
    key: impl Fn(&M::In) -> M::Key + Clone + 'static,
    machine: M,
) -> Keyed<'s, M> {
    let shared = empty(stream.scope());
    build(name, stream, shared, None, key, machine)
}

/// A keyed operator whose state outlives the program, if `durable` is given. `saved_key` is the key of a saved record.
pub fn keyed_durable<'s, M: Machine>(
    name: &str,
    stream: StreamVec<'s, T, M::In>,
    durable: Option<Durable<'s, M::Saved>>,
    key: impl Fn(&M::In) -> M::Key + Clone + 'static,
    saved_key: impl Fn(&M::Saved) -> M::Key + Clone + 'static,
    machine: M,
) -> Keyed<'s, M> {
    let shared = empty(stream.scope());
    build(name, stream, shared, durable.map(|durable| (durable, Box::new(saved_key) as _)), key, machine)
}

/// A keyed operator with shared records, which go to every worker.
pub fn keyed_shared<'s, M: Machine>(
    name: &str,
    stream: StreamVec<'s, T, M::In>,
    shared: StreamVec<'s, T, M::Shared>,
    key: impl Fn(&M::In) -> M::Key + Clone + 'static,
    machine: M,
) -> Keyed<'s, M> {
    build(name, stream, shared.broadcast(), None, key, machine)
}

type SavedKey<M> = Box<dyn Fn(&<M as Machine>::Saved) -> <M as Machine>::Key>;

fn build<'s, M: Machine>(
    name: &str,
    stream: StreamVec<'s, T, M::In>,
    shared: StreamVec<'s, T, M::Shared>,
    durable: Option<(Durable<'s, M::Saved>, SavedKey<M>)>,
    key: impl Fn(&M::In) -> M::Key + Clone + 'static,
    machine: M,
) -> Keyed<'s, M> {
    let scope = stream.scope();
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    let route_key = key.clone();
    let mut records = builder.new_input(stream, Exchange::new(move |record: &M::In| route(&route_key(record))));
    let mut shares = builder.new_input(shared, Pipeline);
    let is_durable = durable.is_some();
    let (durable, saved_key) = durable.unzip();
    let saved_key: Rc<SavedKey<M>> =
        Rc::new(saved_key.unwrap_or_else(|| Box::new(|_| unreachable!("only durable machines are restored"))));
    let mut recovery = durable.map(|durable| {
        let route_key = Rc::clone(&saved_key);
        let exchange = Exchange::new(move |saved: &M::Saved| route(&route_key(saved)));
        (builder.new_input(durable.restore, exchange), builder.new_input(durable.barriers, Pipeline))
    });
    // Without a capability nothing is pending, so that a frontier that moves is of no interest.
    for input in 0..if is_durable { 4 } else { 2 } {
        builder.set_notify_for(input, FrontierInterest::IfCapability);
    }
    let (changes_out, changes) = builder.new_output();
    let (side_out, side) = builder.new_output();
    let (mut changes_out, mut side_out) = (OutputBuilder::from(changes_out), OutputBuilder::from(side_out));
    let (mut saved_out, saved) = match is_durable {
        true => {
            let (output, stream) = builder.new_output();
            (Some(OutputBuilder::from(output)), stream)
        }
        false => (None, empty(scope)),
    };

    builder.build(move |_initial| {
        let mut engine = Engine::new(machine, key, saved_key, if is_durable { 3 } else { 2 });
        move |frontiers: &[MutableAntichain<T>]| {
            records.for_each_stamp(|capability, containers| {
                if let Some(moment) = engine.moment(&capability) {
                    moment.records.extend(containers.map(std::mem::take));
                }
            });
            shares.for_each_stamp(|capability, containers| {
                if let Some(moment) = engine.moment(&capability) {
                    moment.shared.extend(containers.flat_map(|container| container.drain(..)));
                }
            });
            if let Some((restored, barriers)) = &mut recovery {
                restored.for_each_stamp(|capability, containers| {
                    if let Some(moment) = engine.moment(&capability) {
                        moment.restored.extend(containers.flat_map(|container| container.drain(..)));
                    }
                });
                barriers.for_each_stamp(|capability, containers| {
                    if let Some(moment) = engine.moment(&capability) {
                        moment.barrier = containers.flat_map(|container| container.drain(..)).max().or(moment.barrier);
                    }
                });
            }
            let mut saved = saved_out.as_mut().map(OutputBuilder::activate);
            engine.advance(frontiers, &mut changes_out.activate(), &mut side_out.activate(), saved.as_mut());
        }
    });
    Keyed { changes, side, saved }
}

/// Input of one T that the frontier has not passed yet.
struct Moment<M: Machine> {
    t: T,
    records: Vec<Vec<M::In>>,
    shared: Vec<M::Shared>,
    restored: Vec<M::Saved>,
    barrier: Option<Barrier>,
}

impl<M: Machine> Moment<M> {
    fn new(t: T) -> Self {
        Self { t, records: Vec::new(), shared: Vec::new(), restored: Vec::new(), barrier: None }
    }
}

/// Everything one worker holds of a keyed operator.
struct Engine<M: Machine, F> {
    machine: M,
    key: F,
    saved_key: Rc<SavedKey<M>>,
    slots: Slots<M>,
    /// Moments with input, earliest first.
    pending: VecDeque<Moment<M>>,
    /// One capability an output at (or before) the earliest thing to do; none when there is nothing to do.
    held: Vec<Capability<T>>,
    outputs: usize,
    emit: Emit<M::Out, M::Side>,
    /// What was saved at the current T.
    saved: Vec<M::Saved>,
}

impl<M: Machine, F: Fn(&M::In) -> M::Key> Engine<M, F> {
    fn new(machine: M, key: F, saved_key: Rc<SavedKey<M>>, outputs: usize) -> Self {
        Self {
            machine,
            key,
            saved_key,
            slots: Slots::new(),
            pending: VecDeque::new(),
            held: Vec::new(),
            outputs,
            emit: Emit::new(),
            saved: Vec::new(),
        }
    }

    /// The pending moment of a message, with capabilities held for it.
    fn moment(&mut self, capability: &InputCapability<T>) -> Option<&mut Moment<M>> {
        let t = *capability.least()?;
        if self.held.first().is_none_or(|held| *held.time() > t) {
            self.held = (0..self.outputs).map(|output| capability.delayed(&t, output)).collect();
        }
        let at = match self.pending.iter().rposition(|moment| moment.t <= t) {
            Some(at) if self.pending[at].t == t => at,
            before => {
                let at = before.map_or(0, |before| before + 1);
                self.pending.insert(at, Moment::new(t));
                at
            }
        };
        self.pending.get_mut(at)
    }

    /// Steps everything that the frontiers have passed, in the order of T.
    fn advance(
        &mut self,
        frontiers: &[MutableAntichain<T>],
        changes: &mut Port<'_, (M::Out, T, isize)>,
        side: &mut Port<'_, M::Side>,
        mut saved: Option<&mut Port<'_, M::Saved>>,
    ) {
        let ended = frontiers.iter().all(MutableAntichain::is_empty);
        while let Some(t) = self.next(ended) {
            if frontiers.iter().any(|frontier| frontier.less_equal(&t)) {
                break;
            }
            self.step_all(t);
            if self.held.is_empty() {
                break;
            }
            self.held.iter_mut().filter(|held| *held.time() < t).for_each(|held| held.downgrade(&t));
            self.emit.send(&self.held[0], changes, &self.held[1], side);
            if let Some(saved) = saved.as_deref_mut()
                && !self.saved.is_empty()
            {
                saved.session(&self.held[2]).give_iterator(self.saved.drain(..));
            }
        }
        match self.next(ended) {
            Some(t) => self.held.iter_mut().filter(|held| *held.time() < t).for_each(|held| held.downgrade(&t)),
            None => self.held.clear(),
        }
    }

    /// The earliest T with something to do. After the end of all inputs wakes count only up to the last input.
    fn next(&mut self, ended: bool) -> Option<T> {
        let input = self.pending.front().map(|moment| moment.t);
        match self.slots.next_wake() {
            Some(wake) if input.is_some_and(|input| wake < input) => Some(wake),
            Some(wake) if input.is_none() && !ended => Some(wake),
            _ => input,
        }
    }

    fn step_all(&mut self, t: T) {
        self.emit.start(t);
        let (mut shared_changed, mut barrier) = (false, None);
        if self.pending.front().is_some_and(|moment| moment.t == t) {
            let mut moment = self.pending.pop_front().expect("its front was just looked at");
            barrier = moment.barrier;
            if !moment.shared.is_empty() {
                shared_changed = self.machine.share(t, &mut moment.shared);
            }
            for saved in moment.restored {
                let state = self.slots.visit((self.saved_key)(&saved));
                self.machine.restore(t, state, saved);
            }
            for container in moment.records {
                for record in container {
                    self.slots.deliver((self.key)(&record), record);
                }
            }
        }
        self.slots.due(t);
        if shared_changed {
            self.slots.visit_all();
        }
        self.slots.step_visited(t, shared_changed, &mut self.machine, &mut self.emit);
        self.machine.end(t, &mut self.emit);
        if let Some(barrier) = barrier {
            self.slots.save_all(barrier, &mut self.machine, &mut self.saved);
        }
    }
}
