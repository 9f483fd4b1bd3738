//! One change as a WebSocket message, encoded when somebody wants it: most moments of a replay at full speed, and most
//! channels of any moment, nobody asks for.
//!
//! Only the zone's spelling differs between clients (`mumbai`, `iex-w2`): it goes between the type and what the event
//! says. `key` says which earlier message it replaces when a slow client gets last values only.
//!
//! ```text
//! {"type":"price_update","market_zone":"mumbai","t":1763460000000,"zone":"IEX-W2", … }
//!          └─ kind                     └ spelling └─ what it says ────────────────┘
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use model::clearing::ClearingKey;
use model::location::zone_code;
use model::money::{price, volume_mwh};
use model::output::{CorrelationKey, KpiKey};
use model::time::{T, rfc3339};
use model::{
    Alert, BarKey, BarRow, Change, Clearing, Correlation, Granularity, Kpi, LiveBid, Notice, Reader, SeriesKey,
    Snapshot, rule,
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

/// Who may see an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Audience {
    Everybody,
    /// Members of this organisation.
    Only(Arc<str>),
    /// Members of all others. (The house hears what the organisation does.)
    Others(Arc<str>),
}

impl Audience {
    /// Of what belongs to an organisation.
    fn only(organisation: &str) -> Self {
        Self::Only(organisation.into())
    }

    /// Of what belongs to the owner of a rule.
    fn of_rule(rule: &str) -> Self {
        rule::owner(rule).map_or(Self::Everybody, Self::only)
    }

    /// Whether this reader is in it.
    pub(crate) fn has(&self, reader: &Reader) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(organisation) => reader.sees(organisation),
            Self::Others(organisation) => !reader.sees(organisation),
        }
    }
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

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) audience: Audience,
    pub(crate) target: Target,
    pub(crate) channel: Channel,
    pub(crate) key: Key,
    t: T,
    says: Says,
}

/// What happened; `true` where it is no more.
#[derive(Clone, Debug)]
enum Says {
    Price(BarRow),
    Bar(BarRow, bool),
    Volume(BarRow),
    Kpi(Kpi, bool),
    Alert(Box<Alert>),
    Notice(Box<Notice>),
    Correlation(Correlation, bool),
    Bid(Box<LiveBid>, bool),
    Book(Box<Clearing>, bool),
    Clearing(Box<Clearing>, bool),
}

impl Event {
    /// Bytes it takes in memory, for limits: the longest messages, encoded once, included.
    pub(crate) fn bytes(&self) -> usize {
        const MESSAGE: usize = 400;
        MESSAGE + size_of::<Self>()
    }

    /// The whole message, with the zone as the client spells it.
    pub(crate) fn render(&self, labels: &Labels, spelling: &str) -> String {
        // A view holds only strings and finite numbers: encoding it cannot fail, and a failure would cost what it says.
        let body = self.body(labels).unwrap_or_else(|_| format!("{{\"t\":{}}}", self.t));
        let (kind, rest) = (self.kind(), body.get(1..).unwrap_or("}"));
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

    fn kind(&self) -> &'static str {
        match &self.says {
            Says::Price(_) => "price_update",
            Says::Bar(..) => "bar_update",
            Says::Volume(_) => "volume_update",
            Says::Kpi(..) => "kpi_update",
            Says::Alert(_) => "market_alert",
            Says::Notice(notice) if notice.class == "bidding" => "bidding_notification",
            Says::Notice(_) => "market_alert",
            Says::Correlation(..) => "correlation_update",
            Says::Bid(..) => "bidding_notification",
            Says::Book(..) => "book_update",
            Says::Clearing(..) => "clearing_update",
        }
    }

