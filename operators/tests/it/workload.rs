//! Seeded records with every fault: late, out of order, corrected, moved, withdrawn (also before the original),
//! duplicated, superseded; tick streams and interval prices; New York over the end of summer time, India, UTC.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::humane::Span;
use model::{Market, Names, PartitionId, SeriesKey, T, Tick, Zones};
use operators::Config;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::Workload;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

const UTC_ZONE: &str = "[[zone]]\ncode='UTCLAND'\nname='A place without summer'\ntimezone='UTC'\ncurrency='EUR'\n\
    market='CONTINUOUS'\ncountry='XX'\nlatitude=0.0\nlongitude=0.0";

/// The operators' settings in these tests: short retention, so that it is met.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.retention.minute = Span::from_millis(5 * HOUR_MS as u64);
    config.retention.hour = Span::from_millis(30 * HOUR_MS as u64);
    config.kpis.windows_min = vec![5, 60, 180];
    config
}

/// About `steps` moments with a few records each, from the evening of 1 November 2025 in New York on: the clocks
/// go back that night.
pub(crate) fn ticks(seed: u64, steps: usize) -> Workload {
    let zones = Zones::extended(UTC_ZONE).unwrap();
    let names = Arc::new(Names::default());
    let mut maker = Maker::new(seed, &names);
    for _ in 0..steps {
        maker.moment();
    }
    let end = maker.now_ms as T + 1 + maker.random.random_range(0..4 * HOUR_MS as T);
    let mut ticks = maker.records;
    ticks.sort_by_key(|(t, _)| *t);
    Workload {
        config: config(),
        zones,
        names,
        ticks,
        bids: Vec::new(),
        meters: Vec::new(),
        rules: Vec::new(),
        barriers: Vec::new(),
        minutes: Vec::new(),
        sealed: None,
        end,
    }
}

struct Maker {
    random: ChaCha8Rng,
    now_ms: i64,
    series: Vec<SeriesKey>,
    partitions: Vec<PartitionId>,
    offsets: BTreeMap<PartitionId, i64>,
    records: Vec<(T, Tick)>,
    /// Originals whose withdrawal went ahead.
    withheld: Vec<Tick>,
}

