//! What a store must hold after a run, by plain folding: each row as one line of text, written by hand here rather
//! than by the encoders under test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::money::{price, volume_mwh};
use model::snapshot::Limits;
use model::{
    Alert, AlertState, Award, BarRow, BidKpi, Change, Clearing, Correlation, Granularity, Kpi, LiveBid, Pnl, SeriesKey,
    Settlement, Snapshot,
};

use crate::run::Run;

pub(crate) type Lines = BTreeSet<String>;

/// Rows of one table that stand, with the T of their change.
fn standing<R: Clone, K: Ord>(
    run: &Run,
    list: impl Fn(&model::Batch) -> &Vec<Change<R>>,
    key: impl Fn(&R) -> K,
) -> Vec<(u64, R)> {
    let mut rows: BTreeMap<K, (u64, R)> = BTreeMap::new();
    for batch in &run.batches {
        for change in list(batch) {
            match change {
                Change::Put(row) => rows.insert(key(row), (batch.t, row.clone())),
                Change::Remove(row) => rows.remove(&key(row)),
            };
        }
    }
    rows.into_values().collect()
}

impl Run {
    pub(crate) fn place(&self, series: SeriesKey) -> String {
        let name = self.context.names.name(series.location).unwrap();
        format!("{}|{}|{}", name.zone, name.location, series.market.as_str())
    }

    fn bar_line(&self, t: u64, row: &BarRow) -> String {
        let bar = &row.bar;
        format!(
            "{}|{}|{}|{t}|{}|{}|{}|{}|{}",
            self.place(row.key.series),
            row.key.granularity.as_str(),
            row.key.start_ms,
            row.end_ms,
            price(bar.open),
            price(bar.close),
            bar.count,
            bar.sum_price_sq,
        )
    }

    pub(crate) fn standing_bars(&self) -> Vec<(u64, BarRow)> {
        standing(self, |batch| &batch.bars, |row| row.key)
    }

    pub(crate) fn bars(&self) -> Lines {
        self.standing_bars().iter().map(|(t, row)| self.bar_line(*t, row)).collect()
    }

    /// The newest minute bar of each series: place → (T, row).
    pub(crate) fn latest(&self) -> BTreeMap<String, (u64, BarRow)> {
        let minutes = self.standing_bars().into_iter().filter(|(_, row)| row.key.granularity == Granularity::M1);
        minutes.map(|(t, row)| (self.place(row.key.series), (t, row))).collect()
    }

    pub(crate) fn standing_kpis(&self) -> Vec<(u64, Kpi)> {
        standing(self, |batch| &batch.kpis, Kpi::key)
    }

    pub(crate) fn kpis(&self) -> Lines {
        let line = |(t, row): &(u64, Kpi)| {
            let change = row.change_ppm.map(|ppm| ppm as f64 / 10_000.0);
            let figures = format!("{}|{}|{}", price(row.last), text(change), volume_mwh(row.volume_kwh));
            format!("{}|{}|{t}|{figures}", self.place(row.series), row.window_min)
        };
        self.standing_kpis().iter().map(line).collect()
    }

    pub(crate) fn standing_correlations(&self) -> Vec<(u64, Correlation)> {
        standing(self, |batch| &batch.correlations, Correlation::key)
    }

    pub(crate) fn correlations(&self) -> Lines {
        let line = |(t, row): &(u64, Correlation)| {
            format!("{}|{}|{}|{t}|{}", self.place(row.a), self.place(row.b), row.window_min, text(row.r()))
        };
        self.standing_correlations().iter().map(line).collect()
    }

    pub(crate) fn standing_bids(&self) -> Vec<(u64, LiveBid)> {
        standing(self, |batch| &batch.bids, |row| row.bid.clone())
    }

    pub(crate) fn standing_clearing(&self) -> Vec<(u64, Clearing)> {
        standing(self, |batch| &batch.clearing, Clearing::key)
    }

    pub(crate) fn clearing(&self) -> Lines {
        let line = |(t, row): &(u64, Clearing)| {
            let (side, bid) = row.marginal.as_ref().map_or(("", ""), |(side, bid)| (side.as_str(), bid));
            let price = text(row.price_micros.map(price));
            let bought = volume_mwh(row.bought_kw);
            let place = self.place(row.series);
            format!("{place}|{}|{t}|{price}|{bought}|{side}|{bid}|{}", row.start_ms, row.congested)
        };
        self.standing_clearing().iter().map(line).collect()
    }

