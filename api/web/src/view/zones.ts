// All zones at a glance: headline price, changes, volume, the last hour as a line, freshness. A zone's name chooses it.

import type { Bar } from "../bars";
import * as format from "../format";
import type { SeriesState } from "../store";
import type { Zone } from "../wire";
import { byId, make, setAttribute, setClass, setText } from "./dom";

export interface ZoneRow {
  zone: Zone;
  state: SeriesState;
}

interface Cells {
  row: HTMLTableRowElement;
  button: HTMLButtonElement;
  last: HTMLElement;
  hour: HTMLElement;
  day: HTMLElement;
  volume: HTMLElement;
  line: SVGPolylineElement;
  fresh: HTMLElement;
}

const WIDTH = 110;
const HEIGHT = 26;
const MINUTE_MS = 60_000;

/** A price older than this is marked: two intervals of its market and a little, five minutes at least. */
export function staleAfter(market: string): number {
  const minutes = market.endsWith("HOURLY") ? 60 : Number(/(\d+)_MIN$/.exec(market)?.[1] ?? 0);
  return Math.max(5, 2 * minutes + 2) * MINUTE_MS;
}

export class ZoneTable {
  private readonly body = byId<HTMLTableSectionElement>("zone-rows");
  private readonly rows = new Map<string, Cells>();

  constructor(private readonly choose: (zone: string) => void) {}

  show(rows: readonly ZoneRow[], chosen: string, now: number): void {
    const codes = rows.map(({ zone }) => zone.zone);
    if (codes.join() !== [...this.rows.keys()].join()) this.build(rows);
    for (const { zone, state } of rows) {
      const cells = this.rows.get(zone.zone);
      if (cells) this.fill(cells, state, zone.zone === chosen, now);
    }
  }

  private build(rows: readonly ZoneRow[]): void {
    this.rows.clear();
    for (const { zone } of rows) {
      const row = make("tr");
      const head = make("th");
      head.scope = "row";
      const button = make("button", "plain zone-name", zone.zone);
      button.type = "button";
      button.addEventListener("click", () => this.choose(zone.zone));
      button.title = zone.name;
      head.append(button, make("span", "quiet zone-title", zone.name));
      const cell = (className: string) => row.insertCell().appendChild(make("span", className));
      row.append(head);
      const [last, hour, day, volume] = [cell("number"), cell("change"), cell("change"), cell("number")];
      const spark = row.insertCell();
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
      svg.setAttribute("class", "spark");
      svg.setAttribute("aria-hidden", "true");
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      svg.append(line);
      spark.append(svg);
      this.rows.set(zone.zone, { row, button, last, hour, day, volume, line, fresh: cell("number") });
    }
    this.body.replaceChildren(...[...this.rows.values()].map((cells) => cells.row));
  }

  private fill(cells: Cells, state: SeriesState, chosen: boolean, now: number): void {
    setClass(cells.row, chosen ? "chosen" : "");
    setAttribute(cells.button, "aria-pressed", String(chosen));
    setText(cells.last, format.money(state.price, state.series.currency));
    this.change(cells.hour, state, 60);
    this.change(cells.day, state, 1440);
    const volume = state.kpis.get(1440)?.volume;
    setText(cells.volume, volume === undefined ? format.NONE : `${format.compact(volume)} MWh`);
    setAttribute(cells.line, "points", sparkline(state.minutes.list()));
    const age = now - state.time;
    setText(cells.fresh, format.span(age));
    setClass(cells.fresh, age > staleAfter(state.series.market) ? "number stale" : "number");
  }

  private change(cell: HTMLElement, state: SeriesState, window: number): void {
    const kpi = state.kpis.get(window);
    setText(cell, kpi ? `${format.arrow(kpi.change)} ${format.percent(kpi.change_percent)}` : format.NONE);
    setClass(cell, `change ${format.direction(kpi?.change)}`);
  }
}

/** Points of the closes of the last hour (or of what there is of it), scaled to the picture. */
export function sparkline(bars: readonly Bar[]): string {
  const until = bars.at(-1)?.start ?? 0;
  const shown = bars.filter((bar) => bar.start >= until - 3_600_000);
  const from = shown[0]?.start ?? until;
  if (shown.length < 2) return "";
  const low = Math.min(...shown.map((bar) => bar.close));
  const height = Math.max(...shown.map((bar) => bar.close)) - low || 1;
  const x = (bar: Bar) => ((WIDTH - 4) * (bar.start - from)) / (until - from) + 2;
  const y = (bar: Bar) => HEIGHT - 3 - ((HEIGHT - 6) * (bar.close - low)) / height;
  return shown.map((bar) => `${x(bar).toFixed(1)},${y(bar).toFixed(1)}`).join(" ");
}
