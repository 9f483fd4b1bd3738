//! A price that behaves: around a daily and weekly shape in the zone's own time it reverts to its mean, moves with its
//! neighbours, jumps and recovers, and goes below zero where the market allows it.
//!
//! price = level × (shape + volatility × (√ρ·common + √(1−ρ)·own) + jump + noise), kept within the zone's floor and
//! cap. `common` and `own` are Ornstein–Uhlenbeck processes of variance 1, advanced exactly (not by Euler steps),
//! so that the tick rate does not change their statistics.

use chrono::{Datelike, Timelike};
use chrono_tz::Tz;
use model::Zone;
use model::humane::Span;
use model::time::{MINUTE_MS, to_utc};

use crate::random::Dice;
use crate::scenario::Prices;

/// An Ornstein–Uhlenbeck process of mean 0 and variance 1.
#[derive(Clone, Debug)]
pub(crate) struct Reverting {
    half_life_ms: f64,
    value: f64,
    at_ms: i64,
    /// The last step's length and what it makes of value and noise: steps mostly have one length.
    step: (i64, f64, f64),
}

impl Reverting {
    /// Starts in the stationary distribution.
    pub(crate) fn new(half_life: Span, at_ms: i64, dice: &mut Dice) -> Self {
        let half_life_ms = half_life.millis().max(1) as f64;
        Self { half_life_ms, value: dice.normal(), at_ms, step: (0, 1.0, 0.0) }
    }

    /// The value at a later instant.
    pub(crate) fn advance(&mut self, at_ms: i64, dice: &mut Dice) -> f64 {
        let step_ms = at_ms - self.at_ms;
        if step_ms <= 0 {
            return self.value;
        }
        if step_ms != self.step.0 {
            let kept = halving(step_ms as f64, self.half_life_ms);
            self.step = (step_ms, kept, (1.0 - kept * kept).sqrt());
        }
        self.value = self.value * self.step.1 + self.step.2 * dice.normal();
        self.at_ms = at_ms;
        self.value
    }
}

fn halving(elapsed_ms: f64, half_life_ms: f64) -> f64 {
    (-std::f64::consts::LN_2 * elapsed_ms / half_life_ms).exp()
}

/// The price of one series.
#[derive(Clone, Debug)]
pub(crate) struct PriceProcess {
    level: f64,
    floor: f64,
    cap: f64,
    tz: Tz,
    own: Reverting,
    jump: f64,
    next_jump_ms: f64,
    at_ms: i64,
    /// Minute and shape in it: a wall clock is costly to ask, and it says little new within a minute.
    shape: (i64, f64),
}

impl PriceProcess {
    /// A process at the zone's usual level, a little off it, so that no two are alike.
    pub(crate) fn new(zone: &Zone, prices: &Prices, at_ms: i64, dice: &mut Dice) -> Self {
        let level = usual_level(zone) * dice.between(0.85, 1.2);
        let (floor, cap) = zone.limits_at(at_ms).map_or((-level * 10.0, level * 100.0), |(floor, cap)| {
            (model::money::price(floor), model::money::price(cap))
        });
        let own = Reverting::new(prices.half_life, at_ms, dice);
        let next_jump_ms = at_ms as f64 + time_to_next(prices.jumps_per_hour, dice);
        Self { level, floor, cap, tz: zone.timezone, own, jump: 0.0, next_jump_ms, at_ms, shape: (i64::MIN, 1.0) }
    }

    /// The price at a later instant, to the cent.
    pub(crate) fn advance(&mut self, at_ms: i64, common: f64, prices: &Prices, dice: &mut Dice) -> f64 {
        let own = self.own.advance(at_ms, dice);
        let elapsed_ms = (at_ms - self.at_ms).max(0) as f64;
        if self.jump != 0.0 && elapsed_ms > 0.0 {
            self.jump *= halving(elapsed_ms, prices.jump_half_life.millis().max(1) as f64);
        }
        self.at_ms = self.at_ms.max(at_ms);
        while self.next_jump_ms <= at_ms as f64 {
            let sign = if dice.chance(prices.jumps_down) { -1.0 } else { 1.0 };
            self.jump += sign * dice.exponential(prices.jump_size);
            self.next_jump_ms += time_to_next(prices.jumps_per_hour, dice).max(1.0);
        }
        let minute = at_ms.div_euclid(MINUTE_MS);
        if self.shape.0 != minute {
            self.shape = (minute, shape(at_ms, self.tz));
        }
        let deviation = prices.correlation.sqrt() * common + (1.0 - prices.correlation).sqrt() * own;
        let noise = prices.noise * dice.normal();
        let price = self.level * (self.shape.1 + prices.volatility * deviation + self.jump + noise);
        (price.clamp(self.floor, self.cap) * 100.0).round() / 100.0 + 0.0
    }
}

/// Milliseconds to the next of events that come at a rate; infinite for none.
pub(crate) fn time_to_next(per_hour: f64, dice: &mut Dice) -> f64 {
    if per_hour > 0.0 { dice.exponential(model::time::HOUR_MS as f64 / per_hour) } else { f64::INFINITY }
}

/// What a MWh usually costs, by currency: near the averages of the last years.
fn usual_level(zone: &Zone) -> f64 {
    match zone.currency.as_str() {
        "USD" => 38.0,
        "EUR" => 75.0,
        "AUD" => 85.0,
        "INR" => 4800.0,
        "GBP" => 70.0,
        _ => 50.0,
    }
}

/// The daily and weekly shape, mean near 1: night low, morning peak, midday sun, evening peak, cheaper weekends.
fn shape(at_ms: i64, tz: Tz) -> f64 {
    let Some(at) = to_utc(at_ms) else { return 1.0 };
    let local = at.with_timezone(&tz);
    let hour = f64::from(local.num_seconds_from_midnight()) / 3600.0;
    let bump = |centre: f64, width: f64| {
        let away = (hour - centre).abs();
        let away = away.min(24.0 - away) / width;
        (-away * away).exp()
    };
    let day = 0.95 - 0.3 * bump(3.0, 3.0) + 0.25 * bump(8.0, 2.0) - 0.2 * bump(13.0, 2.5) + 0.55 * bump(19.0, 2.5);
    let is_weekend = local.weekday().number_from_monday() > 5;
    if is_weekend { day * 0.85 } else { day }
}
