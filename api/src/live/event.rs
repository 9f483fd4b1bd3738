//! One change as a WebSocket message, encoded once.
//!
//! Only the zone's spelling differs between clients (`mumbai`, `iex-w2`): an event keeps its JSON as a head
//! (the type) and a rest, and the spelling goes between. `key` says which earlier message it replaces when a
//! slow client gets last values only.
//!
//! ```text
//! {"type":"price_update","market_zone":"mumbai","t":1763460000000,"zone":"IEX-W2", … }
//!          └─ kind                     └ spelling └─ rest ────────────────────────┘
//! ```

use std::collections::HashMap;

use model::clearing::ClearingKey;
use model::location::zone_code;
use model::money::{price, volume_mwh};
use model::output::{CorrelationKey, KpiKey};
use model::time::{T, rfc3339};
use model::{
    Alert, BarKey, BarRow, Change, Clearing, Correlation, Granularity, Kpi, LiveBid, Notice, SeriesKey, Snapshot,
};
use serde::Serialize;

use crate::view::auction::{BookRow, ClearingRow};
use crate::view::{AlertView, Bar, CorrelationView, KpiView, Labels, NoticeView, Price, Series};

/// What a client subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Channel {
    /// `price_update`, `bar_update`.
    Prices,
    /// `volume_update`.
    Volumes,
    /// `kpi_update`.
    Kpis,
    /// `market_alert`, and `bidding_notification` that people send.
    Alerts,
    /// `correlation_update`.
    Correlations,
    /// `bidding_notification` of live bids.
    Bids,
    /// `book_update`: the top of each delivery interval's book, and what is in it.
    Book,
    /// `clearing_update`.
    Clearing,
}

impl Channel {
    pub(crate) const ALL: [Self; 8] = [
        Self::Prices,
        Self::Volumes,
        Self::Kpis,
        Self::Alerts,
        Self::Correlations,
        Self::Bids,
        Self::Book,
        Self::Clearing,
    ];
    /// What a client gets that names none. Clients from before the others must go on seeing what they know.
    pub(crate) const DEFAULT: [Self; 6] =
        [Self::Prices, Self::Volumes, Self::Kpis, Self::Alerts, Self::Correlations, Self::Bids];
    pub(crate) const NAMES: [&'static str; 8] =
        ["prices", "volumes", "kpis", "alerts", "correlations", "bids", "book", "clearing"];

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name().eq_ignore_ascii_case(text.trim()))
    }
}

/// Whom an event concerns, as zone codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Target {
    Zone(u16),
    Pair(u16, u16),
    Everybody,
}

/// What a later event with the same key replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Bar(BarKey),
    Volume(SeriesKey),
    Kpi(KpiKey),
    Alert(u64),
    Correlation(CorrelationKey),
    Bid(u64),
    Book(ClearingKey),
    Clearing(ClearingKey),
    /// Replaces nothing and is never replaced.
    Once(T, u32),
}

/// One encoded event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) target: Target,
    pub(crate) channel: Channel,
    pub(crate) key: Key,
    kind: &'static str,
    rest: Box<str>,
}

impl Event {
    fn new(target: Target, channel: Channel, key: Key, kind: &'static str, body: &impl Serialize) -> Option<Self> {
        // A view holds only strings and finite numbers: encoding it cannot fail, and a failure would cost one event.
        let json = serde_json::to_string(body).ok()?;
        Some(Self { target, channel, key, kind, rest: json.get(1..)?.into() })
    }

    /// Bytes it takes in memory, for limits.
    pub(crate) fn bytes(&self) -> usize {
        self.rest.len() + size_of::<Self>()
    }

    /// The whole message, with the zone as the client spells it.
    pub(crate) fn render(&self, spelling: &str) -> String {
        let Self { kind, rest, .. } = self;
        match self.target {
            Target::Pair(..) => format!("{{\"type\":\"{kind}\",{rest}"),
            Target::Everybody => format!("{{\"type\":\"{kind}\",\"market_zone\":\"*\",{rest}"),
            // Spellings come from the zone table; quoting them keeps the message valid whatever is in there.
            Target::Zone(_) => {
                let spelling = serde_json::Value::from(spelling);
                format!("{{\"type\":\"{kind}\",\"market_zone\":{spelling},{rest}")
            }
        }
    }
}

