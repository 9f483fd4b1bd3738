import { describe, expect, it } from "vitest";
import type { Curve, Point } from "../src/curves";
import { cut, steady, ticks, viewOf } from "../src/zoom";

function steps(side: "buy" | "sell", ...pairs: [price: number, mw: number][]): Curve {
  const points: Point[] = [];
  let mw = 0;
  for (const [price, power] of pairs) {
    points.push({ mw, price });
    mw += power;
    points.push({ mw, price });
  }
  return { side, fixed: 0, points };
}

/** A day-ahead book: some at any price, most near the crossing at 10,000 MW and 50, the dear end far away. */
function large(): { supply: Curve; demand: Curve; centre: Point } {
  const middle = (count: number, price: (i: number) => number) => Array.from({ length: count }, (_, i): [number, number] => [price(i), 100]);
  return {
    supply: steps("sell", [-500, 5_000], ...middle(100, (i) => i), [3_000, 2_000]),
    demand: steps("buy", [4_000, 6_000], ...middle(80, (i) => 90 - i), [-400, 500]),
    centre: { mw: 10_000, price: 50 },
  };
}

describe("zoom", () => {
  it("shows everything when asked, with room around it", () => {
    const { supply, demand, centre } = large();
    const view = viewOf("everything", supply, demand, centre);
    expect(view.left).toBe(0);
    expect(view.right).toBeGreaterThan(17_000);
    expect(view.low).toBeLessThan(-500);
    expect(view.high).toBeGreaterThan(4_000);
  });

  it("shows the neighbourhood of the crossing, whatever the ends of the book", () => {
    const { supply, demand, centre } = large();
    const view = viewOf("crossing", supply, demand, centre);
    expect([view.left, view.right]).toEqual([7_500, 12_500]);
    expect(view.low).toBeGreaterThan(0);
    expect(view.low).toBeLessThan(30);
    expect(view.high).toBeGreaterThan(70);
    expect(view.high).toBeLessThan(100);
    const wider = viewOf("wider", supply, demand, centre);
    expect(wider.high - wider.low).toBeCloseTo(3 * (view.high - view.low));
    expect(wider.low).toBeLessThan(0);
  });

  it("has the crossing inside, at negative prices, too, and in a book of two bids", () => {
    const books = [
      [steps("sell", [-20, 10]), steps("buy", [-5, 8]), { mw: 8, price: -20 }],
      [steps("sell", [-500, 10], [-40, 10]), steps("buy", [4_000, 12], [-100, 3]), { mw: 12, price: -40 }],
      [steps("sell", [0, 10]), steps("buy", [0, 10]), { mw: 10, price: 0 }],
    ] as const;
    for (const [supply, demand, centre] of books) {
      for (const zoom of ["crossing", "wider", "everything"] as const) {
        const view = viewOf(zoom, supply, demand, centre);
        expect(view.low).toBeLessThan(centre.price);
        expect(view.high).toBeGreaterThan(centre.price);
        expect(view.left).toBeLessThan(centre.mw);
        expect(view.right).toBeGreaterThan(centre.mw);
      }
    }
  });

  it("shows both sides of a small book when they do not cross, and something of an empty one", () => {
    const view = viewOf("crossing", steps("sell", [55, 20]), steps("buy", [42, 30]), null);
    expect([view.low < 42, view.high > 55, view.left, view.right > 30]).toEqual([true, true, 0, true]);
    const none: Curve = { side: "sell", fixed: 0, points: [] };
    expect(viewOf("crossing", none, { ...none, side: "buy" }, null)).toMatchObject({ left: 0, right: 1.02 });
    expect(viewOf("crossing", none, steps("buy", [42, 30]), null)).toMatchObject({ left: 0 });
  });

  it("keeps still while the crossing moves a little, and follows when it leaves", () => {
    const old = { left: 0, right: 100, low: 0, high: 100 };
    const wanted = { left: 5, right: 105, low: 4, high: 110 };
    expect(steady(null, wanted, null)).toBe(wanted);
    expect(steady(old, wanted, { mw: 55, price: 57 })).toBe(old);
    expect(steady(old, wanted, { mw: 55, price: 90 })).toBe(wanted);
    expect(steady(old, { ...wanted, high: 300 }, { mw: 55, price: 57 })).not.toBe(old);
  });
});

describe("axis", () => {
  it("has round numbers, zero among them", () => {
    expect(ticks(-520, 4_200, 6)).toEqual({ step: 1_000, values: [0, 1_000, 2_000, 3_000, 4_000] });
    expect(ticks(-520, 4_200, 12)).toEqual({ step: 500, values: [-500, 0, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000] });
    expect(ticks(-0.3, 0.3, 6)).toMatchObject({ step: 0.1 });
    expect(Object.is(ticks(-1, 1, 2).values[1], 0)).toBe(true);
  });
});

describe("cut", () => {
  it("keeps what is seen and one point to either side", () => {
    const { points } = steps("sell", [1, 10], [2, 10], [3, 10], [4, 10]);
    expect(cut(points, { left: 12, right: 18, low: 0, high: 9 })).toEqual([{ mw: 10, price: 2 }, { mw: 20, price: 2 }]);
    expect(cut(points, { left: 0, right: 99, low: 0, high: 9 })).toEqual(points);
  });
});