    pub(crate) fn awards(&self) -> Lines {
        let rows = standing(self, |batch| &batch.awards, Award::key);
        let line = |(t, row): &(u64, Award)| {
            let (power, price) = (volume_mwh(row.power_kw), price(row.price_micros));
            let asset = row.asset.as_deref().unwrap_or("");
            format!("{}|{}|{t}|{asset}|{}|{power}|{price}", row.bid, row.start_ms, row.side.as_str())
        };
        rows.iter().map(line).collect()
    }

    pub(crate) fn settlement(&self) -> Lines {
        let rows = standing(self, |batch| &batch.settlement, Settlement::key);
        let line = |(t, row): &(u64, Settlement)| {
            let Settlement { organisation, asset, bid, start_ms, .. } = row;
            let metered = text(row.metered_kw.map(volume_mwh));
            let (amount, total) = (text(row.imbalance_micros.map(price)), text(row.total_micros.map(price)));
            let place = self.place(row.series);
            let day_ahead = price(row.day_ahead_micros);
            format!("{organisation}|{asset}|{bid}|{place}|{start_ms}|{t}|{day_ahead}|{metered}|{amount}|{total}")
        };
        rows.iter().map(line).collect()
    }

    pub(crate) fn pnl(&self) -> Lines {
        let rows = standing(self, |batch| &batch.pnl, Pnl::key);
        let line = |(t, row): &(u64, Pnl)| {
            let zone = &self.context.zones.of(row.zone).unwrap().code;
            let Pnl { organisation, asset, day_ms, open_intervals, .. } = row;
            format!("{organisation}|{asset}|{zone}|{day_ms}|{t}|{}|{open_intervals}", price(row.total_micros))
        };
        rows.iter().map(line).collect()
    }

    pub(crate) fn bid_kpis(&self) -> Lines {
        let rows = standing(self, |batch| &batch.bid_kpis, BidKpi::key);
        let line = |(t, row): &(u64, BidKpi)| {
            let (place, side) = (self.place(row.key.series), row.key.side.as_str());
            let counts = format!("{}|{}|{}|{}", row.live, row.withdrawn, row.rejected, row.expired);
            let (offered, awarded) = (volume_mwh(row.offered_kw), volume_mwh(row.awarded_kw));
            let acceptance = text(row.acceptance_ppm.map(|ppm| ppm as f64 / 10_000.0));
            let figures = format!("{offered}|{}|{awarded}|{acceptance}", text(row.mean_price_micros.map(price)));
            let key = format!("{}|{place}|{side}|{}|{}", row.key.organisation, row.key.start_ms, row.key.duration_ms);
            format!("{key}|{t}|{counts}|{figures}")
        };
        rows.iter().map(line).collect()
    }

    pub(crate) fn bids(&self) -> Lines {
        let line = |(t, row): &(u64, LiveBid)| format!("{}|{t}|{}|{}", row.bid, row.organisation, row.revision);
        self.standing_bids().iter().map(line).collect()
    }

    /// Bids as they stand, with all that a table of them holds.
    pub(crate) fn bids_with_terms(&self) -> Lines {
        self.standing_bids().iter().map(|(t, row)| self.bid_line(*t, row)).collect()
    }

    /// Every version of every bid that became current.
    pub(crate) fn bid_life(&self) -> Lines {
        let put = |(t, change): (u64, &Change<LiveBid>)| (!change.is_remove()).then(|| self.bid_line(t, change.row()));
        self.bid_changes().filter_map(put).collect()
    }

    /// When which bid was removed.
    pub(crate) fn bid_removals(&self) -> Lines {
        let removals = self.bid_changes().filter(|(_, change)| change.is_remove());
        removals.map(|(t, change)| format!("{}|{t}", change.row().bid)).collect()
    }

    fn bid_changes(&self) -> impl Iterator<Item = (u64, &Change<LiveBid>)> {
        self.batches.iter().flat_map(|batch| batch.bids.iter().map(|change| (batch.t, change)))
    }

