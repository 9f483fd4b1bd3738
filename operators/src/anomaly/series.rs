//! One series: its bars, its alerts, and what each kind of rule says of a bar.
//!
//! | kind | value | baseline | fires when |
//! |---|---|---|---|
//! | z-score | close | mean of the trailing closes | abs(z) > threshold |
//! | robust z-score | close | their median | abs(z) > threshold |
//! | price cap, floor | high, low | the cap, the floor of the local day | high ≥ cap, low ≤ floor |
//! | flat line | close | | the bar is over and is the n-th of exactly n equal closes: once a run |
//! | stale feed | silence, ms | | T ≥ newest tick + threshold; until a newer tick comes |
//! | spread break | close − reference's close | reference's close of that minute | abs(value) > threshold |

use std::collections::{BTreeMap, BTreeSet};

use model::time::MINUTE_MS;
use model::{Anomaly, AnomalyKind, SeriesKey, T};

use super::applied::{Applied, Seen, Slot};
use super::baseline::{Baseline, least_count, plain, robust};
use super::history::{History, Point};
use crate::keyed::Emit;

/// T as an event time, and how far behind it bars are still judged.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) ms: i64,
    pub(super) window_ms: i64,
}

impl Now {
    /// Bars that start before this are frozen: their alerts stay as they are.
    fn frozen_before_ms(self) -> i64 {
        self.ms.saturating_sub(self.window_ms)
    }
}

/// What a bar is judged with besides its own series.
pub(super) struct Context<'a> {
    pub(super) now: Now,
    /// (floor, cap) of a minute.
    pub(super) limits: &'a mut dyn FnMut(i64) -> Option<(i64, i64)>,
    /// The reference's close of a minute; always `None` for the reference itself.
    pub(super) reference: &'a dyn Fn(i64) -> Option<i64>,
    pub(super) scratch: &'a mut Vec<i64>,
}

/// Baseline of the newest bar, so that the ticks of an open minute cost a comparison each.
struct Cached {
    slot: Slot,
    start_ms: i64,
    baseline: Option<Baseline>,
}

#[derive(Default)]
pub(super) struct Series {
    history: History,
    /// Alerts of bars that are not frozen.
    alerts: BTreeMap<(i64, Slot), Anomaly>,
    stale: BTreeMap<Slot, Anomaly>,
    /// Bars that will complete a flat line when their minute is over.
    closing: BTreeSet<i64>,
    cached: Vec<Cached>,
    /// When this series is in its zone's queue.
    pub(super) wake: Option<T>,
}

impl Series {
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Takes in what the bars of `changes` (sorted by start) now are.
    pub(super) fn change(&mut self, now: Now, changes: &[(i64, Option<Point>)]) {
        self.forget(now);
        for (start_ms, point) in changes {
            if self.history.newest().is_none_or(|newest| newest.start_ms != *start_ms || point.is_none()) {
                self.cached.clear();
            }
            self.history.set(*start_ms, *point);
        }
        self.forget(now);
        if self.history.len() == 0 {
            self.closing.clear();
        }
    }

    fn forget(&mut self, now: Now) {
        let horizon_ms = now.frozen_before_ms();
        self.history.forget_before(horizon_ms.saturating_sub(now.window_ms));
        while self.alerts.first_key_value().is_some_and(|((start_ms, _), _)| *start_ms < horizon_ms) {
            self.alerts.pop_first();
        }
    }

    /// Judges by one rule the bars at `starts` (sorted) and those after them that the rule's baseline reaches.
    pub(super) fn judge(
        &mut self,
        key: SeriesKey,
        rule: &Applied,
        starts: &[i64],
        context: &mut Context<'_>,
        out: &mut Emit<Anomaly, ()>,
    ) {
        let mut next = 0;
        for start_ms in starts {
            let at = self.history.at_or_after(*start_ms);
            if self.history.get(at).is_none_or(|point| point.start_ms != *start_ms) {
                self.set(key, rule, *start_ms, None, context, out);
            }
            // A changed bar is followed by `reach` others; a bar that is gone is followed by as many.
            let present = usize::from(self.history.find(*start_ms).is_some());
            let end = (at + present + rule.reach()).min(self.history.len());
            for at in at.max(next)..end {
                self.judge_bar(key, rule, at, context, out);
            }
            next = next.max(end);
        }
    }

