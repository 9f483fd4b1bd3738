//! Bid events from the wire: names resolved, units made whole, and judged by the market's rules.

use crate::auction::{BidRule, Broken};
use crate::bid::{BidEvent, BidKind, Side, Step};
use crate::bid_rules;
use crate::dead_letter::Reason;
use crate::location::{LocationId, SeriesKey};
use crate::money::{self, price, volume_mwh};
use crate::zones::Zone;

use super::decode::{Decoded, Decoder, MAX_INTERVAL_MS, Origin, Refusal, check_name, check_version, event_time, parse};
use super::json::{Timestamp, WireBid, WireKind, WireStep};

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        (Reason::BadBid, broken.to_string())
    }
}

impl Decoder {
    pub(super) fn json_bid(&self, origin: &Origin, bytes: &[u8], out: &mut Decoded) -> Result<BidEvent, Refusal> {
        let wire: WireBid = parse(bytes)?;
        let bid = self.bid(origin, &wire, out)?;
        let given = wire.published.as_ref().map(Timestamp::millis);
        let published_ms = self.published(origin, given, ("timestamp", bid.event_ms), self.limits.max_ahead_ms)?;
        out.clock_ms = out.clock_ms.max(bid.event_ms.min(published_ms));
        Ok(bid)
    }

    /// Reads and judges a bid event. `origin` says where it stands among others of its bid.
    pub fn bid(&self, origin: &Origin, wire: &WireBid, out: &mut Decoded) -> Result<BidEvent, Refusal> {
        check_version(wire.v)?;
        check_name("bid", &wire.bid)?;
        check_name("organisation", &wire.organisation)?;
        if let Some(asset) = &wire.asset {
            check_name("asset", asset)?;
        }
        let zone = self.zone(&wire.market_zone)?;
        let delivery_ms = event_time(wire.delivery.millis(), "delivery")?;
        let event_ms = event_time(wire.timestamp.millis(), "timestamp")?;
        let duration_ms = match (wire.duration_ms, wire.market.interval_ms()) {
            (Some(ms), _) if ms > 0 && i64::from(ms) <= MAX_INTERVAL_MS => ms,
            (None, ms) if ms > 0 => ms,
            (given, _) => {
                let value = given.map_or_else(|| "no duration_ms".to_owned(), |ms| format!("{ms} ms"));
                let bound = format!("a delivery interval in {}", wire.market.as_str());
                return Err(Broken::new(BidRule::DeliveryInterval, value, bound).into());
            }
        };
        let mut steps = wire.steps.iter().map(|read| step(read, delivery_ms)).collect::<Result<Vec<_>, Refusal>>()?;
        // By interval; within one they stay as they came, to be judged.
        steps.sort_by_key(|step| step.start_ms);
        let delivery_ms = steps.first().map_or(delivery_ms, |first| first.start_ms);
        let kind = match &wire.kind {
            WireKind::Capacity { to } => BidKind::Capacity { to: self.location(self.zone(to)?, None, out)? },
            other => kind(other, |to| LocationId::new(to, to))?,
        };
        let location = self.location(zone, wire.location.as_deref(), out)?;
        let bid = BidEvent {
            bid: wire.bid.clone(),
            revision: wire.revision,
            status: wire.status,
            organisation: wire.organisation.clone(),
            asset: wire.asset.clone(),
            series: SeriesKey { location, market: wire.market },
            delivery_ms,
            duration_ms,
            side: wire.side,
            kind,
            steps,
            event_ms,
            partition: origin.partition_id,
            offset: origin.offset,
        };
        self.is_coupled(&bid, zone)?;
        bid_rules::check(&bid, zone, self.zones.assets())?;
        Ok(bid)
    }

    /// Transmission capacity leads from a zone's own index to another zone of its group.
    fn is_coupled(&self, bid: &BidEvent, zone: &Zone) -> Result<(), Refusal> {
        let BidKind::Capacity { to } = &bid.kind else { return Ok(()) };
        let group = |zone: &Zone| zone.auction(bid.series.market).and_then(|auction| auction.group.clone());
        let other = self.zones.of(*to).map(|zone| (zone.code.clone(), group(zone)));
        let own = group(zone);
        match other {
            Some((code, theirs)) if own.is_some() && theirs == own && code != zone.code && bid.side == Side::Sell => {
                Ok(())
            }
            other => {
                let to = other.map_or_else(|| "an unknown zone".to_owned(), |(code, _)| code);
                let bound = "sold, to another zone of the same group";
                Err(Broken::new(BidRule::Capacity, format!("from {} to {to}", zone.code), bound).into())
            }
        }
    }
}

