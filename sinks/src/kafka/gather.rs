//! What the messages of one run, or of everything up to a marker, add up to: rows as they stand, by key, and from them
//! the batches that bring a live state there. Pure.
//!
//! Of a run only what stands at its end was written, so only its last T is a whole moment. Rows keep the T of their own
//! change, so the state is the same to the row as that of the program that wrote it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::batch::Counts;
use model::clearing::{AwardKey, ClearingKey};
use model::settlement::{PnlKey, SettlementKey};
use model::{
    Alert, Award, BarKey, BarRow, Batch, BidKpi, BidKpiKey, Change, Clearing, Correlation, DeadLetter, Kpi, LiveBid,
    LocationId, LocationName, Notice, Pnl, Rule, SeriesKey, Settlement, Snapshot, T, TickRow,
};

use super::decode::Said;

/// What a row is now, and since when; `None`: it is no more.
type Rows<K, R> = BTreeMap<K, (T, Option<Box<R>>)>;

/// The last word on each row.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    names: BTreeMap<LocationId, (T, LocationName)>,
    bars: Rows<BarKey, BarRow>,
    kpis: Rows<(SeriesKey, u32), Kpi>,
    alerts: BTreeMap<u64, Alert>,
    correlations: Rows<(SeriesKey, SeriesKey, u32, u32), Correlation>,
    bids: Rows<String, LiveBid>,
    clearing: Rows<ClearingKey, Clearing>,
    awards: Rows<AwardKey, Award>,
    settlement: Rows<SettlementKey, Settlement>,
    pnl: Rows<PnlKey, Pnl>,
    bid_kpis: Rows<BidKpiKey, BidKpi>,
    rules: Rows<String, Rule>,
    ticks: BTreeMap<T, Vec<TickRow>>,
    notices: Vec<(T, Notice)>,
    letters: Vec<(T, DeadLetter)>,
}

/// A run, as a live state takes it.
#[derive(Debug)]
pub(super) struct Run {
    /// One batch for each T of its rows, the last one at the run's T: together they are the state's way there.
    pub(super) steps: Vec<Batch>,
    /// All of it as one moment, for those who look at whole moments only.
    pub(super) moment: Batch,
}

impl Gathered {
    /// Takes what was said at `t`. Of one key the messages come in order, since they share a partition.
    pub(super) fn add(&mut self, t: T, said: Said) {
        match said {
            Said::Name(name) => drop(self.names.insert(name.id, (t, name))),
            Said::Bar(key, row) => drop(self.bars.insert(key, (t, row))),
            Said::Kpi(key, row) => drop(self.kpis.insert(key, (t, row))),
            Said::Alert(alert) => {
                // Standing and withdrawn alerts are on topics of their own: the later one counts.
                let known = self.alerts.get(&alert.anomaly.id);
                if known.is_none_or(|known| known.changed_t <= alert.changed_t) {
                    self.alerts.insert(alert.anomaly.id, *alert);
                }
            }
            Said::Correlation(key, row) => drop(self.correlations.insert(key, (t, row))),
            Said::Bid(key, row) => drop(self.bids.insert(key, (t, row))),
            Said::Clearing(key, row) => drop(self.clearing.insert(key, (t, row))),
            Said::Award(key, row) => drop(self.awards.insert(key, (t, row))),
            Said::Settlement(key, row) => drop(self.settlement.insert(key, (t, row))),
            Said::Pnl(key, row) => drop(self.pnl.insert(key, (t, row))),
            Said::BidKpi(key, row) => drop(self.bid_kpis.insert(key, (t, row))),
            Said::Rule(key, row) => drop(self.rules.insert(key, (t, row))),
            Said::Ticks(rows) => self.ticks.entry(t).or_default().extend(rows),
            Said::Notice(notice) => self.notices.push((t, *notice)),
            Said::DeadLetter(letter) => self.letters.push((t, *letter)),
            Said::Nothing => {}
        }
    }

