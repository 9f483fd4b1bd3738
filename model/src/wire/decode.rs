//! Bytes to records.
//!
//! Total: whatever the bytes, a message becomes records or dead letters, never an error or a panic. The
//! common JSON tick takes one pass into borrowed text; only a message that this pass refuses is looked at
//! again, slowly, to say what is wrong with it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::bid::BidEvent;
use crate::dead_letter::{DeadLetter, Reason};
use crate::location::{LocationName, Names, PartitionId};
use crate::market::Market;
use crate::money;
use crate::notice::Notice;
use crate::output::Severity;
use crate::rule::Rule;
use crate::settlement::MeterReading;
use crate::tick::{Tick, TickExtra};
use crate::time::{HOUR_MS, rfc3339};
use crate::zones::{Zone, Zones};

use super::json::{RawTick, RawTimestamp, WireNotice};
use super::{TopicKind, columnar, json};

/// Version of the wire formats that this program writes; it reads this one and older ones.
pub const VERSION: u32 = 1;
/// Bytes of an oversized message that its dead letter keeps.
const OVERSIZED_KEPT_BYTES: usize = 64 << 10;
/// Event times outside 1990-01-01 … 2100-01-01 are no market data.
const EVENT_RANGE_MS: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;
/// Longest interval of a price, a delivery or a reading: the longest local day.
pub(super) const MAX_INTERVAL_MS: i64 = 25 * HOUR_MS;
/// Longest name accepted, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Where a message comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Registered id of topic and partition.
    pub partition_id: PartitionId,
    /// Offset.
    pub offset: i64,
    /// Kafka's timestamp, UTC ms; ≤ 0 where the broker gave none.
    pub timestamp_ms: i64,
}

/// Bounds that decoding enforces.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest message in bytes.
    pub max_bytes: usize,
    /// How far an event time may lie ahead of publication, ms.
    pub max_ahead_ms: i64,
    /// The same for day-ahead markets, ms.
    pub day_ahead_max_ahead_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_ahead_ms: 60_000, day_ahead_max_ahead_ms: 48 * HOUR_MS }
    }
}

/// Everything a run of messages decoded to. Reused between runs: `clear` keeps the capacity.
#[derive(Debug)]
pub struct Decoded {
    /// Ticks.
    pub ticks: Vec<Tick>,
    /// Bid events.
    pub bids: Vec<BidEvent>,
    /// Meter readings.
    pub meters: Vec<MeterReading>,
    /// Rules, with where they came from (partition, offset).
    pub rules: Vec<(Rule, PartitionId, i64)>,
    /// Notices.
    pub notices: Vec<Notice>,
    /// Names seen for the first time in this process.
    pub names: Vec<LocationName>,
    /// Refused records.
    pub dead_letters: Vec<DeadLetter>,
    /// Tick records read: rows, not messages; refused ones included.
    pub received: u64,
    /// Refused tick records among `dead_letters`.
    pub refused: u64,
    /// What the event clock may advance to: the greatest min(event time, publication time); `i64::MIN` for none.
    pub clock_ms: i64,
}

impl Default for Decoded {
    fn default() -> Self {
        Self {
            ticks: Vec::new(),
            bids: Vec::new(),
            meters: Vec::new(),
            rules: Vec::new(),
            notices: Vec::new(),
            names: Vec::new(),
            dead_letters: Vec::new(),
            received: 0,
            refused: 0,
            clock_ms: i64::MIN,
        }
    }
}

impl Decoded {
    /// Empties it for reuse.
    pub fn clear(&mut self) {
        self.ticks.clear();
        self.bids.clear();
        self.meters.clear();
        self.rules.clear();
        self.notices.clear();
        self.names.clear();
        self.dead_letters.clear();
        (self.received, self.refused, self.clock_ms) = (0, 0, i64::MIN);
    }

    fn refuse(&mut self, origin: &Origin, row: u32, refusal: Refusal, bytes: Vec<u8>) {
        self.dead_letters.push(DeadLetter {
            topic: Arc::clone(&origin.topic),
            partition: origin.partition,
            offset: origin.offset,
            row,
            reason: refusal.0,
            detail: refusal.1,
            bytes,
        });
    }
}

/// Why a record is refused: the reason and the detail for a person.
pub type Refusal = (Reason, String);

/// Decodes messages of every topic. Holds no state between messages.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Zone table.
    pub zones: Zones,
    /// Register of names.
    pub names: Arc<Names>,
    /// Bounds.
    pub limits: Limits,
}