impl Maker {
    fn new(seed: u64, names: &Names) -> Self {
        let mut series = Vec::new();
        for (zone, location) in [("NYISO", "N.Y.C."), ("NYISO", "WEST"), ("UTCLAND", "UTCLAND"), ("IEX-W1", "IEX-W1")] {
            let (location, _) = names.location(zone, location);
            for market in [Market::Continuous, Market::RealTime5Min, Market::RealTime15Min, Market::DayAheadHourly] {
                series.push(SeriesKey { location, market });
            }
        }
        let topics = [("optibid.ticks.nyiso", 0), ("optibid.ticks.nyiso", 1), ("optibid.ticks.iex-w1", 0)];
        let partitions = topics.map(|(topic, number)| names.partition(topic, number).unwrap());
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            now_ms: model::time::parse_instant("2025-11-01T22:00:00Z").unwrap(),
            series,
            partitions: partitions.to_vec(),
            offsets: BTreeMap::new(),
            records: Vec::new(),
            withheld: Vec::new(),
        }
    }

    fn moment(&mut self) {
        self.now_ms += match self.random.random_range(0..100) {
            0 => self.random.random_range(10 * MINUTE_MS..50 * MINUTE_MS),
            1..10 => self.random.random_range(MINUTE_MS..3 * MINUTE_MS),
            _ => self.random.random_range(1..12_000),
        };
        for _ in 0..self.random.random_range(0..7) {
            let record = match self.random.random_range(0..100) {
                0..62 => self.fresh(),
                62..85 => self.again(),
                85..92 => self.duplicate(),
                92..96 => self.withdrawal_ahead(),
                _ => self.withheld.pop(),
            };
            if let Some(record) = record {
                self.records.push((self.now_ms as T, record));
            }
        }
    }

    fn price(&mut self) -> i64 {
        // Few values, so that extremes are shared and lost.
        self.random.random_range(-5..40) * 1_000_000 + self.random.random_range(0..3)
    }

    fn origin(&mut self) -> (PartitionId, i64) {
        let partition = *self.partitions.choose(&mut self.random).unwrap();
        let offset = self.offsets.entry(partition).or_insert(0);
        *offset += 1;
        (partition, *offset)
    }

    fn event_ms(&mut self, market: Market) -> i64 {
        let late_ms = match self.random.random_range(0..100) {
            0 => self.random.random_range(0..40 * HOUR_MS),
            1..4 => self.random.random_range(0..9 * HOUR_MS),
            4..10 => self.random.random_range(0..22 * MINUTE_MS),
            10..14 => -self.random.random_range(0..MINUTE_MS),
            _ => self.random.random_range(0..6_000),
        };
        match market.interval_ms() {
            0 => self.now_ms - late_ms,
            width => {
                let ahead_ms = if market.is_day_ahead() { self.random.random_range(0..20) * HOUR_MS } else { 0 };
                (self.now_ms - late_ms + ahead_ms).div_euclid(i64::from(width)) * i64::from(width)
            }
        }
    }

    fn fresh(&mut self) -> Option<Tick> {
        // Half the records are of tick streams.
        let mut series = *self.series.choose(&mut self.random).unwrap();
        if self.random.random_bool(0.4) {
            series.market = Market::Continuous;
        }
        let event_ms = self.event_ms(series.market);
        let (partition, offset) = self.origin();
        // An interval price without an id is known by its interval, and its offset is its revision.
        let by_interval = series.market.is_interval() && self.random.random_bool(0.8);
        Some(Tick {
            location: series.location,
            market: series.market,
            event_ms,
            duration_ms: series.market.interval_ms(),
            price_micros: self.price(),
            volume_kwh: self.random.random_range(0..5) * 1000,
            id: if by_interval { event_ms as u64 } else { self.random.random() },
            revision: if by_interval { offset } else { 0 },
            cancelled: false,
            partition,
            offset,
            extra: None,
        })
    }

    fn earlier(&mut self) -> Option<Tick> {
        let reach = self.records.len().min(if self.random.random_bool(0.8) { 120 } else { 4000 });
        let from = self.records.len() - reach;
        self.records[from..].choose(&mut self.random).map(|(_, tick)| tick.clone())
    }

    /// Another revision of an earlier record: higher or lower, moved or not, perhaps a withdrawal.
    fn again(&mut self) -> Option<Tick> {
        let mut tick = self.earlier()?;
        (tick.partition, tick.offset) = self.origin();
        tick.revision += *[1, 1, 1, 2, -1].choose(&mut self.random).unwrap();
        tick.price_micros = self.price();
        tick.cancelled = self.random.random_bool(0.2);
        if self.random.random_bool(0.3) {
            tick.event_ms += match tick.market.interval_ms() {
                0 => self.random.random_range(-100_000..100_000),
                width => i64::from(width) * self.random.random_range(-2..3),
            };
        }
        Some(tick)
    }

    /// The same id and revision once more: redelivered, or from elsewhere with other content and any origin.
    fn duplicate(&mut self) -> Option<Tick> {
        let mut tick = self.earlier()?;
        if self.random.random_bool(0.5) {
            (tick.partition, tick.offset) = self.origin();
            tick.price_micros = self.price();
            if self.random.random_bool(0.3) {
                // An origin before all others.
                tick.offset = -tick.offset;
            }
        }
        Some(tick)
    }

    fn withdrawal_ahead(&mut self) -> Option<Tick> {
        let original = self.fresh()?;
        let mut withdrawal = original.clone();
        (withdrawal.partition, withdrawal.offset) = self.origin();
        withdrawal.revision += 1;
        withdrawal.cancelled = true;
        self.withheld.push(original);
        Some(withdrawal)
    }
}
