//! The bids of a folder as the dataflow would have them: replayed, decoded, of each bid its last version.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use auction::{Book, Rules};
use model::wire::{Decoded, Decoder, Limits, Origin, TopicKind};
use model::{BidEvent, LiveBid, PartitionId, Zones};
use simulator::{Body, Replay};

/// Live bids by name. None may be refused.
pub(crate) fn bids(folder: &Path) -> Vec<BidEvent> {
    let zones = Zones::built_in();
    let decoder = Decoder { zones: zones.clone(), names: Arc::default(), limits: Limits::default() };
    let replay = Replay::open(&[folder], &zones).unwrap_or_else(|error| panic!("open the files: {error}"));
    let mut winners: BTreeMap<String, BidEvent> = BTreeMap::new();
    let mut out = Decoded::default();
    for (offset, record) in (0..).zip(replay) {
        let record = record.unwrap_or_else(|error| panic!("read a record: {error}"));
        let Some(bid) = record.bid() else { continue };
        let origin = Origin {
            topic: "optibid.bids".into(),
            partition: 0,
            partition_id: PartitionId::new("optibid.bids", 0),
            offset,
            timestamp_ms: record.published_ms,
        };
        decoder.decode(TopicKind::Bids, &origin, &Body::Bid(bid.clone()).encode(), &mut out);
        assert!(out.dead_letters.is_empty(), "{:?}", out.dead_letters);
        for bid in out.bids.drain(..) {
            if winners.get(&bid.bid).is_none_or(|known| known.revision <= bid.revision) {
                winners.insert(bid.bid.clone(), bid);
            }
        }
    }
    winners.into_values().filter(BidEvent::is_live).collect()
}

/// The book of the one auction that the bids are in, not yet cleared.
pub(crate) fn book(bids: &[BidEvent]) -> Book {
    let rules = Rules::new(&Zones::built_in());
    let auction = rules.auction(bids.first().expect("a folder with bids"));
    let mut book = Book::new(&auction, &rules);
    for bid in bids {
        assert_eq!(rules.auction(bid), auction, "all bids are in one auction: {}", bid.bid);
        book.enter(LiveBid::new(bid.clone()));
    }
    book
}