    /// What it says, as a JSON object that begins with `t`.
    fn body(&self, labels: &Labels) -> serde_json::Result<String> {
        fn json(t: T, body: impl Serialize) -> serde_json::Result<String> {
            serde_json::to_string(&At { t, body })
        }
        let t = self.t;
        match &self.says {
            Says::Price(row) => json(t, Price::new(labels, row)),
            Says::Bar(row, removed) => json(
                t,
                OrGone { row: BarUpdate { series: labels.series(row.key.series), bar: Bar::new(row) }, removed },
            ),
            Says::Volume(row) => json(t, Volume::new(labels, row)),
            Says::Kpi(kpi, removed) => json(t, OrGone { row: KpiView::new(labels, kpi), removed }),
            Says::Alert(alert) => json(t, AlertView::new(labels, alert)),
            Says::Notice(notice) => json(t, NoticeView::new(notice)),
            Says::Correlation(row, removed) => json(t, OrGone { row: CorrelationView::new(labels, row), removed }),
            Says::Bid(bid, removed) => json(t, OrGone { row: Bid::new(labels, bid), removed }),
            Says::Book(row, removed) => json(t, OrGone { row: BookRow::new(labels, row), removed }),
            Says::Clearing(row, removed) => json(t, OrGone { row: ClearingRow::new(labels, row), removed }),
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
struct OrGone<'a, R> {
    #[serde(flatten)]
    row: R,
    removed: &'a bool,
}

#[derive(Serialize)]
struct BarUpdate {
    #[serde(flatten)]
    series: Series,
    bar: Bar,
}

#[derive(Serialize)]
struct Volume {
    #[serde(flatten)]
    series: Series,
    volume: f64,
    timestamp: String,
}

impl Volume {
    fn new(labels: &Labels, row: &BarRow) -> Self {
        let (series, volume) = (labels.series(row.key.series), volume_mwh(row.bar.sum_volume_kwh));
        Self { series, volume, timestamp: rfc3339(row.bar.last_ms) }
    }
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
}

impl Bid {
    /// Whose it is stays between it and the market.
    fn new(labels: &Labels, bid: &LiveBid) -> Self {
        let power_kw: i64 = bid.steps.iter().map(|step| step.power_kw).fold(0, i64::saturating_add);
        Self {
            series: labels.series(bid.series),
            bid: bid.bid.clone(),
            status: bid.status.as_str(),
            side: bid.side,
            power_mw: volume_mwh(power_kw),
            best_price: bid.steps.first().map(|step| price(step.price_micros)),
            delivery: rfc3339(bid.delivery_ms),
            timestamp: rfc3339(bid.event_ms),
        }
    }
}

fn zone_of(series: SeriesKey) -> Target {
    Target::Zone(series.location.zone_code())
}

fn of_zone(series: SeriesKey, channel: Channel, key: Key, t: T, says: Says) -> Event {
    Event { audience: Audience::Everybody, target: zone_of(series), channel, key, t, says }
}

/// A series' newest minute. Classic clients show this as *the* price.
pub(crate) fn price_update(t: T, row: &BarRow) -> Event {
    of_zone(row.key.series, Channel::Prices, Key::Bar(row.key), t, Says::Price(*row))
}

/// An earlier minute that was put right, or one that is no more.
pub(crate) fn bar_update(t: T, row: &BarRow, removed: bool) -> Event {
    of_zone(row.key.series, Channel::Prices, Key::Bar(row.key), t, Says::Bar(*row, removed))
}

/// The volume of a series' newest minute.
pub(crate) fn volume_update(t: T, row: &BarRow) -> Event {
    let series = row.key.series;
    of_zone(series, Channel::Volumes, Key::Volume(series), t, Says::Volume(*row))
}

/// Key figures of one window.
pub(crate) fn kpi_update(t: T, kpi: &Kpi, removed: bool) -> Event {
    of_zone(kpi.series, Channel::Kpis, Key::Kpi(kpi.key()), t, Says::Kpi(*kpi, removed))
}

/// An alert that was raised, revised or withdrawn.
pub(crate) fn market_alert(t: T, alert: &Alert) -> Event {
    let anomaly = &alert.anomaly;
    let audience = Audience::of_rule(&anomaly.rule);
    let says = Says::Alert(Box::new(alert.clone()));
    Event { audience, ..of_zone(anomaly.series, Channel::Alerts, Key::Alert(anomaly.id), t, says) }
}

/// What a person or the market says; `index` is its place in the batch.
pub(crate) fn notice(t: T, index: u32, notice: &Notice) -> Event {
    let target = if notice.zone == "*" { Target::Everybody } else { Target::Zone(zone_code(&notice.zone)) };
    let says = Says::Notice(Box::new(notice.clone()));
    Event { audience: Audience::Everybody, target, channel: Channel::Alerts, key: Key::Once(t, index), t, says }
}

/// A correlation.
pub(crate) fn correlation_update(t: T, row: &Correlation, removed: bool) -> Event {
    let target = Target::Pair(row.a.location.zone_code(), row.b.location.zone_code());
    let (channel, key) = (Channel::Correlations, Key::Correlation(row.key()));
    Event { audience: Audience::Everybody, target, channel, key, t, says: Says::Correlation(*row, removed) }
}

/// A live bid.
pub(crate) fn bid(t: T, bid: &LiveBid, removed: bool) -> Event {
    let mut hash = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(&bid.bid, &mut hash);
    let key = Key::Bid(std::hash::Hasher::finish(&hash));
    let audience = Audience::only(&bid.organisation);
    Event { audience, ..of_zone(bid.series, Channel::Bids, key, t, Says::Bid(Box::new(bid.clone()), removed)) }
}

/// The top of an interval's book, and what is in it.
pub(crate) fn book_update(t: T, row: &Clearing, removed: bool) -> Event {
    of_zone(row.series, Channel::Book, Key::Book(row.key()), t, Says::Book(Box::new(row.clone()), removed))
}

/// The clearing of an interval as its book stands. Which bid sets the price is for its owner, and for the house.
pub(crate) fn clearing_update(live: &Snapshot, t: T, row: &Clearing, removed: bool) -> Vec<Event> {
    let says = |row: &Clearing| Says::Clearing(Box::new(row.clone()), removed);
    let event = |audience, row: &Clearing| Event {
        audience,
        ..of_zone(row.series, Channel::Clearing, Key::Clearing(row.key()), t, says(row))
    };
    let Some((_, bid)) = &row.marginal else { return vec![event(Audience::Everybody, row)] };
    // Of a bid that the state no longer holds nobody is the owner. (No organisation is without a name.)
    let owner = live.bids.get(bid).map_or("", |(_, bid)| bid.organisation.as_str());
    let owner: Arc<str> = owner.into();
    let masked = Clearing { marginal: None, ..row.clone() };
    vec![event(Audience::Only(Arc::clone(&owner)), row), event(Audience::Others(owner), &masked)]
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
    pub(crate) fn events(&mut self, live: &Snapshot, t: T, change: &Change<BarRow>) -> Vec<Event> {
        let row = change.row();
        if row.key.granularity != Granularity::M1 {
            return Vec::new();
        }
        let series = row.key.series;
        let known = self.0.get(&series).copied();
        let mut events = Vec::with_capacity(2);
        match change {
            Change::Put(row) if known.is_none_or(|(start, _)| start <= row.key.start_ms) => {
                events.push(price_update(t, row));
                let volume = row.bar.sum_volume_kwh;
                if volume != 0 && known != Some((row.key.start_ms, volume)) {
                    events.push(volume_update(t, row));
                }
                self.0.insert(series, (row.key.start_ms, volume));
            }
            Change::Put(row) => events.push(bar_update(t, row, false)),
            Change::Remove(row) => {
                events.push(bar_update(t, row, true));
                if known.is_some_and(|(start, _)| start == row.key.start_ms) {
                    // The minute before it is the price again.
                    let before = live.series_bars(series, Granularity::M1, i64::MIN, row.key.start_ms).next_back();
                    match before {
                        Some(before) => {
                            events.push(price_update(t, before));
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