impl Decoder {
    /// Decodes one message onto `out`. Never fails: what cannot be read becomes a dead letter.
    pub fn decode(&self, kind: TopicKind, origin: &Origin, bytes: &[u8], out: &mut Decoded) {
        if bytes.len() > self.limits.max_bytes {
            let detail = format!("message of {} bytes, at most {} are allowed", bytes.len(), self.limits.max_bytes);
            self.count_refusal(kind, out);
            out.refuse(origin, 0, (Reason::Oversized, detail), bytes[..bytes.len().min(OVERSIZED_KEPT_BYTES)].to_vec());
            return;
        }
        match kind {
            TopicKind::Ticks if columnar::is_stream(bytes) => self.columnar_ticks(origin, bytes, out),
            TopicKind::Ticks => self.json_tick(origin, bytes, out),
            TopicKind::Bids => match self.json_bid(origin, bytes, out) {
                Ok(bid) => out.bids.push(bid),
                Err(refusal) => out.refuse(origin, 0, refusal, bytes.to_vec()),
            },
            TopicKind::Meters => match self.json_meter(origin, bytes, out) {
                Ok(reading) => out.meters.push(reading),
                Err(refusal) => out.refuse(origin, 0, refusal, bytes.to_vec()),
            },
            TopicKind::Rules => match self.rule(bytes) {
                Ok(rule) => out.rules.push((rule, origin.partition_id, origin.offset)),
                Err(refusal) => out.refuse(origin, 0, refusal, bytes.to_vec()),
            },
            TopicKind::Notices => match self.notice(origin, bytes) {
                Ok(notice) => out.notices.push(notice),
                Err(refusal) => out.refuse(origin, 0, refusal, bytes.to_vec()),
            },
        }
    }

    fn count_refusal(&self, kind: TopicKind, out: &mut Decoded) {
        if kind == TopicKind::Ticks {
            out.received += 1;
            out.refused += 1;
        }
    }

