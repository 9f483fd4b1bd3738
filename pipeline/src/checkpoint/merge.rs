//! Which files of bars become one.
//!
//! Every checkpoint writes the bars that have become final since the one before: small files, for ever. Beyond a limit
//! the smallest run of neighbours is written anew as one file, which the next manifest lists instead; the parts go when
//! no checkpoint kept lists them any more. A file grows to [`MOST_ROWS`] and is then left alone, so each row is rewritten
//! a few times (its file's size grows by a factor each time), and of small files there are never many more than the limit.

use model::T;

use super::codec;
use super::manifest::{File, Kind};
use super::shelf::Shelf;
use crate::Error;
use crate::shutdown::Shutdown;

/// Rows in a merged file, at most.
pub(super) const MOST_ROWS: usize = 1 << 20;

/// Merges until there are not too many. The parts stay where they are; `files` lists what stands for them now, in the
/// folder of the checkpoint `own`.
pub(super) fn merge(
    shelf: &Shelf,
    files: &mut Vec<File>,
    limit: usize,
    own: (T, u64),
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let mut number = 0;
    while let Some(run) = pick(files, limit)
        && !shutdown.is_stopping()
    {
        let parts: Vec<&File> = run.iter().map(|place| &files[*place]).collect();
        let bytes = parts.iter().map(|part| shelf.file(part)).collect::<Result<Vec<_>, _>>()?;
        let (bytes, rows) = codec::concat(bytes).map_err(|wrong| Error::checkpoint("merge bars", wrong))?;
        let until_t = parts.iter().map(|part| part.until_t).max().unwrap_or(T::MAX);
        let kept_ms = parts[0].kept_ms;
        let file = shelf.write(Kind::Bars, own, &format!("merged-{number}"), rows, bytes)?;
        files[run[0]] = File { until_t, kept_ms, ..file };
        run[1..].iter().rev().for_each(|place| drop(files.remove(*place)));
        number += 1;
    }
    Ok(())
}

/// The places of files to merge, in the order in which they are listed; `None` when there are not too many.
fn pick(files: &[File], limit: usize) -> Option<Vec<usize>> {
    let mut classes: Vec<i64> = files.iter().filter(|file| is_small(file)).map(|file| file.kept_ms).collect();
    classes.sort_unstable();
    classes.dedup();
    classes.into_iter().find_map(|kept_ms| {
        let of_class = |(_, file): &(usize, &File)| file.kind == Kind::Bars && file.kept_ms == kept_ms;
        let places: Vec<usize> = files.iter().enumerate().filter(of_class).map(|(place, _)| place).collect();
        let small = places.iter().filter(|place| is_small(&files[**place])).count();
        if small > limit { smallest(files, &places, (limit / 3).max(2)) } else { None }
    })
}

/// Large files are not worth another writing.
fn is_small(file: &File) -> bool {
    file.kind == Kind::Bars && file.rows < MOST_ROWS / 2
}

