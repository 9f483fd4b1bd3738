// The page's copy of the live state: a snapshot at T, and every closed moment after it.
//
// `apply` takes messages in the order they came and says what changed, so that only that is drawn anew. A moment
// is applied whole or not at all, and one at or before the current T changes nothing: a repeat is harmless.
// After a reconnect with `since=T` the missed moments come first; when they are gone, a snapshot comes instead.

import { Auctions } from "./auctions";
import { barOf, Bars } from "./bars";
import { isAlert, type Correlation, type Event, type Kpi, type Message, type Series, type WireAlert, type WireNotice } from "./wire";

/** From most to least live: the first that has data is a location's headline. */
const MARKETS = [
  "CONTINUOUS", "REAL_TIME_5_MIN", "REAL_TIME_15_MIN", "REAL_TIME_30_MIN",
  "REAL_TIME_HOURLY", "DAY_AHEAD_15_MIN", "DAY_AHEAD_30_MIN", "DAY_AHEAD_HOURLY",
];

/** Minutes kept of a series that is not the chosen one: enough for its sparkline. */
export const MINUTES_KEPT = 75;
/** Minutes kept of the chosen series. */
export const MINUTES_KEPT_CHOSEN = 26 * 60;
const ALERTS_KEPT = 300;

export interface SeriesState {
  key: string;
  series: Series;
  /** Newest price, with the instant it belongs to. */
  price: number | null;
  time: number;
  minutes: Bars;
  kpis: Map<number, Kpi>;
}

/** An alert or a notice, as the list shows it. */
export interface Alert {
  id: string;
  zone: string;
  /** T of the last change. */
  changed: number;
  /** When it happened, UTC ms. */
  time: number;
  found: WireAlert | WireNotice;
}

/** What a message changed. */
export interface Changes {
  series: Set<string>;
  alerts: Alert[];
  correlations: boolean;
  /** Delivery intervals that clear otherwise or whose book is another one, as `auctionKey` names them. */
  auctions: Set<string>;
  /** Series whose past changed further back than their minutes are kept. */
  past: Set<string>;
  /** Everything, and bars from before it may be missing: fetch history. */
  reset: boolean;
}

export const keyOf = (series: Series): string => `${series.zone}|${series.location}|${series.market}`;

export class Store {
  /** The moment everything here belongs to; 0 before the first snapshot. */
  t = 0;
  readonly series = new Map<string, SeriesState>();
  readonly alerts = new Map<string, Alert>();
  readonly correlations = new Map<string, Correlation>();
  readonly auctions = new Auctions();
  private readonly byZone = new Map<string, SeriesState[]>();
  private chosen = "";

  apply(message: Message): Changes {
    const changes: Changes = { series: new Set(), alerts: [], correlations: false, auctions: new Set(), past: new Set(), reset: false };
    if (message.type === "snapshot") {
      this.forget(message.t);
      changes.reset = true;
      for (const event of message.events) this.event(event, changes);
      this.t = message.t;
    } else if (message.type === "batch" && message.t > this.t) {
      for (const event of message.events) this.event(event, changes);
      this.t = message.t;
    }
    // Not at a heartbeat: its T may be ahead of moments that are still on their way to us.
    if (changes.alerts.length > 0) this.shedAlerts();
    return changes;
  }

  /** The series whose bars are kept for long. */
  choose(key: string): void {
    if (key === this.chosen) return;
    this.series.get(this.chosen)?.minutes.keep(MINUTES_KEPT);
    this.chosen = key;
    this.series.get(key)?.minutes.keep(MINUTES_KEPT_CHOSEN);
  }

  /** Series of a zone that have a price, headline first: the zone's own index, the server's headline, the rest. */
  ofZone(code: string, headline: string | undefined): SeriesState[] {
    const place = ({ key, series }: SeriesState) => (series.location === code ? 0 : key === headline ? 1 : 2);
    const market = ({ series }: SeriesState) => MARKETS.indexOf(series.market);
    const found = (this.byZone.get(code) ?? []).filter((state) => state.price !== null);
    return found.sort(
      (a, b) => place(a) - place(b) || market(a) - market(b) || a.series.location.localeCompare(b.series.location),
    );
  }

