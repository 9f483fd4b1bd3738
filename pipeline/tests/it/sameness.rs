//! The same records give the same batches at the same T's, whatever the number of workers.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use model::time::DAY_MS;
use model::wire::json::Timestamp;
use model::wire::{WireBid, WireKind, WireMeter, WireStep};
use model::{Batch, BidStatus, Market as Product, Side, Snapshot, Zones};
use pipeline::Feed;
use pipeline::{Clock, Replay};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{START_MS, World, tick, topic, within};

/// Reading it takes its time.
static TABLE: LazyLock<Zones> = LazyLock::new(Zones::built_in);

const ZONES: [&str; 3] = ["PJM", "NYISO", "MUMBAI"];

/// Ticks, corrections, withdrawals, duplicates, late and corrupt records, over three zones and six partitions.
pub(crate) fn fill(replay: &Replay, seed: u64, records: usize) {
    let mut market = Market::open(replay, seed, records);
    for n in 0..records {
        market.trade(replay, START_MS + n as i64 * 500);
    }
    market.close(replay);
}

/// The same market, record by record, at any time.
pub(crate) struct Market {
    rng: ChaCha8Rng,
    /// Of meters, so that all else stays what it was.
    meters: ChaCha8Rng,
    records: usize,
}

impl Market {
    /// Begins with a rule.
    pub(crate) fn open(replay: &Replay, seed: u64, records: usize) -> Self {
        let rule = br#"{"rule":"spike","kind":"z_score","threshold_milli":2000,"window_bars":5,"severity":"warning"}"#;
        replay.append("optibid.rules", 0, START_MS, rule.to_vec()).unwrap();
        let meters = ChaCha8Rng::seed_from_u64(seed ^ 0x3e7e5);
        Self { rng: ChaCha8Rng::seed_from_u64(seed), meters, records }
    }

    /// One record, published at `now`; now and then a bid or a meter reading besides. The offset of a reading that is far too
    /// late, with its partition.
    pub(crate) fn trade(&mut self, replay: &Replay, now: i64) -> Option<(i32, i64)> {
        let mut late_reading = None;
        if self.rng.random_bool(0.1) {
            let partition = self.rng.random_range(0..2);
            let bid = serde_json::to_vec(&self.bid(now)).unwrap();
            replay.append("optibid.bids", partition, now, bid).unwrap();
        }
        if self.meters.random_bool(0.1) {
            let partition = self.meters.random_range(0..2);
            let (reading, is_late) = self.reading(now);
            let offset = replay.append("optibid.meters", partition, now, reading.to_json()).unwrap();
            late_reading = is_late.then_some((partition, offset));
        }
        let rng = &mut self.rng;
        let zone = ZONES[rng.random_range(0..ZONES.len())];
        let late = if rng.random_bool(0.1) { rng.random_range(0..120_000) } else { 0 };
        let mut record = tick(zone, now - late, rng.random_range(-50..500) as f64 / 4.0);
        record.published = Some(Timestamp::Millis(now));
        record.id = Some(format!("{}", rng.random_range(0..self.records / 2)));
        record.revision = Some(rng.random_range(0..3));
        record.cancelled = rng.random_bool(0.05);
        let mut bytes = record.to_json();
        if rng.random_bool(0.02) {
            bytes.truncate(bytes.len() / 2);
        }
        replay.append(&topic(zone), rng.random_range(0..2), now, bytes).unwrap();
        late_reading
    }

    /// What a unit delivered in one of the last intervals, or a correction of it; now and then one that comes far too late.
    fn reading(&mut self, now: i64) -> (WireMeter, bool) {
        const INTERVAL_MS: i64 = 300_000;
        let dice = &mut self.meters;
        let is_late = dice.random_bool(0.02);
        let back = if is_late { 40 * DAY_MS } else { dice.random_range(1..4) * INTERVAL_MS };
        let start_ms = now / INTERVAL_MS * INTERVAL_MS - back / INTERVAL_MS * INTERVAL_MS;
        let unit = format!("unit-{}", dice.random_range(0..4));
        let reading = WireMeter {
            revision: Some(dice.random_range(0..3)),
            cancelled: dice.random_bool(0.05),
            published: Some(Timestamp::Millis(now)),
            ..WireMeter::new(&unit, start_ms, INTERVAL_MS as u32, f64::from(dice.random_range(-50..150)) / 4.0)
        };
        (reading, is_late)
    }

