// Supply and demand of a delivery interval as lines that can be drawn: MW across, currency per MWh upwards.
//
// The levels of the merit order hold plain bids only. What the auction has accepted besides them belongs to the
// curves as well, or they would not cross where the price is:
//   accepted blocks, the least that accepted complex bids must deliver   at the left, taken at any price
//   the rest of accepted complex bids                                    steps at their prices
//   import (as supply) and export (as demand)                            at the left, taken at any price
// Refused complex bids are in neither.

import type { BidStep, ClearingAnswer, IntervalBid, Level, MeritOrder, Side } from "./wire";

export interface Point {
  mw: number;
  price: number;
}

/** A line from left to right: along a level, up or down to the next, or aslant in a linear curve. */
export interface Curve {
  side: Side;
  /** MW at the left that are taken at any price. */
  fixed: number;
  points: readonly Point[];
}

/** A piece of a bid: `mw` from `price` to `end`. */
interface Piece {
  price: number;
  end: number;
  mw: number;
}

/** Where the curves cross: the volume, and every price at which it would be traded. */
export interface Crossing {
  mw: number;
  low: number;
  high: number;
}

/** Volumes nearer to each other than this are the same: a watt. */
const SAME_MW = 1e-6;

export function curves(merit: MeritOrder, answer: ClearingAnswer | null): { supply: Curve; demand: Curve } {
  const flow = answer?.clearing.import_mw ?? 0;
  return {
    supply: curve("sell", merit.supply, merit, answer, Math.max(0, flow)),
    demand: curve("buy", merit.demand, merit, answer, Math.max(0, -flow)),
  };
}

function curve(side: Side, levels: readonly Level[], merit: MeritOrder, answer: ClearingAnswer | null, flow: number): Curve {
  const pieces: Piece[] = levels.map(({ price, power_mw }) => ({ price, end: price, mw: power_mw }));
  const add = (step: BidStep, mw: number) => pieces.push({ price: step.price, end: step.end_price, mw });
  for (const bid of merit.linear) {
    // Their flat steps are in the levels already.
    if (bid.side === side) for (const step of bid.steps) if (step.price !== step.end_price) add(step, step.power);
  }
  let fixed = flow;
  for (const { bid, ratio } of accepted(merit, answer)) {
    if (bid.side !== side) continue;
    if (bid.kind === "block") fixed += bid.power_mw * ratio;
    else {
      for (const step of bid.steps) {
        fixed += step.min_power;
        add(step, step.power - step.min_power);
      }
    }
  }
  return { side, fixed, points: line(pieces, fixed, side === "sell" ? 1 : -1) };
}

/** Complex bids that are accepted in the interval, and how much of each. */
export function accepted(merit: MeritOrder, answer: ClearingAnswer | null): { bid: IntervalBid; ratio: number }[] {
  const start = answer ? Date.parse(answer.clearing.start) : 0;
  const fates = new Map((answer?.explain.component?.complex ?? []).map((fate) => [fate.bid, fate]));
  return merit.complex.flatMap((bid) => {
    const fate = fates.get(bid.bid);
    const here = fate?.accepted && fate.intervals.some((interval) => Date.parse(interval) === start);
    return here ? [{ bid, ratio: fate.ratio }] : [];
  });
}

