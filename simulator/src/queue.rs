//! Messages that wait for their time: late ticks, repetitions, corrections, the later events of a bid's life.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::message::Message;

/// Messages that may wait; beyond it no new bid or fault begins.
pub(crate) const MAX_WAITING: usize = 200_000;

/// A queue by time, then by which came first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BinaryHeap<Reverse<Waiting>>,
    pushed: u64,
}

#[derive(Debug)]
struct Waiting {
    order: (i64, u64),
    message: Message,
}

impl Queue {
    /// Lets a message wait until its `at_ms`.
    pub(crate) fn push(&mut self, message: Message) {
        self.pushed += 1;
        self.waiting.push(Reverse(Waiting { order: (message.at_ms, self.pushed), message }));
    }

    /// The first message that is due.
    pub(crate) fn due(&mut self, now_ms: i64) -> Option<Message> {
        let Reverse(first) = self.waiting.peek()?;
        if first.order.0 > now_ms {
            return None;
        }
        self.waiting.pop().map(|Reverse(first)| first.message)
    }

    /// Whether nothing new should be made to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}
