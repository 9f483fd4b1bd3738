//! Every query sees one T, while batches are applied under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, TimestampMillisecondType, UInt64Type};
use model::time::Granularity;
use model::{Batch, Change, Reader};

use crate::world::{NOW, World, bar, ms, series, t};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_reads_one_t_while_batches_are_applied() {
    let world = Arc::new(World::new());
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        // Each batch gives both zones' bars and the counts the same number.
        std::thread::spawn(move || {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let start = ms("2026-03-10T12:00:00Z");
                let put = |zone| Change::Put(bar(series(&world.names, zone), Granularity::M1, start, &[number]));
                let mut bars = vec![put("PJM"), put("NYISO")];
                bars.sort_by_key(|change| change.row().key);
                let batch = Batch { t: t(NOW) + u64::try_from(number).unwrap(), bars, ..Batch::default() };
                let mut next = (*world.live.load_full()).clone();
                next.apply(&batch);
                world.live.store(Arc::new(next));
            }
            number
        })
    };
    let sql = "SELECT a.close AS a, b.close AS b, s.t_ms, now_t() AS n
               FROM (SELECT close FROM bars WHERE zone = 'PJM' AND start_time = '2026-03-10T12:00:00Z') a
               CROSS JOIN (SELECT close FROM bars WHERE zone = 'NYISO' AND start_time = '2026-03-10T12:00:00Z') b
               CROSS JOIN system_state s";
    let (mut seen, mut queries) = (std::collections::BTreeSet::new(), 0);
    while queries < 30 || (seen.len() < 3 && queries < 10_000) {
        queries += 1;
        let result = world.engine.query(sql, &Reader::House, &world.engine.limits()).await.unwrap();
        let at = result.t;
        for batch in result.collect().await.unwrap() {
            for row in 0..batch.num_rows() {
                let a = batch.column(0).as_primitive::<Float64Type>().value(row);
                let b = batch.column(1).as_primitive::<Float64Type>().value(row);
                let t_ms = batch.column(2).as_primitive::<UInt64Type>().value(row);
                let now = batch.column(3).as_primitive::<TimestampMillisecondType>().value(row);
                assert_eq!((a, t_ms, now), (b, at, i64::try_from(at).unwrap()));
                assert_eq!(u64::try_from(a as i64).unwrap(), at - t(NOW));
                seen.insert(t_ms);
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    assert!(seen.len() >= 3, "the state stood still: {seen:?} of {written}");
}
