//! A closed moment as clients get it: every event of one T, grouped by zone and channel, rendered when the first client
//! wants it, once for every spelling of the zone, and shared by all connections.
//!
//! Two forms: *classic* (one message an event, then `{"type":"closed","t":T}`) and *batch* (the whole moment
//! in one message). Both hold the same events in the same order. A conflated moment holds the last event of
//! each key of several moments, and is still closed at the last one's T.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use model::time::T;
use model::{Batch, Snapshot};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::event::{self, Audience, Channel, Event, Key, Newest, Target};
use super::subscription::{Spellings, Subscription};
use crate::view::Labels;

/// How a client wants its moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One message an event, and `closed` after the last.
    Classic,
    /// One message a moment.
    Batch,
}

/// Messages, shared by every connection that gets them.
type Texts = Arc<[Arc<str>]>;

/// What turns events into messages.
#[derive(Clone, Copy)]
pub(crate) struct Wording<'a> {
    pub(crate) labels: &'a Labels,
    pub(crate) spellings: &'a Spellings,
}

/// The events of one audience, target and channel.
#[derive(Debug)]
pub(crate) struct Part {
    audience: Audience,
    pub(crate) target: Target,
    pub(crate) channel: Channel,
    events: Vec<Event>,
    /// One slot a spelling.
    rendered: Box<[OnceLock<Texts>]>,
}

impl Part {
    fn render(&self, wording: Wording<'_>, spelling: u8) -> &Texts {
        let slot = usize::from(spelling).min(self.rendered.len() - 1);
        self.rendered[slot].get_or_init(|| {
            let text = match self.target {
                Target::Zone(zone) => wording.spellings.text(zone, spelling),
                _ => "*",
            };
            self.events.iter().map(|event| Arc::from(event.render(wording.labels, text))).collect()
        })
    }
}

/// Everything clients are told about one T. `resync` marks a moment after a gap: what was before it is lost here.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) t: T,
    pub(crate) resync: bool,
    pub(crate) arrived: Instant,
    pub(crate) bytes: usize,
    parts: Vec<Part>,
    /// Whole frames by subscription, for the batch form.
    frames: Mutex<Vec<(u64, Arc<str>)>>,
}

/// Different subscriptions whose batch frames one moment remembers.
const SHARED_FRAMES: usize = 32;

impl Moment {
    /// The events of a batch. `live` is the snapshot at its T or later.
    pub(crate) fn of(spellings: &Spellings, newest: &mut Newest, live: &Snapshot, batch: &Batch) -> Self {
        let (t, arrived) = (batch.t, Instant::now());
        let mut events = Vec::new();
        for change in &batch.bars {
            events.extend(newest.events(live, t, change));
        }
        events.extend(batch.kpis.iter().map(|change| event::kpi_update(t, change.row(), change.is_remove())));
        events.extend(batch.alerts.iter().map(|alert| event::market_alert(t, alert)));
        events.extend((0..).zip(&batch.notices).map(|(index, notice)| event::notice(t, index, notice)));
        let rows = batch.correlations.iter();
        events.extend(rows.map(|change| event::correlation_update(t, change.row(), change.is_remove())));
        events.extend(batch.bids.iter().map(|change| event::bid(t, change.row(), change.is_remove())));
        for change in &batch.clearing {
            let (row, is_gone) = (change.row(), change.is_remove());
            events.push(event::book_update(t, row, is_gone));
            events.extend(event::clearing_update(live, t, row, is_gone));
        }
        Self { arrived, ..Self::new(t, spellings, events) }
    }

    /// Groups events by audience, target and channel, keeping their order.
    pub(crate) fn new(t: T, spellings: &Spellings, events: Vec<Event>) -> Self {
        let bytes = events.iter().map(Event::bytes).sum();
        let mut places: HashMap<(Audience, Target, Channel), usize> = HashMap::new();
        let mut parts: Vec<Part> = Vec::new();
        for event in events {
            let place = (event.audience.clone(), event.target, event.channel);
            let place = *places.entry(place).or_insert_with(|| {
                let slots = match event.target {
                    Target::Zone(zone) => spellings.count(zone),
                    _ => 1,
                };
                let rendered = (0..slots.max(1)).map(|_| OnceLock::new()).collect();
                let (audience, target, channel) = (event.audience.clone(), event.target, event.channel);
                parts.push(Part { audience, target, channel, events: Vec::new(), rendered });
                parts.len() - 1
            });
            parts[place].events.push(event);
        }
        Self { t, resync: false, arrived: Instant::now(), bytes, parts, frames: Mutex::new(Vec::new()) }
    }

