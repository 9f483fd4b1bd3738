//! A small market with known numbers: two zones live, and a history with corrections, removals and versions that are
//! not there yet. T is 2026-03-10 12:00 UTC; the live state began at 10:00.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::array::RecordBatch;
use auction::{Auction, Book, Rules};
use model::bid::{BidKind, BidStatus, Side, Step};
use model::table::{self, Context, Table};
use model::time::{DAY_MS, Granularity, HOUR_MS, MINUTE_MS, T, parse_instant};
use model::{
    Alert, AlertState, Anomaly, AnomalyKind, Award, Bar, BarKey, BarRow, Batch, BidEvent, BidKpi, BidKpiKey, Change,
    Clearing, Correlation, Disposition, Kpi, Market, Names, Notice, Pnl, Reader, Rule, SeriesKey, Settlement, Severity,
    Snapshot, Tick, TickRow, Zones,
};
use sql::{Config, Engine, HistoryConfig, Metrics};

/// T of the newest batch.
pub(crate) const NOW: &str = "2026-03-10T12:00:00Z";

pub(crate) fn ms(text: &str) -> i64 {
    parse_instant(text).unwrap()
}

pub(crate) fn t(text: &str) -> T {
    u64::try_from(ms(text)).unwrap()
}

/// The world: keep it as long as its engine, its history lies in a scratch folder.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) metrics: Metrics,
    pub(crate) live: Arc<ArcSwap<Snapshot>>,
    pub(crate) names: Arc<Names>,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::build(config, 0)
    }

    pub(crate) fn listing_believed_for(ms: u64) -> Self {
        Self::build(Config::default(), ms)
    }

    fn build(config: Config, listing_ms: u64) -> Self {
        let (names, zones) = (Arc::new(Names::default()), Zones::built_in());
        names.partition("optibid.ticks.pjm", 0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_history(folder.path(), Context { names: &names, zones: &zones });
        let live = Arc::new(ArcSwap::from_pointee(snapshot(&names)));
        let metrics = Metrics::unregistered().unwrap();
        let history = HistoryConfig {
            listing_ttl: Some(model::humane::Span::from_millis(listing_ms)),
            ..HistoryConfig::at(folder.path().to_str().unwrap())
        };
        let engine =
            Engine::new(config, zones, Arc::clone(&names), Arc::clone(&live), Some(&history), metrics.clone()).unwrap();
        Self { engine, metrics, live, names, folder }
    }

    /// All rows of a query.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>, sql::Error> {
        self.engine.query(sql, &Reader::House, &self.engine.limits()).await?.collect().await
    }
}

pub(crate) fn series(names: &Names, zone: &str) -> SeriesKey {
    SeriesKey { location: names.location(zone, zone).0, market: Market::Continuous }
}

pub(crate) fn bar(series: SeriesKey, granularity: Granularity, start: i64, prices: &[i64]) -> BarRow {
    let width = match granularity {
        Granularity::M1 => MINUTE_MS,
        Granularity::M5 => 5 * MINUTE_MS,
        Granularity::M15 => 15 * MINUTE_MS,
        Granularity::H1 => HOUR_MS,
        Granularity::D1 => DAY_MS,
    };
    let each = prices.iter().zip(0..).map(|(price, i)| Bar::of(start + i * 1000, price * 1_000_000, 1000));
    let each: Vec<Bar> = each.collect();
    BarRow {
        key: BarKey { series, granularity, start_ms: start },
        end_ms: start + width,
        bar: Bar::merge(&each).unwrap(),
    }
}

fn tick(names: &Names, event: &str, price: i64, offset: i64, revision: i64, disposition: Disposition) -> TickRow {
    let series = series(names, "PJM");
    let tick = Tick {
        location: series.location,
        market: series.market,
        event_ms: ms(event),
        duration_ms: 0,
        price_micros: price * 1_000_000,
        volume_kwh: 1000,
        id: xxh(event),
        revision,
        cancelled: false,
        partition: names.partition("optibid.ticks.pjm", 0).unwrap(),
        offset,
        extra: Some(Box::new(model::TickExtra { id: Some(event.into()), ..Default::default() })),
    };
    TickRow { tick, disposition }
}

/// The id of a record whose id text is `text`, as the wire decoder makes it.
fn xxh(text: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}