    fn json_tick(&self, origin: &Origin, bytes: &[u8], out: &mut Decoded) {
        out.received += 1;
        let result = match serde_json::from_slice::<RawTick<'_>>(bytes) {
            Ok(raw) => self.tick(origin, 0, &raw, out),
            Err(error) => Err(json::diagnose_tick(bytes, &error)),
        };
        match result {
            Ok(tick) => out.ticks.push(tick),
            Err(refusal) => {
                out.refused += 1;
                out.refuse(origin, 0, refusal, bytes.to_vec());
            }
        }
    }

    fn columnar_ticks(&self, origin: &Origin, bytes: &[u8], out: &mut Decoded) {
        let rows = match columnar::decode(bytes) {
            Ok(rows) => rows,
            Err(detail) => {
                self.count_refusal(TopicKind::Ticks, out);
                out.refuse(origin, 0, (Reason::Malformed, detail), bytes.to_vec());
                return;
            }
        };
        for (row, result) in rows.iter().enumerate() {
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            out.received += 1;
            match result.and_then(|raw| self.tick(origin, row, &raw, out)) {
                Ok(tick) => out.ticks.push(tick),
                Err(refusal) => {
                    out.refused += 1;
                    out.refuse(origin, row, refusal, rows.row_json(row as usize));
                }
            }
        }
    }

    /// Checks one raw tick and resolves its names.
    fn tick(&self, origin: &Origin, row: u32, raw: &RawTick<'_>, out: &mut Decoded) -> Result<Tick, Refusal> {
        check_version(raw.v)?;
        let zone = self.zone(&raw.market_zone)?;
        let market = raw.market.unwrap_or(Market::Continuous);
        let (event_ms, published_ms) = self.times(origin, raw, market)?;
        let price_micros = money::price_micros(raw.price)
            .ok_or_else(|| (Reason::BadPrice, format!("price {} is not within ±10⁹", raw.price)))?;
        let volume_kwh = match raw.volume {
            None => 0,
            Some(mwh) => money::volume_kwh(mwh)
                .ok_or_else(|| (Reason::BadVolume, format!("volume {mwh} MWh is not within 0…10⁹")))?,
        };
        let duration_ms = duration(raw.duration_ms, market)?;
        if let Some(currency) = raw.currency.filter(|currency| *currency != zone.currency) {
            let detail =
                format!("currency {} but {} trades in {}", currency.as_str(), zone.code, zone.currency.as_str());
            return Err((Reason::BadField, detail));
        }
        let revision = match raw.revision {
            Some(revision) => check_revision(revision)?,
            None if market.is_interval() => origin.offset,
            None => 0,
        };
        let extra = extra(raw)?;
        let location = self.location(zone, raw.location.as_deref(), out)?;
        let id = match raw.id.as_deref() {
            Some(id) => xxh3_64(id.as_bytes()),
            None if market.is_interval() => xxh3_64(&event_ms.to_le_bytes()),
            None => positional_id(origin, row),
        };
        out.clock_ms = out.clock_ms.max(event_ms.min(published_ms));
        Ok(Tick {
            location,
            market,
            event_ms,
            duration_ms,
            price_micros,
            volume_kwh,
            id,
            revision,
            cancelled: raw.cancelled,
            partition: origin.partition_id,
            offset: origin.offset,
            extra,
        })
    }

    /// Event time and publication time, the first not further ahead of the second than the market allows.
    fn times(&self, origin: &Origin, raw: &RawTick<'_>, market: Market) -> Result<(i64, i64), Refusal> {
        let event_ms = event_time(raw.timestamp.millis(), "timestamp")?;
        let limit = if market.is_day_ahead() { self.limits.day_ahead_max_ahead_ms } else { self.limits.max_ahead_ms };
        let given = raw.published.as_ref().map(RawTimestamp::millis);
        Ok((event_ms, self.published(origin, given, ("event time", event_ms), limit)?))
    }

    /// When a record was published, by itself or else by Kafka: not later than Kafka had it, which would move the clock
    /// ahead of the world, and `at_ms`, which is `what`, no more than `limit_ms` ahead of it. `Some(None)` is no instant.
    pub(super) fn published(
        &self,
        origin: &Origin,
        given: Option<Option<i64>>,
        (what, at_ms): (&str, i64),
        limit_ms: i64,
    ) -> Result<i64, Refusal> {
        let kafka_ms = (origin.timestamp_ms > 0).then_some(origin.timestamp_ms);
        let published_ms = match given {
            Some(given) => event_time(given, "published")?,
            None => kafka_ms.unwrap_or(at_ms),
        };
        if let Some(kafka_ms) = kafka_ms {
            check_ahead("publication", published_ms, kafka_ms, self.limits.max_ahead_ms)?;
        }
        check_ahead(what, at_ms, published_ms, limit_ms)?;
        Ok(published_ms)
    }

    pub(super) fn zone(&self, name: &str) -> Result<&Arc<Zone>, Refusal> {
        self.zones.get(name).ok_or_else(|| (Reason::UnknownZone, format!("no zone {:?} in the zone table", clip(name))))
    }

    pub(super) fn location(
        &self,
        zone: &Zone,
        name: Option<&str>,
        out: &mut Decoded,
    ) -> Result<crate::LocationId, Refusal> {
        let name = match name {
            None => zone.code.as_str(),
            Some(name) if name.trim().is_empty() || name.len() > MAX_NAME_BYTES => {
                return Err((Reason::BadField, format!("location {:?} is empty or too long", clip(name))));
            }
            Some(name) => zone.canonical_location(name),
        };
        let (id, fresh) = self.names.location(&zone.code, name);
        out.names.extend(fresh);
        Ok(id)
    }

    fn rule(&self, bytes: &[u8]) -> Result<Rule, Refusal> {
        let rule: Rule = parse(bytes)?;
        check_name("rule", &rule.rule)?;
        if let Some(zone) = &rule.zone {
            self.zone(zone)?;
        } else if rule.location.is_some() {
            return Err((Reason::BadField, "a rule for a location must name its zone".into()));
        }
        if rule.threshold_milli < 0 {
            return Err((Reason::BadField, format!("threshold_milli {} is negative", rule.threshold_milli)));
        }
        if !(2..=10_000).contains(&rule.window_bars) {
            return Err((Reason::BadField, format!("window_bars {} is not within 2…10000", rule.window_bars)));
        }
        Ok(rule)
    }

    fn notice(&self, origin: &Origin, bytes: &[u8]) -> Result<Notice, Refusal> {
        let wire: WireNotice = parse(bytes)?;
        check_version(wire.v)?;
        let zone = match wire.market_zone.trim() {
            "*" => "*".to_owned(),
            name => self.zone(name)?.code.clone(),
        };
        let severity = match wire.severity.as_deref() {
            None => Severity::Info,
            Some(text) => Severity::parse(text).ok_or_else(|| {
                (Reason::BadField, format!("severity {:?} is not info, warning or critical", clip(text)))
            })?,
        };
        let class = wire.class.unwrap_or_else(|| "market_alert".into());
        if !matches!(class.as_str(), "market_alert" | "market_event" | "bidding") {
            return Err((
                Reason::BadField,
                format!("class {:?} is not market_alert, market_event or bidding", clip(&class)),
            ));
        }
        let event_ms = match wire.timestamp {
            Some(timestamp) => event_time(timestamp.millis(), "timestamp")?,
            None => origin.timestamp_ms.max(0),
        };
        let id = wire.id.unwrap_or_else(|| format!("{}/{}/{}", origin.topic, origin.partition, origin.offset));
        Ok(Notice { id, zone, class, alert_type: wire.alert_type, message: wire.message, severity, event_ms })
    }
}