    /// Judges every bar that is not frozen, for a rule that is new or has changed.
    pub(super) fn judge_all(
        &mut self,
        key: SeriesKey,
        rule: &Applied,
        context: &mut Context<'_>,
        out: &mut Emit<Anomaly, ()>,
    ) {
        self.cached.retain(|cached| cached.slot != rule.slot);
        for at in self.history.at_or_after(context.now.frozen_before_ms())..self.history.len() {
            self.judge_bar(key, rule, at, context, out);
        }
        self.judge_silence(key, rule, context, out);
    }

    /// Withdraws what a rule raised: it applies no more, or has become another kind.
    pub(super) fn withdraw(&mut self, slot: Slot, context: &Context<'_>, out: &mut Emit<Anomaly, ()>) {
        self.forget(context.now);
        self.cached.retain(|cached| cached.slot != slot);
        out_all(self.alerts.extract_if(.., |key, _| key.1 == slot).map(|(_, alert)| alert), out);
        out_all(self.stale.remove(&slot).into_iter(), out);
    }

    fn judge_bar(
        &mut self,
        key: SeriesKey,
        rule: &Applied,
        at: usize,
        context: &mut Context<'_>,
        out: &mut Emit<Anomaly, ()>,
    ) {
        let Some(point) = self.history.get(at).copied() else { return };
        if point.start_ms < context.now.frozen_before_ms() {
            return;
        }
        let limit = rule.threshold_milli();
        let seen = match rule.rule.kind {
            AnomalyKind::ZScore | AnomalyKind::RobustZScore => self.baseline(rule, at, context).and_then(|baseline| {
                let z_milli = baseline.z_milli(point.close);
                let seen = Seen { value: point.close, baseline: Some(baseline.centre), z_milli: Some(z_milli) };
                (z_milli.unsigned_abs() > limit.unsigned_abs()).then_some(seen)
            }),
            AnomalyKind::PriceCap => (context.limits)(point.start_ms)
                .filter(|(_, cap)| point.high >= *cap)
                .map(|(_, cap)| Seen { value: point.high, baseline: Some(cap), z_milli: None }),
            AnomalyKind::PriceFloor => (context.limits)(point.start_ms)
                .filter(|(floor, _)| point.low <= *floor)
                .map(|(floor, _)| Seen { value: point.low, baseline: Some(floor), z_milli: None }),
            AnomalyKind::SpreadBreak => (context.reference)(point.start_ms).and_then(|close| {
                let value = point.close.saturating_sub(close);
                let seen = Seen { value, baseline: Some(close), z_milli: None };
                (i128::from(value).abs() > i128::from(limit) * 1000).then_some(seen)
            }),
            AnomalyKind::FlatLine => self.flat(rule, at, context),
            AnomalyKind::StaleFeed => return,
        };
        self.set(key, rule, point.start_ms, seen, context, out);
    }

    fn baseline(&mut self, rule: &Applied, at: usize, context: &mut Context<'_>) -> Option<Baseline> {
        let newest = at + 1 == self.history.len();
        let start_ms = self.history.get(at)?.start_ms;
        let known = self.cached.iter().find(|cached| newest && cached.slot == rule.slot && cached.start_ms == start_ms);
        if let Some(known) = known {
            return known.baseline;
        }
        let closes = self.history.closes(self.history.before(at, rule.bars, context.now.window_ms));
        let least = least_count(rule.rule.window_bars);
        let baseline = match rule.rule.kind {
            AnomalyKind::RobustZScore => robust(closes, least, context.scratch),
            _ => plain(closes, least),
        };
        if newest {
            self.cached.retain(|cached| cached.slot != rule.slot);
            self.cached.push(Cached { slot: rule.slot, start_ms, baseline });
        }
        baseline
    }