/// The live state: a first batch at 10:00, all the rest at 12:00.
pub(crate) fn snapshot(names: &Names) -> Snapshot {
    let (pjm, nyiso) = (series(names, "PJM"), series(names, "NYISO"));
    let mut snapshot = Snapshot::default();
    snapshot.apply(&Batch { t: t("2026-03-10T10:00:00Z"), ..Batch::default() });
    let first = ms("2026-03-10T11:55:00Z");
    let mut bars = Vec::new();
    for (minute, (up, down)) in [(10, 100), (20, 90), (30, 80), (40, 70), (50, 60)].into_iter().enumerate() {
        let start = first + i64::try_from(minute).unwrap() * MINUTE_MS;
        bars.push(Change::Put(bar(pjm, Granularity::M1, start, &[up])));
        bars.push(Change::Put(bar(nyiso, Granularity::M1, start, &[down])));
    }
    bars.push(Change::Put(bar(pjm, Granularity::M5, first, &[10, 20, 30, 40, 50])));
    bars.sort_by_key(|change| change.row().key);
    let anomaly = |id, kind, start: &str| Anomaly {
        id,
        rule: "default".into(),
        kind,
        severity: Severity::Warning,
        series: pjm,
        start_ms: ms(start),
        value: 50_000_000,
        baseline: Some(25_000_000),
        z_milli: Some(2_600),
        threshold_milli: 2_500,
    };
    let now = t(NOW);
    let alert =
        |anomaly, state| Alert { anomaly, state, raised_t: t("2026-03-10T11:59:30Z"), changed_t: now, revision: 0 };
    let ticks = [
        tick(names, "2026-03-10T11:59:00Z", 45, 7, 0, Disposition::Applied),
        tick(names, "2026-03-10T11:59:00Z", 50, 8, 1, Disposition::Corrected),
        tick(names, "2026-03-10T11:58:00Z", 40, 6, 0, Disposition::Applied),
    ];
    let bids = book(names);
    let (clearing, awards) = cleared(&bids, now);
    let figures = figures(&bids, &awards, now);
    snapshot.apply(&Batch {
        t: now,
        ticks: ticks.into(),
        bars,
        kpis: vec![Change::Put(kpi(pjm, 50))],
        alerts: vec![
            alert(anomaly(1, AnomalyKind::ZScore, "2026-03-10T11:59:00Z"), AlertState::Raised),
            alert(anomaly(2, AnomalyKind::PriceCap, "2026-03-10T11:57:00Z"), AlertState::Withdrawn),
        ],
        correlations: vec![Change::Put(Correlation {
            a: nyiso,
            b: pjm,
            window_min: 60,
            lag_min: 0,
            n: 5,
            r_nano: Some(-1_000_000_000),
        })],
        bids: bids.into_iter().map(|bid| Change::Put(bid.into())).collect(),
        clearing: clearing.into_iter().map(Change::Put).collect(),
        awards: awards.into_iter().map(Change::Put).collect(),
        settlement: settled(names).into_iter().map(Change::Put).collect(),
        pnl: vec![Change::Put(day(names))],
        bid_kpis: figures.into_iter().map(Change::Put).collect(),
        rules: vec![Change::Put(rule())],
        notices: vec![notice()],
        counts: model::batch::Counts { received: 5, applied: 2, corrected: 1, duplicates: 2, ..Default::default() },
        ..Batch::default()
    });
    snapshot
}

pub(crate) fn kpi(series: SeriesKey, last: i64) -> Kpi {
    Kpi {
        series,
        window_min: 5,
        last: last * 1_000_000,
        last_ms: ms("2026-03-10T11:59:00Z"),
        change: 40_000_000,
        change_ppm: Some(4_000_000),
        min: 10_000_000,
        max: 50_000_000,
        mean: 30_000_000,
        vwap: Some(30_000_000),
        volatility: None,
        volume_kwh: 5_000,
        count: 5,
        spread: None,
    }
}

