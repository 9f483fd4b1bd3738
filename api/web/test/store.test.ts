import { describe, expect, it } from "vitest";
import { Market, random, ZONES } from "../dev/market.mjs";
import { barOf } from "../src/bars";
import { keyOf, Store } from "../src/store";
import type { Message, Series, WireAlert } from "../src/wire";

const T = Date.parse("2025-11-18T10:00:30Z");
const PJM: Series = { zone: "PJM", location: "PJM", market: "CONTINUOUS", currency: "USD" };

function wireBar(start: string, close: number) {
  const end = new Date(Date.parse(start) + 60_000).toISOString();
  return { start, end, open: close, high: close, low: close, close, mean: close, vwap: close, volume: 1, count: 1 };
}
const price = (t: number, series: Series, start: string, close: number) =>
  ({ type: "price_update", t, ...series, price: close, timestamp: start, bar: wireBar(start, close) }) as const;
const correction = (t: number, series: Series, start: string, close: number, removed = false) =>
  ({ type: "bar_update", t, ...series, removed, bar: wireBar(start, close) }) as const;
const alert = (t: number, state: WireAlert["state"], value = 99): { type: "market_alert"; t: number } & WireAlert => ({
  type: "market_alert", t, ...PJM, id: "a1", alert_type: "z_score", severity: "warning", state, rule: "r", message: "m",
  timestamp: "2025-11-18T10:00:00Z", value, baseline: 50, z_score: 3, threshold: 2.5, raised_t: T, changed_t: t, revision: 0,
});
const snapshot = (t: number, ...events: Extract<Message, { type: "snapshot" }>["events"]): Message => ({ type: "snapshot", t, events });
const batch = (t: number, ...events: Extract<Message, { type: "batch" }>["events"]): Message => ({ type: "batch", t, events });

const minutes = (store: Store, series = PJM) => store.series.get(keyOf(series))?.minutes.list().map((bar) => bar.close);

