//! A market made up from a seed: an endless stream of messages in the order of sending.
//!
//! The stream depends on nothing but [`Settings`]: the same settings give the same bytes, on any day, at any speed.
//! Series take turns; tick `k` is due at `start + k / rate`. Faults move messages: a late tick, a repetition or a
//! correction waits in a queue (of bounded length) and comes out when simulated time reaches it.
//!
//! Truth: every message carries what a correct reader must make of it, provided that the reader's correction
//! horizon is longer than `faults.max_delay`.

use std::sync::Arc;

use model::wire::json::Timestamp;
use model::wire::{TopicKind, WireTick};
use model::{Market, Reason, Zone, Zones};

use crate::bids::{self, Place};
use crate::corrupt::corrupt;
use crate::error::Error;
use crate::message::{Body, Expected, Fault, Message, Truth};
use crate::price::{PriceProcess, Reverting, time_to_next};
use crate::queue::Queue;
use crate::random::Dice;
use crate::scenario::{Form, Scenario};

/// What a stream depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Seed.
    pub seed: u64,
    /// First tick, UTC ms.
    pub start_ms: i64,
    /// Ticks per second of simulated time, all series together.
    pub rate: f64,
    /// Zones by any name; every zone of the table when empty.
    pub zones: Vec<String>,
    /// The market and its troubles.
    pub scenario: Scenario,
    /// Whether ticks say when they were published. Needed when simulated time is not wall time.
    pub stamp_published: bool,
}

/// The stream.
#[derive(Debug)]
pub struct Generator {
    settings: Settings,
    label: String,
    series: Vec<Series>,
    common: Reverting,
    dice: Dice,
    trouble: Dice,
    traders: Dice,
    tick: u64,
    sent: u64,
    bids: u64,
    notices: u64,
    next_gap_ms: f64,
    silent_until_ms: f64,
    waiting: Queue,
}

#[derive(Debug)]
struct Series {
    zone: Arc<Zone>,
    code: Arc<str>,
    location: Arc<str>,
    is_index: bool,
    price: PriceProcess,
    next_outage_ms: f64,
    silent_until_ms: f64,
}

impl Generator {
    /// A stream from its start.
    pub fn new(settings: Settings, zones: &Zones) -> Result<Self, Error> {
        settings.scenario.check()?;
        if !settings.rate.is_finite() || settings.rate <= 0.0 {
            return Err(Error::Settings(format!("rate {} is not a positive number", settings.rate)));
        }
        let mut dice = Dice::new(settings.seed, 0);
        let prices = &settings.scenario.prices;
        let common = Reverting::new(prices.half_life, settings.start_ms, &mut dice);
        let mut trouble = Dice::new(settings.seed, 1);
        let mut series = Vec::new();
        for zone in chosen(&settings.zones, zones)? {
            // One outage silences a whole zone: the draws of its series come from one stream.
            let outage =
                settings.start_ms as f64 + time_to_next(settings.scenario.faults.outages_per_hour, &mut trouble);
            let hubs = zone.locations.iter().map(|location| location.name.as_str()).take(settings.scenario.hubs);
            for location in std::iter::once(zone.code.as_str()).chain(hubs) {
                series.push(Series {
                    code: zone.code.as_str().into(),
                    location: location.into(),
                    is_index: location == zone.code,
                    price: PriceProcess::new(&zone, prices, settings.start_ms, &mut dice),
                    zone: Arc::clone(&zone),
                    next_outage_ms: outage,
                    silent_until_ms: f64::NEG_INFINITY,
                });
            }
        }
        let next_gap_ms = settings.start_ms as f64 + time_to_next(settings.scenario.faults.gaps_per_hour, &mut trouble);
        Ok(Self {
            label: format!("sim:{}", settings.seed),
            traders: Dice::new(settings.seed, 2),
            series,
            common,
            dice,
            trouble,
            tick: 0,
            sent: 0,
            bids: 0,
            notices: 0,
            next_gap_ms,
            silent_until_ms: f64::NEG_INFINITY,
            waiting: Queue::default(),
            settings,
        })
    }

    /// What the stream depends on.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The next message. The stream never ends.
    pub fn next_message(&mut self) -> Message {
        loop {
            let due_ms = self.due_ms();
            let found = self.waiting.due(due_ms).or_else(|| self.next_tick(due_ms));
            if let Some(mut message) = found {
                message.truth.sequence = self.sent;
                self.sent += 1;
                return message;
            }
        }
    }