    /// Fires on the n-th of exactly n equal closes, once its minute is over.
    fn flat(&mut self, rule: &Applied, at: usize, context: &Context<'_>) -> Option<Seen> {
        let point = *self.history.get(at)?;
        let before = self.history.before(at, rule.bars, context.now.window_ms);
        let equal = self.history.closes(before).rev().take_while(|close| *close == point.close).count() + 1;
        if equal != rule.bars {
            return None;
        }
        if point.start_ms.saturating_add(MINUTE_MS) > context.now.ms {
            self.closing.insert(point.start_ms);
            return None;
        }
        Some(Seen { value: point.close, baseline: None, z_milli: None })
    }

    /// Judges what depends on T alone: minutes that are over by now, and silence.
    pub(super) fn judge_time(
        &mut self,
        key: SeriesKey,
        rules: &[Applied],
        context: &mut Context<'_>,
        out: &mut Emit<Anomaly, ()>,
    ) {
        while let Some(start_ms) = self.closing.first().copied() {
            if start_ms.saturating_add(MINUTE_MS) > context.now.ms {
                break;
            }
            self.closing.pop_first();
            let at = self.history.at_or_after(start_ms);
            if self.history.get(at).is_some_and(|point| point.start_ms == start_ms) {
                for rule in
                    rules.iter().filter(|rule| rule.rule.kind == AnomalyKind::FlatLine && rule.is_for(key.location))
                {
                    self.judge_bar(key, rule, at, context, out);
                }
            }
        }
        for rule in rules.iter().filter(|rule| rule.rule.kind == AnomalyKind::StaleFeed && rule.is_for(key.location)) {
            self.judge_silence(key, rule, context, out);
        }
    }

    fn judge_silence(&mut self, key: SeriesKey, rule: &Applied, context: &Context<'_>, out: &mut Emit<Anomaly, ()>) {
        if rule.rule.kind != AnomalyKind::StaleFeed {
            return;
        }
        let new = self
            .history
            .newest()
            .filter(|newest| newest.last_ms.saturating_add(rule.silence_ms) <= context.now.ms)
            .map(|newest| {
                rule.alert(key, newest.start_ms, Seen { value: rule.silence_ms, baseline: None, z_milli: None })
            });
        let old = match &new {
            Some(alert) => self.stale.insert(rule.slot, alert.clone()),
            None => self.stale.remove(&rule.slot),
        };
        out.revise(old, new);
    }

    /// When T alone will next change something.
    pub(super) fn next_wake(&self, key: SeriesKey, rules: &[Applied], context: &Context<'_>) -> Option<T> {
        let closing = self.closing.first().map(|start_ms| start_ms.saturating_add(MINUTE_MS));
        let stale = rules.iter().filter(|rule| rule.rule.kind == AnomalyKind::StaleFeed && rule.is_for(key.location));
        let due = self.history.newest().and_then(|newest| {
            let due = stale.map(|rule| newest.last_ms.saturating_add(rule.silence_ms));
            due.filter(|due| *due > context.now.ms).min()
        });
        closing.into_iter().chain(due).min().and_then(|due| T::try_from(due).ok())
    }

    fn set(
        &mut self,
        key: SeriesKey,
        rule: &Applied,
        start_ms: i64,
        seen: Option<Seen>,
        context: &Context<'_>,
        out: &mut Emit<Anomaly, ()>,
    ) {
        if start_ms < context.now.frozen_before_ms() {
            return;
        }
        let place = (start_ms, rule.slot);
        let Some(seen) = seen else {
            if !self.alerts.is_empty()
                && let Some(old) = self.alerts.remove(&place)
            {
                out.take(old);
            }
            return;
        };
        if self.alerts.get(&place).is_some_and(|old| rule.says(old, seen)) {
            return;
        }
        let new = rule.alert(key, start_ms, seen);
        let old = self.alerts.insert(place, new.clone());
        out.revise(old, Some(new));
    }

    /// Whether nothing is left to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.history.len() == 0 && self.alerts.is_empty() && self.stale.is_empty()
    }
}

fn out_all(alerts: impl Iterator<Item = Anomaly>, out: &mut Emit<Anomaly, ()>) {
    alerts.for_each(|alert| out.take(alert));
}
