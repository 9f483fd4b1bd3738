//! Adapters over damaged bytes: whatever they are, the answer is records, reports or an error, never a panic.

use proptest::prelude::*;
use simulator::replay::{Format, Source, read};

use crate::data::{EXCERPTS, ZONES, excerpt_source};

const FORMATS: [Format; 17] = [
    Format::NyisoZone,
    Format::NyisoLoad,
    Format::OasisDayAhead,
    Format::OasisRealTime,
    Format::PjmLmp,
    Format::AemoMms,
    Format::IexJson,
    Format::Epf,
    Format::AemoBids,
    Format::AemoScada,
    Format::AemoUnits,
    Format::OmieHeaders,
    Format::OmieDetails,
    Format::OmieBorders,
    Format::OmieUnits,
    Format::OmiePrices,
    Format::TennetLadder,
];

/// One thing done to a file: where, what with.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip(usize, u8),
    Cut(usize, usize),
    Repeat(usize, usize),
    Insert(usize, Vec<u8>),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let odd = prop::sample::select(vec![
        b"\"".to_vec(),
        b",".to_vec(),
        b"\n".to_vec(),
        b"NaN".to_vec(),
        b"1e308".to_vec(),
        b"-9223372036854775808".to_vec(),
        b"99/99/9999".to_vec(),
        b"\xff\xfe".to_vec(),
        b"null".to_vec(),
        "é".as_bytes().to_vec(),
        b"02:30:00".to_vec(),
    ]);
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        (any::<usize>(), 1..200_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        (any::<usize>(), 1..200_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (any::<usize>(), odd).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ]
}

pub(crate) fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let place = |at: usize| at % (bytes.len() + 1);
    match damage {
        Damage::Flip(at, byte) if !bytes.is_empty() => {
            let at = at % bytes.len();
            bytes[at] = *byte;
        }
        Damage::Flip(..) => {}
        Damage::Cut(at, length) => {
            let from = place(*at);
            let to = (from + length).min(bytes.len());
            bytes.drain(from..to);
        }
        Damage::Repeat(at, length) => {
            let from = place(*at);
            let to = (from + length).min(bytes.len());
            let part = bytes[from..to].to_vec();
            bytes.splice(to..to, part);
        }
        Damage::Insert(at, part) => {
            let at = place(*at);
            bytes.splice(at..at, part.iter().copied());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn never_panic(name in prop::sample::select(EXCERPTS.to_vec()), damages in prop::collection::vec(damage(), 1..6), other in 0..FORMATS.len()) {
                let mut bytes = excerpt_source(name).bytes.to_vec();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        let source = Source::new(name, bytes);
        // In the format it looks like, and in one that it is not.
        for format in Format::detect(&source).into_iter().chain([FORMATS[other]]) {
            if let Ok(parsed) = read(format, &source, &ZONES) {
                for tick in parsed.records.iter().filter_map(|record| record.tick()) {
                    prop_assert!(model::money::price_micros(tick.price).is_some());
                    prop_assert!(tick.id.is_some() && tick.revision >= Some(0));
                }
                for meter in parsed.records.iter().filter_map(|record| record.meter()) {
                    prop_assert!(meter.power.is_some_and(|power| power.abs() <= 1e9) && meter.revision >= Some(0));
                }
                prop_assert!(parsed.records.windows(2).all(|pair| pair[0].published_ms <= pair[1].published_ms));
            }
        }
    }

    #[test]
    fn never_panic_on_noise(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let source = Source::new("noise", bytes);
        let _ = Format::detect(&source);
        for format in FORMATS {
            let _ = read(format, &source, &ZONES);
        }
    }
}
