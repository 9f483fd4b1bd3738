//! JSON rows of the changelog, as `model::table` made them, back into the shared nouns. Pure.
//!
//! Prices, volumes and z come back exactly (at most 16 significant digits went out). What the tables do not hold does
//! not come back: the partition and offset of a bid's event, and the bytes of a dead letter.

use std::borrow::Cow;

use model::bid::{BidStatus, Side};
use model::money::MICROS;
use model::time::{Granularity, parse_instant};
use model::wire::{self, WireKind, WireStep};
use model::{
    Alert, AlertState, Anomaly, AnomalyKind, Award, Bar, BarKey, BarRow, BidEvent, BidKpi, BidKpiKey, Clearing,
    Correlation, DeadLetter, Kpi, LiveBid, LocationId, Market, Names, PartitionId, Pnl, SeriesKey, Settlement,
    Severity, T,
};
use serde::Deserialize;

fn scaled(number: f64, unit: i64) -> i64 {
    (number * unit as f64).round() as i64
}

fn micros(price: f64) -> i64 {
    scaled(price, MICROS)
}

/// kWh of MWh, kW of MW.
fn kilo(mega: f64) -> i64 {
    scaled(mega, 1_000)
}

fn ppm(percent: f64) -> i64 {
    scaled(percent, 10_000)
}

fn t_of(time: &str) -> Option<T> {
    T::try_from(parse_instant(time)?).ok()
}

fn series(names: &Names, zone: &str, location: &str, market: &str) -> Option<SeriesKey> {
    Some(SeriesKey { location: names.location(zone, location).0, market: Market::parse(market)? })
}

#[derive(Deserialize)]
pub(super) struct BarLine<'a> {
    #[serde(borrow)]
    zone: Cow<'a, str>,
    #[serde(borrow)]
    location: Cow<'a, str>,
    market: &'a str,
    granularity: &'a str,
    start_time: &'a str,
    end_time: &'a str,
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: f64,
    count: i64,
    first_time: &'a str,
    last_time: &'a str,
    sum_price: &'a str,
    sum_price_sq: &'a str,
    sum_price_volume: &'a str,
}

impl BarLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<BarRow> {
        let key = BarKey {
            series: series(names, &self.zone, &self.location, self.market)?,
            granularity: Granularity::parse(self.granularity)?,
            start_ms: parse_instant(self.start_time)?,
        };
        let bar = Bar {
            open: micros(self.open),
            high: micros(self.high),
            low: micros(self.low),
            close: micros(self.close),
            count: self.count,
            sum_price: self.sum_price.parse().ok()?,
            sum_price_sq: self.sum_price_sq.parse().ok()?,
            sum_volume_kwh: kilo(self.volume),
            sum_price_volume: self.sum_price_volume.parse().ok()?,
            first_ms: parse_instant(self.first_time)?,
            last_ms: parse_instant(self.last_time)?,
        };
        Some(BarRow { key, end_ms: parse_instant(self.end_time)?, bar })
    }
}

#[derive(Deserialize)]
pub(super) struct KpiLine<'a> {
    #[serde(borrow)]
    zone: Cow<'a, str>,
    #[serde(borrow)]
    location: Cow<'a, str>,
    market: &'a str,
    window_min: u32,
    last: f64,
    last_time: &'a str,
    change: f64,
    change_percent: Option<f64>,
    min: f64,
    max: f64,
    mean: f64,
    vwap: Option<f64>,
    volatility: Option<f64>,
    volume: f64,
    count: i64,
    spread: Option<f64>,
}

