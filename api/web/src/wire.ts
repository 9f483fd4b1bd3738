// What the server says: the messages of the WebSocket and the rows of the REST interface, as the page uses them.
//
// Prices are in currency per MWh, volumes in MWh, instants RFC 3339 in UTC, `t` the dataflow's time in UTC
// milliseconds. What is undefined is null, never 0.

/** Location and market: one price series. */
export interface Series {
  zone: string;
  location: string;
  market: string;
  currency: string | null;
}

export interface WireBar {
  start: string;
  end: string;
  open: number;
  high: number;
  low: number;
  close: number;
  mean: number;
  vwap: number | null;
  volume: number;
  count: number;
}

export interface Kpi extends Series {
  window_minutes: number;
  last: number;
  last_time: string;
  change: number;
  change_percent: number | null;
  min: number;
  max: number;
  mean: number;
  vwap: number | null;
  volatility: number | null;
  volume: number;
  count: number;
  spread: number | null;
}

export type Severity = "info" | "warning" | "critical";
export type AlertState = "raised" | "revised" | "withdrawn";

/** An alert that the dataflow raised, with its life. */
export interface WireAlert extends Series {
  id: string;
  alert_type: string;
  severity: Severity;
  state: AlertState;
  rule: string;
  message: string;
  timestamp: string;
  value: number;
  baseline: number | null;
  z_score: number | null;
  threshold: number;
  raised_t: number;
  changed_t: number;
  revision: number;
}

/** What a person or the market says. */
export interface WireNotice {
  id: string;
  zone: string;
  class: string;
  alert_type: string;
  severity: Severity;
  message: string;
  timestamp: string;
}

export interface Correlation {
  a: Series;
  b: Series;
  window_minutes: number;
  lag_minutes: number;
  count: number;
  correlation: number | null;
}

export type Event =
  | ({ type: "price_update"; t: number; price: number; timestamp: string; bar: WireBar } & Series)
  | ({ type: "bar_update"; t: number; removed: boolean; bar: WireBar } & Series)
  | ({ type: "kpi_update"; t: number; removed: boolean } & Kpi)
  | ({ type: "market_alert" | "bidding_notification"; t: number } & (WireAlert | WireNotice))
  | ({ type: "correlation_update"; t: number; removed: boolean } & Correlation);

export type Message =
  | { type: "connection_established"; timestamp: string; storage_backend: string }
  | { type: "snapshot"; t: number; events: Event[] }
  | { type: "batch"; t: number; conflated?: number; events: Event[] }
  | { type: "resync"; reason: string }
  | { type: "heartbeat" | "pong"; t?: number; timestamp: string }
  | { type: "error"; error?: unknown };

/** Reads a frame; null for what is not a message (an intermediary's page, half a frame). */
export function parse(text: string): Message | null {
  try {
    const value: unknown = JSON.parse(text);
    const known = typeof value === "object" && value !== null && typeof (value as Message).type === "string";
    return known ? (value as Message) : null;
  } catch {
    return null;
  }
}

export function isAlert(event: WireAlert | WireNotice): event is WireAlert {
  return "state" in event;
}

export interface Zone {
  zone: string;
  name: string;
  /** Other names, any case. */
  aliases?: string[];
  timezone: string;
  currency: string;
}

export interface LatestPrice extends Series {
  /** Whether it stands for its zone. */
  headline: boolean;
}

export interface History {
  /** The moment the answer belongs to. */
  t: number;
  series: Series | null;
  data: WireBar[];
}

export interface Service {
  name: string;
  state: "up" | "degraded" | "down" | "disabled";
  detail: string;
  required: boolean;
}

export interface Health {
  status: "healthy" | "degraded" | "unhealthy";
  version: string;
  t: number;
  services: Service[];
  records: Record<"received" | "applied" | "corrected" | "superseded" | "duplicates" | "dead_letters" | "lost", number>;
  dead_letters: Record<string, number>;
}