/// A bid of Acme's to sell 1.5 MW at 30.50 in one hour, as amended for the second time.
pub(crate) fn bid(series: SeriesKey) -> BidEvent {
    BidEvent {
        bid: "b-1".into(),
        revision: 2,
        status: BidStatus::Amended,
        organisation: "Acme".into(),
        asset: None,
        series,
        delivery_ms: ms("2026-03-11T10:00:00Z"),
        duration_ms: 3_600_000,
        side: Side::Sell,
        kind: BidKind::Curve,
        steps: vec![Step::flat(ms("2026-03-11T10:00:00Z"), 30_500_000, 1_500)],
        event_ms: ms("2026-03-10T11:00:00Z"),
        partition: Default::default(),
        offset: 3,
    }
}

/// One bid in a market without auctions, and the book of two hours in Spain, whose gate is closed: of the plain bids
/// 150 MW are traded at 20; the block and the unit with a start to pay for would lose by that price.
pub(crate) fn book(names: &Names) -> Vec<BidEvent> {
    let spain = SeriesKey { location: names.location("MIBEL-ES", "MIBEL-ES").0, market: Market::DayAheadHourly };
    let (ten, eleven) = (ms("2026-03-11T10:00:00Z"), ms("2026-03-11T11:00:00Z"));
    let of = |id: &str, organisation: &str, side, kind, steps: &[(i64, i64, i64)]| BidEvent {
        bid: id.into(),
        revision: 0,
        status: BidStatus::Submitted,
        organisation: organisation.into(),
        side,
        kind,
        steps: steps.iter().map(|(at, price, mw)| Step::flat(*at, price * 1_000_000, mw * 1_000)).collect(),
        ..bid(spain)
    };
    let block = BidKind::Block { min_acceptance_ppm: 1_000_000, parent: None, exclusive_group: None };
    let start = BidKind::MinimumIncome { fixed_micros: 90_000_000_000, variable_micros: None };
    vec![
        bid(series(names, "PJM")),
        of("d-1", "City", Side::Buy, BidKind::Curve, &[(ten, 60, 150), (ten, 15, 40)]),
        of("k-1", "Beta", Side::Sell, block, &[(ten, 50, 20), (eleven, 50, 20)]),
        of("m-1", "Beta", Side::Sell, start, &[(ten, 10, 10)]),
        BidEvent {
            asset: Some("wind-1".into()),
            ..of("s-1", "Acme", Side::Sell, BidKind::Curve, &[(ten, 10, 100), (ten, 30, 50)])
        },
        of("s-2", "Beta", Side::Sell, BidKind::Curve, &[(ten, 20, 80)]),
    ]
}

/// What the dataflow says of a book at T.
fn cleared(bids: &[BidEvent], now: T) -> (Vec<Clearing>, Vec<Award>) {
    let rules = Rules::new(&Zones::built_in());
    let mut books: BTreeMap<Auction, Book> = BTreeMap::new();
    for bid in bids {
        let auction = rules.auction(bid);
        books.entry(auction).or_insert_with(|| Book::new(&auction, &rules)).enter(bid.clone().into());
    }
    let (mut rows, mut awards) = (Vec::new(), Vec::new());
    for book in books.values_mut() {
        book.clear();
        for interval in book.intervals().all() {
            rows.extend((0..book.zones().len()).filter_map(|zone| book.row(interval, zone)));
            if book.intervals().closes_at(interval) <= now {
                awards.extend(book.awards(interval).into_values());
            }
        }
    }
    rows.sort_by_key(Clearing::key);
    awards.sort_by_key(Award::key);
    (rows, awards)
}

/// One interval that is settled, and one that is open.
fn settled(names: &Names) -> Vec<Settlement> {
    let known = Settlement {
        organisation: "Acme".into(),
        asset: "wind-1".into(),
        bid: String::new(),
        series: SeriesKey { location: names.location("MIBEL-ES", "MIBEL-ES").0, market: Market::DayAheadHourly },
        start_ms: ms("2026-03-10T10:00:00Z"),
        duration_ms: 3_600_000,
        day_ms: ms("2026-03-09T23:00:00Z"),
        scheduled_kw: 50_000,
        day_ahead_micros: 2_100_000_000,
        metered_kw: Some(42_000),
        imbalance_kw: Some(-8_000),
        real_time_price_micros: Some(60_000_000),
        imbalance_micros: Some(-480_000_000),
        penalty_micros: Some(36_000_000),
        total_micros: Some(1_584_000_000),
    };
    let open = Settlement {
        start_ms: ms("2026-03-10T11:00:00Z"),
        metered_kw: None,
        imbalance_kw: None,
        imbalance_micros: None,
        penalty_micros: None,
        total_micros: None,
        ..known.clone()
    };
    vec![known, open]
}

