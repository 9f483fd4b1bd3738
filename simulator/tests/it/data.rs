//! Where test data is: excerpts in the repository, whole files beside it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use model::wire::json::Timestamp;
use model::wire::{Decoded, Decoder, Limits, Origin, TopicKind};
use model::{BidEvent, DeadLetter, PartitionId, Zones};
use simulator::Body;
use simulator::replay::{Format, Parsed, Record, Source, read};

/// The excerpts in `tests/data`.
pub(crate) const EXCERPTS: [&str; 16] = [
    "aemo_dispatchprice_2018.csv",
    "aemo_dispatchprice_2024.csv",
    "aemo_regionsum_2024.csv",
    "aemo_tradingprice_2021_09.csv",
    "aemo_tradingprice_2021_10.csv",
    "aemo_unit_scada_2024.csv",
    "epf_de.csv",
    "epf_np.csv",
    "epf_pjm.csv",
    "iex_rtm.json",
    "nyiso_pal.csv",
    "nyiso_realtime_zone.csv",
    "oasis_day_ahead.csv",
    "oasis_rtc.csv",
    "pjm_da_hrl_lmps.csv",
    "pjm_rt_hrl_lmps.csv",
];

/// The built-in zone table, read once.
pub(crate) static ZONES: LazyLock<Zones> = LazyLock::new(Zones::built_in);

/// Path of an excerpt.
pub(crate) fn excerpt(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// An excerpt's bytes.
pub(crate) fn excerpt_source(name: &str) -> Source {
    Source::new(name, std::fs::read(excerpt(name)).unwrap())
}

/// Path of a whole file: `$OPTIBID_DATA`, or `shared/data` beside the workspace.
pub(crate) fn whole(name: &str) -> PathBuf {
    let folder = std::env::var_os("OPTIBID_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: set OPTIBID_DATA to the folder of real market data", path.display());
    path
}

/// Parses a source in whatever format it is.
pub(crate) fn parse(source: &Source) -> (Format, Parsed) {
    let format = Format::detect(source).unwrap_or_else(|| panic!("{} has no known format", source.file));
    (format, read(format, source, &ZONES).unwrap())
}

/// Location of a record, the zone's own index by the zone's name.
pub(crate) fn location(record: &Record) -> &str {
    record.tick().unwrap().location.as_deref().unwrap_or(&record.tick().unwrap().market_zone)
}

/// A bid as the pipeline reads it, or why it would be a dead letter.
pub(crate) fn decode_bid(zones: &Zones, record: &Record) -> Result<BidEvent, DeadLetter> {
    let bid = record.bid().expect("a bid");
    assert_eq!(bid.published.as_ref().and_then(Timestamp::millis), Some(record.published_ms));
    let decoder = Decoder { zones: zones.clone(), names: Arc::default(), limits: Limits::default() };
    let origin = Origin {
        topic: "optibid.bids".into(),
        partition: 0,
        partition_id: PartitionId::new("optibid.bids", 0),
        offset: 0,
        timestamp_ms: record.published_ms,
    };
    let mut out = Decoded::default();
    decoder.decode(TopicKind::Bids, &origin, &Body::Bid(bid.clone()).encode(), &mut out);
    out.dead_letters.pop().map_or_else(|| Ok(out.bids.remove(0)), Err)
}

/// The built-in zones and that of the Dutch merit-order list.
pub(crate) fn with_netherlands() -> Zones {
    Zones::extended(include_str!("../data/zone_tennet.toml")).unwrap()
}

/// UTC ms of an instant.
pub(crate) fn at(text: &str) -> i64 {
    model::time::parse_instant(text).unwrap()
}
