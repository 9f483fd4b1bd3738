//! The state machine behind alerts: one key a zone and market, so that a zone's reference is at hand for spreads.
//!
//! A step takes the changed bars of all of the zone's series at T, puts them into their histories, and then judges,
//! per rule, the bars that the changes reach. Rules come as shared records; when one changes, every bar that is not
//! frozen is judged anew by that rule alone. Wakes are for the end of a minute (flat lines) and for silence.
//!
//! A step costs a lookup a changed series and a comparison a rule while only newest bars change; a change of an
//! older bar costs the baselines of the bars it reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Anomaly, AnomalyKind, BarRow, LocationId, Market, Rule, SeriesKey, T, Zone, Zones};

use super::applied::{Applied, Slot};
use super::history::Point;
use super::series::{Context, Now, Series};
use crate::hash::FastMap;
use crate::keyed::{Emit, Machine, Visit};

/// A zone's code and a market.
pub(super) type Place = (u16, Market);
type Change = (BarRow, T, isize);
/// Minutes of one location and what their bars now are, sorted.
type Minutes = Vec<(i64, Option<Point>)>;

pub(super) struct Watch {
    zones: Zones,
    window_ms: i64,
    /// Rules that stand, by the number of their name. A number is never given to another name.
    rules: BTreeMap<Slot, Arc<Rule>>,
    slots: FastMap<String, Slot>,
    /// Counts the changes of `rules`.
    version: u64,
    scratch: Vec<i64>,
}

/// The series of one zone and market.
#[derive(Default)]
pub(super) struct Watched {
    zone: Option<Arc<Zone>>,
    /// The zone's reference location.
    reference: Option<LocationId>,
    rules: Vec<Applied>,
    /// Whether any of the rules compares with the reference.
    compares: bool,
    version: u64,
    series: BTreeMap<LocationId, Series>,
    wakes: BTreeSet<(T, LocationId)>,
    /// (floor, cap) of the minute asked for last.
    limits: Option<(i64, Option<(i64, i64)>)>,
}

impl Watch {
    pub(super) fn new(zones: Zones, window_ms: i64) -> Self {
        let (rules, slots) = (BTreeMap::new(), FastMap::default());
        Self { zones, window_ms, rules, slots, version: 0, scratch: Vec::new() }
    }
}

impl Machine for Watch {
    type Key = Place;
    type State = Watched;
    type In = Change;
    type Shared = (Rule, T, isize);
    type Out = Anomaly;
    type Side = ();
    type Saved = ();

    fn share(&mut self, _t: T, records: &mut Vec<Self::Shared>) -> bool {
        // Rules that go before rules that come: a changed rule is both.
        records.sort_by_key(|(_, _, diff)| *diff);
        for (rule, _, diff) in records.drain(..) {
            let next = Slot::try_from(self.slots.len()).expect("rule names are written by people");
            let slot = *self.slots.entry(rule.rule.clone()).or_insert(next);
            if diff > 0 {
                self.rules.insert(slot, Arc::new(rule));
            } else if self.rules.get(&slot).is_some_and(|known| **known == rule) {
                self.rules.remove(&slot);
            }
        }
        self.version += 1;
        true
    }

    fn step(
        &mut self,
        visit: Visit<'_, Place>,
        watched: &mut Watched,
        input: &mut Vec<Change>,
        out: &mut Emit<Anomaly, ()>,
    ) -> Option<T> {
        let market = visit.key.1;
        let now = Now { ms: i64::try_from(visit.t).unwrap_or(i64::MAX), window_ms: self.window_ms };
        let mut touched = watched.take_in(now, input);
        if watched.version != self.version {
            watched.version = self.version;
            self.change_rules(now, market, watched, out);
            // Wakes depend on rules.
            touched.extend(watched.series.keys().map(|location| (*location, Vec::new())));
        }
        while watched.wakes.first().is_some_and(|(t, _)| *t <= visit.t) {
            touched.extend(watched.wakes.pop_first().map(|(_, location)| (location, Vec::new())));
        }
        touched.extend(watched.followers(&touched));
        // One entry a location, with all its minutes.
        touched.sort_unstable_by_key(|(location, _)| *location);
        touched.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1.append(&mut later.1);
            }
            same
        });
        for (location, mut starts) in touched {
            starts.sort_unstable();
            starts.dedup();
            let key = SeriesKey { location, market };
            self.judge(visit.t, now, watched, key, &starts, out);
        }
        watched.wakes.first().map(|(t, _)| *t)
    }

    fn is_empty(&self, watched: &Watched) -> bool {
        watched.series.is_empty()
    }
}

impl Watch {
    /// Judges one series at its changed minutes and by the time alone, and queues its next wake.
    fn judge(
        &mut self,
        t: T,
        now: Now,
        watched: &mut Watched,
        key: SeriesKey,
        starts: &[i64],
        out: &mut Emit<Anomaly, ()>,
    ) {
        let Some(mut series) = watched.lift(key.location) else { return };
        let rules = std::mem::take(&mut watched.rules);
        let wake = watched.with_context(now, key.location, &mut self.scratch, |context| {
            for rule in rules.iter().filter(|rule| rule.is_for(key.location)) {
                series.judge(key, rule, starts, context, out);
            }
            series.judge_time(key, &rules, context, out);
            series.next_wake(key, &rules, context)
        });
        watched.rules = rules;
        watched.queue(t, key.location, &mut series, wake);
        watched.put_back(key.location, series);
    }

