//! One interval made ready for thousands of evaluations: price levels of everything, plain orders summed per level.
//!
//! ```text
//!  levels   floor … every step, bend and stair … cap        (ascending)
//!  base     per zone and level: excess of the plain orders and the fixed import
//!  dual     per zone and level: surplus of both sides + price × import, per hour
//!  rows     level × stair unit: its net supply (blocks are constants and stand outside)
//! ```
//! State: levels × (32 B + 8 B × stair units of the interval).

use crate::complex::unit::Unit;
use crate::coupling::Zones;
use crate::merit::MeritOrder;
use crate::order::{Interval, WHOLE};
use crate::uniform::Rules;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) duration: i64,
    levels: Vec<i64>,
    base: Vec<Vec<i64>>,
    below: Vec<i64>,
    dual: Vec<Vec<i128>>,
    rows: Vec<i64>,
    below_row: Vec<i64>,
    /// (unit, period of the unit) of every unit in this interval.
    pub(crate) members: Vec<(usize, usize)>,
    /// Column per member, for stair units.
    columns: Vec<Option<usize>>,
    width: usize,
    lines: bool,
}

/// What a table is made of.
pub(crate) struct Plain<'a> {
    pub(crate) merits: Vec<&'a MeritOrder>,
    pub(crate) import: [i64; 2],
    pub(crate) rules: Rules,
}

impl Table {
    pub(crate) fn new(interval: Interval, duration: i64, plain: &Plain<'_>, units: &[Unit]) -> Self {
        let rules = &plain.rules;
        let mut members = Vec::new();
        let mut columns = Vec::new();
        let mut width = 0;
        let mut levels: Vec<i64> = plain.merits.iter().flat_map(|merit| merit.prices()).collect();
        levels.extend([rules.floor, rules.cap]);
        for (at, unit) in units.iter().enumerate() {
            let Some(period) = unit.periods.iter().position(|period| period.interval == interval) else { continue };
            members.push((at, period));
            columns.push(unit.block.is_none().then_some(width));
            if unit.block.is_none() {
                width += 1;
                levels.extend(unit.periods[period].stairs.iter().map(|stair| stair.price));
            }
        }
        levels.sort_unstable();
        levels.dedup();
        let fill = |price: i64| {
            let stairs = members.iter().zip(&columns).filter(|(_, column)| column.is_some());
            stairs.map(move |((unit, period), _)| units[*unit].periods[*period].net(units[*unit].side, price))
        };
        let rows = levels.iter().flat_map(|price| fill(*price)).collect();
        let below_row = fill(rules.floor - 1).collect();
        let zone = |zone: usize| {
            let (merit, import) = (plain.merits[zone], plain.import[zone]);
            let base: Vec<i64> = levels.iter().map(|price| merit.excess(*price) + import).collect();
            let dual = levels.iter().map(|price| {
                let (buy, sell) = merit.surplus(*price);
                buy + sell + i128::from(*price) * i128::from(import)
            });
            (base, dual.collect())
        };
        let (base, dual) = (0..plain.merits.len()).map(zone).unzip();
        let below = (0..plain.merits.len()).map(|z| plain.merits[z].excess(rules.floor - 1) + plain.import[z]);
        Self {
            duration,
            below: below.collect(),
            base,
            dual,
            rows,
            below_row,
            members,
            columns,
            width,
            lines: plain.merits.iter().any(|merit| merit.has_lines()),
            levels,
        }
    }

    fn level_at(&self, price: i64) -> Option<usize> {
        self.levels.partition_point(|level| *level <= price).checked_sub(1)
    }

    pub(crate) fn zones(&self) -> usize {
        self.base.len()
    }

    /// Surplus of the plain orders of both sides + price × import, per hour. Straight between two levels, but for linear
    /// orders: then the merit order is asked.
    pub(crate) fn dual(&self, plain: &Plain<'_>, zone: usize, price: i64) -> i128 {
        if self.lines {
            let (buy, sell) = plain.merits[zone].surplus(price);
            return buy + sell + i128::from(price) * i128::from(plain.import[zone]);
        }
        let at = self.level_at(price).unwrap_or(0);
        self.dual[zone][at] + i128::from(self.base[zone][at]) * i128::from(price - self.levels[at])
    }

