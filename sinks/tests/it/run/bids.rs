//! Bids of a run, and what becomes of them.

use std::collections::BTreeMap;

use model::bid::{BidKind, BidStatus, Side, Step};
use model::{Award, BidEvent, BidKpi, BidKpiKey, Change, Clearing, LiveBid, Pnl, Settlement};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Maker, START_MS, put_or_remove, settle};

impl Maker {
    pub(super) fn bids(&mut self) -> Vec<Change<LiveBid>> {
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
            put_or_remove(&mut self.rng, &self.bids, &mut changes, (row.bid.clone(), row));
        }
        settle(&mut self.bids, changes)
    }

    /// Clearing of some hours, which comes, changes and goes; some trade nothing.
    pub(super) fn clearing(&mut self) -> Vec<Change<Clearing>> {
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
            put_or_remove(&mut self.rng, &self.clearing, &mut changes, (row.key(), row));
        }
        settle(&mut self.clearing, changes)
    }

    pub(super) fn awards(&mut self) -> Vec<Change<Award>> {
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
            put_or_remove(&mut self.rng, &self.awards, &mut changes, (row.key(), row));
        }
        settle(&mut self.awards, changes)
    }

    /// Settlement that comes, changes and goes; some of it is not known.
    pub(super) fn settlement(&mut self) -> Vec<Change<Settlement>> {
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
            put_or_remove(&mut self.rng, &self.settlement, &mut changes, (row.key(), row));
        }
        std::mem::swap(&mut self.rng, &mut self.other);
        settle(&mut self.settlement, changes)
    }

    pub(super) fn pnl(&mut self) -> Vec<Change<Pnl>> {
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
            put_or_remove(&mut self.rng, &self.pnl, &mut changes, (row.key(), row));
        }
        std::mem::swap(&mut self.rng, &mut self.other);
        settle(&mut self.pnl, changes)
    }

    /// Figures that come, change and go; of some nothing is offered, of some nothing is known yet. With
    /// dice of their own: the other rows stay what they were.
    pub(super) fn bid_kpis(&mut self) -> Vec<Change<BidKpi>> {
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
            put_or_remove(&mut dice, &self.bid_kpis, &mut changes, (key, row));
        }
        settle(&mut self.bid_kpis, changes)
    }
}
