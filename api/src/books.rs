//! The auctions that requests are about: found by place and instant, their books built from a snapshot's bids, cleared,
//! and kept as long as none of those bids changes.
//!
//! Clearing a day with complex bids takes up to seconds: it runs on a blocking thread, one book at a time, and
//! hypothetical ones at most `MAX_TRIALS` at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use auction::{Auction, Book, Interval, Rules};
use model::time::{T, rfc3339};
use model::{BidKind, LiveBid, LocationId, Market, SeriesKey, Snapshot, Zones};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::error::Error;
use crate::series;

/// Books kept: a day of a large market takes some ten megabytes.
const MAX_KEPT: usize = 4;
/// Hypothetical clearings at one time.
const MAX_TRIALS: usize = 2;

/// What a request names.
pub(crate) struct Asked {
    pub(crate) location: String,
    pub(crate) at_ms: i64,
    pub(crate) market: Option<Market>,
}

/// A delivery interval of a series, and the auction it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) series: SeriesKey,
    pub(crate) start_ms: i64,
    pub(crate) auction: Auction,
}

/// Whether a bid counts in a book of energy.
pub(crate) fn is_energy(bid: &LiveBid) -> bool {
    bid.is_live() && !matches!(bid.kind, BidKind::Capacity { .. })
}

impl Place {
    /// The interval with bids that a request means: of several markets the zone's own first. `Err` says what there is.
    pub(crate) fn find(app: &App, snapshot: &Snapshot, asked: &Asked) -> Result<Self, Error> {
        let candidates = series::find(&app.labels, &asked.location, asked.market)?;
        let mut there: BTreeMap<Market, (i64, i64)> = BTreeMap::new();
        let mut best: Option<((bool, usize, u32), i64, &LiveBid)> = None;
        for (_, bid) in snapshot.bids.values().filter(|(_, bid)| is_energy(bid)) {
            let Some(rank) = candidates.iter().position(|series| *series == bid.series) else { continue };
            let span = there.entry(bid.series.market).or_insert((i64::MAX, i64::MIN));
            *span = (span.0.min(bid.delivery_ms), span.1.max(bid.delivery_end_ms()));
            let inside = |start_ms: i64| (start_ms..start_ms + i64::from(bid.duration_ms)).contains(&asked.at_ms);
            let Some(step) = bid.steps.iter().find(|step| inside(step.start_ms)) else { continue };
            let is_own = app.deps.zones.of(bid.series.location).is_some_and(|zone| zone.market == bid.series.market);
            let order = (!is_own, rank, bid.duration_ms);
            if best.is_none_or(|(known, ..)| order < known) {
                best = Some((order, step.start_ms, bid));
            }
        }
        let found =
            best.map(|(_, start_ms, bid)| Self { series: bid.series, start_ms, auction: app.books.rules.auction(bid) });
        found.ok_or_else(|| {
            let spans = there.into_iter().map(|(market, (from, to))| {
                format!("in {} from {} to {}", market.as_str(), rfc3339(from), rfc3339(to))
            });
            let spans: Vec<String> = spans.collect();
            let there = if spans.is_empty() { "in none".to_owned() } else { spans.join(", ") };
            let at = rfc3339(asked.at_ms);
            Error::NotFound(format!("no bids in {} at {at}; there are bids {there}", asked.location))
        })
    }

    /// The interval by the market's grid, where nobody has bid yet.
    pub(crate) fn on_grid(app: &App, asked: &Asked) -> Result<Option<Self>, Error> {
        let candidates = series::find(&app.labels, &asked.location, asked.market)?;
        let own = |series: &&SeriesKey| {
            asked.market.is_some()
                || app.deps.zones.of(series.location).is_some_and(|zone| zone.market == series.market)
        };
        let Some(series) = candidates.iter().find(own).copied() else { return Ok(None) };
        let duration_ms = series.market.interval_ms();
        if duration_ms == 0 {
            return Ok(None);
        }
        let auction = app.books.rules.auction_at(series, asked.at_ms, duration_ms);
        let since_ms = (asked.at_ms - auction.day_ms.0).div_euclid(i64::from(duration_ms)) * i64::from(duration_ms);
        Ok(Some(Self { series, start_ms: auction.day_ms.0 + since_ms, auction }))
    }

    /// The interval's number in its book, and the zone's.
    pub(crate) fn of(&self, book: &Book) -> Result<(Interval, usize), Error> {
        let zone = book.zones().iter().position(|zone| *zone == self.series.location);
        let found = book.intervals().at(self.start_ms).zip(zone);
        found.ok_or_else(|| Error::Internal(format!("{self:?} is not in its own book")))
    }
}

/// What tells whether a book's bids are those it was made of: no bid can come, go or change without changing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    newest_t: T,
    bids: usize,
}

/// A book that was built, of what.
type Kept = (Auction, Print, Arc<Book>);

