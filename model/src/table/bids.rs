//! Bids, what clearing makes of them, and what is paid for it.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::columns::versions;
use super::{Context, Version};
use crate::bid::LiveBid;
use crate::bid_kpi::BidKpi;
use crate::clearing::{Award, Clearing};
use crate::money::{price, volume_mwh};
use crate::settlement::{Pnl, Settlement};
use crate::wire::{WireKind, WireStep};

/// Encodes live bids; the curve is JSON text, `[{"price":…,"power":…}]` in currency per MWh and MW.
pub fn bids<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, LiveBid>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        columns.text("bid", row().map(|row| &row.bid));
        columns.text("organisation", row().map(|row| &row.organisation));
        columns.maybe_text("asset", row().map(|row| row.asset.as_deref()));
        columns.series(context, "", row().map(|row| row.series));
        columns.time("delivery_time", row().map(|row| row.delivery_ms));
        columns.int("duration_ms", row().map(|row| i64::from(row.duration_ms)));
        columns.text("side", row().map(|row| row.side.as_str()));
        columns.text("status", row().map(|row| row.status.as_str()));
        columns.int("revision", row().map(|row| row.revision));
        let power_mw =
            |row: &LiveBid| volume_mwh(row.steps.iter().map(|step| step.power_kw).fold(0, i64::saturating_add));
        columns.float("power_mw", row().map(power_mw));
        columns.text("kind", row().map(|row| row.kind.as_str()));
        columns.text("terms", row().map(|row| terms_json(context, row)));
        columns.text("steps", row().map(steps_json));
        columns.time("event_time", row().map(|row| row.event_ms));
    })
}

/// Encodes clearing results: prices in currency per MWh, power in MW, surplus in currency.
pub fn clearing<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Clearing>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        columns.series(context, "", row().map(|row| row.series));
        columns.time("start_time", row().map(|row| row.start_ms));
        columns.int("duration_ms", row().map(|row| i64::from(row.duration_ms)));
        columns.maybe_float("price", row().map(|row| row.price_micros.map(price)));
        columns.maybe_float("price_low", row().map(|row| Some(price(row.range_micros?.0))));
        columns.maybe_float("price_high", row().map(|row| Some(price(row.range_micros?.1))));
        columns.float("sold_mw", row().map(|row| volume_mwh(row.sold_kw)));
        columns.float("bought_mw", row().map(|row| volume_mwh(row.bought_kw)));
        columns.float("import_mw", row().map(|row| volume_mwh(row.import_kw)));
        columns.flag("congested", row().map(|row| row.congested));
        columns.maybe_text("marginal_side", row().map(|row| Some(row.marginal.as_ref()?.0.as_str())));
        columns.maybe_text("marginal_bid", row().map(|row| Some(&row.marginal.as_ref()?.1)));
        columns.float("buy_surplus", row().map(|row| price(row.buy_surplus_micros)));
        columns.float("sell_surplus", row().map(|row| price(row.sell_surplus_micros)));
        columns.float("offered_mw", row().map(|row| volume_mwh(row.offered_kw)));
        columns.float("wanted_mw", row().map(|row| volume_mwh(row.wanted_kw)));
        columns.maybe_float("best_buy", row().map(|row| row.best_buy_micros.map(price)));
        columns.maybe_float("best_sell", row().map(|row| row.best_sell_micros.map(price)));
        columns.int("bids", row().map(|row| row.bids));
        columns.maybe_text("currency", row().map(|row| context.currency(row.series.location)));
    })
}

/// Encodes awards: MW, currency per MWh.
pub fn awards<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Award>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        columns.text("bid", row().map(|row| &row.bid));
        columns.text("organisation", row().map(|row| &row.organisation));
        columns.maybe_text("asset", row().map(|row| row.asset.as_deref()));
        columns.series(context, "", row().map(|row| row.series));
        columns.time("start_time", row().map(|row| row.start_ms));
        columns.int("duration_ms", row().map(|row| i64::from(row.duration_ms)));
        columns.text("side", row().map(|row| row.side.as_str()));
        columns.float("power_mw", row().map(|row| volume_mwh(row.power_kw)));
        columns.float("price", row().map(|row| price(row.price_micros)));
        columns.maybe_text("currency", row().map(|row| context.currency(row.series.location)));
    })
}