fn day(names: &Names) -> Pnl {
    Pnl {
        organisation: "Acme".into(),
        asset: "wind-1".into(),
        zone: names.location("MIBEL-ES", "MIBEL-ES").0,
        day_ms: ms("2026-03-09T23:00:00Z"),
        day_end_ms: ms("2026-03-10T23:00:00Z"),
        day_ahead_micros: 4_200_000_000,
        imbalance_micros: -480_000_000,
        penalty_micros: 36_000_000,
        total_micros: 3_684_000_000,
        intervals: 2,
        open_intervals: 1,
    }
}

/// Key figures of a book at T, with the gate of every interval that has awards closed.
fn figures(bids: &[BidEvent], awards: &[Award], now: T) -> Vec<BidKpi> {
    let rules = Rules::new(&Zones::built_in());
    let mut rows: BTreeMap<BidKpiKey, (BidKpi, i64)> = BTreeMap::new();
    for bid in bids {
        for step in &bid.steps {
            let key = BidKpiKey {
                series: bid.series,
                start_ms: step.start_ms,
                duration_ms: bid.duration_ms,
                side: bid.side,
                organisation: bid.organisation.clone(),
            };
            let empty = BidKpi {
                key: key.clone(),
                live: 0,
                withdrawn: 0,
                rejected: 0,
                expired: 0,
                offered_kw: 0,
                mean_price_micros: None,
                awarded_kw: 0,
                acceptance_ppm: None,
            };
            let (row, value) = rows.entry(key).or_insert((empty, 0));
            // The steps of a bid come by interval.
            let is_first = bid.steps.iter().find(|first| first.start_ms == step.start_ms) == Some(step);
            row.live += i64::from(is_first);
            row.offered_kw += step.power_kw;
            *value += step.power_kw * step.price_micros;
        }
    }
    let finish = |(mut row, value): (BidKpi, i64)| {
        let of_row = |award: &&Award| {
            let key = &row.key;
            (award.series, award.start_ms, award.side) == (key.series, key.start_ms, key.side)
                && award.organisation == key.organisation
        };
        row.awarded_kw = awards.iter().filter(of_row).map(|award| award.power_kw).sum();
        row.mean_price_micros = Some(value / row.offered_kw);
        let auction = rules.auction_at(row.key.series, row.key.start_ms, row.key.duration_ms);
        let is_closed = rules.closes_at(&auction, row.key.start_ms) <= now;
        row.acceptance_ppm = is_closed.then(|| row.awarded_kw * 1_000_000 / row.offered_kw);
        row
    };
    rows.into_values().map(finish).collect()
}

fn notice() -> Notice {
    Notice {
        id: "n1".into(),
        zone: "PJM".into(),
        class: "market_alert".into(),
        alert_type: "price_spike".into(),
        message: "High price, it's said".into(),
        severity: Severity::Critical,
        event_ms: ms("2026-03-10T11:59:59Z"),
    }
}

fn rule() -> Rule {
    Rule {
        rule: "default".into(),
        kind: AnomalyKind::ZScore,
        zone: None,
        location: None,
        market: None,
        threshold_milli: 2_500,
        window_bars: 30,
        severity: Severity::Warning,
        enabled: true,
        revision: 0,
        deleted: false,
    }
}

