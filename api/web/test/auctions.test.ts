import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Loaded } from "../src/auction-loader";
import { auctionKey, Auctions, days, exchange, outcome, upcoming } from "../src/auctions";
import * as format from "../src/format";
import { Pace } from "../src/pace";
import { Store } from "../src/store";
import { counted, factsOf } from "../src/view/auction";
import { scale, short } from "../src/view/intervals";
import type { BookRow, ClearingAnswer, ClearingRow, MeritOrder } from "../src/wire";

const golden = <V>(name: string): V => JSON.parse(readFileSync(new URL(`../../tests/it/golden/${name}.json`, import.meta.url), "utf8")) as V;
const HOUR = 3_600_000;
const clearing = golden<ClearingAnswer>("clearing").clearing;
const book = golden<{ book: BookRow }>("book").book;
const T = Date.parse(clearing.start);
const cleared = (t: number, row: Partial<ClearingRow> = {}, removed = false) => ({ type: "clearing_update", t, removed, ...clearing, ...row }) as const;
const booked = (t: number, row: Partial<BookRow> = {}, removed = false) => ({ type: "book_update", t, removed, ...book, ...row }) as const;
const iso = (ms: number) => new Date(ms).toISOString();

describe("auctions", () => {
  it("are kept by series and interval until both clearing and book are gone", () => {
    const auctions = new Auctions();
    const key = auctions.apply(cleared(1));
    expect(key).toBe(auctionKey("MIBEL-ES|MIBEL-ES|DAY_AHEAD_HOURLY", T));
    auctions.apply(booked(1));
    auctions.apply(cleared(2, { price: -3 }));
    const place = auctions.place("", "MIBEL-ES")!;
    expect(place.intervals.get(T)).toMatchObject({ start: T, end: T + HOUR, clearing: { price: -3 }, book: { best_sell: 10 } });
    auctions.apply(cleared(3, {}, true));
    expect(auctions.places()).toHaveLength(1);
    auctions.apply(booked(3, {}, true));
    expect(auctions.places()).toEqual([]);
  });

  it("come through the store, which says which changed; a snapshot replaces them all", () => {
    const store = new Store();
    store.apply({ type: "snapshot", t: 1, events: [cleared(1), booked(1)] });
    const changes = store.apply({ type: "batch", t: 2, events: [cleared(2, { price: 31 })] });
    expect([...changes.auctions]).toEqual([auctionKey("MIBEL-ES|MIBEL-ES|DAY_AHEAD_HOURLY", T)]);
    expect(store.apply({ type: "batch", t: 2, events: [cleared(2, { price: 99 })] }).auctions.size).toBe(0);
    expect(store.auctions.place("", "")?.intervals.get(T)?.clearing?.price).toBe(31);
    store.apply({ type: "snapshot", t: 3, events: [] });
    expect(store.auctions.places()).toEqual([]);
  });

  it("follow the zone of the page, unless another is chosen", () => {
    const auctions = new Auctions();
    for (const [zone, location] of [["A", "HUB"], ["B", "HUB"], ["B", "B"]] as const) auctions.apply(cleared(1, { zone, location }));
    expect(["A", "B", "C"].map((zone) => auctions.place("", zone)?.key)).toEqual(["A|HUB|DAY_AHEAD_HOURLY", "B|B|DAY_AHEAD_HOURLY", "A|HUB|DAY_AHEAD_HOURLY"]);
    expect(auctions.place("B|HUB|DAY_AHEAD_HOURLY", "A")?.key).toBe("B|HUB|DAY_AHEAD_HOURLY");
    expect(auctions.place("gone", "B")?.key).toBe("B|B|DAY_AHEAD_HOURLY");
  });

  it("show what is delivered next, and the last when all is delivered", () => {
    const auctions = new Auctions();
    for (const at of [T, T + HOUR, T + 2 * HOUR]) auctions.apply(cleared(1, { start: iso(at) }));
    const place = auctions.place("", "")!;
    expect([T - 1, T, T + 1, T + 9 * HOUR].map((now) => upcoming(place, now)?.start)).toEqual([T, T, T + HOUR, T + 2 * HOUR]);
  });

  it("have whole days in the zone's calendar, with 23 and 25 hours where the clocks change", () => {
    const count = (date: string, length = HOUR) => {
      const auctions = new Auctions();
      auctions.apply(cleared(1, { start: date, duration_ms: length }));
      const [only] = [...days(auctions.place("", "")!, "Europe/Madrid").values()];
      return [only!.length, iso(only![0]!.start)];
    };
    expect(count("2025-06-21T10:00:00Z")).toEqual([24, "2025-06-20T22:00:00.000Z"]);
    expect(count("2025-03-30T10:00:00Z")).toEqual([23, "2025-03-29T23:00:00.000Z"]);
    expect(count("2025-10-26T10:00:00Z")).toEqual([25, "2025-10-25T22:00:00.000Z"]);
    expect(count("2025-06-21T10:00:00Z", HOUR / 4)[0]).toBe(96);
  });
});