pub(super) fn parse<W: DeserializeOwned>(bytes: &[u8]) -> Result<W, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| (Reason::Malformed, format!("read JSON: {error}")))
}

pub(super) fn check_version(v: u32) -> Result<(), Refusal> {
    match v {
        1..=VERSION => Ok(()),
        _ => Err((Reason::Malformed, format!("version {v}, this program reads 1 to {VERSION}"))),
    }
}

pub(super) fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES {
        return Err((Reason::BadField, format!("{field} {:?} is empty or too long", clip(name))));
    }
    Ok(())
}

pub(super) fn check_revision(revision: i64) -> Result<i64, Refusal> {
    if revision < 0 {
        return Err((Reason::BadField, format!("revision {revision} is negative")));
    }
    Ok(revision)
}

fn check_ahead(what: &str, at_ms: i64, of_ms: i64, limit_ms: i64) -> Result<(), Refusal> {
    if at_ms.saturating_sub(of_ms) <= limit_ms {
        return Ok(());
    }
    let (at, of) = (rfc3339(at_ms), rfc3339(of_ms));
    Err((Reason::Future, format!("{what} {at} is more than {limit_ms} ms ahead of {of}")))
}

pub(super) fn event_time(ms: Option<i64>, field: &str) -> Result<i64, Refusal> {
    let ms = ms.ok_or_else(|| (Reason::BadTime, format!("{field} is no RFC 3339 instant or UTC milliseconds")))?;
    if EVENT_RANGE_MS.contains(&ms) {
        return Ok(ms);
    }
    Err((Reason::BadTime, format!("{field} {ms} ms is not between 1990 and 2100")))
}

fn duration(given: Option<u32>, market: Market) -> Result<u32, Refusal> {
    match (given, market.interval_ms()) {
        (None, ms) => Ok(ms),
        (Some(0), 0) => Ok(0),
        (Some(ms), 0) => Err((Reason::BadField, format!("duration_ms {ms} without a market that has intervals"))),
        (Some(ms), _) if ms > 0 && i64::from(ms) <= MAX_INTERVAL_MS => Ok(ms),
        (Some(ms), _) => Err((Reason::BadField, format!("duration_ms {ms} is no interval"))),
    }
}

fn extra(raw: &RawTick<'_>) -> Result<Option<Box<TickExtra>>, Refusal> {
    let micros = |field: &str, value: Option<f64>| match value {
        None => Ok(None),
        Some(value) => money::price_micros(value)
            .map(Some)
            .ok_or_else(|| (Reason::BadField, format!("{field} {value} is not within ±10⁹"))),
    };
    for (field, text) in [("id", &raw.id), ("source", &raw.source)] {
        if let Some(text) = text {
            check_name(field, text)?;
        }
    }
    let extra = TickExtra {
        id: raw.id.as_deref().map(Arc::from),
        source: raw.source.as_deref().map(Arc::from),
        currency: raw.currency,
        energy_micros: micros("energy", raw.energy)?,
        congestion_micros: micros("congestion", raw.congestion)?,
        loss_micros: micros("loss", raw.loss)?,
    };
    Ok((extra != TickExtra::default()).then(|| Box::new(extra)))
}

/// Id of a tick without one: where it stood. Two such ticks are never the same tick.
fn positional_id(origin: &Origin, row: u32) -> u64 {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&origin.partition_id.0.to_le_bytes());
    bytes[4..12].copy_from_slice(&origin.offset.to_le_bytes());
    bytes[12..].copy_from_slice(&row.to_le_bytes());
    xxh3_64(&bytes)
}

/// Foreign text in a message for a person: enough to recognise it, no more.
pub(super) fn clip(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}
