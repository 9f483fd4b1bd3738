// The merit order of the chosen auction and why it clears as it does: fetched when it is chosen and when something
// in it changed, twice a second at most. A bid far from the crossing may change without the top of the book, the
// totals or the price doing so: while the market moves, what is shown is fetched again now and then.

import { auctionKey } from "./auctions";
import { Pace } from "./pace";
import * as rest from "./rest";
import type { ClearingAnswer, MeritOrder, Series } from "./wire";

const EVERY_MS = 500;
const RETRY_MS = 3_000;
const REFRESH_MS = 10_000;

export interface Loaded {
  merit: MeritOrder;
  answer: ClearingAnswer;
}

interface Chosen {
  key: string;
  series: Series;
  start: number;
}

export class AuctionLoader {
  /** Null while nothing came yet, or when nobody bids. */
  loaded: Loaded | null = null;
  /** Whether the last attempt went wrong. */
  failed = false;
  private chosen: Chosen | null = null;
  private readonly pace = new Pace(EVERY_MS, () => this.fetch());
  private stale = false;
  /** T at the last fetch. */
  private fetchedAt = 0;

  constructor(
    private readonly now: () => number,
    private readonly changed: () => void,
  ) {
    setInterval(() => {
      if (this.now() !== this.fetchedAt) this.ask();
    }, REFRESH_MS);
  }

  /** What is to be shown. */
  choose(chosen: Chosen | null): void {
    if (chosen?.key === this.chosen?.key) return;
    this.loaded = null;
    this.failed = false;
    this.chosen = chosen;
    this.ask();
  }

  /** Fetches it again. */
  refresh(): void {
    this.ask();
  }

  /** Intervals that changed. */
  note(keys: ReadonlySet<string>): void {
    const coupled = this.loaded?.answer.coupled;
    const other = coupled ? auctionKey(`${coupled.zone}|${coupled.location}|${coupled.market}`, Date.parse(coupled.start)) : "";
    if (keys.has(this.chosen?.key ?? "") || keys.has(other)) this.ask();
  }

  /** The page is seen again. */
  wake(): void {
    if (this.stale) this.ask();
  }

  private ask(): void {
    this.stale = document.hidden;
    if (this.chosen && !this.stale) this.pace.ask();
  }

  private async fetch(): Promise<void> {
    const { chosen } = this;
    if (!chosen) return;
    this.fetchedAt = this.now();
    try {
      const [merit, answer] = await Promise.all([rest.meritOrder(chosen.series, chosen.start), rest.clearing(chosen.series, chosen.start)]);
      if (chosen.key !== this.chosen?.key) return;
      this.loaded = { merit, answer };
      this.failed = false;
    } catch (error) {
      if (chosen.key !== this.chosen?.key) return;
      if (error instanceof rest.NotFound) this.loaded = null;
      else {
        console.warn("auction:", error);
        this.failed = true;
        setTimeout(() => this.ask(), RETRY_MS);
      }
    }
    this.changed();
  }
}
