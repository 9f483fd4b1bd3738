//! The records of a run. With the event clock they are all there from the start. With the wall's clock half of them is
//! there, and the rest comes while lives come and go, each on time; besides, some come days too late.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::wire::json::Timestamp;
use pipeline::clock::wall_ms;
use pipeline::{Clock, Replay};
use tokio::task::JoinHandle;

use crate::sameness::Market;
use crate::support::{START_MS, tick, topic};

/// Ticks, but for those that come too late.
const RECORDS: usize = 900;
/// The same with the event clock: five minutes of market.
const EVENT_RECORDS: usize = 640;
/// One of so many is followed by one that is too late.
const LATE: usize = 60;
const DAYS_MS: i64 = 2 * 24 * 3_600_000;

/// Where a record lies: topic, partition, offset.
pub(super) type Place = (Arc<str>, i32, i64);

pub(super) struct Feed {
    pub(super) replay: Replay,
    /// Ticks, all in all.
    pub(super) records: usize,
    /// Those that are too late, wherever they come to lie; known once all have been sent.
    sending: JoinHandle<BTreeSet<Place>>,
}

impl Feed {
    pub(super) fn open(seed: u64, clock: Clock) -> Self {
        let replay = Replay::new("optibid", Arc::default());
        if clock == Clock::Event {
            let mut market = Market::open(&replay, seed, EVENT_RECORDS);
            for n in 0..EVENT_RECORDS {
                market.trade(&replay, START_MS + n as i64 * 500);
            }
            market.close(&replay);
            return Self { replay, records: EVENT_RECORDS, sending: tokio::spawn(async { BTreeSet::new() }) };
        }
        let sending = tokio::spawn(send(replay.clone(), seed));
        Self { replay, records: RECORDS + RECORDS.div_ceil(LATE), sending }
    }

    /// Waits until all has been sent.
    pub(super) async fn late(self) -> BTreeSet<Place> {
        self.sending.await.unwrap()
    }
}

async fn send(replay: Replay, seed: u64) -> BTreeSet<Place> {
    let mut market = Market::open(&replay, seed, RECORDS);
    let began = wall_ms() as i64;
    let mut late = BTreeSet::new();
    for n in 0..RECORDS {
        let is_past = n < RECORDS / 2;
        let now = if is_past { began - (RECORDS / 2 - n) as i64 * 250 } else { wall_ms() as i64 };
        let late_reading = market.trade(&replay, now);
        late.extend(late_reading.map(|(partition, offset)| (Arc::from("optibid.meters"), partition, offset)));
        if n % LATE == 0 {
            let mut record = tick("PJM", now - DAYS_MS, 1.0);
            record.published = Some(Timestamp::Millis(now));
            let offset = replay.append(&topic("PJM"), 0, now, record.to_json()).unwrap();
            late.insert((topic("PJM").into(), 0, offset));
        }
        if !is_past && n % 30 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    market.close(&replay);
    late
}