#[derive(Serialize)]
struct At<B> {
    t: T,
    #[serde(flatten)]
    body: B,
}

#[derive(Serialize)]
struct BarUpdate {
    #[serde(flatten)]
    series: Series,
    removed: bool,
    bar: Bar,
}

#[derive(Serialize)]
struct Volume {
    #[serde(flatten)]
    series: Series,
    volume: f64,
    timestamp: String,
}

#[derive(Serialize)]
struct Bid {
    #[serde(flatten)]
    series: Series,
    bid: String,
    status: &'static str,
    side: model::bid::Side,
    power_mw: f64,
    best_price: Option<f64>,
    delivery: String,
    timestamp: String,
    removed: bool,
}

fn zone_of(series: SeriesKey) -> Target {
    Target::Zone(series.location.zone_code())
}

/// A series' newest minute. Classic clients show this as *the* price.
pub(crate) fn price_update(labels: &Labels, t: T, row: &BarRow) -> Option<Event> {
    let body = At { t, body: Price::new(labels, row) };
    Event::new(zone_of(row.key.series), Channel::Prices, Key::Bar(row.key), "price_update", &body)
}

/// An earlier minute that was put right, or one that is no more.
pub(crate) fn bar_update(labels: &Labels, t: T, row: &BarRow, removed: bool) -> Option<Event> {
    let series = labels.series(row.key.series);
    let body = At { t, body: BarUpdate { series, removed, bar: Bar::new(row) } };
    Event::new(zone_of(row.key.series), Channel::Prices, Key::Bar(row.key), "bar_update", &body)
}

/// The volume of a series' newest minute.
pub(crate) fn volume_update(labels: &Labels, t: T, row: &BarRow) -> Option<Event> {
    let series = labels.series(row.key.series);
    let volume = volume_mwh(row.bar.sum_volume_kwh);
    let body = At { t, body: Volume { series, volume, timestamp: rfc3339(row.bar.last_ms) } };
    Event::new(zone_of(row.key.series), Channel::Volumes, Key::Volume(row.key.series), "volume_update", &body)
}

/// Key figures of one window.
pub(crate) fn kpi_update(labels: &Labels, t: T, kpi: &Kpi, removed: bool) -> Option<Event> {
    #[derive(Serialize)]
    struct Body {
        #[serde(flatten)]
        kpi: KpiView,
        removed: bool,
    }
    let body = At { t, body: Body { kpi: KpiView::new(labels, kpi), removed } };
    Event::new(zone_of(kpi.series), Channel::Kpis, Key::Kpi(kpi.key()), "kpi_update", &body)
}

/// An alert that was raised, revised or withdrawn.
pub(crate) fn market_alert(labels: &Labels, t: T, alert: &Alert) -> Option<Event> {
    let body = At { t, body: AlertView::new(labels, alert) };
    Event::new(zone_of(alert.anomaly.series), Channel::Alerts, Key::Alert(alert.anomaly.id), "market_alert", &body)
}

/// What a person or the market says; `index` is its place in the batch.
pub(crate) fn notice(t: T, index: u32, notice: &Notice) -> Option<Event> {
    let target = if notice.zone == "*" { Target::Everybody } else { Target::Zone(zone_code(&notice.zone)) };
    let kind = if notice.class == "bidding" { "bidding_notification" } else { "market_alert" };
    let body = At { t, body: NoticeView::new(notice) };
    Event::new(target, Channel::Alerts, Key::Once(t, index), kind, &body)
}

/// A correlation.
pub(crate) fn correlation_update(labels: &Labels, t: T, row: &Correlation, removed: bool) -> Option<Event> {
    #[derive(Serialize)]
    struct Body {
        #[serde(flatten)]
        row: CorrelationView,
        removed: bool,
    }
    let target = Target::Pair(row.a.location.zone_code(), row.b.location.zone_code());
    let body = At { t, body: Body { row: CorrelationView::new(labels, row), removed } };
    Event::new(target, Channel::Correlations, Key::Correlation(row.key()), "correlation_update", &body)
}