/// Encodes settlement: MW, currency per MWh, amounts in currency; what is not known is null.
pub fn settlement<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Settlement>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        columns.text("organisation", row().map(|row| &row.organisation));
        columns.text("asset", row().map(|row| &row.asset));
        columns.text("bid", row().map(|row| &row.bid));
        columns.series(context, "", row().map(|row| row.series));
        columns.time("start_time", row().map(|row| row.start_ms));
        columns.int("duration_ms", row().map(|row| i64::from(row.duration_ms)));
        columns.time("day_time", row().map(|row| row.day_ms));
        columns.float("scheduled_mw", row().map(|row| volume_mwh(row.scheduled_kw)));
        columns.float("day_ahead", row().map(|row| price(row.day_ahead_micros)));
        columns.maybe_float("metered_mw", row().map(|row| row.metered_kw.map(volume_mwh)));
        columns.maybe_float("imbalance_mw", row().map(|row| row.imbalance_kw.map(volume_mwh)));
        columns.maybe_float("real_time_price", row().map(|row| row.real_time_price_micros.map(price)));
        columns.maybe_float("imbalance", row().map(|row| row.imbalance_micros.map(price)));
        columns.maybe_float("penalty", row().map(|row| row.penalty_micros.map(price)));
        columns.maybe_float("total", row().map(|row| row.total_micros.map(price)));
        columns.maybe_text("currency", row().map(|row| context.currency(row.series.location)));
    })
}

/// Encodes profit and loss by day: amounts in currency.
pub fn pnl<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, Pnl>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        columns.text("organisation", row().map(|row| &row.organisation));
        columns.text("asset", row().map(|row| &row.asset));
        columns.text("zone", row().map(|row| context.name(row.zone).zone));
        columns.time("start_time", row().map(|row| row.day_ms));
        columns.time("end_time", row().map(|row| row.day_end_ms));
        columns.float("day_ahead", row().map(|row| price(row.day_ahead_micros)));
        columns.float("imbalance", row().map(|row| price(row.imbalance_micros)));
        columns.float("penalty", row().map(|row| price(row.penalty_micros)));
        columns.float("total", row().map(|row| price(row.total_micros)));
        columns.int("intervals", row().map(|row| row.intervals));
        columns.int("open_intervals", row().map(|row| row.open_intervals));
        columns.maybe_text("currency", row().map(|row| context.currency(row.zone)));
    })
}

/// Encodes key figures of bids: MW, currency per MWh, acceptance in percent.
pub fn bid_kpis<'a>(
    context: Context<'_>,
    rows: impl IntoIterator<Item = Version<'a, BidKpi>>,
) -> Result<RecordBatch, ArrowError> {
    versions(rows, |columns, rows| {
        let row = || rows.iter().copied();
        let key = || row().map(|row| &row.key);
        columns.text("organisation", key().map(|key| &key.organisation));
        columns.series(context, "", key().map(|key| key.series));
        columns.text("side", key().map(|key| key.side.as_str()));
        columns.time("start_time", key().map(|key| key.start_ms));
        columns.int("duration_ms", key().map(|key| i64::from(key.duration_ms)));
        columns.int("live_bids", row().map(|row| row.live));
        columns.int("withdrawn_bids", row().map(|row| row.withdrawn));
        columns.int("rejected_bids", row().map(|row| row.rejected));
        columns.int("expired_bids", row().map(|row| row.expired));
        columns.float("offered_mw", row().map(|row| volume_mwh(row.offered_kw)));
        columns.maybe_float("mean_price", row().map(|row| row.mean_price_micros.map(price)));
        columns.float("awarded_mw", row().map(|row| volume_mwh(row.awarded_kw)));
        columns.maybe_float("acceptance_percent", row().map(|row| row.acceptance_ppm.map(|ppm| ppm as f64 / 10_000.0)));
        columns.maybe_text("currency", key().map(|key| context.currency(key.series.location)));
    })
}

/// What is asked of a bid's acceptance, as on the wire.
fn terms_json(context: Context<'_>, bid: &LiveBid) -> String {
    let terms = WireKind::of(&bid.kind, |to| context.name(to).zone.to_string());
    serde_json::to_string(&terms).expect("numbers and text always serialise")
}

fn steps_json(bid: &LiveBid) -> String {
    let steps: Vec<WireStep> = bid.steps.iter().map(|step| WireStep::of(step, bid.delivery_ms)).collect();
    serde_json::to_string(&steps).expect("numbers and text always serialise")
}
