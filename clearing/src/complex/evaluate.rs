//! A set of accepted units and what it leads to: prices per interval, welfare, who loses.
//!
//! Given the set, each interval is an ordinary (coupled) uniform-price auction; changing one unit re-clears its own
//! intervals only.

use crate::complex::table::{Plain, Table, View};
use crate::complex::unit::Unit;
use crate::coupling::{Coupled, couple};
use crate::order::{Interval, WHOLE};

/// Everything fixed during a search. `tables` and `plains` are by interval of the component.
pub(crate) struct Problem<'a> {
    pub(crate) units: &'a [Unit],
    pub(crate) tables: Vec<&'a Table>,
    pub(crate) plains: Vec<Plain<'a>>,
    /// Day interval → position in `tables`, or `usize::MAX`.
    pub(crate) position: Vec<usize>,
    /// kW from zone 0 to 1, and back, by position.
    pub(crate) capacity: Vec<[i64; 2]>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Acceptance ratio per unit, ppm; 0 is out.
    pub(crate) ratios: Vec<u32>,
    /// By position.
    pub(crate) cleared: Vec<Coupled>,
}

impl State {
    pub(crate) fn new(problem: &Problem<'_>, ratios: Vec<u32>) -> Self {
        let mut state = Self { ratios, cleared: Vec::with_capacity(problem.tables.len()) };
        for at in 0..problem.tables.len() {
            let cleared = state.clear_one(problem, at);
            state.cleared.push(cleared);
        }
        state.settle(problem);
        state
    }

    fn clear_one(&self, problem: &Problem<'_>, at: usize) -> Coupled {
        let plain = &problem.plains[at];
        let view = View::new(problem.tables[at], plain, problem.units, &self.ratios);
        couple(&view, problem.capacity[at], &plain.rules)
    }

    /// Set ratios of some units and re-clear their intervals.
    pub(crate) fn set(&mut self, problem: &Problem<'_>, changes: &[(usize, u32)]) {
        let mut touched = vec![false; self.cleared.len()];
        for (unit, ratio) in changes {
            if self.ratios[*unit] != *ratio {
                self.ratios[*unit] = *ratio;
                for period in &problem.units[*unit].periods {
                    touched[problem.position[usize::from(period.interval)]] = true;
                }
            }
        }
        for (at, _) in touched.iter().enumerate().filter(|(_, touched)| **touched) {
            self.cleared[at] = self.clear_one(problem, at);
        }
    }

    pub(crate) fn price<'p>(&'p self, problem: &'p Problem<'_>, zone: usize) -> impl Fn(Interval) -> i64 + 'p {
        move |interval| self.cleared[problem.position[usize::from(interval)]].price[zone]
    }

    pub(crate) fn balanced(&self) -> bool {
        self.cleared.iter().all(|cleared| cleared.balanced)
    }

    /// Welfare of everybody: buyers, sellers, congestion rent, less the fixed terms; value.
    pub(crate) fn welfare(&self, problem: &Problem<'_>) -> i128 {
        let mut sum = 0;
        for ((table, plain), cleared) in problem.tables.iter().zip(&problem.plains).zip(&self.cleared) {
            let mut hour = i128::from(cleared.flow) * i128::from(cleared.price[1] - cleared.price[0]);
            for zone in 0..table.zones() {
                hour += table.dual(plain, zone, cleared.price[zone]);
            }
            sum += hour * i128::from(table.duration);
        }
        for (unit, ratio) in problem.units.iter().zip(&self.ratios).filter(|(_, ratio)| **ratio > 0) {
            sum += unit.welfare(*ratio, self.price(problem, unit.zone));
        }
        sum
    }

    /// What the condition of an accepted unit leaves over, the accepted family below a parent included.
    pub(crate) fn margin(&self, problem: &Problem<'_>, unit: usize) -> i128 {
        let of = &problem.units[unit];
        let own = of.margin(self.ratios[unit], self.price(problem, of.zone));
        let children = of.children.iter().filter(|child| self.ratios[**child] > 0);
        own + children.map(|child| self.margin(problem, *child)).sum::<i128>()
    }

    /// The unit that loses most, by loss, then order.
    pub(crate) fn worst(&self, problem: &Problem<'_>) -> Option<usize> {
        let accepted = (0..self.ratios.len()).filter(|unit| self.ratios[*unit] > 0);
        let losing = accepted.map(|unit| (self.margin(problem, unit), unit)).filter(|(margin, _)| *margin < 0);
        losing.min().map(|(_, unit)| unit)
    }

    /// Give every divisible block the greatest ratio at which it does not lose, one after the other until nothing
    /// moves (at most eight rounds). One such block alone gets its welfare-optimal ratio; several get one from which
    /// none can be moved alone.
    pub(crate) fn settle(&mut self, problem: &Problem<'_>) {
        let divisible = |unit: &Unit| unit.block.as_ref().map_or(WHOLE, |terms| terms.min_ratio);
        for _ in 0..8 {
            let mut moved = false;
            for unit in 0..self.ratios.len() {
                let least = divisible(&problem.units[unit]);
                if self.ratios[unit] == 0 || least == WHOLE {
                    continue;
                }
                let parent = problem.units[unit].block.as_ref().and_then(|terms| terms.parent);
                let most = parent.map_or(WHOLE, |parent| self.ratios[parent]);
                let before = self.ratios[unit];
                let (mut low, mut high) = (least.min(most), most + 1);
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    self.set(problem, &[(unit, middle)]);
                    let of = &problem.units[unit];
                    let gain = of.welfare(WHOLE, self.price(problem, of.zone));
                    if self.balanced() && gain >= 0 { low = middle } else { high = middle }
                }
                self.set(problem, &[(unit, low)]);
                moved |= low != before;
            }
            if !moved {
                return;
            }
        }
    }
}