    fn bid_line(&self, t: u64, row: &LiveBid) -> String {
        let (place, step) = (self.place(row.series), &row.steps[0]);
        // A price in JSON is a float, with a fraction in any case.
        let (price, power) = (price(step.price_micros), volume_mwh(step.power_kw));
        let delivery = format!("{}|{}", row.delivery_ms, row.duration_ms);
        format!(
            "{}|{t}|{}|{}|{}|{place}|{}|{delivery}|{}|\"curve\"|{}|{price:?}|{power:?}|{power}|{}",
            row.bid,
            row.organisation,
            row.revision,
            row.status.as_str(),
            row.side.as_str(),
            row.kind.as_str(),
            row.steps.len(),
            row.event_ms,
        )
    }

    /// Every step of every alert.
    pub(crate) fn alert_life(&self) -> Lines {
        self.batches.iter().flat_map(|batch| &batch.alerts).map(|alert| self.alert_line(alert)).collect()
    }

    /// Each alert as it stands, withdrawn ones included.
    pub(crate) fn last_alerts(&self) -> Vec<Alert> {
        let all = self.batches.iter().flat_map(|batch| &batch.alerts);
        let last: BTreeMap<u64, Alert> = all.map(|alert| (alert.anomaly.id, alert.clone())).collect();
        last.into_values().collect()
    }

    pub(crate) fn alerts(&self) -> Lines {
        self.last_alerts().iter().map(|alert| self.alert_line(alert)).collect()
    }

    pub(crate) fn alert_line(&self, alert: &Alert) -> String {
        format!(
            "{:016x}|{}|{}|{}|{}|{}|{}|{}",
            alert.anomaly.id,
            self.place(alert.anomaly.series),
            alert.changed_t,
            alert.raised_t,
            alert.state.as_str(),
            alert.revision,
            price(alert.anomaly.value),
            alert.state == AlertState::Withdrawn,
        )
    }

    pub(crate) fn ticks(&self) -> Lines {
        let rows = self.batches.iter().flat_map(|batch| batch.ticks.iter().map(|row| (batch.t, &row.tick)));
        rows.map(|(t, tick)| {
            let source = tick.extra.as_ref().and_then(|extra| extra.source.as_deref()).unwrap_or("");
            let place = self.place(tick.series());
            let values = format!("{}|{}|{source}", price(tick.price_micros), volume_mwh(tick.volume_kwh));
            format!("optibid.ticks.pjm|3|{}|{t}|{place}|{}|{values}", tick.offset, tick.event_ms)
        })
        .collect()
    }

    pub(crate) fn notices(&self) -> Lines {
        let rows = self.batches.iter().flat_map(|batch| batch.notices.iter().map(|notice| (batch.t, notice)));
        rows.map(|(t, notice)| format!("{}|{t}|{}|{}", notice.id, notice.message, notice.event_ms)).collect()
    }

    pub(crate) fn dead_letters(&self) -> Lines {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let rows = self.batches.iter().flat_map(|batch| batch.dead_letters.iter().map(|letter| (batch.t, letter)));
        rows.map(|(t, letter)| {
            format!(
                "{}|{}|{}|{t}|{}|{}",
                letter.topic,
                letter.partition,
                letter.offset,
                letter.reason.as_str(),
                hex(&letter.bytes)
            )
        })
        .collect()
    }

    /// The current state after the first `count` batches, as a checkpoint brings it back: without ticks and notices.
    pub(crate) fn state(&self, count: usize) -> Arc<Snapshot> {
        let mut state = Snapshot::new(Limits::default());
        self.batches[..count].iter().for_each(|batch| state.apply(batch));
        (state.ticks, state.notices) = Default::default();
        Arc::new(state)
    }

    pub(crate) fn last_t(&self) -> u64 {
        self.batches.last().unwrap().t
    }
}

/// A number as text, empty when undefined.
pub(crate) fn text(number: Option<f64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// The rows of an answer, none of which may be there twice.
pub(crate) fn once(query: &str, rows: Vec<String>) -> Lines {
    let (count, lines) = (rows.len(), rows.into_iter().collect::<Lines>());
    assert_eq!(count, lines.len(), "rows that are there twice: {query}");
    lines
}

/// Compares two sets of lines and says what differs rather than printing both.
pub(crate) fn assert_same(what: &str, found: &Lines, expected: &Lines) {
    let missing: Vec<_> = expected.difference(found).take(5).collect();
    let extra: Vec<_> = found.difference(expected).take(5).collect();
    assert!(missing.is_empty() && extra.is_empty(), "{what}: missing {missing:#?}, extra {extra:#?}");
    assert!(!expected.is_empty(), "{what}: the run has none, so this compares nothing");
}
