//! Ticks that come too late: the whole tick, and why. A dead letter has names where a tick has ids; only where the names
//! of all workers come together can one be made of the other.

use std::sync::Arc;

use model::wire::WireTick;
use model::wire::json::Timestamp;
use model::{DeadLetter, Names, Reason, Tick, Zones, money};
use serde::{Deserialize, Serialize};

/// A tick that changed nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// The tick as it was decoded.
    pub tick: Tick,
    /// Why.
    pub reason: Reason,
    /// Why, for people.
    pub detail: String,
}

impl Refused {
    /// The dead letter, with the tick in the full wire form. Names that are not known show as their ids.
    pub fn dead_letter(self, zones: &Zones, names: &Names) -> DeadLetter {
        let Self { tick, reason, detail } = self;
        let (topic, partition) = names.partition_name(tick.partition).unwrap_or_else(|| (Arc::from("unknown"), -1));
        let bytes = wire_form(&tick, zones, names).to_json();
        DeadLetter { topic, partition, offset: tick.offset, row: 0, reason, detail, bytes }
    }
}

/// The tick as a producer would send it.
fn wire_form(tick: &Tick, zones: &Zones, names: &Names) -> WireTick {
    let name = names.name(tick.location);
    let zone = zones.of(tick.location).map(|zone| zone.code.clone());
    let market_zone = zone.or_else(|| name.as_ref().map(|name| name.zone.to_string()));
    let extra = tick.extra.as_deref().cloned().unwrap_or_default();
    WireTick {
        v: 1,
        market_zone: market_zone.unwrap_or_else(|| format!("{:#x}", tick.location.0)),
        location: name.map(|name| name.location.to_string()),
        market: Some(tick.market),
        timestamp: Timestamp::Millis(tick.event_ms),
        duration_ms: (tick.duration_ms > 0).then_some(tick.duration_ms),
        price: money::price(tick.price_micros),
        volume: Some(money::volume_mwh(tick.volume_kwh)),
        currency: extra.currency,
        energy: extra.energy_micros.map(money::price),
        congestion: extra.congestion_micros.map(money::price),
        loss: extra.loss_micros.map(money::price),
        id: extra.id.map(|id| id.to_string()),
        revision: Some(tick.revision),
        cancelled: tick.cancelled,
        source: extra.source.map(|source| source.to_string()),
        published: None,
    }
}