/// Writes one file of the log as the history sink does.
pub(crate) fn write_file(root: &Path, table: Table, day: &str, name: &str, rows: &RecordBatch) {
    let folder = root.join(table.name()).join(format!("day={day}"));
    std::fs::create_dir_all(&folder).unwrap();
    let file = File::create(folder.join(name)).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

fn write_history(root: &Path, context: Context<'_>) {
    let (pjm, nyiso) = (series(context.names, "PJM"), series(context.names, "NYISO"));
    let hour = |series, start: &str, price| bar(series, Granularity::H1, ms(start), &[price]);
    let minute = |series, start: &str, price| bar(series, Granularity::M1, ms(start), &[price]);
    let bars = |day: &str, name: &str, rows: &[(T, bool, BarRow)]| {
        let rows = table::bars(context, rows.iter().map(|(t, removed, row)| (*t, *removed, row))).unwrap();
        write_file(root, Table::Bars, day, name, &rows);
    };
    let (old, began) = (t("2026-03-08T12:00:00Z"), t("2026-03-10T10:00:00Z"));
    let later = t("2026-03-10T12:00:01Z");
    // Two versions of one bar, a removal, and a version that the snapshot's T does not see yet.
    bars(
        "2026-03-08",
        &format!("{old}-{}.parquet", old + 1),
        &[
            (old, false, hour(pjm, "2026-03-08T10:00:00Z", 5)),
            (old, false, hour(nyiso, "2026-03-08T10:00:00Z", 8)),
            (old + 1, false, hour(pjm, "2026-03-08T11:00:00Z", 4)),
        ],
    );
    bars(
        "2026-03-08",
        &format!("{}-{later}.parquet", old + 2),
        &[
            (old + 2, false, hour(pjm, "2026-03-08T10:00:00Z", 6)),
            (old + 2, true, hour(nyiso, "2026-03-08T10:00:00Z", 8)),
            (later, false, hour(pjm, "2026-03-08T11:00:00Z", 44)),
        ],
    );
    bars(
        "2026-03-09",
        &format!("{old}-{began}.parquet"),
        &[(began - 1, false, minute(pjm, "2026-03-09T23:59:00Z", 9))],
    );
    // From before the live state began; of a live bar; of a bar that was removed since.
    bars(
        "2026-03-10",
        &format!("{}-{}.parquet", began - 2, began + 9),
        &[
            (began - 2, false, minute(pjm, "2026-03-10T09:00:00Z", 7)),
            (began + 9, false, minute(pjm, "2026-03-10T11:55:00Z", 999)),
            (began + 9, false, minute(pjm, "2026-03-10T11:54:00Z", 998)),
        ],
    );
    let ticks = [
        (old, false, tick(context.names, "2026-03-08T10:00:00Z", 5, 1, 0, Disposition::Applied)),
        (old + 2, false, tick(context.names, "2026-03-08T10:00:00Z", 6, 2, 1, Disposition::Corrected)),
    ];
    let ticks = table::ticks(context, ticks.iter().map(|(t, removed, row)| (*t, *removed, row))).unwrap();
    write_file(root, Table::Ticks, "2026-03-08", &format!("{old}-{}.parquet", old + 2), &ticks);
    let kpis = [(began - 5, false, kpi(nyiso, 60)), (began - 4, false, kpi(pjm, 49))];
    let kpis = table::kpis(context, kpis.iter().map(|(t, removed, row)| (*t, *removed, row))).unwrap();
    write_file(root, Table::Kpis, "2026-03-10", &format!("{}-{}.parquet", began - 5, began - 4), &kpis);
    // The life of a bid: versions from before the live state began and after, of which the next was live at once; one that
    // is not there yet; and a bid of a day that is over.
    let version = |revision, status, price: i64| BidEvent {
        revision,
        status,
        steps: vec![Step::flat(ms("2026-03-11T10:00:00Z"), price * 1_000_000, 1_500)],
        ..bid(pjm)
    };
    let versions = [
        (old, false, version(0, BidStatus::Submitted, 28)),
        (began + 9, false, version(1, BidStatus::Amended, 29)),
        (later, false, version(3, BidStatus::Withdrawn, 29)),
    ];
    let bids = |versions: &[(T, bool, BidEvent)]| {
        let versions: Vec<_> = versions.iter().map(|(t, removed, row)| (*t, *removed, row.clone().into())).collect();
        table::bids(context, versions.iter().map(|(t, removed, row)| (*t, *removed, row))).unwrap()
    };
    write_file(root, Table::Bids, "2026-03-11", &format!("{old}-{later}.parquet"), &bids(&versions));
    let over = ms("2026-03-08T10:00:00Z");
    let over = BidEvent {
        bid: "b-0".into(),
        status: BidStatus::Withdrawn,
        delivery_ms: over,
        steps: vec![Step::flat(over, 12_000_000, 2_000)],
        ..bid(nyiso)
    };
    write_file(root, Table::Bids, "2026-03-08", &format!("{old}-{old}.parquet"), &bids(&[(old, false, over)]));
}
