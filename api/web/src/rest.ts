// What the page asks over HTTP: zones, latest prices, history, health.

import type { Health, History, LatestPrice, Series, Zone } from "./wire";

const PATIENCE_MS = 15_000;

async function get<V>(path: string): Promise<V> {
  const response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${(await response.text()).slice(0, 200)}`);
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

/** Address of the WebSocket: every zone, whole moments. */
export function socketUrl(since: number): string {
  const url = new URL("/api/ws/ws/prices", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("format", "batch");
  url.searchParams.set("channels", "prices,kpis,alerts,correlations");
  if (since > 0) url.searchParams.set("since", String(since));
  return url.href;
}
