import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { random } from "../dev/market.mjs";
import { accepted, crossing, curves, priceAt, total, type Curve } from "../src/curves";
import type { ClearingAnswer, IntervalBid, Level, MeritOrder } from "../src/wire";

const golden = <V>(name: string): V => JSON.parse(readFileSync(new URL(`../../tests/it/golden/${name}.json`, import.meta.url), "utf8")) as V;

const levels = (...pairs: [price: number, mw: number][]): Level[] => {
  let sum = 0;
  return pairs.map(([price, power_mw]) => ({ price, power_mw, cumulative_mw: (sum += power_mw) }));
};
const merit = (supply: Level[], demand: Level[], rest: Partial<MeritOrder> = {}): MeritOrder => ({ t: 0, price: null, truncated: false, supply, demand, linear: [], complex: [], ...rest });
const bid = (name: string, side: "buy" | "sell", kind: IntervalBid["kind"], ...steps: [price: number, power: number, more?: { end?: number; min?: number }][]): IntervalBid => ({
  bid: name, organisation: "Acme", side, kind,
  power_mw: steps.reduce((sum, [, power]) => sum + power, 0),
  steps: steps.map(([price, power, more]) => ({ price, end_price: more?.end ?? price, power, min_power: more?.min ?? 0 })),
});
const START = "2090-06-20T22:00:00.000Z";
function answer(import_mw: number, ...taken: [bid: string, ratio: number][]): ClearingAnswer {
  const found = structuredClone(golden<ClearingAnswer>("clearing"));
  found.clearing.import_mw = import_mw;
  found.explain.component = { complex: taken.map(([name, ratio]) => ({ bid: name, accepted: ratio > 0, ratio, intervals: ratio > 0 ? [START] : [], surplus: null })) };
  return found;
}
const pairs = (curve: Curve) => curve.points.map(({ mw, price }) => [mw, price]);

describe("curves", () => {
  it("are steps: along a level, then up or down to the next", () => {
    const { supply, demand } = curves(merit(levels([-5, 10], [30, 20]), levels([60, 15], [20, 5])), null);
    expect(pairs(supply)).toEqual([[0, -5], [10, -5], [10, 30], [30, 30]]);
    expect(pairs(demand)).toEqual([[0, 60], [15, 60], [15, 20], [20, 20]]);
    expect([total(supply), total(demand)]).toEqual([30, 20]);
  });

  it("run aslant where a bid is linear, between the levels", () => {
    const linear = [bid("l", "sell", "curve", [10, 20, { end: 30 }]), bid("m", "buy", "curve", [50, 10, { end: 40 }])];
    const { supply, demand } = curves(merit(levels([20, 5]), [], { linear }), null);
    expect(pairs(supply)).toEqual([[0, 10], [10, 20], [15, 20], [25, 30]]);
    expect(pairs(demand)).toEqual([[0, 50], [10, 40]]);
  });

  it("do not count a linear bid's flat steps twice: they are in the levels", () => {
    const linear = [bid("l", "sell", "curve", [10, 5], [10, 20, { end: 30 }])];
    expect(total(curves(merit(levels([10, 5]), [], { linear }), null).supply)).toBe(25);
  });

  it("hold what was accepted besides plain bids, and nothing that was refused", () => {
    const complex = [
      bid("block", "sell", "block", [80, 100]),
      bid("no", "sell", "block", [1, 1_000]),
      bid("income", "sell", "minimum_income", [-7, 30, { min: 20 }], [40, 10]),
      bid("load", "buy", "block", [90, 7]),
    ];
    const order = merit(levels([30, 20]), levels([60, 15]), { complex });
    const said = answer(-12, ["block", 0.5], ["no", 0], ["income", 1], ["load", 1]);
    expect(accepted(order, said).map(({ bid: { bid: name }, ratio }) => [name, ratio])).toEqual([["block", 0.5], ["income", 1], ["load", 1]]);
    const { supply, demand } = curves(order, said);
    expect([supply.fixed, demand.fixed]).toEqual([70, 19]);
    expect(pairs(supply)).toEqual([[70, -7], [80, -7], [80, 30], [100, 30], [100, 40], [110, 40]]);
    expect(pairs(demand)).toEqual([[19, 60], [34, 60]]);
    expect(curves(order, answer(5)).supply.fixed).toBe(5);
  });

  it("leave out a bid that is accepted for other intervals only", () => {
    const order = merit([], [], { complex: [bid("b", "sell", "block", [80, 100])] });
    const said = answer(0, ["b", 1]);
    said.explain.component!.complex[0]!.intervals = ["2090-06-20T23:00:00.000Z"];
    expect(accepted(order, said)).toEqual([]);
  });

  it("know their price at a volume", () => {
    const { supply } = curves(merit(levels([-5, 10], [30, 20]), [], { linear: [bid("l", "sell", "curve", [40, 10, { end: 50 }])] }), answer(4));
    expect([0, 3.9, 4, 14, 14.1, 34, 39, 44, 44.1].map((mw) => priceAt(supply, mw))).toEqual([null, null, -5, -5, 30, 30, 45, 50, null]);
  });
});