    fn due_ms(&self) -> i64 {
        self.settings.start_ms + (self.tick as f64 * 1000.0 / self.settings.rate) as i64
    }

    /// The tick that is due; `None` when its zone is silent or when it is sent at another time.
    fn next_tick(&mut self, at_ms: i64) -> Option<Message> {
        let count = self.tick;
        let index = (count % self.series.len() as u64) as usize;
        self.tick += 1;
        let common = self.common.advance(at_ms, &mut self.dice);
        let price = self.series[index].price.advance(at_ms, common, &self.settings.scenario.prices, &mut self.dice);
        let volume = (50.0 * (0.5 * self.dice.normal()).exp() * 1000.0).round() / 1000.0;
        if self.is_silent(index, at_ms) {
            return None;
        }
        self.add_bids_and_events(index, at_ms, price);
        let fault = self.draw_fault();
        let tick = self.write(index, count, at_ms, price, volume, fault);
        self.with_fault(index, at_ms, tick, fault)
    }

    fn is_silent(&mut self, index: usize, at_ms: i64) -> bool {
        let faults = &self.settings.scenario.faults;
        let at = at_ms as f64;
        if at >= self.next_gap_ms {
            self.silent_until_ms = at + self.trouble.exponential(faults.gap.millis() as f64);
            self.next_gap_ms = self.silent_until_ms + time_to_next(faults.gaps_per_hour, &mut self.trouble);
        }
        if at >= self.series[index].next_outage_ms {
            let until = at + self.trouble.exponential(faults.outage.millis() as f64);
            let next = until + time_to_next(faults.outages_per_hour, &mut self.trouble);
            let code = Arc::clone(&self.series[index].code);
            for series in self.series.iter_mut().filter(|series| series.code == code) {
                (series.silent_until_ms, series.next_outage_ms) = (until, next);
            }
        }
        at < self.silent_until_ms || at < self.series[index].silent_until_ms
    }

    fn draw_fault(&mut self) -> Option<Fault> {
        let faults = &self.settings.scenario.faults;
        let mut drawn = self.trouble.uniform();
        if self.waiting.is_full() {
            return None;
        }
        for (share, fault) in [
            (faults.late, Fault::Late),
            (faults.duplicate, Fault::Duplicate),
            (faults.corrected, Fault::Corrected),
            (faults.cancelled, Fault::Cancelled),
            (faults.corrupt, Fault::Corrupt),
            (faults.future, Fault::Future),
        ] {
            if drawn < share {
                return Some(fault);
            }
            drawn -= share;
        }
        None
    }

    fn write(&self, index: usize, count: u64, at_ms: i64, price: f64, volume: f64, fault: Option<Fault>) -> WireTick {
        let series = &self.series[index];
        let mut tick = WireTick::minimal(&series.code, at_ms, price, volume);
        let is_full = match self.settings.scenario.form {
            Form::Full => true,
            Form::Minimal => false,
            // By rounds, so that every series has both.
            Form::Mixed => (count / self.series.len() as u64).is_multiple_of(2),
        };
        let needs_id = matches!(fault, Some(Fault::Duplicate | Fault::Corrected | Fault::Cancelled));
        if is_full || needs_id {
            tick.market = Some(Market::Continuous);
            tick.currency = Some(series.zone.currency);
            tick.id = Some(format!("{}:{count}", self.label));
            tick.revision = Some(0);
            tick.source = Some("simulator".to_owned());
        }
        if !series.is_index {
            tick.location = Some(series.location.to_string());
        }
        if self.settings.stamp_published {
            tick.published = Some(Timestamp::Millis(at_ms));
        }
        tick
    }

    fn message(&self, index: usize, at_ms: i64, body: Body, fault: Option<Fault>, expected: Expected) -> Message {
        let series = &self.series[index];
        Message {
            at_ms,
            kind: TopicKind::Ticks,
            zone: Arc::clone(&series.code),
            key: Arc::clone(&series.location),
            body,
            truth: Truth { sequence: 0, fault, expected },
        }
    }