    /// A bid, new or amended or no more: for tomorrow's hours in two zones that are coupled, or for a real-time interval whose
    /// start, and with it its gate, comes soon.
    fn bid(&mut self, now: i64) -> WireBid {
        let rng = &mut self.rng;
        let number = rng.random_range(0..60);
        let (zone, market) = [
            ("MIBEL-ES", Product::DayAheadHourly),
            ("MIBEL-PT", Product::DayAheadHourly),
            ("PJM", Product::RealTime5Min),
        ][number % 3];
        let interval_ms = i64::from(market.interval_ms());
        let start_ms = match market {
            // Two days ahead no gate is closed, whatever the time of day.
            Product::DayAheadHourly => TABLE.get(zone).unwrap().delivery_day(market, now + 2 * DAY_MS).0,
            _ => now / interval_ms * interval_ms + interval_ms,
        };
        let first = rng.random_range(0..3) * interval_ms;
        let side = if rng.random_bool(0.5) { Side::Buy } else { Side::Sell };
        let is_capacity = number == 0;
        let is_block = number % 20 == 1;
        let kind = match (is_capacity, is_block) {
            (true, _) => WireKind::Capacity { to: "MIBEL-PT".into() },
            (_, true) => WireKind::Block { min_acceptance_ratio: 1.0, parent: None, exclusive_group: None },
            _ => WireKind::Curve,
        };
        let direction = if side == Side::Buy { -1.0 } else { 1.0 };
        let price = f64::from(rng.random_range(0..50));
        let count = if is_block { 2 } else { rng.random_range(1..4) };
        let step = |step: i32| {
            let (delivery, price) = match is_block {
                true => (first + i64::from(step) * interval_ms, price),
                false => (first, price + direction * f64::from(step)),
            };
            let delivery = Some(Timestamp::Millis(start_ms + delivery));
            WireStep { delivery, ..WireStep::flat(price, f64::from(10 + step)) }
        };
        let statuses = [BidStatus::Submitted, BidStatus::Amended, BidStatus::Amended, BidStatus::Withdrawn];
        WireBid {
            v: 1,
            bid: format!("bid-{number}"),
            revision: rng.random_range(0..6),
            status: statuses[rng.random_range(0..4)],
            organisation: "acme".into(),
            asset: (number % 3 == 2).then(|| format!("unit-{}", number % 4)),
            market_zone: zone.into(),
            location: None,
            market,
            delivery: Timestamp::Millis(start_ms + first),
            duration_ms: None,
            side: if is_capacity { Side::Sell } else { side },
            kind,
            steps: (0..count).map(step).collect(),
            timestamp: Timestamp::Millis(now),
            published: Some(Timestamp::Millis(now)),
        }
    }

    /// Ends with a notice.
    pub(crate) fn close(self, replay: &Replay) {
        let notice = br#"{"market_zone":"*","alert_type":"gate","message":"closes","timestamp":1763424060000}"#;
        replay.append("optibid.notices", 0, START_MS + 60_000, notice.to_vec()).unwrap();
        replay.finish();
    }
}

