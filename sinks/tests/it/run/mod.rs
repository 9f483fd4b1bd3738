//! A seeded run of closed batches: rows that come, change, go and come again, alerts that live and die, and all else.

mod bids;
mod market;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::batch::Counts;
use model::settlement::{PnlKey, SettlementKey};
use model::{
    Alert, AnomalyKind, Award, BarKey, BarRow, Batch, BidKpi, BidKpiKey, Change, Clearing, Correlation, DeadLetter,
    Kpi, LiveBid, Market, Names, Notice, Pnl, Reason, Rule, SeriesKey, Settlement, Severity, Zones,
};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sinks::Context;

/// 2025-11-29T22:00:00Z: a run crosses days, and its day-ahead bars a month.
pub(crate) const START_MS: i64 = 1_764_453_600_000;

pub(crate) struct Run {
    pub(crate) context: Context,
    pub(crate) batches: Vec<Arc<Batch>>,
}

struct Maker {
    rng: ChaCha8Rng,
    /// Of settlement and P&L, so that the other rows stay what they were.
    other: ChaCha8Rng,
    names: Arc<Names>,
    zones: Zones,
    series: Vec<SeriesKey>,
    bars: BTreeMap<BarKey, BarRow>,
    kpis: BTreeMap<(SeriesKey, u32), Kpi>,
    correlations: BTreeMap<(SeriesKey, SeriesKey, u32, u32), Correlation>,
    bids: BTreeMap<String, LiveBid>,
    clearing: BTreeMap<(SeriesKey, i64), Clearing>,
    awards: BTreeMap<(String, i64), Award>,
    settlement: BTreeMap<SettlementKey, Settlement>,
    pnl: BTreeMap<PnlKey, Pnl>,
    bid_kpis: BTreeMap<BidKpiKey, BidKpi>,
    alerts: BTreeMap<u64, Alert>,
    offset: i64,
}

/// `count` batches, about 40 s of T apart, from `seed`.
pub(crate) fn random(seed: u64, count: usize) -> Run {
    let (names, zones) = (Arc::new(Names::default()), Zones::built_in());
    let places = [("PJM", "PJM"), ("PJM", "WESTERN HUB"), ("NYISO", "N.Y.C."), ("MUMBAI", "MUMBAI")];
    let mut series = Vec::new();
    for (zone, location) in places {
        let zone = zones.get(zone).unwrap();
        let (location, _) = names.location(&zone.code, if location == "MUMBAI" { &zone.code } else { location });
        series.extend([Market::Continuous, Market::DayAheadHourly].map(|market| SeriesKey { location, market }));
    }
    names.partition("optibid.ticks.pjm", 3).unwrap();
    let mut maker = Maker {
        rng: ChaCha8Rng::seed_from_u64(seed),
        other: ChaCha8Rng::seed_from_u64(seed ^ 0x5e77),
        names: Arc::clone(&names),
        zones: zones.clone(),
        series,
        bars: BTreeMap::new(),
        kpis: BTreeMap::new(),
        correlations: BTreeMap::new(),
        bids: BTreeMap::new(),
        clearing: BTreeMap::new(),
        awards: BTreeMap::new(),
        settlement: BTreeMap::new(),
        pnl: BTreeMap::new(),
        bid_kpis: BTreeMap::new(),
        alerts: BTreeMap::new(),
        offset: 0,
    };
    let mut t = START_MS as u64;
    let mut batches = Vec::with_capacity(count);
    for _ in 0..count {
        t += maker.rng.random_range(1..80_000);
        batches.push(Arc::new(maker.batch(t)));
    }
    Run { context: Context { names, zones }, batches }
}

impl Maker {
    fn batch(&mut self, t: u64) -> Batch {
        // Now and then a moment in which nothing happened.
        if self.rng.random_bool(0.1) {
            return Batch { t, ..Batch::default() };
        }
        let names = if self.offset == 0 { self.names.all() } else { Vec::new() };
        Batch {
            t,
            names,
            ticks: self.ticks(t),
            bars: self.bars(t),
            kpis: self.kpis(),
            alerts: self.alerts(t),
            correlations: self.correlations(),
            bids: self.bids(),
            clearing: self.clearing(),
            awards: self.awards(),
            settlement: self.settlement(),
            pnl: self.pnl(),
            bid_kpis: self.bid_kpis(),
            rules: self.rules(),
            notices: self.notices(t),
            dead_letters: self.dead_letters(),
            ..Batch::default()
        }
        .counted()
    }