/// Books by auction.
pub(crate) struct Books {
    pub(crate) rules: Rules,
    kept: Arc<Mutex<VecDeque<Kept>>>,
    builds: Arc<Semaphore>,
    trials: Arc<Semaphore>,
}

impl Books {
    pub(crate) fn new(zones: &Zones) -> Self {
        Self {
            rules: Rules::new(zones),
            kept: Arc::default(),
            builds: Arc::new(Semaphore::new(1)),
            trials: Arc::new(Semaphore::new(MAX_TRIALS)),
        }
    }

    /// The book of an auction as the snapshot has its bids, cleared.
    pub(crate) async fn cleared(&self, snapshot: &Arc<Snapshot>, auction: Auction) -> Result<Arc<Book>, Error> {
        let members = self.rules.members(&auction);
        let print = print(snapshot, &auction, &members);
        if let Some(book) = find(&self.kept, &auction, print) {
            return Ok(book);
        }
        let turn = Arc::clone(&self.builds).acquire_owned().await;
        let turn = turn.map_err(|error| Error::Internal(format!("wait for a turn to clear: {error}")))?;
        let (snapshot, rules, kept) = (Arc::clone(snapshot), self.rules.clone(), Arc::clone(&self.kept));
        let build = move || {
            // The turn ends with the work, also when nobody waits for it any more.
            let _turn = turn;
            if let Some(book) = find(&kept, &auction, print) {
                return book;
            }
            let mut book = Book::new(&auction, &rules);
            let bids = snapshot.bids.values().map(|(_, bid)| bid);
            bids.filter(|bid| bid.is_live() && auction.holds(&members, bid)).for_each(|bid| book.enter(bid.clone()));
            book.clear();
            let book = Arc::new(book);
            let mut kept = kept.lock();
            kept.retain(|(known, ..)| *known != auction);
            kept.push_back((auction, print, Arc::clone(&book)));
            while kept.len() > MAX_KEPT {
                kept.pop_front();
            }
            book
        };
        run(build).await
    }

    /// Runs a trial on a copy of the book; `Unavailable` when enough of them run already.
    pub(crate) async fn tried<R: Send + 'static>(
        &self,
        snapshot: &Arc<Snapshot>,
        auction: Auction,
        trial: impl FnOnce(&Book, Book) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let busy = |_| Error::Unavailable(format!("{MAX_TRIALS} trials are being cleared: try again in a moment"));
        let permit = Arc::clone(&self.trials).try_acquire_owned().map_err(busy)?;
        let book = self.cleared(snapshot, auction).await?;
        run(move || {
            let _permit = permit;
            trial(&book, (*book).clone())
        })
        .await
    }
}

async fn run<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(format!("clear a day: {error}")))
}

fn find(kept: &Mutex<VecDeque<(Auction, Print, Arc<Book>)>>, auction: &Auction, print: Print) -> Option<Arc<Book>> {
    let kept = kept.lock();
    let found = kept.iter().find(|(known, of, _)| known == auction && *of == print);
    found.map(|(_, _, book)| Arc::clone(book))
}

fn print(snapshot: &Snapshot, auction: &Auction, members: &[LocationId]) -> Print {
    let here = snapshot.bids.values().filter(|(_, bid)| auction.holds(members, bid));
    here.fold(Print { newest_t: 0, bids: 0 }, |print, (t, _)| Print {
        newest_t: print.newest_t.max(*t),
        bids: print.bids + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_third_trial_is_refused_and_the_next_is_not() {
        let zones = Zones::built_in();
        let books = Books::new(&zones);
        let snapshot = Arc::new(Snapshot::default());
        let series = SeriesKey { location: zones.get("ES").unwrap().index(), market: Market::DayAheadHourly };
        let auction = books.rules.auction_at(series, 0, 3_600_000);
        let trial = || books.tried(&snapshot, auction, |before, after| before.is_empty() && after.is_empty());
        let running = Arc::clone(&books.trials).acquire_many_owned(MAX_TRIALS as u32).await.unwrap();
        assert!(matches!(trial().await, Err(Error::Unavailable(_))));
        drop(running);
        assert!(trial().await.unwrap());
    }

    #[tokio::test]
    async fn few_books_are_kept() {
        let books = Books::new(&Zones::built_in());
        let snapshot = Arc::new(Snapshot::default());
        let series = SeriesKey { location: LocationId(1), market: Market::DayAheadHourly };
        let day = |day: i64| books.rules.auction_at(series, day * model::time::DAY_MS, 3_600_000);
        let first = books.cleared(&snapshot, day(0)).await.unwrap();
        assert!(Arc::ptr_eq(&first, &books.cleared(&snapshot, day(0)).await.unwrap()));
        for other in 1..=MAX_KEPT as i64 {
            books.cleared(&snapshot, day(other)).await.unwrap();
        }
        assert_eq!(books.kept.lock().len(), MAX_KEPT);
        assert!(!Arc::ptr_eq(&first, &books.cleared(&snapshot, day(0)).await.unwrap()));
    }
}