  /** Alerts, the newest first; those of `zone` (and for everybody), or all; with what people and the market say, or without. */
  alertList(zone: string | null, notices = true): Alert[] {
    const wanted = (alert: Alert) => zone === null || alert.zone === zone || alert.zone === "*";
    const list = [...this.alerts.values()].filter((alert) => wanted(alert) && (notices || isAlert(alert.found)));
    return list.sort((a, b) => b.time - a.time || b.changed - a.changed || a.id.localeCompare(b.id));
  }

  // Bars stay until history replaces them, so that the chart does not go blank; but not when time went back: a
  // server that was started anew (a replay, say) tells another story, and an older one would pass for newer.
  private forget(t: number): void {
    if (t < this.t) {
      this.series.clear();
      this.byZone.clear();
    }
    for (const state of this.series.values()) {
      state.price = null;
      state.kpis.clear();
    }
    this.alerts.clear();
    this.correlations.clear();
    this.auctions.clear();
  }

  private state(series: Series): SeriesState {
    const key = keyOf(series);
    let state = this.series.get(key);
    if (!state) {
      const minutes = new Bars(key === this.chosen ? MINUTES_KEPT_CHOSEN : MINUTES_KEPT);
      const { zone, location, market, currency } = series;
      state = { key, series: { zone, location, market, currency }, price: null, time: 0, minutes, kpis: new Map() };
      this.series.set(key, state);
      this.byZone.set(zone, [...(this.byZone.get(zone) ?? []), state]);
    }
    return state;
  }

  private event(event: Event, changes: Changes): void {
    switch (event.type) {
      case "price_update": {
        const state = this.state(event);
        state.price = event.price;
        state.time = Date.parse(event.timestamp);
        state.minutes.put(barOf(event.bar, event.t));
        changes.series.add(state.key);
        return;
      }
      case "bar_update": {
        const state = this.state(event);
        const kept = event.removed
          ? this.removeBar(state, Date.parse(event.bar.start), event.t)
          : state.minutes.put(barOf(event.bar, event.t));
        if (!kept) changes.past.add(state.key);
        changes.series.add(state.key);
        return;
      }
      case "kpi_update": {
        const state = this.state(event);
        if (event.removed) state.kpis.delete(event.window_minutes);
        else state.kpis.set(event.window_minutes, event);
        changes.series.add(state.key);
        return;
      }
      case "market_alert":
      case "bidding_notification": {
        if (!("id" in event) || !("message" in event)) return; // a live bid: not shown here
        const alert = alertOf(event, event.t);
        this.alerts.set(alert.id, alert);
        changes.alerts.push(alert);
        return;
      }
      case "correlation_update": {
        const key = `${keyOf(event.a)}~${keyOf(event.b)}~${event.window_minutes}~${event.lag_minutes}`;
        if (event.removed) this.correlations.delete(key);
        else this.correlations.set(key, event);
        changes.correlations = true;
        return;
      }
      case "clearing_update":
      case "book_update":
        changes.auctions.add(this.auctions.apply(event));
        return;
    }
  }

  // When the newest minute goes, the server says next which one is the price now; when none is left, nothing.
  private removeBar(state: SeriesState, start: number, t: number): boolean {
    const newest = state.minutes.last();
    const kept = state.minutes.remove(start, t);
    if (newest?.start === start && !state.minutes.last()) state.price = null;
    return kept;
  }

  // Alerts and notices each have their own place, so that many of one never push out the other.
  private shedAlerts(): void {
    if (this.alerts.size <= ALERTS_KEPT) return;
    const all = this.alertList(null);
    for (const kind of [true, false]) {
      const older = all.filter(({ found }) => isAlert(found) === kind).slice(ALERTS_KEPT);
      for (const alert of older) this.alerts.delete(alert.id);
    }
  }
}

function alertOf(event: (WireAlert | WireNotice) & { t: number }, t: number): Alert {
  const changed = isAlert(event) ? event.changed_t : t;
  return { id: event.id, zone: event.zone, changed, time: Date.parse(event.timestamp), found: event };
}
