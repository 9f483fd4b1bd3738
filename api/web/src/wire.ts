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

export type Side = "buy" | "sell";

/** A delivery interval of a series. */
interface Delivery extends Series {
  start: string;
  duration_ms: number;
}

/** How an interval clears as its book stands: `sold_mw + import_mw = bought_mw`. */
export interface ClearingRow extends Delivery {
  price: number | null;
  price_low: number | null;
  price_high: number | null;
  sold_mw: number;
  bought_mw: number;
  import_mw: number;
  congested: boolean;
  marginal: { side: Side; bid: string } | null;
  buy_surplus: number;
  sell_surplus: number;
}

/** The top of an interval's book, of plain bids, and what is in it, complex bids included. */
export interface BookRow extends Delivery {
  best_buy: number | null;
  best_sell: number | null;
  offered_mw: number;
  wanted_mw: number;
  bids: number;
}

export interface Level {
  price: number;
  /** At exactly this price, by steps. */
  power_mw: number;
  /** At this price or better, linear curves included. */
  cumulative_mw: number;
}

export interface BidStep {
  price: number;
  /** Price of the last MW: another one in a linear curve. */
  end_price: number;
  power: number;
  /** What is taken of it at least when its bid is accepted. */
  min_power: number;
}

/** A bid with what it has in one interval. */
export interface IntervalBid {
  bid: string;
  organisation: string;
  side: Side;
  kind: "curve" | "minimum_income" | "block";
  power_mw: number;
  steps: BidStep[];
}

/** Supply, the cheapest first, and demand, the dearest first; complex bids are in none of the levels. */
export interface MeritOrder {
  t: number;
  price: number | null;
  truncated: boolean;
  supply: Level[];
  demand: Level[];
  linear: IntervalBid[];
  complex: IntervalBid[];
}

/** What became of a complex bid. */
export interface Fate {
  bid: string;
  accepted: boolean;
  /** How much of it, 0 to 1. */
  ratio: number;
  /** Starts of the intervals for which it is accepted. */
  intervals: string[];
  surplus: number | null;
}

export interface ClearingAnswer {
  t: number;
  clearing: ClearingRow;
  /** The zone it clears together with, where that has bids, too. */
  coupled: ClearingRow | null;
  explain: {
    marginal: { bid: string; organisation: string; side: Side; step: BidStep | null } | null;
    at_margin: { bid: string; side: Side }[];
    component: { complex: Fate[] } | null;
    truncated: boolean;
  };
}

export type Event =
  | ({ type: "price_update"; t: number; price: number; timestamp: string; bar: WireBar } & Series)
  | ({ type: "bar_update"; t: number; removed: boolean; bar: WireBar } & Series)
  | ({ type: "kpi_update"; t: number; removed: boolean } & Kpi)
  | ({ type: "market_alert" | "bidding_notification"; t: number } & (WireAlert | WireNotice))
  | ({ type: "correlation_update"; t: number; removed: boolean } & Correlation)
  | ({ type: "clearing_update"; t: number; removed: boolean } & ClearingRow)
  | ({ type: "book_update"; t: number; removed: boolean } & BookRow);

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