    fn with_fault(&mut self, index: usize, at_ms: i64, mut tick: WireTick, fault: Option<Fault>) -> Option<Message> {
        let applied = |this: &Self, tick| Some(this.message(index, at_ms, Body::Tick(tick), None, Expected::Applied));
        match fault {
            None => applied(self, tick),
            Some(Fault::Late) => {
                self.later(index, tick, at_ms, Fault::Late, Expected::Applied);
                None
            }
            Some(Fault::Duplicate) => {
                self.later(index, tick.clone(), at_ms, Fault::Duplicate, Expected::Duplicate);
                applied(self, tick)
            }
            Some(Fault::Corrected) => {
                let change = self.trouble.between(-0.2, 0.2) * tick.price.abs().max(10.0);
                let price = ((tick.price + change) * 100.0).round() / 100.0 + 0.0;
                let corrected = WireTick { revision: Some(1), price, ..tick.clone() };
                self.later(index, corrected, at_ms, Fault::Corrected, Expected::Corrected);
                applied(self, tick)
            }
            Some(Fault::Cancelled) => {
                let cancelled = WireTick { revision: Some(1), cancelled: true, ..tick.clone() };
                self.later(index, cancelled, at_ms, Fault::Cancelled, Expected::Corrected);
                applied(self, tick)
            }
            Some(Fault::Corrupt) => {
                let (bytes, reason) = corrupt(&tick, &mut self.trouble);
                let expected = Expected::DeadLetter(reason);
                Some(self.message(index, at_ms, Body::Raw(bytes), Some(Fault::Corrupt), expected))
            }
            Some(Fault::Future) => {
                // Ahead of what any reader allows, and of its own publication, whatever the wall clock says.
                let ahead_ms = self.trouble.between(2.0 * 60_000.0, 40.0 * 3_600_000.0) as i64;
                tick.timestamp = Timestamp::Millis(at_ms + ahead_ms);
                tick.published = Some(Timestamp::Millis(at_ms));
                let expected = Expected::DeadLetter(Reason::Future);
                Some(self.message(index, at_ms, Body::Tick(tick), Some(Fault::Future), expected))
            }
        }
    }

    /// Queues a tick for a later time.
    fn later(&mut self, index: usize, mut tick: WireTick, at_ms: i64, fault: Fault, expected: Expected) {
        let faults = &self.settings.scenario.faults;
        let delay = self.trouble.exponential(faults.delay.millis() as f64).min(faults.max_delay.millis() as f64);
        let at_ms = at_ms + 1 + delay as i64;
        // A copy is a copy, byte for byte; everything else says when it was really published.
        if self.settings.stamp_published && fault != Fault::Duplicate {
            tick.published = Some(Timestamp::Millis(at_ms));
        }
        let message = self.message(index, at_ms, Body::Tick(tick), Some(fault), expected);
        self.waiting.push(message);
    }

    fn add_bids_and_events(&mut self, index: usize, at_ms: i64, price: f64) {
        let scenario = &self.settings.scenario;
        let has_bid = self.traders.chance(scenario.bids) && !self.waiting.is_full();
        let has_event = self.traders.chance(scenario.notices);
        if !has_bid && !has_event {
            return;
        }
        let series = &self.series[index];
        let place = Place { zone: &series.zone, code: &series.code, at_ms, price };
        let mut messages = Vec::new();
        if has_bid {
            messages = bids::life(&place, format!("{}:bid:{}", self.label, self.bids), &mut self.traders);
            self.bids += 1;
        }
        if has_event {
            messages.push(bids::event(&place, format!("{}:event:{}", self.label, self.notices), &mut self.traders));
            self.notices += 1;
        }
        for message in messages {
            self.waiting.push(message);
        }
    }
}

impl Iterator for Generator {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        Some(self.next_message())
    }
}

fn chosen(names: &[String], zones: &Zones) -> Result<Vec<Arc<Zone>>, Error> {
    if names.is_empty() {
        return Ok(zones.iter().cloned().collect());
    }
    let mut chosen: Vec<Arc<Zone>> = Vec::new();
    for name in names {
        let zone = zones.get(name).ok_or_else(|| Error::Settings(format!("no zone {name:?} in the zone table")))?;
        // Two names of one zone are one zone: its ticks would otherwise share ids.
        if !chosen.iter().any(|known| known.code == zone.code) {
            chosen.push(Arc::clone(zone));
        }
    }
    Ok(chosen)
}
