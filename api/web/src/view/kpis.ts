// Key figures: one tile a window, with the change large, the range as a bar and the rest as a list.

import * as format from "../format";
import type { Kpi } from "../wire";
import { byId, make, setClass, setText } from "./dom";

const NAMES: Record<number, string> = { 5: "5 minutes", 60: "60 minutes", 1440: "24 hours" };

type Figure = [name: string, explanation: string, value: (kpi: Kpi) => string];

const money = (kpi: Kpi, value: number | null) => format.money(value, kpi.currency);

const FIGURES: Figure[] = [
  ["Mean", "Mean of the tick prices", (kpi) => money(kpi, kpi.mean)],
  ["VWAP", "Volume-weighted average price", (kpi) => money(kpi, kpi.vwap)],
  ["Volatility", "Standard deviation of the differences between closes of consecutive minutes", (kpi) => money(kpi, kpi.volatility)],
  ["Spread", "Mean minus the reference location's mean", (kpi) => (kpi.spread === null ? format.NONE : format.signed(kpi.spread))],
  ["Volume", "Traded volume", (kpi) => `${format.compact(kpi.volume)} MWh`],
  ["Ticks", "Number of ticks", (kpi) => format.number(kpi.count)],
];

interface Tile {
  root: HTMLElement;
  fresh: HTMLElement;
  last: HTMLElement;
  change: HTMLElement;
  low: HTMLElement;
  high: HTMLElement;
  range: HTMLElement;
  marks: Record<"last" | "mean" | "vwap", HTMLElement>;
  values: HTMLElement[];
}

export class Kpis {
  private readonly box = byId("kpis");
  private readonly tiles = new Map<number, Tile>();

  /** `now`: the instant that freshness is counted to. */
  show(kpis: ReadonlyMap<number, Kpi>, now: number): void {
    const windows = [...new Set([5, 60, 1440, ...kpis.keys()])].sort((a, b) => a - b);
    if (windows.join() !== [...this.tiles.keys()].join()) this.build(windows);
    for (const [window, tile] of this.tiles) this.fill(tile, kpis.get(window), now);
  }

  private build(windows: number[]): void {
    this.tiles.clear();
    for (const window of windows) {
      const root = make("article", "card tile");
      const head = make("div", "tile-head");
      const fresh = make("span", "quiet");
      fresh.title = "Age of the newest tick";
      head.append(make("h3", "", NAMES[window] ?? `${window} minutes`), fresh);
      const top = make("p", "tile-top");
      const [last, change] = [make("span", "tile-last"), make("span", "change")];
      top.append(change, last);
      const range = make("div", "range");
      const marks = { last: make("i", "mark last-mark"), mean: make("i", "mark mean-mark"), vwap: make("i", "mark vwap-mark") };
      range.append(marks.mean, marks.vwap, marks.last);
      range.setAttribute("aria-hidden", "true");
      const ends = make("p", "range-ends");
      const [low, high] = [make("span"), make("span")];
      ends.append(low, high);
      const list = make("dl");
      const values = FIGURES.map(([name, explanation]) => {
        const [term, value] = [make("dt", "", name), make("dd")];
        term.title = explanation;
        const row = make("div");
        row.append(term, value);
        list.append(row);
        return value;
      });
      root.append(head, top, range, ends, list);
      this.tiles.set(window, { root, fresh, last, change, low, high, range, marks, values });
    }
    this.box.replaceChildren(...[...this.tiles.values()].map((tile) => tile.root));
  }

  private fill(tile: Tile, kpi: Kpi | undefined, now: number): void {
    tile.range.hidden = !kpi;
    if (!kpi) {
      setText(tile.last, "");
      setText(tile.change, "no ticks");
      setClass(tile.change, "change flat");
      for (const element of [tile.fresh, tile.low, tile.high, ...tile.values]) setText(element, format.NONE);
      return;
    }
    setText(tile.change, `${format.arrow(kpi.change)} ${format.percent(kpi.change_percent)}`.trim());
    setClass(tile.change, `change ${format.direction(kpi.change)}`);
    setText(tile.last, `${format.signed(kpi.change)} to ${money(kpi, kpi.last)}`);
    setText(tile.fresh, `fresh ${format.span(now - Date.parse(kpi.last_time))}`);
    setText(tile.low, `min ${money(kpi, kpi.min)}`);
    setText(tile.high, `max ${money(kpi, kpi.max)}`);
    const place = (value: number | null) => `${kpi.max > kpi.min ? (100 * ((value ?? kpi.mean) - kpi.min)) / (kpi.max - kpi.min) : 50}%`;
    tile.marks.last.style.left = place(kpi.last);
    tile.marks.mean.style.left = place(kpi.mean);
    tile.marks.vwap.style.left = place(kpi.vwap);
    tile.marks.vwap.hidden = kpi.vwap === null;
    FIGURES.forEach(([, , value], i) => {
      const element = tile.values[i];
      if (element) setText(element, value(kpi));
    });
  }
}