    /// A moment that tells every client to start again from a snapshot.
    pub(crate) fn gap(t: T) -> Self {
        let (parts, frames) = (Vec::new(), Mutex::new(Vec::new()));
        Self { t, resync: true, arrived: Instant::now(), bytes: 0, parts, frames }
    }

    fn wanted<'a>(&'a self, subscription: &'a Subscription) -> impl Iterator<Item = (&'a Part, u8)> {
        self.parts
            .iter()
            .filter(|part| part.audience.has(subscription.reader()))
            .filter_map(|part| subscription.wants(self.t, part.target, part.channel).map(|spelling| (part, spelling)))
    }

    /// The messages for a subscription; none when nothing in it changed.
    pub(crate) fn messages(&self, wording: Wording<'_>, subscription: &Subscription, format: Format) -> Vec<Arc<str>> {
        if format == Format::Batch {
            return self.frame(wording, subscription).into_iter().collect();
        }
        let mut messages: Vec<Arc<str>> = Vec::new();
        for (part, spelling) in self.wanted(subscription) {
            messages.extend(part.render(wording, spelling).iter().map(Arc::clone));
        }
        if !messages.is_empty() {
            messages.push(closed(self.t, 1));
        }
        messages
    }

    fn frame(&self, wording: Wording<'_>, subscription: &Subscription) -> Option<Arc<str>> {
        // Only a subscription that is older than this moment gets all it asks for, and so what others get.
        let shared = subscription.settled(self.t).then(|| subscription.fingerprint());
        if let Some(print) = shared
            && let Some((_, frame)) = self.frames.lock().iter().find(|(known, _)| *known == print)
        {
            return Some(Arc::clone(frame));
        }
        let mut events = Vec::new();
        for (part, spelling) in self.wanted(subscription) {
            events.extend(part.render(wording, spelling).iter().map(Arc::clone));
        }
        if events.is_empty() {
            return None;
        }
        let frame: Arc<str> = whole(self.t, 1, &events).into();
        if let Some(print) = shared {
            let mut frames = self.frames.lock();
            if frames.len() < SHARED_FRAMES {
                frames.push((print, Arc::clone(&frame)));
            }
        }
        Some(frame)
    }
}

/// Several moments as one: the last event of each key, closed at the last T.
pub(crate) fn conflated(
    moments: &[Arc<Moment>],
    wording: Wording<'_>,
    subscription: &Subscription,
    format: Format,
) -> Vec<Arc<str>> {
    let mut last: HashMap<Key, usize> = HashMap::new();
    let mut events: Vec<Option<Arc<str>>> = Vec::new();
    for moment in moments {
        for (part, spelling) in moment.wanted(subscription) {
            for (event, text) in part.events.iter().zip(part.render(wording, spelling).iter()) {
                if let Some(earlier) = last.insert(event.key, events.len()) {
                    events[earlier] = None;
                }
                events.push(Some(Arc::clone(text)));
            }
        }
    }
    let mut events: Vec<Arc<str>> = events.into_iter().flatten().collect();
    let (Some(newest), false) = (moments.last(), events.is_empty()) else { return Vec::new() };
    match format {
        Format::Batch => vec![whole(newest.t, moments.len(), &events).into()],
        Format::Classic => {
            events.push(closed(newest.t, moments.len()));
            events
        }
    }
}

fn closed(t: T, moments: usize) -> Arc<str> {
    let conflated = if moments > 1 { format!(",\"conflated\":{moments}") } else { String::new() };
    format!("{{\"type\":\"closed\",\"t\":{t}{conflated}}}").into()
}

fn whole(t: T, moments: usize, events: &[Arc<str>]) -> String {
    let conflated = if moments > 1 { format!(",\"conflated\":{moments}") } else { String::new() };
    let mut frame = format!("{{\"type\":\"batch\",\"t\":{t}{conflated},\"events\":");
    list(&mut frame, events.iter().map(AsRef::as_ref));
    frame.push('}');
    frame
}

/// Appends a JSON array of ready-made JSON values.
pub(crate) fn list<'a>(out: &mut String, items: impl Iterator<Item = &'a str>) {
    out.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
}
