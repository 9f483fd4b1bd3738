//! The state at one T as one message: `{"type":"snapshot","t":T,"zones":[…],"channels":[…],"events":[…]}`.
//!
//! The events are the same messages that moments bring: latest prices and volumes, KPIs, standing alerts and
//! recent notices (the newest `limit` of each), correlations; for those who ask for them the books and the clearing of the
//! last `limit` intervals of each series. Live bids are a stream of notifications, not state.

use model::time::T;
use model::{AlertState, Clearing, Snapshot};

use super::event::{self, Channel, Event, Target};
use super::moment::list;
use super::subscription::{Spellings, Subscription};
use crate::view::Labels;

/// Encodes what `new` has and `old` has not.
pub(crate) fn frame(
    labels: &Labels,
    spellings: &Spellings,
    snapshot: &Snapshot,
    new: &Subscription,
    old: Option<&Subscription>,
    limit: usize,
) -> String {
    // Everything in a subscription counts at the end of time: it is asked what it has, not from when.
    let spelling = |event: &Event| {
        if !event.audience.has(new.reader()) {
            return None;
        }
        let wants = |subscription: &Subscription| subscription.wants(T::MAX, event.target, event.channel);
        wants(new).filter(|_| old.is_none_or(|old| wants(old).is_none()))
    };
    let texts: Vec<String> = events(snapshot, new, limit)
        .filter_map(|event| {
            let spelling = spelling(&event)?;
            let text = match event.target {
                Target::Zone(zone) => spellings.text(zone, spelling),
                _ => "*",
            };
            Some(event.render(labels, text))
        })
        .collect();
    let names = |names: Vec<&str>| serde_json::Value::from(names).to_string();
    let mut frame = format!(
        "{{\"type\":\"snapshot\",\"t\":{},\"zones\":{},\"channels\":{},\"events\":",
        snapshot.t,
        names(new.zone_names(spellings).collect()),
        names(new.channel_names().collect()),
    );
    list(&mut frame, texts.iter().map(String::as_str));
    frame.push('}');
    frame
}

fn events<'a>(snapshot: &'a Snapshot, wanted: &Subscription, limit: usize) -> impl Iterator<Item = Event> + use<'a> {
    let latest = snapshot.latest.values().flat_map(|(t, row)| {
        let volume = (row.bar.sum_volume_kwh != 0).then(|| event::volume_update(*t, row));
        std::iter::once(event::price_update(*t, row)).chain(volume)
    });
    let kpis = snapshot.kpis.values().map(|(t, kpi)| event::kpi_update(*t, kpi, false));
    let mut standing: Vec<_> = snapshot.alerts.values().filter(|alert| alert.state != AlertState::Withdrawn).collect();
    standing.sort_by_key(|alert| (alert.anomaly.start_ms, alert.anomaly.id));
    let skip = standing.len().saturating_sub(limit);
    let alerts = standing.into_iter().skip(skip).map(|alert| event::market_alert(alert.changed_t, alert));
    let old = snapshot.notices.len().saturating_sub(limit);
    let notices = (0..).zip(snapshot.notices.iter().skip(old));
    let notices = notices.map(|(index, (t, notice))| event::notice(*t, index, notice));
    let rows = snapshot.correlations.values();
    let correlations = rows.map(|(t, row)| event::correlation_update(*t, row, false));
    let auctions = intervals(snapshot, wanted, limit);
    latest.chain(kpis).chain(alerts).chain(notices).chain(correlations).chain(auctions)
}

/// Books and clearing of the last `limit` intervals of each series.
fn intervals(snapshot: &Snapshot, wanted: &Subscription, limit: usize) -> Vec<Event> {
    let (book, clearing) = (wanted.has(Channel::Book), wanted.has(Channel::Clearing));
    if !book && !clearing {
        return Vec::new();
    }
    let rows: Vec<&(T, Clearing)> = snapshot.clearing.values().collect();
    let last = rows.chunk_by(|(_, one), (_, other)| one.series == other.series).flat_map(|series| {
        let skip = series.len().saturating_sub(limit);
        &series[skip..]
    });
    last.flat_map(|(t, row)| {
        let top = book.then(|| event::book_update(*t, row, false));
        let cleared = if clearing { event::clearing_update(snapshot, *t, row, false) } else { Vec::new() };
        top.into_iter().chain(cleared)
    })
    .collect()
}
