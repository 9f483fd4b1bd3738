//! What was said of one auction's book, and what is to be said now.

use std::collections::{BTreeMap, BTreeSet};

use auction::{Auction, Book, Interval, OrderId, Rules};
use model::{Award, Clearing, T};

use super::Row;
use crate::keyed::Emit;

#[derive(Debug)]
pub(super) struct Said {
    pub(super) book: Book,
    rows: BTreeMap<(Interval, usize), Clearing>,
    awards: BTreeMap<Interval, BTreeMap<OrderId, Award>>,
    /// Intervals whose awards are said.
    closed: BTreeSet<Interval>,
}

impl Said {
    pub(super) fn new(auction: &Auction, rules: &Rules) -> Self {
        let book = Book::new(auction, rules);
        Self { book, rows: BTreeMap::new(), awards: BTreeMap::new(), closed: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.book.is_empty() && self.rows.is_empty() && self.awards.is_empty()
    }

    /// Clears what has changed, says what is new, and returns when the next gate closes.
    pub(super) fn say(&mut self, t: T, out: &mut Emit<Row, ()>) -> Option<T> {
        let cleared = self.book.clear();
        for interval in &cleared {
            for zone in 0..self.book.zones().len() {
                let (key, new) = ((*interval, zone), self.book.row(*interval, zone));
                let old = match &new {
                    Some(new) => self.rows.insert(key, new.clone()),
                    None => self.rows.remove(&key),
                };
                out.revise(old.map(Row::Clearing), new.map(Row::Clearing));
            }
        }
        let mut next_close: Option<T> = None;
        let mut awarded: BTreeSet<Interval> = cleared.into_iter().filter(|at| self.closed.contains(at)).collect();
        for interval in self.book.intervals().all() {
            let closes_at = self.book.intervals().closes_at(interval);
            if closes_at > t {
                next_close = Some(next_close.map_or(closes_at, |next| next.min(closes_at)));
            } else if self.closed.insert(interval) {
                awarded.insert(interval);
            }
        }
        for interval in awarded {
            self.award(interval, out);
        }
        next_close
    }

    fn award(&mut self, interval: Interval, out: &mut Emit<Row, ()>) {
        let new = self.book.awards(interval);
        let mut old = self.awards.remove(&interval).unwrap_or_default();
        for (id, award) in &new {
            out.revise(old.remove(id).map(Row::Award), Some(Row::Award(award.clone())));
        }
        old.into_values().for_each(|gone| out.revise(Some(Row::Award(gone)), None));
        if !new.is_empty() {
            self.awards.insert(interval, new);
        }
    }
}
