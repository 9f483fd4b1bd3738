import { describe, expect, it } from "vitest";
import { random } from "../dev/market.mjs";
import { Bars, bucketStart, merge, rollUp, SETTLED_AFTER_MS, type Bar } from "../src/bars";

const MINUTE = 60_000;

function bar(minute: number, close: number, t = 0): Bar {
  const start = minute * MINUTE;
  return { start, end: start + MINUTE, open: close - 1, high: close + 2, low: close - 2, close, mean: close, vwap: close, volume: 10, count: 4, t, revised: 0 };
}

const closes = (bars: Bars) => bars.list().map(({ start, close }) => [start / MINUTE, close]);

describe("bars", () => {
  it("stay in order of time, whatever order they come in", () => {
    const bars = new Bars(10);
    bars.load([bar(1, 10), bar(2, 20), bar(4, 40)], 0);
    bars.put(bar(5, 50, 1));
    bars.put(bar(3, 30, 2));
    bars.put(bar(5, 51, 3));
    expect(closes(bars)).toEqual([[1, 10], [2, 20], [3, 30], [4, 40], [5, 51]]);
  });

  it("mark what changed after it had settled, and only that", () => {
    const bars = new Bars(10);
    const end = 2 * MINUTE;
    const revised = () => bars.get(MINUTE)?.revised;
    bars.put(bar(1, 10, end - 5_000));
    bars.put(bar(1, 11, end + SETTLED_AFTER_MS - 1));
    bars.put(bar(1, 11, end + SETTLED_AFTER_MS + 1));
    expect(revised()).toBe(0);
    bars.put(bar(1, 12, end + 40_000));
    expect(revised()).toBe(end + 40_000);
    bars.put(bar(1, 12, end + 50_000));
    expect(revised()).toBe(end + 40_000);
    bars.put({ ...bar(1, 12, end + 60_000), volume: 12, count: 5 });
    expect(revised()).toBe(end + 60_000);
  });

  it("are not set back by an answer that is older than a change", () => {
    const bars = new Bars(10);
    bars.load([bar(1, 10), bar(2, 20), bar(3, 30)], 100);
    bars.put(bar(2, 21, 150));
    bars.remove(3 * MINUTE, 160);
    bars.put(bar(4, 40, 170));
    bars.load([bar(1, 11), bar(2, 20), bar(3, 30)], 120);
    expect(closes(bars)).toEqual([[1, 11], [2, 21], [4, 40]]);
    bars.load([bar(1, 11), bar(2, 22), bar(4, 41)], 200);
    expect(closes(bars)).toEqual([[1, 11], [2, 22], [4, 41]]);
  });

  it("ignore an older state of the same bar", () => {
    const bars = new Bars(10);
    bars.put(bar(2, 21, 150));
    bars.put(bar(2, 20, 140));
    bars.remove(2 * MINUTE, 149);
    expect(closes(bars)).toEqual([[2, 21]]);
  });

  it("have no hole: what lies before the first is refused, and said to be", () => {
    const bars = new Bars(3);
    expect(bars.put(bar(5, 50))).toBe(true);
    expect(bars.put(bar(2, 20))).toBe(false);
    bars.load([bar(3, 30), bar(4, 40), bar(5, 50)], 10);
    expect(bars.put(bar(3, 31, 11))).toBe(true);
    bars.put(bar(6, 60, 12));
    expect(bars.remove(3 * MINUTE, 13)).toBe(false);
    expect(closes(bars)).toEqual([[4, 40], [5, 50], [6, 60]]);
  });
});

describe("roll-up", () => {
  it("merges as the server does", () => {
    const [a, b] = [{ ...bar(1, 10), volume: 30, vwap: 10 }, { ...bar(2, 20), volume: 10, vwap: 20, count: 12 }];
    expect(merge([a, b], 0, 5 * MINUTE)).toMatchObject({ open: 9, high: 22, low: 8, close: 20, volume: 40, count: 16, vwap: 12.5, mean: 17.5 });
    expect(merge([{ ...a, vwap: null, volume: 0 }], 0, 1)).toMatchObject({ vwap: null });
    expect(merge([], 0, 1)).toBeNull();
  });

  it("starts hours where the zone's clock does", () => {
    const half = 30 * MINUTE;
    const at = Date.parse("2022-10-17T00:10:00Z");
    expect(new Date(bucketStart(at, 60 * MINUTE, 5.5 * 60 * MINUTE)).toISOString()).toBe("2022-10-16T23:30:00.000Z");
    expect(bucketStart(at, 60 * MINUTE, half)).toBe(Date.parse("2022-10-16T23:30:00Z"));
  });

  it("equals a roll-up of all minutes, wherever the known minutes begin", () => {
    const next = random(7);
    for (let round = 0; round < 200; round += 1) {
      const width = [5, 60][round % 2]! * MINUTE;
      const all = Array.from({ length: 180 }, (_, minute) => bar(minute, Math.round(100 * next()))).filter(() => next() > 0.2);
      const coarse = rollUp([], all, width, 0);
      const from = Math.floor(next() * all.length);
      const changed = all.map((one, i) => (i >= from && next() < 0.1 ? bar(one.start / MINUTE, 500) : one));
      const truth = rollUp([], changed, width, 0);
      const got = rollUp(coarse, changed.slice(from), width, 0);
      const first = changed[from]!.start;
      // The bucket that the known minutes begin inside of cannot be computed from them: it stays as fetched.
      const inside = bucketStart(first, width, 0);
      const whole = (bars: Bar[]) => bars.filter(({ start }) => start !== inside || first === inside);
      expect(whole(got)).toEqual(whole(truth.filter(({ start }) => start >= coarse[0]!.start)));
      expect(got.map(({ start }) => start)).toEqual(truth.map(({ start }) => start));
    }
  });
});
