// Which part of the curves is shown: the neighbourhood of the crossing, a wider one, or everything.
//
// A book may reach from −500 to 4,000 while all that counts happens between 20 and 60. The neighbourhood is a
// quarter of the volume to either side, more when there is little in it; upwards and downwards it ends where
// the flatter of the two curves leaves it, and the steep one may run out of the picture. Of a small book more is
// shown: there every step counts.

import { priceAt, total, type Curve, type Point } from "./curves";

export interface View {
  left: number;
  right: number;
  low: number;
  high: number;
}

export const ZOOMS = ["crossing", "wider", "everything"] as const;
export type Zoom = (typeof ZOOMS)[number];

const SIDES = 0.25;
/** Corners of the curves that a neighbourhood has at least, if there are so many. */
const CORNERS = 14;
const WIDER = 3;
/** A book of so many corners at most is small. */
const SMALL = 60;
const STEEP = 6;

/** `centre`: the crossing; null when there is none. */
export function viewOf(zoom: Zoom, supply: Curve, demand: Curve, centre: Point | null): View {
  const all = everything(supply, demand, centre);
  if (zoom === "everything") return all;
  const near = neighbourhood(supply, demand, centre ?? nearest(supply, demand), all);
  return zoom === "crossing" ? near : widen(near, WIDER, all);
}

function everything(supply: Curve, demand: Curve, centre: Point | null): View {
  const prices = [...supply.points, ...demand.points, ...(centre ? [centre] : [])].map(({ price }) => price);
  const low = prices.length > 0 ? Math.min(...prices) : 0;
  const high = prices.length > 0 ? Math.max(...prices) : 1;
  const right = Math.max(total(supply), total(demand), centre?.mw ?? 0) || 1;
  return { left: 0, right: right * 1.02, ...padded(low, high) };
}

/** Where the curves come nearest to each other when they do not cross: at the best prices. */
function nearest(supply: Curve, demand: Curve): Point | null {
  const [sell, buy] = [supply.points[0], demand.points[0]];
  if (!sell || !buy) return sell ?? buy ?? null;
  return { mw: Math.max(sell.mw, buy.mw), price: (sell.price + buy.price) / 2 };
}

function neighbourhood(supply: Curve, demand: Curve, centre: Point | null, all: View): View {
  if (!centre) return all;
  const corners = (width: number) =>
    [...supply.points, ...demand.points].filter(({ mw }) => Math.abs(mw - centre.mw) <= width).length;
  let width = SIDES * centre.mw || 0.05 * all.right;
  while (width < all.right && corners(width) < CORNERS) width *= 1.4;
  const [left, right] = [Math.max(all.left, centre.mw - width), Math.min(all.right, centre.mw + width)];

  const ups = [distance(supply, right, centre), distance(demand, left, centre)].filter((up) => up > 0);
  const downs = [-distance(supply, left, centre), -distance(demand, right, centre)].filter((down) => down > 0);
  const least = Math.max(0.5, Math.abs(centre.price) * 0.05);
  const steep = corners(Infinity) <= SMALL ? STEEP : 1;
  const reach = (distances: number[]) =>
    distances.length > 0 ? Math.max(least, Math.min(Math.max(...distances), steep * Math.min(...distances))) : least;
  let [up, down] = [reach(ups), reach(downs)];
  [up, down] = [Math.max(up, down * 0.5), Math.max(down, up * 0.5)];
  return { left, right, ...padded(Math.max(all.low, centre.price - down), Math.min(all.high, centre.price + up)) };
}

/** How much dearer a curve is at `mw` than at the centre; at its end, if it ends before. */
function distance(curve: Curve, mw: number, centre: Point): number {
  const within = Math.min(Math.max(mw, curve.points[0]?.mw ?? 0), total(curve));
  return (priceAt(curve, within) ?? centre.price) - centre.price;
}

function widen(view: View, factor: number, all: View): View {
  const stretch = (low: number, high: number, least: number, most: number): [number, number] => {
    const more = ((high - low) * (factor - 1)) / 2;
    return [Math.max(least, low - more), Math.min(most, high + more)];
  };
  const [left, right] = stretch(view.left, view.right, all.left, all.right);
  const [low, high] = stretch(view.low, view.high, all.low, all.high);
  return { left, right, low, high };
}

function padded(low: number, high: number): { low: number; high: number } {
  const height = high - low || Math.abs(high) * 0.2 || 1;
  return { low: low - height * 0.06, high: high + height * 0.06 };
}

/** Keeps the picture still while bids come and go: the old view as long as it shows about the same. */
export function steady(old: View | null, wanted: View, centre: Point | null): View {
  if (!old) return wanted;
  const near = (a: number, b: number) => a / b < 1.35 && b / a < 1.35;
  const same = near(old.right - old.left, wanted.right - wanted.left) && near(old.high - old.low, wanted.high - wanted.low);
  const inner = (value: number, low: number, high: number, edge: number) =>
    value >= low + (high - low) * edge && value <= high - (high - low) * edge;
  const held = centre ? inner(centre.price, old.low, old.high, 0.2) && inner(centre.mw, old.left, old.right, 0.1) : true;
  return same && held ? old : wanted;
}

/** Round numbers from `low` to `high`, about `count` of them. */
export function ticks(low: number, high: number, count: number): { step: number; values: number[] } {
  const rough = (high - low) / Math.max(1, count);
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * ([1, 2, 2.5, 5, 10].find((nice) => nice * magnitude >= rough - 1e-12) ?? 10);
  const values: number[] = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) values.push(n * step || 0);
  return { step, values };
}

/** Cuts a curve's line to what the view shows, so that a book of thousands of levels draws fast. */
export function cut(points: readonly Point[], view: View): Point[] {
  const first = points.findIndex((point) => point.mw >= view.left);
  if (first < 0) return points.slice(-1);
  const after = points.findIndex((point) => point.mw > view.right);
  return points.slice(Math.max(0, first - 1), after < 0 ? points.length : after + 1);
}
