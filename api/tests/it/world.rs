//! A small market at 2025-11-18 12:00 UTC, and a server on a free port.
//!
//! PJM: 120 continuous minutes with a jump at 11:50, the 11:59 minute made of known ticks, one of them corrected
//! and one withdrawn. MISO: the same minutes, moving with PJM. IEX-W2 (MUMBAI): eight quarter-hours. The rest: nothing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use model::health::{ServiceHealth, ServiceState};
use model::output::{AlertState, AnomalyKind, Severity};
use model::time::parse_instant;
use model::wire::TopicKind;
use model::{
    Alert, Anomaly, Bar, BarKey, BarRow, Batch, Change, Correlation, Disposition, Granularity, Kpi, Market, Names,
    Notice, SeriesKey, Snapshot, Tick, TickExtra, TickRow, Zones,
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The administrator's key in every test.
pub(crate) const KEY: &str = "the-key-of-the-tests";
const MINUTE: i64 = 60_000;

/// A message that the API published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) kind: TopicKind,
    pub(crate) zone: Option<String>,
    pub(crate) key: String,
    pub(crate) payload: Value,
}

/// Takes messages as a broker would, or refuses them all.
#[derive(Default)]
struct Broker {
    messages: Mutex<Vec<Published>>,
    down: Mutex<bool>,
}

#[async_trait]
impl api::Publisher for Broker {
    async fn publish(&self, kind: TopicKind, zone: Option<&str>, key: &str, payload: Vec<u8>) -> Result<(), String> {
        if *self.down.lock() {
            return Err("no broker".to_owned());
        }
        let payload = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
        let zone = zone.map(str::to_owned);
        self.messages.lock().push(Published { kind, zone, key: key.to_owned(), payload });
        Ok(())
    }
}

/// A running server and the state behind it.
pub(crate) struct World {
    pub(crate) zones: Zones,
    names: Arc<Names>,
    live: Arc<ArcSwap<Snapshot>>,
    batches: broadcast::Sender<Arc<Batch>>,
    broker: Arc<Broker>,
    services: Arc<Mutex<Vec<ServiceHealth>>>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) server: JoinHandle<Result<(), api::Error>>,
    pub(crate) client: reqwest::Client,
}

/// The seeded T.
pub(crate) fn noon() -> u64 {
    at("2025-11-18T12:00:00Z") as u64
}

/// UTC milliseconds of RFC 3339.
pub(crate) fn at(text: &str) -> i64 {
    parse_instant(text).unwrap()
}

pub(crate) fn config() -> api::Config {
    api::Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        admin_key: model::humane::Secret::new(KEY.to_owned()),
        ..api::Config::default()
    }
}

fn service(name: &str, state: ServiceState, required: bool) -> ServiceHealth {
    ServiceHealth { name: name.to_owned(), state, detail: format!("{name} of the tests"), required }
}