describe("store", () => {
  it("takes a snapshot and the moments after it", () => {
    const store = new Store();
    expect(store.apply(snapshot(T, price(T, PJM, "2025-11-18T10:00:00Z", 50))).reset).toBe(true);
    const changes = store.apply(batch(T + 1, price(T + 1, PJM, "2025-11-18T10:01:00Z", 51)));
    expect([...changes.series]).toEqual([keyOf(PJM)]);
    expect(changes.reset).toBe(false);
    expect(store.t).toBe(T + 1);
    expect(store.series.get(keyOf(PJM))?.price).toBe(51);
    expect(minutes(store)).toEqual([50, 51]);
  });

  it("is not changed by a moment that it has", () => {
    const store = new Store();
    store.apply(snapshot(T, price(T, PJM, "2025-11-18T10:00:00Z", 50)));
    store.apply(batch(T + 2, price(T + 2, PJM, "2025-11-18T10:00:00Z", 52)));
    for (const t of [T, T + 1, T + 2]) {
      expect(store.apply(batch(t, price(t, PJM, "2025-11-18T10:00:00Z", 1))).series.size).toBe(0);
    }
    expect([store.t, store.series.get(keyOf(PJM))?.price]).toEqual([T + 2, 52]);
  });

  it("does not take a heartbeat's T for its own: moments before it may still be on their way", () => {
    const store = new Store();
    store.apply(snapshot(T));
    store.apply({ type: "heartbeat", t: T + 100, timestamp: "" });
    expect(store.t).toBe(T);
  });

  it("revises a past minute in place and leaves the price alone", () => {
    const store = new Store();
    store.apply(snapshot(T, price(T, PJM, "2025-11-18T10:00:00Z", 50)));
    store.apply(batch(T + 60_000, price(T + 60_000, PJM, "2025-11-18T10:01:00Z", 51)));
    const t = T + 90_000;
    store.apply(batch(t, correction(t, PJM, "2025-11-18T10:00:00Z", 40)));
    expect(minutes(store)).toEqual([40, 51]);
    expect(store.series.get(keyOf(PJM))?.price).toBe(51);
    expect(store.series.get(keyOf(PJM))?.minutes.list()[0]?.revised).toBe(t);
  });

  it("goes back to the minute before when the newest is withdrawn, and to nothing when none is left", () => {
    const store = new Store();
    store.apply(snapshot(T, price(T, PJM, "2025-11-18T10:00:00Z", 50)));
    store.apply(batch(T + 1, price(T + 1, PJM, "2025-11-18T10:01:00Z", 51)));
    store.apply(batch(T + 2, correction(T + 2, PJM, "2025-11-18T10:01:00Z", 51, true), price(T, PJM, "2025-11-18T10:00:00Z", 50)));
    expect([minutes(store), store.series.get(keyOf(PJM))?.price]).toEqual([[50], 50]);
    store.apply(batch(T + 3, correction(T + 3, PJM, "2025-11-18T10:00:00Z", 50, true)));
    expect([minutes(store), store.series.get(keyOf(PJM))?.price]).toEqual([[], null]);
    expect(store.ofZone("PJM", undefined)).toEqual([]);
  });

  it("says when a correction lies further back than it keeps", () => {
    const store = new Store();
    store.apply(snapshot(T, price(T, PJM, "2025-11-18T10:00:00Z", 50)));
    const changes = store.apply(batch(T + 1, correction(T + 1, PJM, "2025-11-18T04:00:00Z", 1)));
    expect([...changes.past]).toEqual([keyOf(PJM)]);
    expect(minutes(store)).toEqual([50]);
  });

  it("keeps an alert's life under one id", () => {
    const store = new Store();
    store.apply(snapshot(T, alert(T, "raised")));
    store.apply(batch(T + 1, alert(T + 1, "revised", 98)));
    expect(store.apply(batch(T + 2, alert(T + 2, "withdrawn", 98))).alerts).toHaveLength(1);
    expect(store.alertList("PJM").map(({ found }) => "state" in found && found.state)).toEqual(["withdrawn"]);
    expect(store.alertList("MISO")).toEqual([]);
  });

  it("forgets at a snapshot what is no longer said, but keeps the bars until history replaces them", () => {
    const store = new Store();
    const kpi = { ...PJM, window_minutes: 60, last: 1, last_time: "", change: 0, change_percent: 0, min: 1, max: 1, mean: 1, vwap: null, volatility: null, volume: 0, count: 1, spread: null };
    const pair = { a: PJM, b: { ...PJM, zone: "MISO", location: "MISO" }, window_minutes: 60, lag_minutes: 0, count: 9, correlation: 0.5 };
    store.apply(snapshot(
      T, price(T, PJM, "2025-11-18T10:00:00Z", 50), alert(T, "raised"),
      { type: "kpi_update", t: T, removed: false, ...kpi }, { type: "correlation_update", t: T, removed: false, ...pair },
    ));
    expect([store.alerts.size, store.correlations.size, store.series.get(keyOf(PJM))?.kpis.size]).toEqual([1, 1, 1]);
    store.apply(snapshot(T + 5));
    expect([store.alerts.size, store.correlations.size, store.series.get(keyOf(PJM))?.kpis.size]).toEqual([0, 0, 0]);
    expect([store.t, store.ofZone("PJM", undefined), minutes(store)]).toEqual([T + 5, [], [50]]);
  });

  it("starts from nothing when time went back: the server was started anew", () => {
    const store = new Store();
    store.apply(snapshot(T, price(T, PJM, "2025-11-18T10:00:00Z", 50)));
    store.apply(snapshot(T - 86_400_000, price(T - 86_400_000, PJM, "2025-11-17T10:00:00Z", 70)));
    expect([store.t, minutes(store), store.ofZone("PJM", undefined).length]).toEqual([T - 86_400_000, [70], 1]);
  });

  it("shows notices for everybody in every zone, and no live bids", () => {
    const store = new Store();
    const notice = { id: "n", zone: "*", class: "market_event", alert_type: "outage", message: "trip", severity: "info", timestamp: "2025-11-18T10:00:00Z" } as const;
    store.apply(snapshot(T, { type: "market_alert", t: T, ...notice }));
    store.apply(batch(T + 1, { type: "bidding_notification", t: T + 1, ...PJM, bid: "b1", status: "submitted" } as never));
    expect(store.alertList("MISO")).toHaveLength(1);
    expect(store.alerts.size).toBe(1);
    expect(store.alertList("MISO", false)).toEqual([]);
  });

  it("keeps the newest alerts however many notices come", () => {
    const store = new Store();
    store.apply(snapshot(T, alert(T, "raised")));
    for (let i = 0; i < 1_000; i += 1) {
      const notice = { id: `n${i}`, zone: "PJM", class: "market_event", alert_type: "outage", message: "trip", severity: "info", timestamp: "2025-11-18T10:01:00Z" } as const;
      store.apply(batch(T + 1 + i, { type: "market_alert", t: T + 1 + i, ...notice }));
    }
    expect(store.alertList("PJM", false).map(({ id }) => id)).toEqual(["a1"]);
    expect(store.alerts.size).toBeLessThan(700);
  });

  it("prefers the zone's own index, then the server's headline, then what is most live", () => {
    const hub: Series = { ...PJM, location: "WESTERN HUB", market: "REAL_TIME_5_MIN" };
    const ahead: Series = { ...hub, market: "DAY_AHEAD_HOURLY" };
    const store = new Store();
    const at = "2025-11-18T10:00:00Z";
    store.apply(snapshot(T, price(T, { ...PJM, location: "AEP" }, at, 1), price(T, ahead, at, 2), price(T, hub, at, 3)));
    const names = () => store.ofZone("PJM", keyOf(hub)).map(({ series }) => `${series.location} ${series.market}`);
    expect(names()[0]).toBe("WESTERN HUB REAL_TIME_5_MIN");
    store.apply(batch(T + 1, price(T + 1, PJM, at, 4)));
    expect(names()[0]).toBe("PJM CONTINUOUS");
    expect(names().at(-1)).toBe("WESTERN HUB DAY_AHEAD_HOURLY");
  });
});

