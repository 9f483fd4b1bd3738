// The bars of one series and width: put, removed and replaced in any order, read in order of time.
//
// Every bar carries the T of its last change, so an answer of the REST interface that was made before a change
// arrived over the WebSocket never undoes that change. Removed bars leave a mark for the same reason.
// From `floor` on every bar is known; what is said about earlier ones is not kept, or the list would have a hole.

import type { WireBar } from "./wire";

export interface Bar {
  start: number;
  end: number;
  open: number;
  high: number;
  low: number;
  close: number;
  mean: number;
  vwap: number | null;
  volume: number;
  count: number;
  /** T of the last change. */
  t: number;
  /** T at which it was changed after it had settled; 0: never. */
  revised: number;
}

/** From this long after its end on, a bar that changes was revised: ticks of a minute arrive a little out of order. */
export const SETTLED_AFTER_MS = 15_000;

const FIGURES = ["open", "high", "low", "close", "mean", "vwap", "volume", "count"] as const;

export function barOf(wire: WireBar, t: number): Bar {
  const { open, high, low, close, mean, vwap, volume, count } = wire;
  const [start, end] = [Date.parse(wire.start), Date.parse(wire.end)];
  return { start, end, open, high, low, close, mean, vwap, volume, count, t, revised: 0 };
}

export class Bars {
  private readonly byStart = new Map<number, Bar>();
  private readonly removed = new Map<number, number>();
  private ordered: Bar[] | null = [];
  private floor = NaN;

  /** Bars kept at most; the oldest go. */
  constructor(private limit: number) {}

  /** Bars, earliest first. */
  list(): readonly Bar[] {
    this.ordered ??= [...this.byStart.values()].sort((a, b) => a.start - b.start);
    return this.ordered;
  }

  get(start: number): Bar | undefined {
    return this.byStart.get(start);
  }

  last(): Bar | undefined {
    return this.list().at(-1);
  }

  /** Keeps this many from now on. */
  keep(limit: number): void {
    this.limit = limit;
    this.shed();
  }

  /** Puts a bar as it is at its T. False when it is older than what is kept. */
  put(bar: Bar): boolean {
    if (bar.start < this.floor) return false;
    if (Number.isNaN(this.floor)) this.floor = bar.start;
    const old = this.byStart.get(bar.start);
    if (old && old.t > bar.t) return true;
    const same = old && FIGURES.every((figure) => old[figure] === bar[figure]);
    const late = bar.t >= bar.end + SETTLED_AFTER_MS;
    if (late && old && !same) bar.revised = bar.t;
    else if (old) bar.revised = old.revised;
    this.removed.delete(bar.start);
    this.byStart.set(bar.start, bar);
    this.changed(bar, old);
    return true;
  }

  /** Takes a bar away, at `t`. False when it is older than what is kept. */
  remove(start: number, t: number): boolean {
    if (start < this.floor) return false;
    const old = this.byStart.get(start);
    if (old && old.t > t) return true;
    this.byStart.delete(start);
    this.removed.set(start, t);
    this.ordered = null;
    return true;
  }

  /** Replaces everything by what was true at `t`, except what changed after it. */
  load(bars: readonly Bar[], t: number): void {
    const later = [...this.byStart.values()].filter((bar) => bar.t > t);
    const before = new Map(this.byStart);
    this.byStart.clear();
    for (const bar of bars) {
      if ((this.removed.get(bar.start) ?? -1) > t) continue;
      this.byStart.set(bar.start, { ...bar, t, revised: before.get(bar.start)?.revised ?? 0 });
    }
    for (const bar of later) this.byStart.set(bar.start, bar);
    for (const [start, when] of this.removed) if (when <= t) this.removed.delete(start);
    this.ordered = null;
    this.floor = Math.min(bars[0]?.start ?? NaN, ...(bars[0] ? [] : later.map((bar) => bar.start)));
    this.shed();
  }

  // The usual change is to the last bar or one after it: the order stays.
  private changed(bar: Bar, old: Bar | undefined): void {
    const list = this.ordered;
    const last = list?.at(-1);
    if (list && old && last?.start === bar.start) list[list.length - 1] = bar;
    else if (list && !old && (!last || bar.start > last.start)) list.push(bar);
    else this.ordered = null;
    this.shed();
  }

  private shed(): void {
    if (this.byStart.size <= this.limit) return;
    const list = this.list();
    const cut = list.length - this.limit;
    for (const bar of list.slice(0, cut)) this.byStart.delete(bar.start);
    this.ordered = list.slice(cut);
    this.floor = this.ordered[0]?.start ?? NaN;
  }
}

/** One bar of consecutive bars, earliest first; null for none. */
export function merge(bars: readonly Bar[], start: number, end: number): Bar | null {
  const first = bars[0];
  const last = bars.at(-1);
  if (!first || !last) return null;
  let [high, low, volume, count, prices, traded, worth, t, revised] = [-Infinity, Infinity, 0, 0, 0, 0, 0, 0, 0];
  for (const bar of bars) {
    high = Math.max(high, bar.high);
    low = Math.min(low, bar.low);
    volume += bar.volume;
    count += bar.count;
    prices += bar.mean * bar.count;
    if (bar.vwap !== null) {
      traded += bar.volume;
      worth += bar.vwap * bar.volume;
    }
    t = Math.max(t, bar.t);
    revised = Math.max(revised, bar.revised);
  }
  const mean = count > 0 ? prices / count : last.close;
  const vwap = traded > 0 ? worth / traded : null;
  return { start, end, open: first.open, high, low, close: last.close, mean, vwap, volume, count, t, revised };
}

/** Start of the bucket of this width that holds `ms`; hours begin with the zone's own (India's at half past). */
export function bucketStart(ms: number, width: number, offset: number): number {
  return Math.floor((ms + offset) / width) * width - offset;
}

/**
 * Coarse bars, with every bucket that the minutes cover computed anew: so a tick or a correction shows at once.
 * A bucket counts as covered when it begins no earlier than the first minute that is known.
 */
export function rollUp(coarse: readonly Bar[], minutes: readonly Bar[], width: number, offset: number): Bar[] {
  const first = minutes[0];
  if (!first) return [...coarse];
  const whole = Math.ceil((first.start + offset) / width) * width - offset;
  const result = coarse.filter((bar) => bar.start < whole);
  let open: Bar[] = [];
  let start = NaN;
  const close = () => {
    const bar = merge(open, start, start + width);
    if (bar) result.push(bar);
    open = [];
  };
  for (const bar of minutes) {
    if (bar.start < whole) continue;
    const bucket = bucketStart(bar.start, width, offset);
    if (bucket !== start) close();
    start = bucket;
    open.push(bar);
  }
  close();
  return result;
}
