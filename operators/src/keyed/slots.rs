//! The keys of one worker: their states, inboxes and wakes.
//!
//! Keys are looked up once a record and then known by a dense number. Inboxes are borrowed from a pool, so that a
//! busy key's memory serves the next one. The queue of wakes holds few entries a key: a wake that moved later
//! leaves its old entry, which moves on when it comes up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::T;

use super::{Barrier, Emit, Machine, Visit};
use crate::hash::FastMap;

const NOT_QUEUED: T = T::MAX;

struct Slot<M: Machine> {
    key: M::Key,
    state: M::State,
    inbox: Vec<M::In>,
    /// When the machine asked to be woken.
    wake: Option<T>,
    /// Earliest entry of this slot in the queue.
    queued: T,
    visited: bool,
    live: bool,
}

pub(super) struct Slots<M: Machine> {
    index: FastMap<M::Key, u32>,
    slots: Vec<Slot<M>>,
    free: Vec<u32>,
    wakes: BinaryHeap<Reverse<(T, u32)>>,
    /// Slots to step at the current T.
    visits: Vec<u32>,
    pool: Vec<Vec<M::In>>,
}

impl<M: Machine> Slots<M> {
    pub(super) fn new() -> Self {
        Self {
            index: FastMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            wakes: BinaryHeap::new(),
            visits: Vec::new(),
            pool: Vec::new(),
        }
    }

    /// When the earliest entry of the queue comes up (not after the earliest wake).
    pub(super) fn next_wake(&self) -> Option<T> {
        self.wakes.peek().map(|Reverse((t, _))| *t)
    }

    /// Puts a record into its key's inbox.
    #[inline]
    pub(super) fn deliver(&mut self, key: M::Key, record: M::In) {
        let number = self.number(key);
        let slot = &mut self.slots[number as usize];
        if !slot.visited {
            slot.visited = true;
            self.visits.push(number);
            if let Some(inbox) = self.pool.pop() {
                slot.inbox = inbox;
            }
        }
        slot.inbox.push(record);
    }

    #[inline]
    fn number(&mut self, key: M::Key) -> u32 {
        match self.index.get(&key) {
            Some(number) => *number,
            None => self.create(key),
        }
    }

    /// Marks a key for a visit and returns its state.
    pub(super) fn visit(&mut self, key: M::Key) -> &mut M::State {
        let number = self.number(key);
        let slot = &mut self.slots[number as usize];
        if !slot.visited {
            slot.visited = true;
            self.visits.push(number);
        }
        &mut slot.state
    }

    /// Saves every key.
    pub(super) fn save_all(&mut self, barrier: Barrier, machine: &mut M, out: &mut Vec<M::Saved>) {
        for slot in self.slots.iter_mut().filter(|slot| slot.live) {
            machine.save(&slot.key, &mut slot.state, barrier, out);
        }
    }

    fn create(&mut self, key: M::Key) -> u32 {
        let slot = Slot {
            key: key.clone(),
            state: M::State::default(),
            inbox: Vec::new(),
            wake: None,
            queued: NOT_QUEUED,
            visited: false,
            live: true,
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 keys fit in memory")
            }
        };
        self.index.insert(key, number);
        number
    }

    /// Marks every key for a visit whose wake is due at `t`.
    pub(super) fn due(&mut self, t: T) {
        while let Some(Reverse((queued, number))) = self.wakes.peek().copied() {
            if queued > t {
                break;
            }
            self.wakes.pop();
            let slot = &mut self.slots[number as usize];
            if slot.queued != queued {
                continue; // An entry that an earlier one overtook, or of a key that is gone.
            }
            slot.queued = NOT_QUEUED;
            match slot.wake {
                Some(wake) if wake <= t => {
                    slot.wake = None;
                    if !slot.visited {
                        slot.visited = true;
                        self.visits.push(number);
                    }
                }
                Some(wake) => {
                    slot.queued = wake;
                    self.wakes.push(Reverse((wake, number)));
                }
                None => {}
            }
        }
    }

    /// Marks every key for a visit.
    pub(super) fn visit_all(&mut self) {
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if slot.live && !slot.visited {
                slot.visited = true;
                self.visits.push(u32::try_from(number).expect("numbers were given out as u32"));
            }
        }
    }

    /// Steps every key that is marked.
    pub(super) fn step_visited(
        &mut self,
        t: T,
        shared_changed: bool,
        machine: &mut M,
        emit: &mut Emit<M::Out, M::Side>,
    ) {
        let mut visits = std::mem::take(&mut self.visits);
        for number in visits.drain(..) {
            let slot = &mut self.slots[number as usize];
            slot.visited = false;
            let visit = Visit { key: &slot.key, t, shared_changed };
            // A wake in the past would never come up: the next moment is the earliest possible.
            let wake = machine.step(visit, &mut slot.state, &mut slot.inbox, emit).map(|wake| wake.max(t + 1));
            slot.inbox.clear();
            if slot.inbox.capacity() > 0 {
                self.pool.push(std::mem::take(&mut slot.inbox));
            }
            slot.wake = wake;
            match wake {
                Some(wake) if wake < slot.queued => {
                    slot.queued = wake;
                    self.wakes.push(Reverse((wake, number)));
                }
                None if machine.is_empty(&slot.state) => self.remove(number),
                _ => {}
            }
        }
        self.visits = visits;
    }

    fn remove(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        self.index.remove(&slot.key);
        slot.live = false;
        slot.state = M::State::default();
        slot.queued = NOT_QUEUED;
        self.free.push(number);
    }
}