impl KpiLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<Kpi> {
        Some(Kpi {
            series: series(names, &self.zone, &self.location, self.market)?,
            window_min: self.window_min,
            last: micros(self.last),
            last_ms: parse_instant(self.last_time)?,
            change: micros(self.change),
            change_ppm: self.change_percent.map(ppm),
            min: micros(self.min),
            max: micros(self.max),
            mean: micros(self.mean),
            vwap: self.vwap.map(micros),
            volatility: self.volatility.map(micros),
            volume_kwh: kilo(self.volume),
            count: self.count,
            spread: self.spread.map(micros),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct AlertLine<'a> {
    t: &'a str,
    id: &'a str,
    #[serde(borrow)]
    zone: Cow<'a, str>,
    #[serde(borrow)]
    location: Cow<'a, str>,
    market: &'a str,
    #[serde(borrow)]
    rule: Cow<'a, str>,
    kind: AnomalyKind,
    severity: Severity,
    start_time: &'a str,
    value: f64,
    baseline: Option<f64>,
    z: Option<f64>,
    threshold: f64,
    state: AlertState,
    raised_time: &'a str,
    revision: u32,
}

impl AlertLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<Alert> {
        // A stale feed is judged in milliseconds.
        let unit = if self.kind == AnomalyKind::StaleFeed { 1 } else { MICROS };
        let anomaly = Anomaly {
            id: u64::from_str_radix(self.id, 16).ok()?,
            rule: self.rule.clone().into_owned(),
            kind: self.kind,
            severity: self.severity,
            series: series(names, &self.zone, &self.location, self.market)?,
            start_ms: parse_instant(self.start_time)?,
            value: scaled(self.value, unit),
            baseline: self.baseline.map(micros),
            z_milli: self.z.map(|z| scaled(z, 1_000)),
            threshold_milli: scaled(self.threshold, 1_000),
        };
        let (state, revision) = (self.state, self.revision);
        Some(Alert { anomaly, state, raised_t: t_of(self.raised_time)?, changed_t: t_of(self.t)?, revision })
    }
}

#[derive(Deserialize)]
pub(super) struct CorrelationLine<'a> {
    #[serde(borrow)]
    zone_a: Cow<'a, str>,
    #[serde(borrow)]
    location_a: Cow<'a, str>,
    market_a: &'a str,
    #[serde(borrow)]
    zone_b: Cow<'a, str>,
    #[serde(borrow)]
    location_b: Cow<'a, str>,
    market_b: &'a str,
    window_min: u32,
    lag_min: u32,
    n: i64,
    r: Option<f64>,
}

impl CorrelationLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<Correlation> {
        Some(Correlation {
            a: series(names, &self.zone_a, &self.location_a, self.market_a)?,
            b: series(names, &self.zone_b, &self.location_b, self.market_b)?,
            window_min: self.window_min,
            lag_min: self.lag_min,
            n: self.n,
            r_nano: self.r.map(|r| scaled(r, 1_000_000_000)),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct BidLine<'a> {
    #[serde(borrow)]
    bid: Cow<'a, str>,
    #[serde(borrow)]
    organisation: Cow<'a, str>,
    #[serde(borrow, default)]
    asset: Option<Cow<'a, str>>,
    #[serde(borrow)]
    zone: Cow<'a, str>,
    #[serde(borrow)]
    location: Cow<'a, str>,
    market: &'a str,
    delivery_time: &'a str,
    duration_ms: u32,
    side: Side,
    status: BidStatus,
    revision: i64,
    /// JSON; none in lines of before bids had terms.
    #[serde(borrow, default)]
    terms: Option<Cow<'a, str>>,
    #[serde(borrow)]
    steps: Cow<'a, str>,
    event_time: &'a str,
}

impl BidLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<LiveBid> {
        let steps: Vec<WireStep> = serde_json::from_str(&self.steps).ok()?;
        let delivery_ms = parse_instant(self.delivery_time)?;
        let terms: WireKind = match &self.terms {
            Some(terms) => serde_json::from_str(terms).ok()?,
            None => WireKind::Curve,
        };
        Some(LiveBid::new(BidEvent {
            bid: self.bid.clone().into_owned(),
            revision: self.revision,
            status: self.status,
            organisation: self.organisation.clone().into_owned(),
            asset: self.asset.clone().map(Cow::into_owned),
            series: series(names, &self.zone, &self.location, self.market)?,
            delivery_ms,
            duration_ms: self.duration_ms,
            side: self.side,
            kind: wire::bid::kind(&terms, |zone| LocationId::new(zone, zone)).ok()?,
            steps: steps.iter().map(|step| wire::bid::step(step, delivery_ms).ok()).collect::<Option<_>>()?,
            event_ms: parse_instant(self.event_time)?,
            partition: PartitionId::default(),
            offset: -1,
        }))
    }
}

#[derive(Deserialize)]
pub(super) struct ClearingLine<'a> {
    #[serde(borrow)]
    zone: Cow<'a, str>,
    #[serde(borrow)]
    location: Cow<'a, str>,
    market: &'a str,
    start_time: &'a str,
    duration_ms: u32,
    price: Option<f64>,
    price_low: Option<f64>,
    price_high: Option<f64>,
    sold_mw: f64,
    bought_mw: f64,
    import_mw: f64,
    congested: bool,
    marginal_side: Option<Side>,
    #[serde(borrow)]
    marginal_bid: Option<Cow<'a, str>>,
    buy_surplus: f64,
    sell_surplus: f64,
    offered_mw: f64,
    wanted_mw: f64,
    best_buy: Option<f64>,
    best_sell: Option<f64>,
    bids: i64,
}