async fn run(workers: usize, seed: u64) -> (Vec<Batch>, Arc<Snapshot>) {
    let world = World::new(workers, Clock::Event);
    let replay = world.replay();
    fill(&replay, seed, 4_000);
    let handle = world.start(Feed::Memory(replay));
    within("the end of the replay", handle.wait()).await.unwrap();
    let snapshot = handle.snapshot.load_full();
    (world.batches().iter().map(|batch| Batch::clone(batch)).collect(), snapshot)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_two_and_four_workers_agree() {
    for seed in [1, 2] {
        let (batches, snapshot) = run(1, seed).await;
        assert!(batches.len() > 10, "many moments: {}", batches.len());
        assert!(batches.windows(2).all(|pair| pair[0].t < pair[1].t), "T grows");
        assert!(batches.iter().all(|batch| batch.counts.balanced() || batch.counts.received == 0));
        // Readings are of intervals that ended up to ten minutes ago.
        let first = u64::try_from(START_MS - 600_000).unwrap();
        assert!(batches[0].t >= first, "T starts with the first record, not in 1970: {}", batches[0].t);
        assert_eq!(snapshot.counts.received, 4_000);
        assert!(snapshot.counts.balanced(), "{:?}", snapshot.counts);
        assert!(snapshot.counts.dead_letters > 0 && snapshot.counts.duplicates > 0 && snapshot.counts.corrected > 0);
        assert!(!snapshot.bars.is_empty() && !snapshot.kpis.is_empty() && snapshot.names.len() > ZONES.len());
        assert!(
            !snapshot.bids.is_empty() && batches.iter().any(|batch| !batch.awards.is_empty()),
            "some gates have closed"
        );
        assert!(snapshot.bid_kpis.values().any(|(_, row)| row.acceptance_ppm.is_some_and(|ppm| ppm > 0)));
        let is_traded = |row: &&(model::T, model::Clearing)| row.1.price_micros.is_some() && row.1.balanced();
        assert!(snapshot.clearing.values().filter(is_traded).count() > 2);
        let is_settled = |row: &&(model::T, model::Settlement)| row.1.imbalance_micros.is_some();
        let said =
            (snapshot.settlement.values().filter(is_settled).count(), snapshot.settlement.len(), snapshot.pnl.len());
        assert!(said.0 > 2 && said.2 > 0, "seed {seed}: settled, settlement and P&L: {said:?}");
        assert!(batches.iter().flat_map(|batch| &batch.dead_letters).any(|letter| letter.topic.ends_with(".meters")));
        assert_eq!(batches.iter().map(|batch| batch.notices.len()).sum::<usize>(), 1);
        for workers in [2, 4] {
            let (others, other) = run(workers, seed).await;
            let at = |batches: &[Batch]| batches.iter().map(|b| (b.t, b.clone())).collect::<BTreeMap<_, _>>();
            let (ours, theirs) = (at(&batches), at(&others));
            assert_eq!(
                ours.keys().collect::<Vec<_>>(),
                theirs.keys().collect::<Vec<_>>(),
                "seed {seed}, {workers} workers: the same moments"
            );
            for (t, batch) in &ours {
                assert_eq!(batch, &theirs[t], "seed {seed}, {workers} workers, T {t}");
            }
            assert_eq!((&snapshot.clearing, &snapshot.awards), (&other.clearing, &other.awards));
            assert_eq!((&snapshot.settlement, &snapshot.pnl), (&other.settlement, &other.pnl));
            assert_eq!(snapshot.bid_kpis, other.bid_kpis);
            assert_eq!((&snapshot.bars, &snapshot.kpis, &snapshot.alerts), (&other.bars, &other.kpis, &other.alerts));
            assert_eq!(
                (&snapshot.rules, &snapshot.latest, snapshot.counts),
                (&other.rules, &other.latest, other.counts)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_read_unevenly_are_merged_by_time() {
    // One partition holds two hours, the other only the last minute of them: read one after the other, the clock
    // of the second would find nearly everything of the first in sealed bars.
    let world = World::new(2, Clock::Event);
    let replay = world.replay();
    let minutes = 120;
    for minute in 0..minutes {
        let at = START_MS + minute * 60_000;
        replay.append(&topic("PJM"), 0, at, tick("PJM", at, 30.0).to_json()).unwrap();
    }
    let last = START_MS + (minutes - 1) * 60_000;
    replay.append(&topic("PJM"), 1, last, tick("PJM", last, 40.0).to_json()).unwrap();
    replay.finish();
    let handle = world.start(Feed::Memory(replay));
    within("the end of the replay", handle.wait()).await.unwrap();
    let counts = handle.snapshot.load().counts;
    assert_eq!((counts.received, counts.dead_letters), (minutes as u64 + 1, 0));
}