    /// Excess of the plain orders alone, for the slope of the dual.
    pub(crate) fn base_excess(&self, zone: usize, price: i64) -> i64 {
        self.level_at(price).map_or(self.below[zone], |at| self.base[zone][at])
    }
}

/// A table with a set of accepted units.
pub(crate) struct View<'a> {
    table: &'a Table,
    plain: &'a Plain<'a>,
    shift: [i64; 2],
    columns: Vec<(usize, usize)>,
}

impl<'a> View<'a> {
    pub(crate) fn new(table: &'a Table, plain: &'a Plain<'a>, units: &[Unit], ratios: &[u32]) -> Self {
        let mut view = Self { table, plain, shift: [0; 2], columns: Vec::with_capacity(table.width) };
        for ((unit, period), column) in table.members.iter().zip(&table.columns) {
            if ratios[*unit] == 0 {
                continue;
            }
            let of = &units[*unit];
            if let Some(column) = column {
                view.columns.push((of.zone, *column));
            } else {
                let power = Unit::scaled(of.periods[*period].min, ratios[*unit].min(WHOLE));
                view.shift[of.zone] += if of.side == crate::order::Side::Sell { power } else { -power };
            }
        }
        view
    }

    fn at_level(&self, zone: Option<usize>, level: Option<usize>) -> i64 {
        let table = self.table;
        let row = match level {
            Some(level) => &table.rows[level * table.width..(level + 1) * table.width],
            None => &table.below_row[..],
        };
        let units: i64 = match zone {
            Some(zone) => self.columns.iter().filter(|column| column.0 == zone).map(|column| row[column.1]).sum(),
            None => self.columns.iter().map(|column| row[column.1]).sum(),
        };
        let base = |zone: usize| level.map_or(table.below[zone], |level| table.base[zone][level]) + self.shift[zone];
        units + zone.map_or_else(|| (0..table.zones()).map(base).sum(), base)
    }

    fn exact(&self, zone: Option<usize>, price: i64) -> i64 {
        let level = self.table.level_at(price);
        if !self.table.lines {
            return self.at_level(zone, level);
        }
        let zones = match zone {
            Some(zone) => zone..zone + 1,
            None => 0..self.table.zones(),
        };
        let moved = zones.map(|zone| {
            let now = self.plain.merits[zone].excess(price) + self.plain.import[zone];
            now - level.map_or(self.table.below[zone], |level| self.table.base[zone][level])
        });
        self.at_level(zone, level) + moved.sum::<i64>()
    }
}

impl Zones for View<'_> {
    fn count(&self) -> usize {
        self.table.zones()
    }

    fn excess(&self, zone: usize, price: i64) -> i64 {
        self.exact(Some(zone), price)
    }

    fn at_margin(&self, zone: usize, price: i64) -> (i64, i64) {
        let merit = self.plain.merits[zone];
        let sell = merit.supply(price) - merit.supply(price - 1);
        let buy = merit.demand(price) - merit.demand(price + 1);
        let row = |price: i64| match self.table.level_at(price) {
            Some(level) => &self.table.rows[level * self.table.width..(level + 1) * self.table.width],
            None => &self.table.below_row[..],
        };
        let (before, here) = (row(price - 1), row(price));
        let stairs = self.columns.iter().filter(|column| column.0 == zone).map(|column| column.1);
        stairs.fold((sell, buy), |(sell, buy), column| {
            // what a selling unit adds is never negative, what a buying one adds never positive
            let more = here[column] - before[column];
            if before[column] < 0 { (sell, buy + more) } else { (sell + more, buy) }
        })
    }

    fn first_reaching(&self, zone: Option<usize>, target: i64) -> Option<i64> {
        let levels = &self.table.levels;
        let (mut low, mut high) = (0, levels.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.at_level(zone, Some(middle)) >= target { high = middle } else { low = middle + 1 }
        }
        if low == levels.len() {
            return None;
        }
        if !self.table.lines || low == 0 {
            return Some(levels[low]);
        }
        let (mut below, mut reached) = (levels[low - 1], levels[low]);
        while reached - below > 1 {
            let middle = below + (reached - below) / 2;
            if self.exact(zone, middle) >= target { reached = middle } else { below = middle }
        }
        Some(reached)
    }
}