impl ClearingLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<Clearing> {
        Some(Clearing {
            series: series(names, &self.zone, &self.location, self.market)?,
            start_ms: parse_instant(self.start_time)?,
            duration_ms: self.duration_ms,
            price_micros: self.price.map(micros),
            range_micros: self.price_low.map(micros).zip(self.price_high.map(micros)),
            sold_kw: kilo(self.sold_mw),
            bought_kw: kilo(self.bought_mw),
            import_kw: kilo(self.import_mw),
            congested: self.congested,
            marginal: self.marginal_side.zip(self.marginal_bid.clone().map(Cow::into_owned)),
            buy_surplus_micros: micros(self.buy_surplus),
            sell_surplus_micros: micros(self.sell_surplus),
            offered_kw: kilo(self.offered_mw),
            wanted_kw: kilo(self.wanted_mw),
            best_buy_micros: self.best_buy.map(micros),
            best_sell_micros: self.best_sell.map(micros),
            bids: self.bids,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct AwardLine<'a> {
    #[serde(borrow)]
    bid: Cow<'a, str>,
    #[serde(borrow)]
    organisation: Cow<'a, str>,
    #[serde(borrow)]
    asset: Option<Cow<'a, str>>,
    #[serde(borrow)]
    zone: Cow<'a, str>,
    #[serde(borrow)]
    location: Cow<'a, str>,
    market: &'a str,
    start_time: &'a str,
    duration_ms: u32,
    side: Side,
    power_mw: f64,
    price: f64,
}

impl AwardLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<Award> {
        Some(Award {
            bid: self.bid.clone().into_owned(),
            organisation: self.organisation.clone().into_owned(),
            asset: self.asset.clone().map(Cow::into_owned),
            series: series(names, &self.zone, &self.location, self.market)?,
            start_ms: parse_instant(self.start_time)?,
            duration_ms: self.duration_ms,
            side: self.side,
            power_kw: kilo(self.power_mw),
            price_micros: micros(self.price),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct SettlementLine<'a> {
    #[serde(borrow)]
    organisation: Cow<'a, str>,
    #[serde(borrow)]
    asset: Cow<'a, str>,
    #[serde(borrow)]
    bid: Cow<'a, str>,
    #[serde(borrow)]
    zone: Cow<'a, str>,
    #[serde(borrow)]
    location: Cow<'a, str>,
    market: &'a str,
    start_time: &'a str,
    duration_ms: u32,
    day_time: &'a str,
    scheduled_mw: f64,
    day_ahead: f64,
    metered_mw: Option<f64>,
    imbalance_mw: Option<f64>,
    real_time_price: Option<f64>,
    imbalance: Option<f64>,
    penalty: Option<f64>,
    total: Option<f64>,
}

impl SettlementLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<Settlement> {
        Some(Settlement {
            organisation: self.organisation.clone().into_owned(),
            asset: self.asset.clone().into_owned(),
            bid: self.bid.clone().into_owned(),
            series: series(names, &self.zone, &self.location, self.market)?,
            start_ms: parse_instant(self.start_time)?,
            duration_ms: self.duration_ms,
            day_ms: parse_instant(self.day_time)?,
            scheduled_kw: kilo(self.scheduled_mw),
            day_ahead_micros: micros(self.day_ahead),
            metered_kw: self.metered_mw.map(kilo),
            imbalance_kw: self.imbalance_mw.map(kilo),
            real_time_price_micros: self.real_time_price.map(micros),
            imbalance_micros: self.imbalance.map(micros),
            penalty_micros: self.penalty.map(micros),
            total_micros: self.total.map(micros),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct PnlLine<'a> {
    #[serde(borrow)]
    organisation: Cow<'a, str>,
    #[serde(borrow)]
    asset: Cow<'a, str>,
    #[serde(borrow)]
    zone: Cow<'a, str>,
    start_time: &'a str,
    end_time: &'a str,
    day_ahead: f64,
    imbalance: f64,
    penalty: f64,
    total: f64,
    intervals: i64,
    open_intervals: i64,
}

impl PnlLine<'_> {
    pub(super) fn row(&self) -> Option<Pnl> {
        Some(Pnl {
            organisation: self.organisation.clone().into_owned(),
            asset: self.asset.clone().into_owned(),
            zone: LocationId::new(&self.zone, &self.zone),
            day_ms: parse_instant(self.start_time)?,
            day_end_ms: parse_instant(self.end_time)?,
            day_ahead_micros: micros(self.day_ahead),
            imbalance_micros: micros(self.imbalance),
            penalty_micros: micros(self.penalty),
            total_micros: micros(self.total),
            intervals: self.intervals,
            open_intervals: self.open_intervals,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct BidKpiLine<'a> {
    #[serde(borrow)]
    organisation: Cow<'a, str>,
    #[serde(borrow)]
    zone: Cow<'a, str>,
    #[serde(borrow)]
    location: Cow<'a, str>,
    market: &'a str,
    side: Side,
    start_time: &'a str,
    duration_ms: u32,
    live_bids: i64,
    withdrawn_bids: i64,
    rejected_bids: i64,
    expired_bids: i64,
    offered_mw: f64,
    mean_price: Option<f64>,
    awarded_mw: f64,
    acceptance_percent: Option<f64>,
}

impl BidKpiLine<'_> {
    pub(super) fn row(&self, names: &Names) -> Option<BidKpi> {
        let key = BidKpiKey {
            series: series(names, &self.zone, &self.location, self.market)?,
            start_ms: parse_instant(self.start_time)?,
            duration_ms: self.duration_ms,
            side: self.side,
            organisation: self.organisation.clone().into_owned(),
        };
        Some(BidKpi {
            key,
            live: self.live_bids,
            withdrawn: self.withdrawn_bids,
            rejected: self.rejected_bids,
            expired: self.expired_bids,
            offered_kw: kilo(self.offered_mw),
            mean_price_micros: self.mean_price.map(micros),
            awarded_kw: kilo(self.awarded_mw),
            acceptance_ppm: self.acceptance_percent.map(ppm),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct LetterLine {
    topic: String,
    partition: i32,
    offset: i64,
    row: u32,
    reason: model::Reason,
    detail: String,
}

impl LetterLine {
    pub(super) fn row(self) -> DeadLetter {
        let Self { topic, partition, offset, row, reason, detail } = self;
        DeadLetter { topic: topic.into(), partition, offset, row, reason, detail, bytes: Vec::new() }
    }
}
