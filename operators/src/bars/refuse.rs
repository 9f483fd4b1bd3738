//! Ticks that come too late, turned into dead letters: the whole tick in the full wire form, and why.

use std::sync::Arc;

use model::wire::WireTick;
use model::wire::json::Timestamp;
use model::{DeadLetter, Names, Reason, Tick, Zones, money};

/// The dead letter of a tick.
pub(super) fn dead_letter(tick: &Tick, reason: Reason, detail: String, zones: &Zones, names: &Names) -> DeadLetter {
    let (topic, partition) = names.partition_name(tick.partition).unwrap_or_else(|| (Arc::from("unknown"), -1));
    let bytes = wire_form(tick, zones, names).to_json();
    DeadLetter { topic, partition, offset: tick.offset, row: 0, reason, detail, bytes }
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