    /// Applies the rules as they now are: what no longer applies is withdrawn, what is new or different judges anew.
    fn change_rules(&mut self, now: Now, market: Market, watched: &mut Watched, out: &mut Emit<Anomaly, ()>) {
        if watched.zone.is_none() {
            watched.zone = watched.series.keys().next().and_then(|location| self.zones.of(*location)).cloned();
            watched.reference = watched.zone.as_ref().map(|zone| zone.reference());
        }
        let zone = watched.zone.as_ref();
        let rules = self.rules.iter().filter_map(|(slot, rule)| Applied::new(*slot, rule, &self.zones, zone, market));
        let new: Vec<Applied> = rules.collect();
        watched.compares = new.iter().any(|rule| rule.rule.kind == AnomalyKind::SpreadBreak);
        let old = std::mem::replace(&mut watched.rules, new.clone());
        let same = |a: &Applied, b: &Applied| a.slot == b.slot && a.rule == b.rule;
        let locations: Vec<LocationId> = watched.series.keys().copied().collect();
        for location in locations {
            let key = SeriesKey { location, market };
            let Some(mut series) = watched.lift(location) else { continue };
            watched.with_context(now, location, &mut self.scratch, |context| {
                for rule in old.iter().filter(|rule| rule.is_for(location)) {
                    let next = new.iter().find(|next| next.slot == rule.slot && next.is_for(location));
                    if next.is_none_or(|next| next.rule.kind != rule.rule.kind) {
                        series.withdraw(rule.slot, context, out);
                    }
                }
                for rule in new.iter().filter(|rule| rule.is_for(location)) {
                    if !old.iter().any(|before| same(before, rule)) {
                        series.judge_all(key, rule, context, out);
                    }
                }
            });
            watched.put_back(location, series);
        }
    }
}

impl Watched {
    /// Puts changed bars into their series. Returns the minutes touched, by location.
    fn take_in(&mut self, now: Now, input: &mut Vec<Change>) -> Vec<(LocationId, Vec<i64>)> {
        input.sort_unstable_by_key(|(row, _, _)| (row.key.series.location, row.key.start_ms));
        let mut touched: Vec<(LocationId, Vec<i64>)> = Vec::new();
        for rows in input.chunk_by(|a, b| a.0.key.series.location == b.0.key.series.location) {
            let location = rows[0].0.key.series.location;
            let minutes = net(rows);
            self.series.entry(location).or_default().change(now, &minutes);
            touched.push((location, minutes.into_iter().map(|(start_ms, _)| start_ms).collect()));
        }
        input.clear();
        touched
    }

    /// The other series of the zone, at the minutes at which the reference changed: for spread rules only.
    fn followers(&self, touched: &[(LocationId, Vec<i64>)]) -> Vec<(LocationId, Vec<i64>)> {
        let reference = self.reference.filter(|_| self.compares);
        let changed = touched.iter().find(|(location, starts)| Some(*location) == reference && !starts.is_empty());
        let Some((reference, starts)) = changed else { return Vec::new() };
        let others = self.series.keys().filter(|location| *location != reference);
        others.map(|location| (*location, starts.clone())).collect()
    }

    /// Takes a series out for a moment, so that the others may be looked at meanwhile.
    fn lift(&mut self, location: LocationId) -> Option<Series> {
        self.series.get_mut(&location).map(std::mem::take)
    }

    fn put_back(&mut self, location: LocationId, series: Series) {
        if series.is_empty() {
            self.series.remove(&location);
        } else if let Some(place) = self.series.get_mut(&location) {
            *place = series;
        }
    }

    /// Calls `with` with what a series of this zone is judged by. The series itself is taken out meanwhile.
    fn with_context<R>(
        &mut self,
        now: Now,
        location: LocationId,
        scratch: &mut Vec<i64>,
        with: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        let zone = self.zone.as_ref();
        let reference = self.reference.filter(|reference| self.compares && *reference != location);
        let reference = reference.and_then(|reference| self.series.get(&reference));
        let known = &mut self.limits;
        let mut limits = |start_ms: i64| match *known {
            Some((minute, limits)) if minute == start_ms => limits,
            _ => {
                let limits = zone.and_then(|zone| zone.limits_at(start_ms));
                *known = Some((start_ms, limits));
                limits
            }
        };
        let close = |start_ms| reference?.history().find(start_ms).map(|point| point.close);
        with(&mut Context { now, limits: &mut limits, reference: &close, scratch })
    }

    /// Queues a series for `wake`. An earlier entry stays: it will find nothing to do and queue again, which is
    /// cheaper than to move it with every tick.
    fn queue(&mut self, t: T, location: LocationId, series: &mut Series, wake: Option<T>) {
        let queued = series.wake.filter(|queued| *queued > t);
        if queued.is_some() && wake.is_some() && queued <= wake {
            return;
        }
        if let Some(old) = series.wake.take() {
            self.wakes.remove(&(old, location));
        }
        if let Some(wake) = wake {
            self.wakes.insert((wake, location));
            series.wake = Some(wake);
        }
    }
}

/// What the bars of one location now are: of the changes of a minute (in any order) the row that remains.
fn net(rows: &[Change]) -> Minutes {
    let minutes = rows.chunk_by(|a, b| a.0.key.start_ms == b.0.key.start_ms);
    minutes
        .map(|rows| {
            // Two changes, the old row and the new, unless somebody upstream was wordy.
            let net =
                |row: &BarRow| rows.iter().filter(|(other, ..)| other == row).map(|(_, _, diff)| diff).sum::<isize>();
            let stands = rows.iter().find(|(row, _, diff)| *diff > 0 && (rows.len() <= 2 || net(row) > 0));
            let start_ms = rows[0].0.key.start_ms;
            (start_ms, stands.map(|(row, ..)| Point::new(start_ms, &row.bar)))
        })
        .collect()
}
