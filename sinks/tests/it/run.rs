//! A seeded run of closed batches: rows that come, change, go and come again, alerts that live and die, and all else.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::batch::Counts;
use model::bid::{BidKind, BidStatus, Side, Step};
use model::settlement::{PnlKey, SettlementKey};
use model::{
    Alert, AlertState, Anomaly, AnomalyKind, Award, Bar, BarKey, BarRow, Batch, BidEvent, BidKpi, BidKpiKey, Change,
    Clearing, Correlation, DeadLetter, Disposition, Granularity, Kpi, LiveBid, Market, Names, Notice, Pnl, Reason,
    Rule, SeriesKey, Settlement, Severity, Tick, TickExtra, TickRow, Zones,
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

    /// Clearing of some hours, which comes, changes and goes; some trade nothing.
    fn clearing(&mut self) -> Vec<Change<Clearing>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..3) {
            let is_traded = self.rng.random_bool(0.8);
            let price = self.price();
            let row = Clearing {
                series: self.any_series(),
                start_ms: START_MS + self.rng.random_range(0..12) * 3_600_000,
                duration_ms: 3_600_000,
                price_micros: is_traded.then_some(price),
                range_micros: is_traded.then_some((price, price + 1_000_000)),
                sold_kw: self.rng.random_range(0..9_000),
                bought_kw: self.rng.random_range(0..9_000),
                import_kw: self.rng.random_range(-900..900),
                congested: self.rng.random_bool(0.5),
                marginal: is_traded.then(|| (Side::Sell, "a \"bid\" of | ours".to_owned())),
                buy_surplus_micros: self.price(),
                sell_surplus_micros: self.price(),
                offered_kw: 70_000,
                wanted_kw: 60_000,
                best_buy_micros: is_traded.then_some(price),
                best_sell_micros: None,
                bids: 7,
            };
            let gone = self.clearing.contains_key(&row.key()) && self.rng.random_bool(0.2);
            changes.insert(row.key(), if gone { Change::Remove(row) } else { Change::Put(row) });
        }
        settle(&mut self.clearing, &changes);
        changes.into_values().collect()
    }

    fn awards(&mut self) -> Vec<Change<Award>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..3) {
            let number = self.rng.random_range(0..5);
            let row = Award {
                bid: format!("bid|{number}"),
                organisation: "Acme".to_owned(),
                asset: (number % 2 == 0).then(|| "wind-1".to_owned()),
                series: self.series[1],
                start_ms: START_MS + self.rng.random_range(0..6) * 3_600_000,
                duration_ms: 3_600_000,
                side: Side::Buy,
                power_kw: self.rng.random_range(1..9_000),
                price_micros: self.price(),
            };
            let gone = self.awards.contains_key(&row.key()) && self.rng.random_bool(0.2);
            changes.insert(row.key(), if gone { Change::Remove(row) } else { Change::Put(row) });
        }
        settle(&mut self.awards, &changes);
        changes.into_values().collect()
    }

    /// Settlement that comes, changes and goes; some of it is not known.
    fn settlement(&mut self) -> Vec<Change<Settlement>> {
        std::mem::swap(&mut self.rng, &mut self.other);
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..3) {
            let number = self.rng.random_range(0..4);
            let price = self.rng.random_bool(0.7).then(|| self.price());
            let metered_kw = self.rng.random_bool(0.7).then(|| self.rng.random_range(-900..9_000));
            let start_ms = START_MS + self.rng.random_range(0..6) * 3_600_000;
            let row = Settlement {
                organisation: format!("Acme|{}", number % 2),
                asset: if number == 0 { String::new() } else { format!("50%|unit-{number}") },
                bid: if number == 0 { "bid|0".to_owned() } else { String::new() },
                series: self.series[1],
                start_ms,
                duration_ms: 3_600_000,
                day_ms: start_ms / 86_400_000 * 86_400_000,
                scheduled_kw: self.rng.random_range(-9_000..9_000),
                day_ahead_micros: self.price(),
                metered_kw,
                imbalance_kw: metered_kw.map(|kw| kw - 7),
                real_time_price_micros: price,
                imbalance_micros: price.zip(metered_kw).map(|(price, kw)| price - kw),
                penalty_micros: price.zip(metered_kw).map(|_| 0),
                total_micros: price.zip(metered_kw).map(|(price, kw)| price + kw),
            };
            let gone = self.settlement.contains_key(&row.key()) && self.rng.random_bool(0.2);
            changes.insert(row.key(), if gone { Change::Remove(row) } else { Change::Put(row) });
        }
        std::mem::swap(&mut self.rng, &mut self.other);
        settle(&mut self.settlement, &changes);
        changes.into_values().collect()
    }

    fn pnl(&mut self) -> Vec<Change<Pnl>> {
        std::mem::swap(&mut self.rng, &mut self.other);
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..2) {
            let number = self.rng.random_range(0..4);
            let day_ms = (START_MS / 86_400_000 + self.rng.random_range(0..2)) * 86_400_000;
            let row = Pnl {
                organisation: "Acme|0".to_owned(),
                asset: if number == 0 { String::new() } else { format!("unit-{number}") },
                zone: self.zones.get(["PJM", "NYISO"][number % 2]).unwrap().index(),
                day_ms,
                day_end_ms: day_ms + 86_400_000,
                day_ahead_micros: self.price(),
                imbalance_micros: self.price(),
                penalty_micros: 0,
                total_micros: self.price(),
                intervals: 24,
                open_intervals: self.rng.random_range(0..24),
            };
            let gone = self.pnl.contains_key(&row.key()) && self.rng.random_bool(0.2);
            changes.insert(row.key(), if gone { Change::Remove(row) } else { Change::Put(row) });
        }
        std::mem::swap(&mut self.rng, &mut self.other);
        settle(&mut self.pnl, &changes);
        changes.into_values().collect()
    }

    /// Figures that come, change and go; of some nothing is offered, of some nothing is known yet. With
    /// dice of their own: the other rows stay what they were.
    fn bid_kpis(&mut self) -> Vec<Change<BidKpi>> {
        let mut dice = ChaCha8Rng::seed_from_u64(self.offset as u64);
        let mut changes = BTreeMap::new();
        for _ in 0..dice.random_range(0..3) {
            let key = BidKpiKey {
                series: self.series[dice.random_range(0..3)],
                start_ms: START_MS + dice.random_range(0..3) * 3_600_000,
                duration_ms: 3_600_000,
                side: if dice.random_bool(0.5) { Side::Buy } else { Side::Sell },
                organisation: ["Acme", "A \"b\" | sell|7|8| \\"][dice.random_range(0..2)].to_owned(),
            };
            let is_offered = dice.random_bool(0.8);
            let price = dice.random_range(-200_000_000..900_000_000);
            let row = BidKpi {
                key: key.clone(),
                live: dice.random_range(0..9),
                withdrawn: 1,
                rejected: 2,
                expired: dice.random_range(0..9),
                offered_kw: if is_offered { 70_500 } else { 0 },
                mean_price_micros: is_offered.then_some(price),
                awarded_kw: dice.random_range(0..9_000),
                acceptance_ppm: (is_offered && price > 0).then_some(price / 1_000),
            };
            let gone = self.bid_kpis.contains_key(&key) && dice.random_bool(0.2);
            changes.insert(key, if gone { Change::Remove(row) } else { Change::Put(row) });
        }
        settle(&mut self.bid_kpis, &changes);
        changes.into_values().collect()
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

    fn price(&mut self) -> i64 {
        self.rng.random_range(-200_000_000..900_000_000)
    }

    fn any_series(&mut self) -> SeriesKey {
        *self.series.choose(&mut self.rng).unwrap()
    }

    fn ticks(&mut self, t: u64) -> Arc<[TickRow]> {
        let mut rows = Vec::new();
        for _ in 0..self.rng.random_range(0..12) {
            self.offset += 1;
            let series = self.any_series();
            let extra =
                TickExtra { source: Some("test".into()), energy_micros: Some(1_500_000), ..TickExtra::default() };
            let tick = Tick {
                location: series.location,
                market: series.market,
                event_ms: t as i64 - self.rng.random_range(0..90_000),
                duration_ms: series.market.interval_ms(),
                price_micros: self.price(),
                volume_kwh: self.rng.random_range(0..1_000_000),
                id: self.rng.random(),
                revision: 0,
                cancelled: false,
                partition: model::PartitionId::new("optibid.ticks.pjm", 3),
                offset: self.offset,
                extra: self.rng.random_bool(0.5).then(|| Box::new(extra)),
            };
            rows.push(TickRow { tick, disposition: Disposition::Applied });
        }
        rows.into()
    }

    fn bars(&mut self, t: u64) -> Vec<Change<BarRow>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..10) {
            let series = self.any_series();
            let granularity =
                *[Granularity::M1, Granularity::M1, Granularity::H1, Granularity::D1].choose(&mut self.rng).unwrap();
            let back = self.rng.random_range(0..8) * 60_000;
            let ahead = if series.market.is_day_ahead() { 30 * 3_600_000 } else { 0 };
            let (start_ms, end_ms) = granularity.bucket(t as i64 - back + ahead, self.zones.timezone(series.location));
            let key = BarKey { series, granularity, start_ms };
            let mut bar = Bar::of(start_ms + 1, self.price(), self.rng.random_range(0..50_000));
            bar.append(&Bar::of(start_ms + 2, self.price(), self.rng.random_range(0..50_000)));
            changes.insert(key, Change::Put(BarRow { key, end_ms, bar }));
        }
        let withdrawn = self.rng.random_range(0..3).min(self.bars.len());
        let standing: Vec<BarRow> = self.bars.values().copied().collect();
        for row in standing.choose_multiple(&mut self.rng, withdrawn) {
            changes.insert(row.key, Change::Remove(*row));
        }
        settle(&mut self.bars, &changes);
        changes.into_values().collect()
    }

    fn kpis(&mut self) -> Vec<Change<Kpi>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..4) {
            let series = self.any_series();
            let window_min = *[5, 60].choose(&mut self.rng).unwrap();
            let row = Kpi {
                series,
                window_min,
                last: self.price(),
                last_ms: START_MS,
                change: -1_250_000,
                change_ppm: self.rng.random_bool(0.7).then_some(-31_250),
                min: -5,
                max: self.price(),
                mean: self.price(),
                vwap: None,
                volatility: Some(7),
                volume_kwh: self.rng.random_range(0..1_000_000),
                count: self.rng.random_range(1..500),
                spread: None,
            };
            let gone = self.kpis.contains_key(&row.key()) && self.rng.random_bool(0.2);
            changes.insert(row.key(), if gone { Change::Remove(row) } else { Change::Put(row) });
        }
        settle(&mut self.kpis, &changes);
        changes.into_values().collect()
    }

    fn correlations(&mut self) -> Vec<Change<Correlation>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..3) {
            let (a, b) = (self.any_series(), self.any_series());
            let r_nano = self.rng.random_bool(0.8).then(|| self.rng.random_range(-1_000_000_000..1_000_000_000));
            let row = Correlation { a: a.min(b), b: a.max(b), window_min: 60, lag_min: 0, n: 42, r_nano };
            let gone = self.correlations.contains_key(&row.key()) && self.rng.random_bool(0.2);
            changes.insert(row.key(), if gone { Change::Remove(row) } else { Change::Put(row) });
        }
        settle(&mut self.correlations, &changes);
        changes.into_values().collect()
    }

    fn bids(&mut self) -> Vec<Change<LiveBid>> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.rng.random_range(0..3) {
            let number = self.rng.random_range(0..30);
            let row = LiveBid::new(BidEvent {
                bid: format!("bid-{number}"),
                revision: self.rng.random_range(0..9),
                status: BidStatus::Amended,
                organisation: "Tab\there, \"quoted\" \\ and naïve".to_owned(),
                asset: None,
                series: self.any_series(),
                delivery_ms: START_MS + number * 3_600_000,
                duration_ms: 3_600_000,
                side: Side::Sell,
                kind: BidKind::Curve,
                steps: vec![Step::flat(START_MS + number * 3_600_000, self.price(), 10_500)],
                event_ms: START_MS,
                partition: model::PartitionId::new("optibid.bids", 0),
                offset: 1,
            });
            let gone = self.bids.contains_key(&row.bid) && self.rng.random_bool(0.2);
            changes.insert(row.bid.clone(), if gone { Change::Remove(row) } else { Change::Put(row) });
        }
        settle(&mut self.bids, &changes);
        changes.into_values().collect()
    }

    fn alerts(&mut self, t: u64) -> Vec<Alert> {
        let mut changed: BTreeMap<u64, Alert> = BTreeMap::new();
        if self.rng.random_bool(0.5) {
            let (series, start_ms) = (self.any_series(), t as i64 / 60_000 * 60_000);
            let anomaly = Anomaly {
                id: Anomaly::stable_id("spikes", AnomalyKind::ZScore, series, start_ms),
                rule: "spikes".to_owned(),
                kind: AnomalyKind::ZScore,
                severity: Severity::Warning,
                series,
                start_ms,
                value: self.price(),
                baseline: Some(40_000_000),
                z_milli: Some(3_100),
                threshold_milli: 2_500,
            };
            if !self.alerts.contains_key(&anomaly.id) {
                let alert = Alert { anomaly, state: AlertState::Raised, raised_t: t, changed_t: t, revision: 0 };
                changed.insert(alert.anomaly.id, alert);
            }
        }
        let known: Vec<Alert> = self.alerts.values().cloned().collect();
        for alert in known.choose_multiple(&mut self.rng, 2) {
            let mut alert = alert.clone();
            alert.state = if self.rng.random_bool(0.5) { AlertState::Revised } else { AlertState::Withdrawn };
            alert.anomaly.value = self.price();
            alert.revision += 1;
            alert.changed_t = t;
            changed.insert(alert.anomaly.id, alert);
        }
        self.alerts.extend(changed.clone());
        changed.into_values().collect()
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

fn settle<K: Ord + Clone, R: Clone>(rows: &mut BTreeMap<K, R>, changes: &BTreeMap<K, Change<R>>) {
    for (key, change) in changes {
        match change {
            Change::Put(row) => rows.insert(key.clone(), row.clone()),
            Change::Remove(_) => rows.remove(key),
        };
    }
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
