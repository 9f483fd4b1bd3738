//! The field's rules for one bid, whoever brings it: each refusal names the rule, the value and the bound.
//!
//! What needs to know other bids (an amendment of none, a revision that was overtaken) is not judged here: on a stream
//! events of one bid may come in any order, and the highest revision stands.

use std::fmt::Display;

use crate::asset::Assets;
use crate::auction::{Auction, BidRule, Broken};
use crate::bid::{BidEvent, BidKind, BidStatus, Side, Step};
use crate::money::{MICROS, price, volume_mwh};
use crate::time::{MINUTE_MS, rfc3339};
use crate::zones::Zone;

/// Most steps of one bid.
pub const MAX_STEPS: usize = 10_000;

type Check = Result<(), Broken>;

fn demand(holds: bool, rule: BidRule, value: impl Display, bound: impl Display) -> Check {
    if holds { Ok(()) } else { Err(Broken::new(rule, value, bound)) }
}

/// Judges a bid event by everything that can be known of it alone.
pub fn check(bid: &BidEvent, zone: &Zone, assets: &Assets) -> Check {
    let auction = zone.auction(bid.series.market);
    demand(bid.revision >= 0, BidRule::Revision, bid.revision, "0 and more")?;
    gate(bid, zone, auction)?;
    if !bid.is_live() && bid.steps.is_empty() {
        return Ok(());
    }
    let count = bid.steps.len();
    demand((1..=MAX_STEPS).contains(&count), BidRule::Steps, format!("{count} steps"), format!("1 to {MAX_STEPS}"))?;
    intervals(bid, zone)?;
    for step in &bid.steps {
        amounts(step, bid, zone, auction)?;
    }
    match &bid.kind {
        BidKind::Curve => curve(bid),
        BidKind::MinimumIncome { fixed_micros, .. } => {
            demand(bid.side == Side::Sell, BidRule::MinimumIncome, "a condition on a bid to buy", "on bids to sell")?;
            demand(*fixed_micros >= 0, BidRule::MinimumIncome, price(*fixed_micros), "a fixed term of 0 and more")?;
            let is_linear = bid.steps.iter().any(Step::is_linear);
            demand(!is_linear, BidRule::MinimumIncome, "a linear curve", "a stepwise curve")?;
            curve(bid)
        }
        BidKind::Block { min_acceptance_ppm, .. } => block(bid, *min_acceptance_ppm),
        BidKind::Capacity { to } => {
            let is_coupled = auction.is_some_and(|auction| auction.group.is_some()) && *to != bid.series.location;
            demand(is_coupled, BidRule::Capacity, "no other zone of a group", "to another zone of the same group")
        }
    }?;
    capacity(bid, assets)
}

fn gate(bid: &BidEvent, zone: &Zone, auction: Option<&Auction>) -> Check {
    use BidStatus::{Amended, Submitted, Withdrawn};
    if !matches!(bid.status, Submitted | Amended | Withdrawn) || matches!(bid.kind, BidKind::Capacity { .. }) {
        return Ok(());
    }
    let gate = auction.and_then(|auction| auction.gate);
    let closes_ms = gate.and_then(|gate| gate.closes_ms(bid.delivery_ms, zone.auction_timezone(bid.series.market)));
    let Some(closes_ms) = closes_ms else { return Ok(()) };
    let value = format!("{} at {}", bid.status.as_str(), rfc3339(bid.event_ms));
    demand(bid.event_ms <= closes_ms, BidRule::GateClosure, value, format!("until {}", rfc3339(closes_ms)))
}

/// Every interval on the grid of the local day that the bid is for.
fn intervals(bid: &BidEvent, zone: &Zone) -> Check {
    let (day_ms, end_ms) = zone.delivery_day(bid.series.market, bid.delivery_ms);
    let duration_ms = i64::from(bid.duration_ms);
    let market_ms = bid.series.market.interval_ms();
    let fits = if market_ms == 0 { duration_ms >= MINUTE_MS } else { bid.duration_ms == market_ms };
    let bound = || match market_ms {
        0 => format!("{MINUTE_MS} ms and more"),
        ms => format!("{ms} ms in {}", bid.series.market.as_str()),
    };
    demand(fits, BidRule::DeliveryInterval, format!("{duration_ms} ms"), bound())?;
    for step in &bid.steps {
        let at = rfc3339(step.start_ms);
        let day = format!("{} to {}", rfc3339(day_ms), rfc3339(end_ms));
        demand((day_ms..end_ms).contains(&step.start_ms), BidRule::DeliveryDay, &at, day)?;
        let is_on_grid = (step.start_ms - day_ms) % duration_ms == 0 && step.start_ms + duration_ms <= end_ms;
        let bound = format!("whole intervals of {duration_ms} ms from {}", rfc3339(day_ms));
        demand(is_on_grid, BidRule::DeliveryInterval, &at, bound)?;
    }
    Ok(())
}