/// A live bid. Whose it is stays between it and the market.
pub(crate) fn bid(labels: &Labels, t: T, bid: &LiveBid, removed: bool) -> Option<Event> {
    let power_kw: i64 = bid.steps.iter().map(|step| step.power_kw).fold(0, i64::saturating_add);
    let body = Bid {
        series: labels.series(bid.series),
        bid: bid.bid.clone(),
        status: bid.status.as_str(),
        side: bid.side,
        power_mw: volume_mwh(power_kw),
        best_price: bid.steps.first().map(|step| price(step.price_micros)),
        delivery: rfc3339(bid.delivery_ms),
        timestamp: rfc3339(bid.event_ms),
        removed,
    };
    let mut hash = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(&bid.bid, &mut hash);
    let key = Key::Bid(std::hash::Hasher::finish(&hash));
    Event::new(zone_of(bid.series), Channel::Bids, key, "bidding_notification", &At { t, body })
}

#[derive(Serialize)]
struct OrGone<R> {
    #[serde(flatten)]
    row: R,
    removed: bool,
}

/// The top of an interval's book, and what is in it.
pub(crate) fn book_update(labels: &Labels, t: T, row: &Clearing, removed: bool) -> Option<Event> {
    let body = At { t, body: OrGone { row: BookRow::new(labels, row), removed } };
    Event::new(zone_of(row.series), Channel::Book, Key::Book(row.key()), "book_update", &body)
}

/// The clearing of an interval as its book stands.
pub(crate) fn clearing_update(labels: &Labels, t: T, row: &Clearing, removed: bool) -> Option<Event> {
    let body = At { t, body: OrGone { row: ClearingRow::new(labels, row), removed } };
    Event::new(zone_of(row.series), Channel::Clearing, Key::Clearing(row.key()), "clearing_update", &body)
}

/// Remembers each series' newest minute, so that a correction of the past is never shown as the price.
#[derive(Debug, Default)]
pub(crate) struct Newest(HashMap<SeriesKey, (i64, i64)>);

impl Newest {
    /// As the snapshot has it.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let rows = snapshot.latest.iter();
        Self(rows.map(|(series, (_, row))| (*series, (row.key.start_ms, row.bar.sum_volume_kwh))).collect())
    }

    /// The events of one minute bar's change. `live` is at the batch's T or later.
    pub(crate) fn events(&mut self, labels: &Labels, live: &Snapshot, t: T, change: &Change<BarRow>) -> Vec<Event> {
        let row = change.row();
        if row.key.granularity != Granularity::M1 {
            return Vec::new();
        }
        let series = row.key.series;
        let known = self.0.get(&series).copied();
        let mut events = Vec::with_capacity(2);
        match change {
            Change::Put(row) if known.is_none_or(|(start, _)| start <= row.key.start_ms) => {
                events.extend(price_update(labels, t, row));
                let volume = row.bar.sum_volume_kwh;
                if volume != 0 && known != Some((row.key.start_ms, volume)) {
                    events.extend(volume_update(labels, t, row));
                }
                self.0.insert(series, (row.key.start_ms, volume));
            }
            Change::Put(row) => events.extend(bar_update(labels, t, row, false)),
            Change::Remove(row) => {
                events.extend(bar_update(labels, t, row, true));
                if known.is_some_and(|(start, _)| start == row.key.start_ms) {
                    // The minute before it is the price again.
                    let before = live.series_bars(series, Granularity::M1, i64::MIN, row.key.start_ms).next_back();
                    match before {
                        Some(before) => {
                            events.extend(price_update(labels, t, before));
                            self.0.insert(series, (before.key.start_ms, before.bar.sum_volume_kwh));
                        }
                        None => {
                            self.0.remove(&series);
                        }
                    }
                }
            }
        }
        events
    }
}