impl World {
    /// The seeded market behind a server with default settings.
    pub(crate) async fn start() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: api::Config) -> Self {
        Self::try_with(config).await.unwrap()
    }

    pub(crate) async fn try_with(config: api::Config) -> Result<Self, api::Error> {
        let zones = Zones::built_in();
        let names = Arc::new(Names::default());
        let live = Arc::new(ArcSwap::from_pointee(seeded(&names, &zones)));
        let (batches, _) = broadcast::channel(8_192);
        let broker = Arc::new(Broker::default());
        let services = Arc::new(Mutex::new(vec![
            service("kafka", ServiceState::Up, true),
            service("dataflow", ServiceState::Up, true),
            service("redis", ServiceState::Disabled, false),
            service("postgres", ServiceState::Down, false),
        ]));
        let registry = prometheus::Registry::new();
        let engine = sql::Engine::new(
            sql::Config::default(),
            zones.clone(),
            Arc::clone(&names),
            Arc::clone(&live),
            None,
            sql::Metrics::new(&registry).unwrap(),
        )
        .unwrap();
        let shared = Arc::clone(&services);
        let deps = api::Deps {
            live: Arc::clone(&live),
            batches: batches.clone(),
            zones: zones.clone(),
            names: Arc::clone(&names),
            store: sql::Store::new(engine.clone()),
            engine,
            publisher: broker.clone(),
            health: Arc::new(move || shared.lock().clone()),
            is_current: Arc::new(|| true),
            registry,
            platform: None,
        };
        let starting = api::Starting::new(&config, || "a test".to_owned())?;
        let server = api::Server::new(config, deps, starting).await?;
        let (address, stop) = (server.address().unwrap(), CancellationToken::new());
        let server = tokio::spawn(server.run(stop.clone()));
        let client = reqwest::Client::new();
        Ok(Self { zones, names, live, batches, broker, services, address, stop, server, client })
    }

    /// Closes a batch as the pipeline does: first the snapshot, then the stream.
    pub(crate) fn close(&self, batch: Batch) {
        let mut next = (**self.live.load()).clone();
        next.apply(&batch);
        self.live.store(Arc::new(next));
        self.batches.send(Arc::new(batch)).unwrap();
    }

    pub(crate) fn set_service(&self, name: &str, state: ServiceState) {
        self.services.lock().iter_mut().find(|service| service.name == name).unwrap().state = state;
    }

    pub(crate) fn published(&self) -> Vec<Published> {
        self.broker.messages.lock().clone()
    }

    pub(crate) fn stop_broker(&self) {
        *self.broker.down.lock() = true;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Status and JSON of a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(self.url(path)).send().await.unwrap()).await
    }

    /// Status and JSON of a POST by the administrator.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(self.url(path)).header("x-admin-key", KEY).json(body);
        answer(request.send().await.unwrap()).await
    }

    /// The series of a zone's own index.
    pub(crate) fn index(&self, zone: &str, market: Market) -> SeriesKey {
        let zone = self.zones.get(zone).unwrap();
        SeriesKey { location: self.names.location(&zone.code, &zone.code).0, market }
    }

    /// A batch with one changed minute of a zone's index.
    pub(crate) fn price(&self, t: u64, zone: &str, minute: &str, price: f64) -> Batch {
        let row = minute_bar(self.index(zone, Market::Continuous), at(minute), &[(price, 1.0)]);
        Batch { t, bars: vec![Change::Put(row)], ..Batch::default() }
    }
}