/// What a bid's acceptance is asked, from the wire. `zone` finds the index of a zone.
pub fn kind(wire: &WireKind, zone: impl Fn(&str) -> LocationId) -> Result<BidKind, Refusal> {
    let money = |rule, amount: f64| {
        money::price_micros(amount).ok_or_else(|| Refusal::from(Broken::new(rule, amount, "within ±10⁹")))
    };
    Ok(match wire {
        WireKind::Curve => BidKind::Curve,
        WireKind::MinimumIncome { fixed, variable } => BidKind::MinimumIncome {
            fixed_micros: money(BidRule::MinimumIncome, *fixed)?,
            variable_micros: variable.map(|variable| money(BidRule::MinimumIncome, variable)).transpose()?,
        },
        WireKind::Block { min_acceptance_ratio, parent, exclusive_group } => {
            for (field, name) in [("parent", parent), ("exclusive_group", exclusive_group)] {
                if let Some(name) = name {
                    check_name(field, name)?;
                }
            }
            let ppm = (min_acceptance_ratio * 1e6).round();
            if !(1.0..=1e6).contains(&ppm) {
                return Err(Broken::new(BidRule::AcceptanceRatio, min_acceptance_ratio, "above 0, at most 1").into());
            }
            let (parent, exclusive_group) = (parent.clone(), exclusive_group.clone());
            BidKind::Block { min_acceptance_ppm: ppm as u32, parent, exclusive_group }
        }
        WireKind::Capacity { to } => BidKind::Capacity { to: zone(to) },
    })
}

impl WireKind {
    /// The wire's form. `zone` names the zone of a location.
    pub fn of(kind: &BidKind, zone: impl Fn(LocationId) -> String) -> Self {
        match kind {
            BidKind::Curve => Self::Curve,
            BidKind::MinimumIncome { fixed_micros, variable_micros } => {
                Self::MinimumIncome { fixed: price(*fixed_micros), variable: variable_micros.map(price) }
            }
            BidKind::Block { min_acceptance_ppm, parent, exclusive_group } => Self::Block {
                min_acceptance_ratio: f64::from(*min_acceptance_ppm) / 1e6,
                parent: parent.clone(),
                exclusive_group: exclusive_group.clone(),
            },
            BidKind::Capacity { to } => Self::Capacity { to: zone(*to) },
        }
    }
}

impl WireStep {
    /// The wire's form of a step of a bid whose first interval starts at `delivery_ms`.
    pub fn of(step: &Step, delivery_ms: i64) -> Self {
        Self {
            delivery: (step.start_ms != delivery_ms).then_some(Timestamp::Millis(step.start_ms)),
            price: price(step.price_micros),
            end_price: step.is_linear().then(|| price(step.end_price_micros)),
            power: volume_mwh(step.power_kw),
            min_power: (step.min_power_kw != 0).then(|| volume_mwh(step.min_power_kw)),
        }
    }
}

/// A step from the wire, of a bid whose first interval starts at `delivery_ms`.
pub fn step(step: &WireStep, delivery_ms: i64) -> Result<Step, Refusal> {
    let start_ms = match &step.delivery {
        Some(delivery) => event_time(delivery.millis(), "delivery of a step")?,
        None => delivery_ms,
    };
    let micros = |price: f64| {
        money::price_micros(price).ok_or_else(|| Refusal::from(Broken::new(BidRule::Price, price, "within ±10⁹")))
    };
    let power = |mw: f64, rule| {
        money::volume_kwh(mw).ok_or_else(|| Refusal::from(Broken::new(rule, format!("{mw} MW"), "0 to 10⁹ MW")))
    };
    let price_micros = micros(step.price)?;
    Ok(Step {
        start_ms,
        price_micros,
        end_price_micros: step.end_price.map(micros).transpose()?.unwrap_or(price_micros),
        power_kw: power(step.power, BidRule::Quantity)?,
        min_power_kw: step.min_power.map(|mw| power(mw, BidRule::MinimumQuantity)).transpose()?.unwrap_or(0),
    })
}
