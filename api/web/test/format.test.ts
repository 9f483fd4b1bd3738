import { describe, expect, it } from "vitest";
import { barOf } from "../src/bars";
import * as format from "../src/format";
import { sparkline, staleAfter } from "../src/view/zones";

describe("format", () => {
  it("shows a dash for what is undefined, never a zero", () => {
    for (const missing of [null, undefined, NaN, Infinity]) {
      expect([format.money(missing, "USD"), format.number(missing), format.signed(missing), format.percent(missing), format.compact(missing)]).toEqual(Array(5).fill(format.NONE));
    }
    expect(format.direction(null)).toBe("flat");
  });

  it("says direction with a sign and an arrow, not with colour alone", () => {
    expect([format.signed(1.5), format.signed(-1.5), format.signed(0)].map((text) => text[0])).toEqual(["+", "-", "0"]);
    expect([format.arrow(2), format.arrow(-2), format.arrow(0)]).toEqual(["▲", "▼", ""]);
  });

  it("tells times in the zone's own clock, over the change of the clocks", () => {
    const before = Date.parse("2025-11-02T05:30:00Z");
    const after = Date.parse("2025-11-02T06:30:00Z");
    expect(format.clock(before, "America/New_York", false, after)).toBe(format.clock(after, "America/New_York", false, after));
    expect(format.offset(before, "America/New_York")).toBe(-4 * 3_600_000);
    expect(format.offset(after, "America/New_York")).toBe(-5 * 3_600_000);
    expect(format.offset(after, "Asia/Kolkata")).toBe(5.5 * 3_600_000);
    expect(format.offset(after, "Etc/GMT+5")).toBe(-5 * 3_600_000);
    expect(format.offset(after, "UTC")).toBe(0);
  });

  it("counts up in the unit that fits", () => {
    expect([400, 12_000, 180_000, 8_000_000, 200_000_000, -5].map(format.span)).toEqual(["0.4 s", "12 s", "3 min", "2 h", "2 d", "0.0 s"]);
  });
});

describe("zone table", () => {
  it("calls a price stale by the interval of its market", () => {
    const minutes = (market: string) => staleAfter(market) / 60_000;
    expect(["CONTINUOUS", "REAL_TIME_5_MIN", "REAL_TIME_15_MIN", "REAL_TIME_HOURLY"].map(minutes)).toEqual([5, 12, 32, 122]);
  });

  it("draws the last hour over the whole width, and nothing of a single bar", () => {
    const at = (minute: number, close: number) => {
      const [start, end] = [minute, minute + 1].map((m) => new Date(m * 60_000).toISOString());
      return barOf({ start: start!, end: end!, open: close, high: close, low: close, close, mean: close, vwap: null, volume: 0, count: 1 }, 0);
    };
    expect(sparkline([at(1, 5)])).toBe("");
    expect(sparkline([at(0, 1), at(100, 5), at(130, 5), at(160, 9)])).toBe("2.0,23.0 55.0,23.0 108.0,3.0");
    expect(sparkline([at(0, -3), at(10, -3)])).toBe("2.0,23.0 108.0,23.0");
  });
});