/// The run of up to `most` neighbours with the fewest rows; if there is one, of about equal length: a large file is not
/// written anew for the sake of a small one.
fn smallest(files: &[File], places: &[usize], most: usize) -> Option<Vec<usize>> {
    let rows = |run: &[usize]| run.iter().map(|place| files[*place].rows).sum::<usize>();
    let longest = |run: &[usize]| run.iter().map(|place| files[*place].rows).max().unwrap_or(0);
    let run = |length: usize, is_even: bool| {
        let runs = places.windows(length).filter(|run| rows(run) <= MOST_ROWS);
        let runs = runs.filter(|run| !is_even || longest(run) * length <= 2 * rows(run));
        runs.min_by_key(|run| rows(run)).map(<[usize]>::to_vec)
    };
    let even = (2..=most).rev().find_map(|length| run(length, true));
    even.or_else(|| (2..=most).rev().find_map(|length| run(length, false)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use model::{Bar, BarKey, BarRow, Granularity, LocationId, Market, SeriesKey};

    use super::super::Store;
    use super::super::load::load;
    use super::super::manifest::{Manifest, VERSION};
    use super::*;

    fn file(number: u64, rows: usize, kept_ms: i64) -> File {
        File {
            path: number.to_string(),
            kind: Kind::Bars,
            t: number,
            rows,
            bytes: 0,
            xxh3: String::new(),
            until_t: u64::MAX,
            kept_ms,
        }
    }

    /// Checkpoint after checkpoint, as the writer does it.
    #[test]
    fn the_number_of_files_stays_bounded_and_no_row_is_rewritten_often() {
        const LIMIT: usize = 24;
        let (mut files, mut written, mut rewritten) = (Vec::new(), BTreeMap::<i64, usize>::new(), 0);
        for number in 0..5_000 {
            for (kept_ms, rows) in [(1, 5_000 + (number as usize * 7_919) % 3_000), (2, 9)] {
                files.push(file(number, rows, kept_ms));
                *written.entry(kept_ms).or_default() += rows;
            }
            while let Some(run) = pick(&files, LIMIT) {
                let parts: Vec<File> = run.iter().map(|place| files[*place].clone()).collect();
                assert!(parts.len() >= 2 && parts.windows(2).all(|pair| pair[0].t < pair[1].t), "in their order");
                assert!(parts.iter().all(|part| part.kept_ms == parts[0].kept_ms), "of one kind");
                let rows = parts.iter().map(|part| part.rows).sum();
                assert!(rows <= MOST_ROWS);
                rewritten += rows;
                files[run[0]] = File { rows, ..parts[0].clone() };
                run[1..].iter().rev().for_each(|place| drop(files.remove(*place)));
            }
            for (kept_ms, all) in &written {
                let count = files.iter().filter(|file| file.kept_ms == *kept_ms).count();
                assert!(count <= LIMIT + 2 * all / MOST_ROWS, "{count} files of {all} rows");
                let rows: usize = files.iter().filter(|file| file.kept_ms == *kept_ms).map(|file| file.rows).sum();
                assert_eq!(rows, *all, "no row is lost");
            }
        }
        let all: usize = written.values().sum();
        assert!(rewritten < 4 * all, "{rewritten} rows rewritten of {all}");
    }

    fn bar(number: i64, minute: i64) -> (T, BarRow) {
        let series = SeriesKey { location: LocationId(number as u64 * 77), market: Market::Continuous };
        let key = BarKey { series, granularity: Granularity::M1, start_ms: minute * 60_000 };
        let sums = (i128::from(number) << 70, i128::from(minute) << 90, -(i128::from(number) << 80));
        let bar = Bar {
            open: number,
            high: minute,
            low: -number,
            close: i64::MIN + number,
            count: 3,
            sum_price: sums.0,
            sum_price_sq: sums.1,
            sum_volume_kwh: number * minute,
            sum_price_volume: sums.2,
            first_ms: minute * 60_000 + 1,
            last_ms: minute * 60_000 + number,
        };
        (minute as u64 * 60_000 + number as u64, BarRow { key, end_ms: (minute + 1) * 60_000, bar })
    }

    #[test]
    fn what_is_read_from_merged_files_is_what_is_read_from_their_parts() {
        let store = Store { store: Arc::new(object_store::memory::InMemory::new()), root: "a/b".into() };
        let shelf = Shelf::new(store.clone()).unwrap();
        let mut files = Vec::new();
        for minute in 0..100 {
            let rows: Vec<_> = (0..1 + minute % 7).map(|number| bar(number, minute)).collect();
            let bytes = codec::encode_bars(&rows).unwrap();
            files.push(shelf.write(Kind::Bars, (minute as u64, 1), "bars-0", rows.len(), bytes).unwrap());
        }
        let manifest = |files: &[File]| Manifest {
            version: VERSION,
            t: 100 * 60_000 + 3_600_000,
            life: 1,
            counts: model::batch::Counts::default(),
            offsets: [].into(),
            settings: String::new(),
            workers: 1,
            files: files.to_vec(),
        };
        let read = |files: &[File]| {
            let limits = model::snapshot::Limits::default();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(load(&store, manifest(files), &operators::Config::default(), limits)).unwrap()
        };
        let parts = read(&files);
        merge(&shelf, &mut files, 4, (100, 1), &Shutdown::new()).unwrap();
        assert!(files.len() <= 4, "{} files", files.len());
        let merged = read(&files);
        assert_eq!(parts.snapshot.bars.len(), (0..100).map(|minute| 1 + minute % 7).sum::<usize>());
        assert_eq!(merged.snapshot.bars, parts.snapshot.bars);
        assert_eq!(merged.snapshot.latest, parts.snapshot.latest);
        assert_eq!(merged.sealed_bars, parts.sealed_bars);
        assert!(!merged.sealed_bars.is_empty());
        assert_eq!(merged.rows(), parts.rows());
    }

    #[test]
    fn other_kinds_are_left_alone() {
        let ticks = |number| File { kind: Kind::Ticks, ..file(number, 1, 0) };
        let files: Vec<File> = (0..50).map(ticks).collect();
        assert_eq!(pick(&files, 2), None);
        let mut files = files;
        (50..53).for_each(|number| files.push(file(number, 1, 0)));
        assert_eq!(pick(&files, 3), None);
        assert_eq!(pick(&files, 2), Some(vec![50, 51]));
    }
}