/// Status and JSON of a response; JSON null for another body.
pub(crate) async fn answer(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

pub(crate) fn micros(price: f64) -> i64 {
    model::money::price_micros(price).unwrap()
}

/// A minute bar of ticks one second apart, price and MWh each.
pub(crate) fn minute_bar(series: SeriesKey, start_ms: i64, ticks: &[(f64, f64)]) -> BarRow {
    let bars: Vec<Bar> = (0..)
        .zip(ticks)
        .map(|(second, (price, mwh))| {
            Bar::of(start_ms + second * 1000, micros(*price), model::money::volume_kwh(*mwh).unwrap())
        })
        .collect();
    let key = BarKey { series, granularity: Granularity::M1, start_ms };
    BarRow { key, end_ms: start_ms + MINUTE, bar: Bar::merge(&bars).unwrap() }
}

fn rolled_up(minutes: &[BarRow], zones: &Zones) -> Vec<BarRow> {
    let mut rows = minutes.to_vec();
    for granularity in &Granularity::ALL[1..] {
        let mut buckets: std::collections::BTreeMap<(SeriesKey, i64, i64), Vec<Bar>> = Default::default();
        for row in minutes {
            let (start, end) = granularity.bucket(row.key.start_ms, zones.timezone(row.key.series.location));
            buckets.entry((row.key.series, start, end)).or_default().push(row.bar);
        }
        rows.extend(buckets.into_iter().map(|((series, start_ms, end_ms), bars)| BarRow {
            key: BarKey { series, granularity: *granularity, start_ms },
            end_ms,
            bar: Bar::merge(&bars).unwrap(),
        }));
    }
    rows.sort();
    rows
}

/// PJM's price in minute `k` before noon counts from 10:00.
pub(crate) fn pjm_price(k: i64) -> f64 {
    if k == 110 { 95.0 } else { 50.0 + (k % 7) as f64 * 0.5 }
}

fn seeded(names: &Names, zones: &Zones) -> Snapshot {
    let start = at("2025-11-18T10:00:00Z");
    let mut fresh = Vec::new();
    let mut place = |zone: &str, location: &str, market| {
        let (id, name) = names.location(zone, location);
        fresh.extend(name);
        SeriesKey { location: id, market }
    };
    let pjm = place("PJM", "PJM", Market::Continuous);
    let miso = place("MISO", "MISO", Market::Continuous);
    let mumbai = place("IEX-W2", "IEX-W2", Market::RealTime15Min);
    let mut minutes = Vec::new();
    for k in 0..119 {
        minutes.push(minute_bar(pjm, start + k * MINUTE, &[(pjm_price(k), 10.0)]));
        minutes.push(minute_bar(miso, start + k * MINUTE, &[(pjm_price(k) * 2.0 - 70.0, 5.0)]));
    }
    for quarter in 0..8 {
        minutes.push(minute_bar(mumbai, start + quarter * 15 * MINUTE, &[(4000.0 + quarter as f64, 100.0)]));
    }
    let last = start + 119 * MINUTE;
    let (bar, ticks) = last_minute(names, pjm, last);
    minutes.push(bar);
    minutes.push(minute_bar(miso, last, &[(30.0, 5.0)]));
    let mut batch = Batch { t: noon(), names: fresh, ticks: ticks.into(), ..Batch::default() };
    batch.bars = rolled_up(&minutes, zones).into_iter().map(Change::Put).collect();
    batch.alerts =
        vec![alert(pjm, start + 110 * MINUTE, AlertState::Raised), alert(miso, start, AlertState::Withdrawn)];
    batch.kpis = vec![Change::Put(kpi(pjm))];
    batch.correlations = vec![Change::Put(Correlation {
        a: pjm.min(miso),
        b: pjm.max(miso),
        window_min: 60,
        lag_min: 0,
        n: 60,
        r_nano: Some(987_654_321),
    })];
    batch.notices = vec![notice("seed", "PJM", "market_event", noon() as i64)];
    batch.counts.received = 5;
    (batch.counts.applied, batch.counts.corrected) = (3, 2);
    let mut snapshot = Snapshot::default();
    snapshot.apply(&batch);
    snapshot
}

/// 11:59: 50 and 54 stand; 52 was sent first as 99; 70 was withdrawn.
fn last_minute(names: &Names, pjm: SeriesKey, start: i64) -> (BarRow, Vec<TickRow>) {
    let partition = names.partition("optibid.ticks.pjm", 0).unwrap();
    let tick = |second: i64, price: f64, offset: i64, id: &str, revision: i64, cancelled: bool| Tick {
        location: pjm.location,
        market: pjm.market,
        event_ms: start + second * 1000,
        duration_ms: 0,
        price_micros: micros(price),
        volume_kwh: 10_000,
        id: offset_id(id),
        revision,
        cancelled,
        partition,
        offset,
        extra: Some(Box::new(TickExtra { id: Some(id.into()), source: Some("test".into()), ..TickExtra::default() })),
    };
    let row = |tick, disposition| TickRow { tick, disposition };
    let rows = vec![
        row(tick(0, 50.0, 100, "a", 0, false), Disposition::Applied),
        row(tick(1, 99.0, 101, "b", 0, false), Disposition::Applied),
        row(tick(1, 52.0, 104, "b", 1, false), Disposition::Corrected),
        row(tick(2, 54.0, 102, "c", 0, false), Disposition::Applied),
        row(tick(3, 70.0, 103, "d", 0, false), Disposition::Applied),
        row(tick(3, 70.0, 105, "d", 1, true), Disposition::Corrected),
    ];
    (minute_bar(pjm, start, &[(50.0, 10.0), (52.0, 10.0), (54.0, 10.0)]), rows)
}

fn offset_id(id: &str) -> u64 {
    u64::from(id.as_bytes()[0])
}

pub(crate) fn alert(series: SeriesKey, start_ms: i64, state: AlertState) -> Alert {
    let id = Anomaly::stable_id("z", AnomalyKind::ZScore, series, start_ms);
    let anomaly = Anomaly {
        id,
        rule: "z".to_owned(),
        kind: AnomalyKind::ZScore,
        severity: Severity::Warning,
        series,
        start_ms,
        value: micros(95.0),
        baseline: Some(micros(51.5)),
        z_milli: Some(4_200),
        threshold_milli: 2_500,
    };
    Alert { anomaly, state, raised_t: noon(), changed_t: noon(), revision: 0 }
}

pub(crate) fn kpi(series: SeriesKey) -> Kpi {
    Kpi {
        series,
        window_min: 60,
        last: micros(54.0),
        last_ms: noon() as i64 - 58_000,
        change: micros(4.0),
        change_ppm: Some(80_000),
        min: micros(50.0),
        max: micros(95.0),
        mean: micros(52.0),
        vwap: Some(micros(52.0)),
        volatility: Some(micros(1.0)),
        volume_kwh: 600_000,
        count: 62,
        spread: None,
    }
}

pub(crate) fn notice(id: &str, zone: &str, class: &str, event_ms: i64) -> Notice {
    Notice {
        id: id.to_owned(),
        zone: zone.to_owned(),
        class: class.to_owned(),
        alert_type: "test".to_owned(),
        message: "something happened".to_owned(),
        severity: Severity::Info,
        event_ms,
    }
}