fn amounts(step: &Step, bid: &BidEvent, zone: &Zone, auction: Option<&Auction>) -> Check {
    let power = volume_mwh(step.power_kw);
    demand(step.power_kw > 0, BidRule::Quantity, format!("{power} MW"), "above 0 MW")?;
    let minimum = format!("{} MW", volume_mwh(step.min_power_kw));
    let is_within = (0..=step.power_kw).contains(&step.min_power_kw);
    demand(is_within, BidRule::MinimumQuantity, minimum, format!("0 to {power} MW"))?;
    if let Some(tick) = auction.and_then(|auction| auction.power_tick) {
        let is_multiple = is_multiple(step.power_kw, tick * 1_000.0);
        demand(is_multiple, BidRule::QuantityTick, format!("{power} MW"), format!("multiples of {tick} MW"))?;
    }
    if matches!(bid.kind, BidKind::Capacity { .. }) {
        return Ok(());
    }
    let limits = zone.bid_limits_at(bid.series.market, bid.delivery_ms);
    for micros in [step.price_micros, step.end_price_micros] {
        if let Some((floor, cap)) = limits {
            let bound = format!("{} to {}", price(floor), price(cap));
            demand((floor..=cap).contains(&micros), BidRule::PriceLimit, price(micros), bound)?;
        }
        if let Some(tick) = auction.and_then(|auction| auction.price_tick) {
            let is_multiple = is_multiple(micros, tick * MICROS as f64);
            demand(is_multiple, BidRule::PriceTick, price(micros), format!("multiples of {tick}"))?;
        }
    }
    Ok(())
}

/// Ticks are decimal fractions of a few digits: scaled they are whole.
fn is_multiple(amount: i64, tick: f64) -> bool {
    let tick = tick.round() as i64;
    tick <= 0 || amount % tick == 0
}

/// Within each interval prices go one way; a linear curve is linear throughout.
fn curve(bid: &BidEvent) -> Check {
    let is_linear = bid.steps.iter().any(Step::is_linear);
    for step in bid.steps.iter().filter(|_| is_linear) {
        let (start, end) = (price(step.price_micros), price(step.end_price_micros));
        let rises = step.price_micros < step.end_price_micros;
        let is_right = step.is_linear() && rises == (bid.side == Side::Sell) && step.min_power_kw == 0;
        let bound = "pieces that rise to sell and fall to buy, without minimum quantity";
        demand(is_right, BidRule::LinearCurve, format!("a piece from {start} to {end}"), bound)?;
    }
    for pair in bid.steps.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let (from, to) = (before.end_price_micros, after.price_micros);
        let is_monotone = match bid.side {
            Side::Sell => from <= to,
            Side::Buy => from >= to,
        };
        let is_right = before.start_ms < after.start_ms || (before.start_ms == after.start_ms && is_monotone);
        let bound = match bid.side {
            Side::Sell => "ascending prices to sell, interval by interval",
            Side::Buy => "descending prices to buy, interval by interval",
        };
        demand(is_right, BidRule::MonotoneCurve, format!("{} after {}", price(to), price(from)), bound)?;
    }
    Ok(())
}

fn block(bid: &BidEvent, min_acceptance_ppm: u32) -> Check {
    let ratio = f64::from(min_acceptance_ppm) / 1e6;
    demand((1..=1_000_000).contains(&min_acceptance_ppm), BidRule::AcceptanceRatio, ratio, "above 0, at most 1")?;
    let first = bid.steps[0].price_micros;
    for step in &bid.steps {
        let is_flat = !step.is_linear() && step.price_micros == first;
        demand(
            is_flat,
            BidRule::Block,
            format!("price {}", price(step.price_micros)),
            format!("{} in all", price(first)),
        )?;
        let minimum = format!("minimum quantity {} MW", volume_mwh(step.min_power_kw));
        demand(step.min_power_kw == 0, BidRule::Block, minimum, "none: its ratio says what is accepted")?;
    }
    for pair in bid.steps.windows(2) {
        let value = format!("{} after {}", rfc3339(pair[1].start_ms), rfc3339(pair[0].start_ms));
        demand(pair[0].start_ms < pair[1].start_ms, BidRule::Block, value, "each interval once, in order")?;
    }
    Ok(())
}

fn capacity(bid: &BidEvent, assets: &Assets) -> Check {
    let Some((asset, capacity_kw)) = bid.asset.as_deref().and_then(|asset| Some((asset, assets.capacity_kw(asset)?)))
    else {
        return Ok(());
    };
    for interval in bid.steps.chunk_by(|one, other| one.start_ms == other.start_ms) {
        let offered = interval.iter().map(|step| step.power_kw).fold(0, i64::saturating_add);
        let value = format!("{} MW of {asset} at {}", volume_mwh(offered), rfc3339(interval[0].start_ms));
        demand(offered <= capacity_kw, BidRule::AssetCapacity, value, format!("{} MW", volume_mwh(capacity_kw)))?;
    }
    Ok(())
}
