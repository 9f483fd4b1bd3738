//! Orders to bids: each version of a unit's curve, and of each of its blocks.

use std::collections::BTreeMap;

use model::Zones;
use model::bid::{BidStatus, Side, Step};
use model::money::price;
use model::wire::WireKind;

use super::day::Day;
use super::rows::{Detail, Header, Rows, details, periods};
use super::{PORTUGAL, PORTUGUESE_BORDER, REPLACED, SPAIN, Zone, day_of, malformed};
use crate::error::Error;
use crate::replay::offer::{Judge, Offer};
use crate::replay::quote::zone;
use crate::replay::{Companions, Parsed, Source};

/// Steps of a version, by block.
type Blocks<'a> = BTreeMap<u8, Vec<&'a Detail>>;

/// Reads the steps of a day's orders; `companions` hold their headers.
pub(crate) fn read_details(source: &Source, zones: &Zones, companions: &Companions) -> Result<Parsed, Error> {
    let date = day_of(source)?;
    let mut parsed = Parsed::default();
    if companions.details.get(&date).is_some_and(|held| held.file != source.file) {
        parsed.note(REPLACED);
        return Ok(parsed);
    }
    let headers = companions.headers.get(&date).ok_or_else(|| {
        let name = date.format("%Y%m%d");
        malformed(source, format!("order steps without their headers: CAB_{name} is not among the files"))
    })?;
    for code in [SPAIN, PORTUGAL] {
        zone(zones, code, source)?;
    }
    let day = Day::new(date, periods(source));
    let Rows { rows, refused } = details(source, &day);
    parsed.bad_rows = refused;
    let mut book = Book { day, source, zones: &companions.omie_zones, judge: Judge::new(zones), parsed };
    book.orders(&headers.says, &rows);
    Ok(book.parsed)
}

/// A day's book in the making.
struct Book<'a> {
    day: Day,
    source: &'a Source,
    zones: &'a BTreeMap<String, Zone>,
    judge: Judge,
    parsed: Parsed,
}

impl Book<'_> {
    fn orders(&mut self, headers: &[Header], rows: &[Detail]) {
        let mut orders: BTreeMap<u64, BTreeMap<u32, &Header>> = BTreeMap::new();
        for header in headers {
            orders.entry(header.order).or_default().insert(header.version, header);
        }
        let mut steps: BTreeMap<(u64, u32), Blocks<'_>> = BTreeMap::new();
        for row in rows {
            if !orders.get(&row.order).is_some_and(|versions| versions.contains_key(&row.version)) {
                let reason = format!("order {} version {} has no header", row.order, row.version);
                self.parsed.bad(&self.source.file, row.line, reason);
            } else if row.power == 0 {
                self.parsed.note("steps without power, left out");
            } else {
                steps.entry((row.order, row.version)).or_default().entry(row.block).or_default().push(row);
            }
        }
        for (order, versions) in orders {
            let mut standing: BTreeMap<u8, i64> = BTreeMap::new();
            for (version, header) in versions {
                let blocks = steps.remove(&(order, version)).unwrap_or_default();
                self.version(header, &blocks, &mut standing);
            }
        }
    }

    /// Sends a version of an order. `standing`: the blocks of the version before, with the start of their first interval.
    fn version(&mut self, header: &Header, blocks: &Blocks<'_>, standing: &mut BTreeMap<u8, i64>) {
        if !self.zones.contains_key(&header.unit) {
            self.parsed.note("orders of units without a zone in the files, placed by the code of their border");
        }
        if header.inserted_ms > self.day.closes_ms() {
            self.parsed.note("orders inserted after the gate closed, dated to its closure");
        }
        let gone: Vec<(u8, i64)> =
            standing.iter().filter(|(block, _)| !blocks.contains_key(block)).map(|(block, at)| (*block, *at)).collect();
        for (block, delivery_ms) in gone {
            let offer = Offer { status: BidStatus::Withdrawn, delivery_ms, ..self.offer(header, block) };
            self.send(0, offer);
            standing.remove(&block);
        }
        for (block, rows) in blocks {
            let Some(first) = rows.first() else { continue };
            let (kind, steps) = if *block == 0 { self.curve(header, rows) } else { self.block(header, first, rows) };
            if self.send(first.line, Offer { kind, steps, ..self.offer(header, *block) }) {
                standing.insert(*block, first.start_ms);
            }
        }
    }

    /// A bid without steps.
    fn offer<'h>(&self, header: &'h Header, block: u8) -> Offer<'h> {
        let order = format!("omie:{}:{}", self.day.name(), header.order);
        let home = if header.border == PORTUGUESE_BORDER { PORTUGAL } else { SPAIN };
        let closes_ms = self.day.closes_ms();
        Offer {
            id: if block == 0 { order } else { format!("{order}:{block}") },
            revision: i64::from(header.version),
            // Orders begin with version 0 or 1, as they were entered by default or for the day.
            status: if header.version <= 1 { BidStatus::Submitted } else { BidStatus::Amended },
            organisation: &header.unit,
            asset: Some(&header.unit),
            zone: self.zones.get(&header.unit).copied().unwrap_or(home),
            market: self.day.market,
            delivery_ms: closes_ms,
            side: header.side,
            kind: WireKind::Curve,
            steps: Vec::new(),
            entered_ms: header.inserted_ms.min(closes_ms),
            opens_ms: self.day.opens_ms(),
        }
    }

    /// The simple curve of an order; a fixed term or a minimum quantity makes a scalable complex order of it.
    fn curve(&mut self, header: &Header, rows: &[&Detail]) -> (WireKind, Vec<Step>) {
        let is_scalable = header.fixed > 0 || rows.iter().any(|row| row.min_power > 0);
        let kind = match header.side {
            Side::Sell if is_scalable => WireKind::MinimumIncome { fixed: price(header.fixed), variable: None },
            Side::Buy if header.fixed > 0 => {
                self.parsed.note("fixed terms of orders to buy, left out: a minimum income is for who sells");
                WireKind::Curve
            }
            _ => WireKind::Curve,
        };
        let step =
            |row: &&Detail| Step { min_power_kw: row.min_power, ..Step::flat(row.start_ms, row.price, row.power) };
        (kind, rows.iter().map(step).collect())
    }

    /// One block of an order. A file that says nothing of its ratio leaves it free.
    fn block(&self, header: &Header, first: &Detail, rows: &[&Detail]) -> (WireKind, Vec<Step>) {
        let group =
            (first.group > 0).then(|| format!("omie:{}:{}:group:{}", self.day.name(), header.order, first.group));
        let kind = WireKind::Block {
            min_acceptance_ratio: f64::from(first.min_ratio.max(1)) / 1e6,
            parent: None,
            exclusive_group: group,
        };
        (kind, rows.iter().map(|row| Step::flat(row.start_ms, row.price, row.power)).collect())
    }

    /// Sends a bid, or reports the rule that it breaks; says whether it was sent.
    fn send(&mut self, line: u64, offer: Offer<'_>) -> bool {
        match self.judge.record(offer) {
            Ok(record) => self.parsed.records.push(record),
            Err(reason) => {
                self.parsed.bad(&self.source.file, line, reason);
                return false;
            }
        }
        true
    }
}
