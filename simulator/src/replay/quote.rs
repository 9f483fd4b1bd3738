//! From what an adapter read to the wire's tick: ids, components and signs in one place.

use model::wire::WireTick;
use model::wire::json::Timestamp;
use model::{Market, Zone, Zones, money};

use super::{Body, Record, Source};
use crate::error::Error;

/// One price of one interval, in our sense of every sign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote<'a> {
    pub(crate) source: &'static str,
    pub(crate) zone: &'a Zone,
    /// Canonical location; the zone's code for its own index.
    pub(crate) location: &'a str,
    pub(crate) market: Market,
    pub(crate) start_ms: i64,
    pub(crate) duration_ms: i64,
    pub(crate) published_ms: i64,
    pub(crate) price: f64,
    pub(crate) components: Option<Components>,
    /// MWh.
    pub(crate) volume: Option<f64>,
    pub(crate) revision: i64,
    pub(crate) cancelled: bool,
}

/// The parts of an LMP: energy + congestion + loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Components {
    pub(crate) energy: f64,
    pub(crate) congestion: f64,
    pub(crate) loss: f64,
}

impl Components {
    /// NYISO's: LBMP = energy + losses − congestion, and the energy part is not published.
    pub(crate) fn nyiso(lbmp: f64, losses: f64, congestion: f64) -> Self {
        Self { energy: tidy(lbmp - losses + congestion), congestion: tidy(-congestion), loss: tidy(losses) }
    }
}

impl Quote<'_> {
    /// The record; an error for a price or a duration that no tick can hold.
    pub(crate) fn record(self) -> Result<Record, String> {
        if money::price_micros(self.price).is_none() {
            return Err(format!("price {} is out of bounds", self.price));
        }
        let duration_ms =
            u32::try_from(self.duration_ms).map_err(|_| format!("interval of {} ms", self.duration_ms))?;
        let start = model::time::rfc3339(self.start_ms);
        let is_index = self.location.eq_ignore_ascii_case(&self.zone.code);
        let tick = WireTick {
            location: (!is_index).then(|| self.location.to_owned()),
            market: Some(self.market),
            duration_ms: Some(duration_ms),
            volume: self.volume,
            currency: Some(self.zone.currency),
            energy: self.components.map(|c| c.energy),
            congestion: self.components.map(|c| c.congestion),
            loss: self.components.map(|c| c.loss),
            id: Some(format!("{}:{}:{}:{start}", self.source, self.market.as_str(), self.location)),
            revision: Some(self.revision),
            cancelled: self.cancelled,
            source: Some(self.source.to_owned()),
            published: Some(Timestamp::Millis(self.published_ms)),
            ..WireTick::minimal(&self.zone.code, self.start_ms, tidy(self.price), 0.0)
        };
        Ok(Record { body: Body::Tick(tick), published_ms: self.published_ms })
    }
}

/// A number rounded to the 10⁻⁶ that ticks keep: sums of decimal fractions come out as people write them, and never as −0.
pub(crate) fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6 + 0.0
}

/// The zone a format belongs to; an error when the user's table dropped it.
pub(crate) fn zone<'a>(zones: &'a Zones, code: &str, source: &Source) -> Result<&'a Zone, Error> {
    let refuse =
        || Error::Malformed { file: source.file.to_string(), reason: format!("zone {code} is not in the zone table") };
    zones.get(code).map(std::sync::Arc::as_ref).ok_or_else(refuse)
}
