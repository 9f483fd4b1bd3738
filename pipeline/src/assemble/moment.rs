//! What is known about one T before it closes.

use std::collections::BTreeMap;

use model::batch::Counts;
use model::{
    Anomaly, Award, BarRow, Batch, BidKpi, Clearing, Correlation, DeadLetter, Kpi, LiveBid, MeterReading, Names,
    Notice, PartitionId, Pnl, Rule, Settlement, T, TickRow, Zones,
};
use operators::bars::Refused;
use operators::keyed::Barrier;

use super::alerts::Alerts;
use super::changes::changes;
use crate::bind::Bound;

/// The updates of one T, in any order and not consolidated.
#[derive(Default)]
pub(super) struct Moment {
    /// Workers that have bound to this T; none for a time that was not minted.
    workers: usize,
    pub(super) offsets: BTreeMap<PartitionId, i64>,
    pub(super) notices: Vec<Notice>,
    pub(super) dead_letters: Vec<DeadLetter>,
    pub(super) refused: Vec<Refused>,
    pub(super) refused_meters: Vec<MeterReading>,
    pub(super) counts: Counts,
    pub(super) ticks: Vec<TickRow>,
    pub(super) bars: Vec<(BarRow, isize)>,
    pub(super) kpis: Vec<(Kpi, isize)>,
    pub(super) anomalies: Vec<(Anomaly, isize)>,
    pub(super) correlations: Vec<(Correlation, isize)>,
    pub(super) bids: Vec<(LiveBid, isize)>,
    pub(super) clearing: Vec<(Clearing, isize)>,
    pub(super) awards: Vec<(Award, isize)>,
    pub(super) settlement: Vec<(Settlement, isize)>,
    pub(super) pnl: Vec<(Pnl, isize)>,
    pub(super) bid_kpis: Vec<(BidKpi, isize)>,
    pub(super) rules: Vec<(Rule, isize)>,
    /// State is saved after this T.
    pub(super) barrier: Option<Barrier>,
    /// This T is what was saved.
    pub(super) saved: bool,
}

impl Moment {
    /// Adds what one worker bound.
    pub(super) fn bound(&mut self, mut bound: Bound) {
        self.workers += 1;
        self.offsets.extend(bound.offsets);
        self.notices.append(&mut bound.notices);
        self.dead_letters.append(&mut bound.dead_letters);
        self.counts.received += bound.received;
        self.counts.dead_letters += bound.refused;
        self.barrier = self.barrier.max(bound.barrier);
        self.saved |= bound.saved;
    }

    /// Adds a later moment.
    pub(super) fn absorb(&mut self, mut later: Self) {
        self.workers += later.workers;
        self.offsets.append(&mut later.offsets);
        self.notices.append(&mut later.notices);
        self.dead_letters.append(&mut later.dead_letters);
        self.refused.append(&mut later.refused);
        self.refused_meters.append(&mut later.refused_meters);
        self.counts.add(&later.counts);
        self.ticks.append(&mut later.ticks);
        self.bars.append(&mut later.bars);
        self.kpis.append(&mut later.kpis);
        self.anomalies.append(&mut later.anomalies);
        self.correlations.append(&mut later.correlations);
        self.bids.append(&mut later.bids);
        self.clearing.append(&mut later.clearing);
        self.awards.append(&mut later.awards);
        self.settlement.append(&mut later.settlement);
        self.pnl.append(&mut later.pnl);
        self.bid_kpis.append(&mut later.bid_kpis);
        self.rules.append(&mut later.rules);
        self.barrier = self.barrier.max(later.barrier);
        self.saved |= later.saved;
    }

    pub(super) fn is_minted(&self) -> bool {
        self.workers > 0
    }

    /// The batch of this T, without names. Everything sorted, so that it does not depend on the number of workers.
    pub(super) fn into_batch(mut self, t: T, alerts: &mut Alerts, zones: &Zones, names: &Names) -> Batch {
        self.dead_letters.extend(self.refused.into_iter().map(|tick| tick.dead_letter(zones, names)));
        self.dead_letters.extend(self.refused_meters.into_iter().map(|reading| reading.too_old(t, names)));
        self.notices.sort_unstable_by(|a, b| (a.event_ms, &a.id).cmp(&(b.event_ms, &b.id)));
        self.dead_letters.sort_unstable_by(|a, b| {
            (&a.topic, a.partition, a.offset, a.row).cmp(&(&b.topic, b.partition, b.offset, b.row))
        });
        // Stable: it merges the sorted runs that the workers send, and keeps rows of one message in order.
        self.ticks.sort_by_key(|row| {
            let tick = &row.tick;
            (tick.series(), tick.event_ms, tick.partition, tick.offset, tick.id)
        });
        Batch {
            t,
            names: Vec::new(),
            ticks: self.ticks.into(),
            bars: changes(self.bars, |row| row.key),
            kpis: changes(self.kpis, model::Kpi::key),
            alerts: if self.saved { alerts.compare(t, self.anomalies) } else { alerts.apply(t, self.anomalies) },
            correlations: changes(self.correlations, model::Correlation::key),
            bids: changes(self.bids, |bid| bid.bid.clone()),
            clearing: changes(self.clearing, Clearing::key),
            awards: changes(self.awards, Award::key),
            settlement: changes(self.settlement, Settlement::key),
            pnl: changes(self.pnl, Pnl::key),
            bid_kpis: changes(self.bid_kpis, BidKpi::key),
            rules: changes(self.rules, |rule| rule.rule.clone()),
            notices: self.notices,
            dead_letters: self.dead_letters,
            counts: self.counts,
        }
    }
}
