// Bars from before the page was opened: fetched once, and then kept true by what the WebSocket says.
//
// Minutes are kept with the series in the store. Coarse bars are fetched per width; the buckets that the minutes
// cover are computed from them, so a tick or a correction shows at once (`rollUp`).

import { barOf, Bars, rollUp, type Bar } from "./bars";
import * as format from "./format";
import * as rest from "./rest";
import type { SeriesState, Store } from "./store";

const MINUTE_MS = 60_000;

export interface Granularity {
  name: string;
  label: string;
  width: number;
  /** Bars drawn at most. */
  shown: number;
}

export const GRANULARITIES: readonly Granularity[] = [
  { name: "1m", label: "1 min", width: MINUTE_MS, shown: 240 },
  { name: "5m", label: "5 min", width: 5 * MINUTE_MS, shown: 288 },
  { name: "1h", label: "1 h", width: 60 * MINUTE_MS, shown: 336 },
];

/** Minutes fetched for the chosen series: what the chart draws, and enough whole hours to compute the last ones from. */
const MINUTES_CHOSEN = 6 * 60;
const MINUTES_SPARKLINE = 61;
const TOGETHER = 4;
const ATTEMPTS = 4;

export class HistoryLoader {
  private readonly coarse = new Map<string, Bars>();
  private queue: (() => Promise<void>)[] = [];
  private running = 0;
  /** Counts resets: answers to questions from before one are dropped. */
  private round = 0;

  constructor(
    private readonly store: Store,
    private readonly loaded: (key: string) => void,
  ) {}

  /** Forgets what was fetched and what is being fetched. */
  reset(): void {
    this.round += 1;
    this.queue = [];
    this.coarse.clear();
  }

  /** Fetches the minutes of the chosen series, before everything else. */
  chosen(state: SeriesState): void {
    this.minutes(state, MINUTES_CHOSEN, true);
  }

  /** Fetches what a sparkline needs. */
  sparkline(state: SeriesState): void {
    this.minutes(state, MINUTES_SPARKLINE, false);
  }

  /** Fetches coarse bars, unless they are there; `anew`: even then. */
  wide(state: SeriesState, granularity: Granularity, anew = false): void {
    const key = `${state.key}|${granularity.name}`;
    if (granularity.width === MINUTE_MS || (this.coarse.has(key) && !anew)) return;
    const bars = this.coarse.get(key) ?? new Bars(2 * granularity.shown);
    this.coarse.set(key, bars);
    this.ask(true, async () => {
      const from = this.store.t - granularity.width * granularity.shown;
      const found = await rest.history(state.series, granularity.name, from, granularity.shown);
      return () => bars.load(found.data.map((bar) => barOf(bar, found.t)), found.t);
    }, state.key);
  }

  /** The bars to draw. */
  bars(state: SeriesState, granularity: Granularity, timezone: string): readonly Bar[] {
    const minutes = state.minutes.list();
    if (granularity.width === MINUTE_MS) return minutes.slice(-granularity.shown);
    const coarse = this.coarse.get(`${state.key}|${granularity.name}`)?.list() ?? [];
    const offset = format.offset(this.store.t, timezone) % (60 * MINUTE_MS);
    return rollUp(coarse, minutes, granularity.width, offset).slice(-granularity.shown);
  }

  private minutes(state: SeriesState, count: number, urgent: boolean): void {
    this.ask(urgent, async () => {
      const from = this.store.t - count * MINUTE_MS;
      const found = await rest.history(state.series, "1m", from, count);
      return () => state.minutes.load(found.data.map((bar) => barOf(bar, found.t)), found.t);
    }, state.key);
  }

  private ask(urgent: boolean, question: () => Promise<() => void>, key: string): void {
    const round = this.round;
    const job = async () => {
      for (let attempt = 0; attempt < ATTEMPTS && round === this.round; attempt += 1) {
        try {
          const take = await question();
          if (round !== this.round) return;
          take();
          this.loaded(key);
          return;
        } catch (error) {
          console.warn("history:", error);
          await new Promise((resolve) => setTimeout(resolve, 1_000 * 2 ** attempt));
        }
      }
    };
    if (urgent) this.queue.unshift(job);
    else this.queue.push(job);
    this.work();
  }

  private work(): void {
    while (this.running < TOGETHER) {
      const job = this.queue.shift();
      if (!job) return;
      this.running += 1;
      void job().finally(() => {
        this.running -= 1;
        this.work();
      });
    }
  }
}
