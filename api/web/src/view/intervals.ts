// All delivery intervals of a day with their prices; a click or the arrow keys choose one.

import { outcome, type Interval } from "../auctions";
import * as format from "../format";
import { byId, make, setAttribute, setClass, setText } from "./dom";

interface Tile {
  button: HTMLButtonElement;
  price: HTMLElement;
  bar: HTMLElement;
}

export class Intervals {
  private readonly box = byId("intervals");
  private readonly tiles = new Map<number, Tile>();
  private shown: readonly Interval[] = [];
  private chosen = NaN;

  constructor(private readonly choose: (start: number) => void) {
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  show(intervals: readonly Interval[], chosen: number, timezone: string, currency: string | null): void {
    this.shown = intervals;
    const starts = intervals.map(({ start }) => start);
    if (starts.join() !== [...this.tiles.keys()].join()) this.build(chosen, timezone);
    const height = scale(intervals);
    for (const interval of intervals) this.fill(this.tiles.get(interval.start)!, interval, interval.start === chosen, currency, height, timezone);
    if (chosen !== this.chosen) this.reveal(chosen);
    this.chosen = chosen;
  }

  private build(chosen: number, timezone: string): void {
    const focused = this.box.contains(document.activeElement);
    this.tiles.clear();
    this.chosen = NaN;
    for (const { start } of this.shown) {
      const button = make("button", "interval");
      button.type = "button";
      button.setAttribute("role", "radio");
      const time = make("span", "interval-time", format.clock(start, timezone, false, start));
      const slot = make("span", "interval-slot");
      const bar = make("i", "interval-bar");
      slot.setAttribute("aria-hidden", "true");
      slot.append(bar);
      const price = make("span", "interval-price");
      button.append(time, slot, price);
      button.addEventListener("click", () => this.choose(start));
      this.tiles.set(start, { button, price, bar });
    }
    this.box.replaceChildren(...[...this.tiles.values()].map(({ button }) => button));
    if (focused) this.tiles.get(chosen)?.button.focus();
  }

  private fill(tile: Tile, interval: Interval, chosen: boolean, currency: string | null, height: (price: number) => Bar, timezone: string): void {
    const price = interval.clearing?.price ?? null;
    const words = price === null ? outcome(interval) : `${format.price(price, currency)} per MWh`;
    setClass(tile.button, `interval${chosen ? " chosen" : ""}${price === null ? " without" : price < 0 ? " negative" : ""}${interval.clearing?.congested ? " congested" : ""}`);
    setAttribute(tile.button, "aria-checked", String(chosen));
    setAttribute(tile.button, "aria-label", `${format.clock(interval.start, timezone, false, interval.start)}, ${words}${interval.clearing?.congested ? ", congested" : ""}`);
    setAttribute(tile.button, "title", words);
    tile.button.tabIndex = chosen ? 0 : -1;
    setText(tile.price, price === null ? format.NONE : short(price));
    const { bottom, size } = price === null ? { bottom: 0, size: 0 } : height(price);
    tile.bar.style.bottom = `${bottom.toFixed(1)}%`;
    tile.bar.style.height = `${size.toFixed(1)}%`;
  }

  private key(event: KeyboardEvent): void {
    const starts = this.shown.map(({ start }) => start);
    const at = starts.indexOf(this.chosen);
    const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: starts.length - 1 }[event.key];
    const start = to === undefined ? undefined : starts[to];
    if (start === undefined) return;
    event.preventDefault();
    this.choose(start);
    this.tiles.get(start)?.button.focus();
  }

  /** Scrolls the strip, not the page. */
  private reveal(start: number): void {
    const button = this.tiles.get(start)?.button;
    if (!button) return;
    const { offsetLeft, offsetWidth } = button;
    const { scrollLeft, clientWidth } = this.box;
    if (offsetLeft < scrollLeft || offsetLeft + offsetWidth > scrollLeft + clientWidth) {
      this.box.scrollLeft = offsetLeft - (clientWidth - offsetWidth) / 2;
    }
  }
}

interface Bar {
  /** Per cent of the slot. */
  bottom: number;
  size: number;
}

/** Bars from zero: upwards for a positive price, downwards for a negative one. */
export function scale(intervals: readonly Interval[]): (price: number) => Bar {
  const prices = intervals.flatMap(({ clearing }) => (clearing?.price == null ? [] : [clearing.price]));
  const low = Math.min(0, ...prices);
  const height = Math.max(0, ...prices) - low || 1;
  return (price) => ({ bottom: (100 * (Math.min(0, price) - low)) / height, size: Math.max(2, (100 * Math.abs(price)) / height) });
}

/** A price in a narrow place: without its currency, and without decimals where they say little. */
export function short(price: number): string {
  const size = Math.abs(price);
  return format.number(price, size >= 1_000 ? 0 : size >= 100 ? 1 : size > 0 && size < 0.01 ? 3 : 2);
}
