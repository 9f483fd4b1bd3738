//! Complex orders: blocks, linked blocks, exclusive groups, minimum income, minimum quantity.
//!
//! What is solved: over all intervals that complex orders connect, choose the set of complex orders to accept such that
//! welfare is greatest and nobody accepted loses at the uniform prices that follow. In the words of the public
//! description of EUPHEMIA:
//! * a block is accepted at a ratio of 0 or at least its minimum; never at a loss (no paradoxical acceptance);
//! * a linked child needs its parent; a parent may lose if the accepted family below it makes up for it;
//! * of an exclusive group at most one block is accepted (the sum of ratios is then at most 1);
//! * a scalable complex order (SCO) is accepted if its surplus over its own steps covers its fixed term, which is a cost
//!   in the welfare; a classic minimum income order (MIC) if its income covers fixed + variable × energy;
//! * the minimum quantity (MAV) of an interval is taken whenever the order is in, at whatever price; an order with a
//!   minimum quantity and no income condition decides per interval and never takes a loss there;
//! * rejecting an order that would have earned is allowed.
//!
//! The result is a function of the book alone: units in the order of ids, integer arithmetic, budget in nodes, ties to
//! acceptance, of the lower ids first.

pub(crate) mod bound;
pub(crate) mod evaluate;
pub(crate) mod local;
pub(crate) mod search;
pub(crate) mod table;
pub(crate) mod unit;
