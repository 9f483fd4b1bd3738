// What the page asks over HTTP: zones, latest prices, history, auctions, health.

import type { ClearingAnswer, Health, History, LatestPrice, MeritOrder, Series, Zone } from "./wire";

const PATIENCE_MS = 15_000;

/** There is no such thing: asking again does not help. */
export class NotFound extends Error {}

async function get<V>(path: string): Promise<V> {
  const response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), headers: { accept: "application/json" } });
  if (!response.ok) {
    const said = `${path}: ${response.status} ${(await response.text()).slice(0, 200)}`;
    throw response.status === 404 ? new NotFound(said) : new Error(said);
  }
  return (await response.json()) as V;
}

export const zones = (): Promise<{ zones: Zone[] }> => get("/api/market/zones");
export const latest = (): Promise<{ t: number; prices: LatestPrice[] }> => get("/api/market/prices/latest");
export const health = (): Promise<Health> => get("/health");

/** Bars of one series that start at `from` or later, the newest `limit`. */
export function history(series: Series, granularity: string, from: number, limit: number): Promise<History> {
  const query = new URLSearchParams({
    granularity,
    start: new Date(from).toISOString(),
    limit: String(limit),
    location: series.location,
    market: series.market,
  });
  return get(`/api/market/prices/${encodeURIComponent(series.zone)}/history?${query}`);
}

/** Levels of supply and demand of the delivery interval that starts at `start`, UTC ms. */
export const meritOrder = (series: Series, start: number): Promise<MeritOrder> =>
  get(`${auction(series, start, "merit-order")}&limit=5000`);

/** How it clears, and why. */
export const clearing = (series: Series, start: number): Promise<ClearingAnswer> => get(auction(series, start, "clearing"));

/** How many bids there are, 1 standing for any number. */
export const anyBids = (): Promise<{ count: number }> => get("/api/bids?limit=1");

function auction({ zone, location, market }: Series, start: number, what: string): string {
  const place = encodeURIComponent(location === zone ? zone : `${zone}/${location}`);
  return `/api/market/${place}/${start}/${what}?market=${encodeURIComponent(market)}`;
}

/** Address of the WebSocket: every zone, whole moments. */
export function socketUrl(since: number): string {
  const url = new URL("/api/ws/ws/prices", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("format", "batch");
  url.searchParams.set("channels", "prices,kpis,alerts,correlations,clearing,book");
  if (since > 0) url.searchParams.set("since", String(since));
  return url.href;
}