/** Everything the page shows, in a form that can be compared. Withdrawn alerts are in moments, not in snapshots. */
function picture(store: Store) {
  return {
    t: store.t,
    prices: [...store.series.values()].map(({ key, price: last, time }) => [key, last, time]).sort(),
    kpis: [...store.series.values()].flatMap(({ kpis }) => [...kpis.values()]).map(({ zone, window_minutes, last, mean, count }) => [zone, window_minutes, last, mean, count]).sort(),
    alerts: [...store.alerts.values()].filter(({ found }) => "state" in found && found.state !== "withdrawn").map(({ id, changed }) => [id, changed]).sort(),
    correlations: [...store.correlations].map(([key, row]) => [key, row.correlation]).sort(),
    minutes: [...store.series.values()].map(({ key, minutes: bars }) => [key, bars.list().map(({ start, open, high, low, close, volume, count }) => [start, open, high, low, close, volume, count])]).sort(),
  };
}

describe("store against the market", () => {
  it.each([1, 2, 3, 4])("equals the truth after breaks, resumes, repeats and lost past (seed %i)", (seed) => {
    const next = random(seed);
    const market = new Market({ seed, t: T, hours: 1, zones: ZONES.slice(0, 3), corrections: 0.3 });
    const store = new Store();
    const load = () => {
      for (const state of store.series.values()) {
        const found = market.history(state.series.zone, 60_000, market.t - 40 * 60_000, 40);
        state.minutes.load(found.data.map((bar) => barOf(bar, found.t)), found.t);
      }
    };
    store.apply(market.snapshot());
    load();
    const ring: Message[] = [];
    let connected = true;
    for (let i = 0; i < 300; i += 1) {
      const moment = market.step(500);
      ring.push(moment);
      if (connected) {
        store.apply(moment);
        if (next() < 0.05) store.apply(ring[Math.floor(next() * ring.length)]!); // a repeat
        connected = next() > 0.04;
      } else if (next() < 0.2) {
        connected = true;
        if (next() < 0.6) {
          for (const missed of ring) if ("t" in missed && (missed.t ?? 0) > store.t) store.apply(missed);
        } else {
          store.apply({ type: "resync", reason: "since is too old" });
          store.apply(market.snapshot());
          load();
        }
      }
    }
    for (const missed of ring) if ("t" in missed && (missed.t ?? 0) > store.t) store.apply(missed);
    // Compared where both have minutes: the store keeps more of the past than a fresh page fetches.
    const fresh = new Store();
    fresh.apply(market.snapshot());
    const [got, truth] = [picture(store), picture(fresh)];
    for (const [key, bars] of got.minutes) {
      const zone = String(key).split("|")[0]!;
      const first = (bars as number[][])[0]?.[0] ?? 0;
      const found = market.history(zone, 60_000, first, 1000).data.map((bar) => [Date.parse(bar.start), bar.open, bar.high, bar.low, bar.close, bar.volume, bar.count]);
      expect(bars, zone).toEqual(found);
    }
    expect({ ...got, minutes: null }).toEqual({ ...truth, minutes: null });
  });
});