describe("outcome", () => {
  const dry = { ...clearing, price: null };
  it("says in words why nothing is traded", () => {
    expect(outcome({ clearing, book })).toBe("");
    expect(outcome({ clearing: { ...clearing, price: 0 }, book })).toBe("");
    expect(outcome({ clearing: null, book: null })).toBe("Nobody bids.");
    expect(outcome({ clearing: dry, book: { ...book, bids: 0 } })).toBe("Nobody bids.");
    expect(outcome({ clearing: dry, book: { ...book, offered_mw: 0 } })).toBe("No crossing: nobody sells.");
    expect(outcome({ clearing: dry, book: { ...book, wanted_mw: 0 } })).toBe("No crossing: nobody buys.");
    expect(outcome({ clearing: dry, book: { ...book, best_buy: -10, best_sell: 5 } })).toMatch(/^No crossing: the best buyer gives .*10\.00, the best seller wants .*5\.00\.$/);
    expect(outcome({ clearing: dry, book: { ...book, best_buy: null, best_sell: null } })).toBe("No crossing: nothing is traded.");
  });

  it("says what flows between zones", () => {
    expect([5, -5.25, 0].map((import_mw) => exchange({ ...clearing, import_mw }, { ...clearing, zone: "PT" }))).toEqual([
      "imports 5 MW from PT", "exports 5.3 MW to PT", "nothing flows to or from PT",
    ]);
  });
});

describe("facts", () => {
  const loaded: Loaded = { merit: golden<MeritOrder>("merit-order"), answer: golden<ClearingAnswer>("clearing") };
  const interval = { start: T, end: T + HOUR, clearing, book };
  const find = (name: string, from = factsOf(interval, loaded)) => from.find((fact) => fact.name.startsWith(name));

  it("name the marginal bid, the top of the book, the sums and the coupled zone", () => {
    expect(find("Marginal")).toMatchObject({ value: expect.stringMatching(/^Acme sells 50 MW at .*30\.00$/), more: "s3 · 1 more at this price" });
    expect(find("Best buy")).toMatchObject({ value: expect.stringContaining("60.00"), more: "150 MW" });
    expect(find("Best sell")).toMatchObject({ value: expect.stringContaining("10.00"), more: "100 MW" });
    expect(find("Wanted")).toMatchObject({ value: "190 MW", more: "bought 150 MW" });
    expect(find("Offered")).toMatchObject({ value: "300 MW", more: "sold 150 MW" });
    expect(find("Buyers")?.value).toContain("4,500");
    expect(find("Coupled with MIBEL-PT")).toMatchObject({ value: expect.stringContaining("50.00 (+20.00)"), more: "congested: the capacity is used up · nothing flows to or from MIBEL-PT", mark: "wide congested" });
    expect(find("Would clear")).toBeUndefined();
  });

  it("say what is known before the merit order came, and nothing that is not", () => {
    const early = factsOf(interval, null);
    expect(find("Marginal", early)).toMatchObject({ value: "s3", more: "sells" });
    expect(find("Best buy", early)?.more).toBe("");
    expect(find("Congestion", early)?.value).toBe("capacity used up");
    expect(factsOf({ ...interval, clearing: null, book: null }, null)).toEqual([]);
    expect(factsOf({ ...interval, clearing: { ...clearing, price: null, marginal: null } }, null).map(({ name }) => name)).not.toContain("Buyers' surplus");
  });

  it("tell what the curves hold besides plain bids", () => {
    expect(counted(loaded)).toBe("");
    const flowing = structuredClone(loaded);
    flowing.answer.clearing.import_mw = -3_825;
    flowing.merit.truncated = true;
    expect(counted(flowing)).toBe("The curves count in 3,825 MW of export as demand. The book is longer than what is shown.");
  });
});

describe("strip", () => {
  const of = (...prices: (number | null)[]) => prices.map((price, i) => ({ start: i, end: i + 1, clearing: { ...clearing, price }, book: null }));
  it("has bars from zero, upwards and downwards", () => {
    const bar = scale(of(75, -25, 0, null));
    expect([bar(75), bar(-25), bar(0)]).toEqual([{ bottom: 25, size: 75 }, { bottom: 0, size: 25 }, { bottom: 25, size: 2 }]);
    expect(scale(of(null))(0)).toEqual({ bottom: 0, size: 2 });
  });

  it("has prices that fit", () => {
    expect([4_000, 138.515, 40, 2.5, 0, -0.005, -500].map(short)).toEqual(["4,000", "138.5", "40.00", "2.50", "0.00", "-0.005", "-500.0"]);
  });
});

describe("pace", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("runs at once, then at most once per time however often it is asked, and never in vain", async () => {
    let runs = 0;
    const pace = new Pace(500, async () => void (runs += 1), () => Date.now());
    pace.ask();
    await vi.advanceTimersByTimeAsync(0);
    expect(runs).toBe(1);
    for (let i = 0; i < 100; i += 1) {
      pace.ask();
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(runs).toBe(3);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(runs).toBe(3);
    pace.ask();
    await vi.advanceTimersByTimeAsync(0);
    expect(runs).toBe(4);
  });

  it("waits for a slow answer, and runs once more for what came meanwhile", async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const pace = new Pace(500, async () => {
      runs += 1;
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      running -= 1;
    }, () => Date.now());
    for (let i = 0; i < 19; i += 1) {
      pace.ask();
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.advanceTimersByTimeAsync(60_000);
    expect([runs, most]).toEqual([2, 1]);
  });
});

describe("format", () => {
  it("shows power, sums and ticks as they are read", () => {
    expect([0, 12.34, 99, 28_825.529, null].map((mw) => format.power(mw))).toEqual(["0 MW", "12.3 MW", "99 MW", "28,826 MW", format.NONE]);
    expect([null, 791, 46_321.4, -1_200].map((sum) => format.amount(sum, null))).toEqual([format.NONE, "791", "46,321", "-1,200"]);
    expect(format.amount(7_531_739, null)).toBe("7.53M");
    expect([30, -0.005, -500, 138.515, null].map((price) => format.price(price, null))).toEqual(["30.00", "-0.005", "-500.00", "138.515", format.NONE]);
    expect([format.tick(-500, 500), format.tick(0.25, 0.25), format.tick(-0, 1)]).toEqual(["-500", "0.25", "0"]);
  });
});
