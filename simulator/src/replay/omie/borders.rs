//! Interconnections to bids: capacity to and from Portugal, and flows that were decided elsewhere.
//!
//! A flow is taken as published, whatever the price: a net import is a bid to sell at the price floor, a net export one to
//! buy at the cap, both dated to gate closure, when the flows were still open but nobody could bid on them any more.

use std::collections::{BTreeMap, BTreeSet};

use model::Zones;
use model::bid::{BidStatus, Side, Step};
use model::wire::WireKind;

use super::day::Day;
use super::rows::{Border, borders, column};
use super::{OPERATOR, PORTUGAL, PORTUGUESE_BORDER, SPAIN, day_of, malformed};
use crate::error::Error;
use crate::replay::offer::{Judge, Offer};
use crate::replay::quote::zone;
use crate::replay::stamp::{DateOrder, parse};
use crate::replay::{Companions, Parsed, Source};

/// A bid that a border makes, with the line of its first step.
struct Made {
    id: String,
    line: u64,
    zone: &'static str,
    side: Side,
    kind: WireKind,
    steps: Vec<Step>,
}

/// Reads the interconnections of a day; `companions` say whose units bid in its book.
pub(crate) fn read_borders(source: &Source, zones: &Zones, companions: &Companions) -> Result<Parsed, Error> {
    let date = match date_in_title(source) {
        Some(date) => date,
        None => day_of(source)?,
    };
    let headers = companions.headers.get(&date).filter(|_| companions.details.contains_key(&date));
    let headers = headers.ok_or_else(|| {
        let name = date.format("%Y%m%d");
        malformed(
            source,
            format!("interconnections without the book of the day: CAB_{name} and DET_{name} are missing"),
        )
    })?;
    for code in [SPAIN, PORTUGAL] {
        zone(zones, code, source)?;
    }
    let read = borders(source);
    let day = Day::new(date, read.rows.iter().map(|row| row.period));
    let mut parsed = Parsed { bad_rows: read.refused, ..Parsed::default() };
    let in_book: BTreeSet<u8> = headers.says.iter().map(|header| header.border).collect();
    let mut judge = Judge::new(zones);
    for made in bids(&day, &in_book, &read.rows, &judge, source, &mut parsed) {
        let offer = Offer {
            id: made.id,
            revision: 0,
            status: BidStatus::Submitted,
            organisation: OPERATOR,
            asset: None,
            zone: made.zone,
            market: day.market,
            delivery_ms: day.closes_ms(),
            side: made.side,
            kind: made.kind,
            steps: made.steps,
            entered_ms: day.closes_ms(),
            opens_ms: day.opens_ms(),
        };
        match judge.record(offer) {
            Ok(record) => parsed.records.push(record),
            Err(reason) => parsed.bad(&source.file, made.line, reason),
        }
    }
    Ok(parsed)
}

fn bids(
    day: &Day,
    in_book: &BTreeSet<u8>,
    rows: &[Border],
    judge: &Judge,
    source: &Source,
    parsed: &mut Parsed,
) -> Vec<Made> {
    let mut made: BTreeMap<String, Made> = BTreeMap::new();
    let name = day.name();
    for row in rows {
        let start_ms = match day.start_ms(row.period) {
            Ok(start_ms) => start_ms,
            Err(reason) => {
                parsed.bad(&source.file, row.line, reason);
                continue;
            }
        };
        let mut add = |id: String, zone, side, kind: WireKind, price, power_kw: i64| {
            if power_kw > 0 {
                let fresh = |id: String| Made { id, line: row.line, zone, side, kind, steps: Vec::new() };
                let bid = made.entry(id.clone()).or_insert_with(|| fresh(id));
                bid.steps.push(Step::flat(start_ms, price, power_kw));
            }
        };
        if row.border == PORTUGUESE_BORDER {
            let to = |zone: &str| WireKind::Capacity { to: zone.to_owned() };
            // Nobody asks for a price: the lines are used where they are worth most.
            add(format!("omie:{name}:capacity:es-pt"), SPAIN, Side::Sell, to(PORTUGAL), 0, row.export_capacity);
            add(format!("omie:{name}:capacity:pt-es"), PORTUGAL, Side::Sell, to(SPAIN), 0, -row.import_capacity);
        } else if !in_book.contains(&row.border) {
            let (floor, cap) = judge.limits(SPAIN, day.market, start_ms);
            let import = -(row.import + row.export);
            let id = |way: &str| format!("omie:{name}:border:{}:{way}", row.border);
            add(id("import"), SPAIN, Side::Sell, WireKind::Curve, floor, import);
            add(id("export"), SPAIN, Side::Buy, WireKind::Curve, cap, -import);
        }
    }
    made.into_values().collect()
}

/// The day in the title: its fourth cell.
fn date_in_title(source: &Source) -> Option<chrono::NaiveDate> {
    let title = source.body().split(|byte| *byte == b'\n').next()?;
    let title = column(title, 0, title.len());
    let cell = title.split(';').nth(3)?;
    parse(cell.trim(), DateOrder::DayFirst).map(|at| at.date())
}
