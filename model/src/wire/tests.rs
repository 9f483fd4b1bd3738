//! What the wire accepts, what it refuses and why, and that no bytes whatever break it.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::dead_letter::Reason;
use crate::market::Market;
use crate::money::MICROS;
use crate::{Names, PartitionId, Zones};

const PUBLISHED: &str = "2025-11-18T10:00:05Z";

fn decoder() -> Decoder {
    Decoder { zones: Zones::built_in(), names: Arc::new(Names::default()), limits: Limits::default() }
}

fn origin() -> Origin {
    Origin {
        topic: "optibid.ticks.pjm".into(),
        partition: 0,
        partition_id: PartitionId::new("optibid.ticks.pjm", 0),
        offset: 7,
        timestamp_ms: crate::time::parse_instant(PUBLISHED).unwrap(),
    }
}

fn decode(kind: TopicKind, bytes: &[u8]) -> Decoded {
    let mut out = Decoded::default();
    decoder().decode(kind, &origin(), bytes, &mut out);
    out
}

fn refusal(json: &str) -> Reason {
    let out = decode(TopicKind::Ticks, json.as_bytes());
    assert_eq!((out.ticks.len(), out.dead_letters.len(), out.received, out.refused), (0, 1, 1, 1), "{json}");
    let letter = &out.dead_letters[0];
    assert_eq!((letter.bytes.as_slice(), letter.offset, letter.detail.is_empty()), (json.as_bytes(), 7, false));
    letter.reason
}

#[test]
fn the_minimal_form_of_existing_clients_works_as_it_stands() {
    let out = decode(
        TopicKind::Ticks,
        br#"{"market_zone":"pjm","price":52.5,"volume":1000,"timestamp":"2025-11-18T10:00:00Z"}"#,
    );
    let tick = &out.ticks[0];
    assert_eq!((tick.price_micros, tick.volume_kwh, tick.market), (52_500_000, 1_000_000, Market::Continuous));
    assert_eq!(tick.location, crate::LocationId::new("PJM", "PJM"));
    assert_eq!(out.names.len(), 1);
    assert_eq!(out.clock_ms, tick.event_ms);
}

#[test]
fn the_full_form_survives_json_and_columns_alike() {
    let full = WireTick {
        location: Some("western hub".into()),
        market: Some(Market::RealTime5Min),
        energy: Some(20.0),
        congestion: Some(-1.5),
        loss: Some(0.25),
        id: Some("a-1".into()),
        revision: Some(3),
        cancelled: true,
        source: Some("pjm".into()),
        published: Some(json::Timestamp::Text(PUBLISHED.into())),
        currency: crate::Currency::parse("usd"),
        ..WireTick::minimal("PJM", crate::time::parse_instant("2025-11-18T09:55:00Z").unwrap(), -12.34, 5.0)
    };
    let from_json = decode(TopicKind::Ticks, &full.to_json());
    let from_columns = decode(TopicKind::Ticks, &columnar::encode(std::slice::from_ref(&full)).unwrap());
    assert_eq!(from_json.dead_letters, []);
    assert_eq!(from_json.ticks, from_columns.ticks);
    let tick = &from_json.ticks[0];
    assert_eq!((tick.duration_ms, tick.revision, tick.cancelled), (300_000, 3, true));
    assert_eq!(tick.extra.as_ref().unwrap().congestion_micros, Some(-3 * MICROS / 2));
}

