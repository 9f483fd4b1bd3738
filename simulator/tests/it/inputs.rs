//! Folders, zips in zips, files that are none of ours, and the order in which many files become one feed.

use std::io::{Cursor, Write as _};
use std::path::Path;

use simulator::replay::Format;
use simulator::{Error, Replay};
use zip::write::SimpleFileOptions;

use crate::data::{ZONES, excerpt};

fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(excerpt(name)).unwrap()
}

fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Replay, Error> {
    Replay::open(paths, &ZONES)
}

#[test]
fn a_folder_of_anything_is_read_for_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let inner = zipped(&[("price.csv", &bytes("aemo_dispatchprice_2024.csv"))]);
    let archive =
        zipped(&[("a/inner.ZIP", &inner), ("a/readme.txt", b"nothing"), ("pjm.csv", &bytes("pjm_rt_hrl_lmps.csv"))]);
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::write(folder.path().join("deep/archive"), &archive).unwrap();
    std::fs::write(folder.path().join("iex.txt"), bytes("iex_rtm.json")).unwrap();
    std::fs::write(folder.path().join("broken.zip"), &archive[..200]).unwrap();
    std::fs::write(folder.path().join("half.csv"), "datetime_beginning_utc,total_lmp_rt\n").unwrap();
    let replay = open(&[folder.path()]).unwrap();
    let found: Vec<_> = replay
        .reports()
        .iter()
        .map(|report| {
            let name = report.file.strip_prefix(&*folder.path().to_string_lossy()).unwrap();
            (name.to_owned(), report.format, report.records, report.bad_rows.len())
        })
        .collect();
    let expected = [
        ("/broken.zip", None, 0, 0),
        ("/deep/archive!a/inner.ZIP!price.csv", Some(Format::AemoMms), 4, 0),
        ("/deep/archive!a/readme.txt", None, 0, 0),
        ("/deep/archive!pjm.csv", Some(Format::PjmLmp), 12, 0),
        ("/half.csv", Some(Format::PjmLmp), 0, 1),
        ("/iex.txt", Some(Format::IexJson), 8, 0),
    ];
    assert_eq!(found, expected.map(|(name, format, records, bad)| (name.to_owned(), format, records, bad)));
    assert_eq!(replay.count(), 24);
}

#[test]
fn files_given_by_name_must_be_readable() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "Dear diary").unwrap();
    assert!(open(&[&text]).unwrap_err().to_string().contains("starts with \"Dear diary\""));
    let half = folder.path().join("half.csv");
    std::fs::write(&half, "datetime_beginning_utc,total_lmp_rt\n").unwrap();
    assert!(open(&[&half]).unwrap_err().to_string().contains("no column \"pnode_name\""));
    assert!(matches!(open(&[folder.path().join("missing")]), Err(Error::Read { .. })));
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(matches!(open(&[empty]), Err(Error::Empty(_))));
    let load_only = open(&[excerpt("nyiso_pal.csv")]);
    assert!(load_only.unwrap_err().to_string().contains("no prices"));
}

#[test]
fn archives_that_would_never_end_are_refused() {
    let mut archive = zipped(&[("pjm.csv", &bytes("pjm_rt_hrl_lmps.csv"))]);
    for _ in 0..4 {
        archive = zipped(&[("next.zip", &archive)]);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), archive).unwrap();
    assert!(open(&[file.path()]).unwrap_err().to_string().contains("nested deeper"));
}

#[test]
fn many_files_are_one_feed_in_order_of_publication() {
    let names = [
        "pjm_rt_hrl_lmps.csv",
        "pjm_da_hrl_lmps.csv",
        "oasis_rtc.csv",
        "oasis_day_ahead.csv",
        "nyiso_realtime_zone.csv",
        "iex_rtm.json",
    ];
    let forward: Vec<_> = open(&names.map(excerpt)).unwrap().map(Result::unwrap).collect();
    assert!(
        forward
            .windows(2)
            .all(|pair| (pair[0].published_ms, pair[0].event_ms()) <= (pair[1].published_ms, pair[1].event_ms()))
    );
    assert_eq!(forward.len(), 12 + 12 + 12 + 12 + 30 + 8);
    let mut reversed = names;
    reversed.reverse();
    let backward: Vec<_> = open(&reversed.map(excerpt)).unwrap().map(Result::unwrap).collect();
    let ids = |records: &[simulator::Record]| {
        let mut ids: Vec<_> = records.iter().map(|r| (r.published_ms, r.tick().unwrap().id.clone().unwrap())).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&forward), ids(&backward), "the order of the arguments does not matter");
}

#[test]
fn a_record_says_when_it_was_published() {
    for record in open(&[excerpt("pjm_rt_hrl_lmps.csv")]).unwrap().map(Result::unwrap) {
        assert_eq!(record.tick().unwrap().published.as_ref().unwrap().millis(), Some(record.published_ms));
        assert!(record.published_ms >= record.event_ms());
    }
}
