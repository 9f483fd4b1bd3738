//! Typed reads: live and history together.

use model::time::Granularity;
use model::{AlertState, BidStatus, Disposition};
use sql::{AlertFilter, Store};

use crate::world::{World, book, ms, series};

#[tokio::test]
async fn bars_come_from_both_and_corrections_win() {
    let world = World::new();
    let store = Store::new(world.engine.clone());
    let pjm = series(&world.names, "PJM");
    let closes = async |granularity, from: &str, to: &str| -> Vec<(i64, i64)> {
        let bars = store.bars(pjm, granularity, ms(from), ms(to)).await.unwrap();
        bars.iter().map(|row| (row.key.start_ms, row.bar.close / 1_000_000)).collect()
    };
    assert_eq!(
        closes(Granularity::H1, "2026-03-01T00:00:00Z", "2026-03-11T00:00:00Z").await,
        [(ms("2026-03-08T10:00:00Z"), 6), (ms("2026-03-08T11:00:00Z"), 4)]
    );
    let all = closes(Granularity::M1, "2026-03-09T00:00:00Z", "2026-03-10T11:57:00Z").await;
    assert_eq!(all.iter().map(|(_, close)| *close).collect::<Vec<_>>(), [9, 7, 10, 20]);
    let live = closes(Granularity::M1, "2026-03-10T11:58:00Z", "2026-03-10T12:00:00Z").await;
    assert_eq!(live.iter().map(|(_, close)| *close).collect::<Vec<_>>(), [40, 50]);
    assert_eq!(store.latest(pjm).unwrap().1.bar.close, 50_000_000);
    let nobody = model::SeriesKey { location: model::LocationId::new("PJM", "NOWHERE"), ..pjm };
    assert!(store.bars(nobody, Granularity::M1, 0, i64::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bar_is_explained_by_every_record_that_touched_it() {
    let world = World::new();
    let store = Store::new(world.engine.clone());
    let pjm = series(&world.names, "PJM");
    for (minute, offsets) in [("2026-03-10T11:59:30Z", [7, 8]), ("2026-03-08T10:00:00Z", [1, 2])] {
        let found = store.ticks_of_bar(pjm, ms(minute)).await.unwrap();
        let seen: Vec<_> = found.iter().map(|record| (record.row.tick.offset, record.row.disposition)).collect();
        assert_eq!(seen, [(offsets[0], Disposition::Applied), (offsets[1], Disposition::Corrected)]);
        assert!(found.iter().all(|record| &*record.topic == "optibid.ticks.pjm" && record.partition == 0));
        assert_eq!(found[0].row.tick.id, found[1].row.tick.id);
    }
}

#[tokio::test]
async fn alerts_are_filtered_and_newest_first() {
    let world = World::new();
    let store = Store::new(world.engine.clone());
    let ids = async |filter: AlertFilter| -> Vec<(u64, AlertState)> {
        store.alerts(&filter).await.unwrap().iter().map(|alert| (alert.anomaly.id, alert.state)).collect()
    };
    assert_eq!(ids(AlertFilter::default()).await, [(1, AlertState::Raised)]);
    assert_eq!(
        ids(AlertFilter { withdrawn: true, ..AlertFilter::default() }).await,
        [(1, AlertState::Raised), (2, AlertState::Withdrawn)]
    );
    assert!(ids(AlertFilter { severity: model::Severity::Critical, ..AlertFilter::default() }).await.is_empty());
    assert!(
        ids(AlertFilter { series: vec![series(&world.names, "NYISO")], ..AlertFilter::default() }).await.is_empty()
    );
}

#[tokio::test]
async fn a_bid_is_told_from_its_first_version_on() {
    let world = World::new();
    let store = Store::new(world.engine.clone());
    let life = async |bid: &str| -> Vec<(i64, BidStatus, i64)> {
        let versions = store.versions_of_bid(bid).await.unwrap();
        assert!(versions.windows(2).all(|pair| pair[0].t < pair[1].t));
        let told = |version: &sql::BidVersion| {
            (version.bid.revision, version.bid.status, version.bid.steps[0].price_micros / 10_000)
        };
        versions.iter().map(told).collect()
    };
    // From history, from history after the live state began, live; the fourth is after T.
    assert_eq!(
        life("b-1").await,
        [(0, BidStatus::Submitted, 2_800), (1, BidStatus::Amended, 2_900), (2, BidStatus::Amended, 3_050)]
    );
    assert_eq!(life("b-0").await, [(2, BidStatus::Withdrawn, 1_200)]);
    assert_eq!(life("it's nobody's").await, []);
    let versions = store.versions_of_bid("k-1").await.unwrap();
    let standing = book(&world.names).into_iter().find(|bid| bid.bid == "k-1").unwrap();
    assert_eq!(versions[0].bid, model::BidEvent { offset: 0, ..standing }.into());
    assert_eq!((versions.len(), &*versions[0].place.zone), (1, "MIBEL-ES"));
}
