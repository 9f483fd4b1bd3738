import { describe, expect, it } from "vitest";
import * as format from "../src/format";

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