    /// A rule that comes, changes and goes, without dice: the other rows stay what they were.
    fn rules(&mut self) -> Vec<Change<Rule>> {
        let rule = |revision| Rule {
            rule: "a \"rule\" of ours".to_owned(),
            kind: AnomalyKind::SpreadBreak,
            zone: Some("PJM".to_owned()),
            location: None,
            market: Some(Market::DayAheadHourly),
            threshold_milli: 7_000,
            window_bars: 30,
            severity: Severity::Info,
            enabled: true,
            revision,
            deleted: false,
        };
        match self.offset % 5 {
            0 => vec![Change::Put(rule(self.offset))],
            1 => vec![Change::Remove(rule(0))],
            _ => Vec::new(),
        }
    }

    fn notices(&mut self, t: u64) -> Vec<Notice> {
        let said = self.rng.random_bool(0.2);
        let notice = Notice {
            id: format!("notice-{t}"),
            zone: "PJM".to_owned(),
            class: "market_alert".to_owned(),
            alert_type: "price_spike".to_owned(),
            message: "line one\nline two\t\\end".to_owned(),
            severity: Severity::Critical,
            event_ms: t as i64,
        };
        said.then_some(notice).into_iter().collect()
    }

    fn dead_letters(&mut self) -> Vec<DeadLetter> {
        self.offset += 1;
        let refused = self.rng.random_bool(0.2);
        let letter = DeadLetter {
            topic: "optibid.ticks.pjm".into(),
            partition: 3,
            offset: self.offset,
            row: 0,
            reason: Reason::BadPrice,
            detail: "price is \"NaN\"".to_owned(),
            bytes: vec![0, 159, 146, 150, b'{', b'\n'],
        };
        refused.then_some(letter).into_iter().collect()
    }

    fn price(&mut self) -> i64 {
        self.rng.random_range(-200_000_000..900_000_000)
    }

    fn any_series(&mut self) -> SeriesKey {
        *self.series.choose(&mut self.rng).unwrap()
    }
}

/// Tick records accounted for: every row is one.
trait Counted {
    fn counted(self) -> Self;
}

impl Counted for Batch {
    fn counted(mut self) -> Self {
        let (applied, dead_letters) = (self.ticks.len() as u64, self.dead_letters.len() as u64);
        self.counts = Counts { received: applied + dead_letters, applied, dead_letters, ..Counts::default() };
        self
    }
}

/// A row comes or changes; one that stands goes now and then.
fn put_or_remove<K: Ord, R>(
    dice: &mut ChaCha8Rng,
    standing: &BTreeMap<K, R>,
    changes: &mut BTreeMap<K, Change<R>>,
    (key, row): (K, R),
) {
    let goes = standing.contains_key(&key) && dice.random_bool(0.2);
    changes.insert(key, if goes { Change::Remove(row) } else { Change::Put(row) });
}

/// What stands after the changes, which are given back in the order of their keys.
fn settle<K: Ord + Clone, R: Clone>(rows: &mut BTreeMap<K, R>, changes: BTreeMap<K, Change<R>>) -> Vec<Change<R>> {
    for (key, change) in &changes {
        match change {
            Change::Put(row) => rows.insert(key.clone(), row.clone()),
            Change::Remove(_) => rows.remove(key),
        };
    }
    changes.into_values().collect()
}

impl Run {
    /// The run cut into consecutive pieces of random length, from `seed`.
    pub(crate) fn pieces(&self, seed: u64) -> Vec<&[Arc<Batch>]> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut rest, mut pieces) = (self.batches.as_slice(), Vec::new());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rng.random_range(1..=rest.len().min(20)));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }

    /// Writes the run as a restarting, retrying process would: in pieces, some twice, then an old part and the end again.
    pub(crate) async fn write_roughly(&self, sink: &mut dyn sinks::Sink, seed: u64) {
        for (index, piece) in self.pieces(seed).into_iter().enumerate() {
            sink.write(piece).await.unwrap();
            if index % 3 == 0 {
                sink.write(piece).await.unwrap();
            }
        }
        sink.write(&self.batches[..self.batches.len() / 2]).await.unwrap();
        for piece in self.pieces(seed + 1) {
            sink.write(piece).await.unwrap();
        }
        sink.write(&self.batches).await.unwrap();
    }
}