/** `direction`: 1 for supply, cheapest first, -1 for demand, dearest first. */
function line(pieces: readonly Piece[], fixed: number, direction: 1 | -1): Point[] {
  const changes = new Map<number, { jump: number; slope: number }>();
  const at = (price: number) => {
    const key = price * direction;
    const found = changes.get(key) ?? { jump: 0, slope: 0 };
    changes.set(key, found);
    return found;
  };
  for (const { price, end, mw } of pieces) {
    if (mw <= 0) continue;
    if (price === end) at(price).jump += mw;
    else {
      const slope = mw / Math.abs(end - price);
      at(direction === 1 ? Math.min(price, end) : Math.max(price, end)).slope += slope;
      at(direction === 1 ? Math.max(price, end) : Math.min(price, end)).slope -= slope;
    }
  }
  const points: Point[] = [];
  let [mw, slope, before] = [fixed, 0, NaN];
  for (const key of [...changes.keys()].sort((a, b) => a - b)) {
    const change = changes.get(key)!;
    if (slope > 0) mw += slope * (key - before);
    const price = key * direction || 0;
    points.push({ mw, price });
    mw += change.jump;
    if (change.jump > 0) points.push({ mw, price });
    slope = Math.max(0, slope + change.slope);
    if (slope < 1e-9) slope = 0;
    before = key;
  }
  return points;
}

/** Where a curve ends, MW. */
export const total = (curve: Curve): number => curve.points.at(-1)?.mw ?? curve.fixed;

/** The price of a curve's MW; null where it has none, or takes any price. At a jump the one to the left. */
export function priceAt({ points }: Curve, mw: number): number | null {
  let from: Point | undefined;
  for (const to of points) {
    if (to.mw >= mw - SAME_MW) {
      if (!from) return to.mw <= mw + SAME_MW ? to.price : null;
      const width = to.mw - from.mw;
      return width < SAME_MW ? from.price : from.price + ((to.price - from.price) * (mw - from.mw)) / width;
    }
    from = to;
  }
  return null;
}

/** Lowest and highest price at a volume: two of them where the curve jumps. What has none takes any price. */
function pricesAt(curve: Curve, mw: number): [low: number, high: number] {
  const direction = curve.side === "sell" ? 1 : -1;
  const [left, right] = [sided(curve, mw, -1), sided(curve, mw, 1)];
  const first = left ?? -Infinity * direction;
  const last = right ?? Infinity * direction;
  return first <= last ? [first, last] : [last, first];
}

function sided({ points }: Curve, mw: number, side: 1 | -1): number | null {
  let found: number | null = null;
  for (let i = 1; i < points.length; i += 1) {
    const [from, to] = [points[i - 1]!, points[i]!];
    const width = to.mw - from.mw;
    if (width < SAME_MW) continue;
    const inside = side === -1 ? from.mw < mw - SAME_MW && mw <= to.mw + SAME_MW : from.mw <= mw + SAME_MW && mw < to.mw - SAME_MW;
    if (inside) found = from.price + ((to.price - from.price) * Math.min(Math.max(0, mw - from.mw), width)) / width;
  }
  return found;
}

/** The largest volume for which the supply is not dearer than the demand gives; null when there is none. */
export function crossing(supply: Curve, demand: Curve): Crossing | null {
  const end = Math.min(total(supply), total(demand));
  const corners = [...supply.points, ...demand.points].map(({ mw }) => mw);
  const stops = [...new Set([0, ...corners.filter((mw) => mw < end), end])].sort((a, b) => a - b);
  let volume = 0;
  for (let i = 1; i < stops.length; i += 1) {
    const [from, to] = [stops[i - 1]!, stops[i]!];
    if (to - from < SAME_MW) continue;
    const gap = (mw: number, side: 1 | -1) => (sided(demand, mw, side) ?? Infinity) - (sided(supply, mw, side) ?? -Infinity);
    const [first, last] = [gap(from, 1), gap(to, -1)];
    if (first < 0) break;
    if (last < 0) {
      volume = Number.isFinite(first) ? from + ((to - from) * first) / (first - last) : from;
      break;
    }
    volume = to;
  }
  if (volume < SAME_MW) return null;
  const [supplyLow, supplyHigh] = pricesAt(supply, volume);
  const [demandLow, demandHigh] = pricesAt(demand, volume);
  const [low, high] = [Math.max(supplyLow, demandLow), Math.min(supplyHigh, demandHigh)];
  return { mw: volume, low: Math.min(low, high), high: Math.max(low, high) };
}