    /// The batches that bring `live` to `t`, where `counts` records are accounted for in all. What `live` has already is
    /// left out; so is the removal of what it never had.
    pub(super) fn run(self, live: &Snapshot, t: T, counts: Counts) -> Run {
        let mut steps = Steps { after: live.t, by_t: BTreeMap::new() };
        for (at, name) in self.names.into_values() {
            steps.at(at).names.push(name);
        }
        steps.changes(self.bars, |key| Some(live.bars.get(key)?.1), |batch| &mut batch.bars);
        steps.changes(self.kpis, |key| Some(live.kpis.get(key)?.1), |batch| &mut batch.kpis);
        steps.changes(self.correlations, |key| Some(live.correlations.get(key)?.1), |batch| &mut batch.correlations);
        steps.changes(self.bids, |key| Some(live.bids.get(key)?.1.clone()), |batch| &mut batch.bids);
        steps.changes(self.clearing, |key| Some(live.clearing.get(key)?.1.clone()), |batch| &mut batch.clearing);
        steps.changes(self.awards, |key| Some(live.awards.get(key)?.1.clone()), |batch| &mut batch.awards);
        steps.changes(self.settlement, |key| Some(live.settlement.get(key)?.1.clone()), |batch| &mut batch.settlement);
        steps.changes(self.pnl, |key| Some(live.pnl.get(key)?.1.clone()), |batch| &mut batch.pnl);
        steps.changes(self.bid_kpis, |key| Some(live.bid_kpis.get(key)?.1.clone()), |batch| &mut batch.bid_kpis);
        steps.changes(self.rules, |key| Some(live.rules.get(key)?.1.clone()), |batch| &mut batch.rules);
        for alert in self.alerts.into_values() {
            steps.at(alert.changed_t).alerts.push(alert);
        }
        for (at, mut rows) in self.ticks {
            rows.sort_by_key(|row| (row.tick.series(), row.tick.event_ms, row.tick.partition, row.tick.offset));
            steps.at(at).ticks = rows.into();
        }
        for (at, notice) in self.notices {
            steps.at(at).notices.push(notice);
        }
        for (at, letter) in self.letters {
            steps.at(at).dead_letters.push(letter);
        }
        let mut by_t = steps.by_t;
        by_t.retain(|at, _| *at > live.t && *at <= t);
        by_t.entry(t).or_insert_with(|| Batch { t, ..Batch::default() }).counts = counts.since(&live.counts);
        let steps: Vec<Batch> = by_t.into_values().collect();
        Run { moment: moment(&steps), steps }
    }
}

/// Batches by their T.
struct Steps {
    after: T,
    by_t: BTreeMap<T, Batch>,
}

impl Steps {
    fn at(&mut self, t: T) -> &mut Batch {
        self.by_t.entry(t).or_insert_with(|| Batch { t, ..Batch::default() })
    }

    fn changes<K, R>(
        &mut self,
        rows: Rows<K, R>,
        last: impl Fn(&K) -> Option<R>,
        list: impl Fn(&mut Batch) -> &mut Vec<Change<R>>,
    ) {
        for (key, (t, row)) in rows {
            let change = match row {
                Some(row) => Change::Put(*row),
                None => match last(&key) {
                    Some(row) => Change::Remove(row),
                    None => continue,
                },
            };
            if t > self.after {
                list(self.at(t)).push(change);
            }
        }
    }
}

/// All steps as one, at the last T. A key is in one step only; lists are sorted by key, as in any batch.
fn moment(steps: &[Batch]) -> Batch {
    let mut whole = Batch { t: steps.last().map_or(0, |step| step.t), ..Batch::default() };
    let mut ticks: Vec<TickRow> = Vec::new();
    for step in steps {
        whole.names.extend_from_slice(&step.names);
        ticks.extend_from_slice(&step.ticks);
        whole.bars.extend_from_slice(&step.bars);
        whole.kpis.extend_from_slice(&step.kpis);
        whole.alerts.extend_from_slice(&step.alerts);
        whole.correlations.extend_from_slice(&step.correlations);
        whole.bids.extend_from_slice(&step.bids);
        whole.clearing.extend_from_slice(&step.clearing);
        whole.awards.extend_from_slice(&step.awards);
        whole.settlement.extend_from_slice(&step.settlement);
        whole.pnl.extend_from_slice(&step.pnl);
        whole.bid_kpis.extend_from_slice(&step.bid_kpis);
        whole.rules.extend_from_slice(&step.rules);
        whole.notices.extend_from_slice(&step.notices);
        whole.dead_letters.extend_from_slice(&step.dead_letters);
        whole.counts.add(&step.counts);
    }
    whole.names.sort_unstable();
    whole.bars.sort_unstable_by_key(|change| change.row().key);
    whole.kpis.sort_unstable_by_key(|change| change.row().key());
    whole.alerts.sort_unstable_by_key(|alert| alert.anomaly.id);
    whole.correlations.sort_unstable_by_key(|change| change.row().key());
    whole.bids.sort_unstable_by(|a, b| a.row().bid.cmp(&b.row().bid));
    whole.clearing.sort_unstable_by_key(|change| change.row().key());
    whole.awards.sort_unstable_by_key(|change| change.row().key());
    whole.settlement.sort_unstable_by_key(|change| change.row().key());
    whole.pnl.sort_unstable_by_key(|change| change.row().key());
    whole.bid_kpis.sort_unstable_by(|a, b| a.row().key.cmp(&b.row().key));
    whole.rules.sort_unstable_by(|a, b| a.row().rule.cmp(&b.row().rule));
    whole.ticks = Arc::from(ticks);
    whole
}

/// How a state that was just loaded is told to those who follow moments: each series' newest minute, its price.
pub(super) fn first_moment(live: &Snapshot) -> Batch {
    let bars = live.latest.values().map(|(_, row)| Change::Put(*row));
    let mut bars: Vec<Change<BarRow>> = bars.collect();
    bars.sort_unstable_by_key(|change| change.row().key);
    Batch { t: live.t, bars, ..Batch::default() }
}