describe("crossing", () => {
  const of = (supply: Level[], demand: Level[], rest?: Partial<MeritOrder>) => {
    const both = curves(merit(supply, demand, rest), null);
    return crossing(both.supply, both.demand);
  };

  it("is where the last MW finds a buyer", () => {
    expect(of(levels([10, 100], [30, 150]), levels([60, 150], [20, 40]))).toEqual({ mw: 150, low: 30, high: 30 });
    expect(of(levels([10, 100]), levels([60, 150]))).toEqual({ mw: 100, low: 60, high: 60 });
    expect(of(levels([10, 150]), levels([60, 100]))).toEqual({ mw: 100, low: 10, high: 10 });
  });

  it("has a range of prices in a vertical gap, below zero as above", () => {
    expect(of(levels([-20, 100], [40, 10]), levels([60, 100], [-10, 50]))).toEqual({ mw: 100, low: -10, high: 40 });
    expect(of(levels([-500, 100]), levels([-10, 100]))).toEqual({ mw: 100, low: -500, high: -10 });
  });

  it("is found between the corners of linear curves", () => {
    const linear = [bid("l", "sell", "curve", [0, 100, { end: 100 }]), bid("m", "buy", "curve", [80, 100, { end: -20 }])];
    expect(of([], [], { linear })).toEqual({ mw: 40, low: 40, high: 40 });
  });

  it("is none when nobody gives what anybody wants, or a side is empty", () => {
    expect(of(levels([50, 10]), levels([40, 10]))).toBeNull();
    expect(of(levels([50, 10]), [])).toBeNull();
    expect(of([], levels([40, 10]))).toBeNull();
    expect(of([], [])).toBeNull();
  });

  it("is where the server clears", () => {
    const order = golden<MeritOrder>("merit-order");
    const { clearing } = golden<ClearingAnswer>("clearing");
    expect(of(order.supply, order.demand)).toEqual({ mw: clearing.sold_mw, low: clearing.price_low, high: clearing.price_high });
  });

  it("is the volume that a plain search finds, for any book", () => {
    const dice = random(7);
    const side = () => levels(...[...new Set(Array.from({ length: 1 + Math.floor(dice() * 8) }, () => Math.floor(dice() * 21) - 10))].map((price) => [price, 1 + Math.floor(dice() * 5)] as [number, number]));
    for (let round = 0; round < 500; round += 1) {
      const [supply, demand] = [side().sort((a, b) => a.price - b.price), side().sort((a, b) => b.price - a.price)];
      const units = (book: Level[]) => book.flatMap(({ price, power_mw }) => Array<number>(power_mw).fill(price));
      const [sell, buy] = [units(supply), units(demand)];
      const volume = sell.filter((price, i) => i < buy.length && price <= buy[i]!).length;
      const found = of(supply, demand);
      expect(found?.mw ?? 0, `round ${round}`).toBe(volume);
      if (found) {
        const fits = (price: number) => sell.filter((one) => one < price).length <= volume && buy.filter((one) => one > price).length <= volume;
        expect([fits(found.low), fits(found.high)], `round ${round}`).toEqual([true, true]);
      }
    }
  });
});