#[test]
fn refusals_name_their_reason() {
    let at = r#""timestamp":"2025-11-18T10:00:00Z""#;
    for (json, reason) in [
        (format!(r#"{{"market_zone":"pjm","volume":1,{at}}}"#), Reason::BadPrice),
        (format!(r#"{{"market_zone":"pjm","price":NaN,{at}}}"#), Reason::BadPrice),
        (format!(r#"{{"market_zone":"pjm","price":"x",{at}}}"#), Reason::BadPrice),
        (format!(r#"{{"market_zone":"pjm","price":null,{at}}}"#), Reason::BadPrice),
        (format!(r#"{{"market_zone":"pjm","price":1.1e9,{at}}}"#), Reason::BadPrice),
        (format!(r#"{{"market_zone":"atlantis","price":1,{at}}}"#), Reason::UnknownZone),
        (format!(r#"{{"market_zone":"pjm","price":1,"volume":-1,{at}}}"#), Reason::BadVolume),
        (r#"{"market_zone":"pjm","price":1}"#.into(), Reason::BadTime),
        (r#"{"market_zone":"pjm","price":1,"timestamp":"noon"}"#.into(), Reason::BadTime),
        (r#"{"market_zone":"pjm","price":1,"timestamp":1}"#.into(), Reason::BadTime),
        (r#"{"market_zone":"pjm","price":1,"timestamp":"2025-11-18T10:02:00Z"}"#.into(), Reason::Future),
        (format!(r#"{{"market_zone":"pjm","price":1,"published":"2025-11-19T10:02:00Z",{at}}}"#), Reason::Future),
        (format!(r#"{{"market_zone":"pjm","price":1,"currency":"EUR",{at}}}"#), Reason::BadField),
        (format!(r#"{{"market_zone":"pjm","price":1,"revision":-1,{at}}}"#), Reason::BadField),
        (format!(r#"{{"market_zone":"pjm","price":1,"cancelld":true,{at}}}"#), Reason::Malformed),
        (format!(r#"{{"v":2,"market_zone":"pjm","price":1,{at}}}"#), Reason::Malformed),
        (r#"{"market_zone":"pjm","#.into(), Reason::Malformed),
        ("[]".into(), Reason::Malformed),
        (String::new(), Reason::Malformed),
    ] {
        assert_eq!(refusal(&json), reason, "{json}");
    }
}

#[test]
fn tomorrow_is_no_future_for_day_ahead() {
    let json = |market: &str| {
        format!(r#"{{"market_zone":"pjm","price":1,"market":"{market}","timestamp":"2025-11-19T10:00:00Z"}}"#)
    };
    assert_eq!(decode(TopicKind::Ticks, json("DAY_AHEAD_HOURLY").as_bytes()).ticks.len(), 1);
    assert_eq!(refusal(&json("REAL_TIME_HOURLY")), Reason::Future);
    // And it never moves the event clock past its publication.
    let out = decode(TopicKind::Ticks, json("DAY_AHEAD_HOURLY").as_bytes());
    assert_eq!(Some(out.clock_ms), crate::time::parse_instant(PUBLISHED));
}

#[test]
fn an_oversized_message_keeps_its_first_bytes() {
    let bytes = vec![b' '; 2 << 20];
    let out = decode(TopicKind::Ticks, &bytes);
    assert_eq!((out.dead_letters[0].reason, out.dead_letters[0].bytes.len()), (Reason::Oversized, 64 << 10));
}

#[test]
fn one_bad_row_refuses_only_itself() {
    let at = crate::time::parse_instant("2025-11-18T10:00:00Z").unwrap();
    let ticks = [WireTick::minimal("pjm", at, 1.0, 1.0), WireTick::minimal("pjm", at, f64::NAN, 1.0)];
    let out = decode(TopicKind::Ticks, &columnar::encode(&ticks).unwrap());
    assert_eq!((out.ticks.len(), out.received, out.refused), (1, 2, 1));
    let letter = &out.dead_letters[0];
    assert_eq!((letter.row, letter.reason), (1, Reason::BadPrice));
    assert!(String::from_utf8_lossy(&letter.bytes).contains("NaN"));
}

#[test]
fn interval_prices_without_an_id_are_their_interval_and_the_later_one_wins() {
    let json = br#"{"market_zone":"pjm","price":1,"market":"REAL_TIME_5_MIN","timestamp":"2025-11-18T10:00:00Z"}"#;
    let mut out = Decoded::default();
    let decoder = decoder();
    decoder.decode(TopicKind::Ticks, &origin(), json, &mut out);
    decoder.decode(TopicKind::Ticks, &Origin { offset: 8, ..origin() }, json, &mut out);
    assert_eq!(out.ticks[0].id, out.ticks[1].id);
    assert!(out.ticks[0].rank() < out.ticks[1].rank());
}

#[test]
fn bids_meters_rules_and_notices_are_read_and_refused_alike() {
    let bid = br#"{"bid":"b1","status":"submitted","organisation":"o","market_zone":"pjm","market":"DAY_AHEAD_HOURLY",
        "delivery":"2025-11-19T10:00:00Z","side":"sell","steps":[{"price":10,"power":1.5}],"timestamp":"2025-11-18T10:00:00Z"}"#;
    assert_eq!(decode(TopicKind::Bids, bid).bids[0].steps[0].power_kw, 1_500);
    assert_eq!(decode(TopicKind::Bids, b"{}").dead_letters[0].reason, Reason::Malformed);
    let meter = br#"{"asset":"u1","timestamp":"2025-11-18T09:55:00Z","duration_ms":300000,"power":-1.5}"#;
    assert_eq!(decode(TopicKind::Meters, meter).meters[0].power_kw, -1_500);
    assert_eq!(decode(TopicKind::Meters, b"{}").dead_letters[0].reason, Reason::Malformed);
    let rule = br#"{"rule":"r","kind":"z_score","threshold_milli":2500,"severity":"warning"}"#;
    assert_eq!(decode(TopicKind::Rules, rule).rules[0].0.window_bars, 30);
    let rule = br#"{"rule":"r","zone":"atlantis","kind":"z_score","threshold_milli":2500,"severity":"warning"}"#;
    assert_eq!(decode(TopicKind::Rules, rule).dead_letters[0].reason, Reason::UnknownZone);
    let notice = br#"{"market_zone":"pjm","alert_type":"price_spike","message":"m","severity":"high"}"#;
    assert_eq!(decode(TopicKind::Notices, notice).notices[0].id, "optibid.ticks.pjm/0/7");
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let at = crate::time::parse_instant("2025-11-18T10:00:00Z").unwrap();
    let tick = WireTick { id: Some("x".into()), revision: Some(1), ..WireTick::minimal("pjm", at, 1.0, 1.0) };
    let meter =
        WireMeter { revision: Some(1), source: Some("m".into()), ..WireMeter::new("u1", at - 300_000, 300_000, 1.5) };
    let seeds = [tick.to_json(), columnar::encode(&[tick.clone(), tick]).unwrap(), meter.to_json()];
    (0..3usize, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), any::<prop::sample::Index>())
        .prop_map(move |(seed, edits, cut)| {
            let mut bytes = seeds[seed].clone();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if cut.index(4) == 0 {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_record_is_accounted_for_whatever_the_bytes(bytes in prop_oneof![mutated(), prop::collection::vec(any::<u8>(), 0..200)]) {
        for kind in [TopicKind::Ticks, TopicKind::Bids, TopicKind::Meters, TopicKind::Rules, TopicKind::Notices] {
            let out = decode(kind, &bytes);
            prop_assert_eq!(out.received, out.ticks.len() as u64 + out.refused);
            prop_assert!(kind == TopicKind::Ticks || out.received == 0);
        }
    }
}
