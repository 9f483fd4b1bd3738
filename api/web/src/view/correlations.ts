// The correlations of the zones' headline prices (or of one zone's series) as a heat map: blue together, orange against each other, and the
// number in every field, so that colour is never the only sign.

import * as format from "../format";
import type { Correlation } from "../wire";
import { keyOf } from "../store";
import { byId, make, setOptions } from "./dom";

export interface Axis {
  label: string;
  key: string;
}

const TOGETHER = [0, 114, 178] as const;
const AGAINST = [213, 94, 0] as const;

export class Correlations {
  private readonly box = byId("correlations");
  private readonly picker = byId<HTMLSelectElement>("correlation-window");
  private window = 60;
  private drawn = "";

  constructor(changed: () => void) {
    this.picker.addEventListener("change", () => {
      this.window = Number(this.picker.value);
      changed();
    });
  }

  show(axes: readonly Axis[], rows: Iterable<Correlation>): void {
    const now = [...rows].filter((row) => row.lag_minutes === 0);
    const windows = [...new Set(now.map((row) => row.window_minutes))].sort((a, b) => a - b);
    if (!windows.includes(this.window)) this.window = windows[0] ?? 60;
    setOptions(this.picker, windows.map((window) => [String(window), name(window)] as const), String(this.window));
    const found = new Map<string, Correlation>();
    for (const row of now) {
      if (row.window_minutes !== this.window) continue;
      found.set(`${keyOf(row.a)}~${keyOf(row.b)}`, row).set(`${keyOf(row.b)}~${keyOf(row.a)}`, row);
    }
    const values = axes.map((a) => axes.map((b) => (a.key === b.key ? 1 : found.get(`${a.key}~${b.key}`)?.correlation ?? null)));
    const known = axes.filter((a) => axes.some((b) => a.key !== b.key && found.has(`${a.key}~${b.key}`)));
    this.draw(axes, values, known);
  }

  private draw(axes: readonly Axis[], values: (number | null)[][], known: readonly Axis[]): void {
    const state = JSON.stringify([axes.map((axis) => axis.label), values.map((row) => row.map((value) => value?.toFixed(2)))]);
    if (state === this.drawn) return;
    this.drawn = state;
    if (known.length < 2) {
      this.box.replaceChildren(make("p", "quiet", "Not enough closed minutes yet."));
      return;
    }
    const table = make("table", "heat");
    table.append(make("caption", "unseen", `Correlation of prices over ${name(this.window)}`));
    const head = table.createTHead().insertRow();
    head.append(make("td"));
    const body = table.createTBody();
    axes.forEach((axis, i) => {
      if (!known.includes(axis)) return;
      const column = make("th", "", axis.label);
      column.scope = "col";
      head.append(column);
      const row = body.insertRow();
      const label = make("th", "", axis.label);
      label.scope = "row";
      row.append(label);
      axes.forEach((other, j) => {
        if (known.includes(other)) row.append(cell(values[i]?.[j] ?? null, i === j));
      });
    });
    this.box.replaceChildren(table);
  }
}

function cell(value: number | null, diagonal: boolean): HTMLTableCellElement {
  const element = make("td", diagonal ? "diagonal" : "");
  if (diagonal) return element;
  element.textContent = value === null ? format.NONE : format.number(value, 2);
  if (value === null) return element;
  const { background, ink } = heatColours(value);
  element.style.backgroundColor = `rgb(${background.join(" ")})`;
  element.style.color = `rgb(${ink.join(" ")})`;
  return element;
}

/** From white to the colour as |r| grows; text in black or white, whichever stands out more. */
export function heatColours(r: number): { background: number[]; ink: number[] } {
  const share = Math.min(1, Math.abs(r)) ** 1.3;
  const background = (r >= 0 ? TOGETHER : AGAINST).map((channel) => Math.round(255 + (channel - 255) * share));
  return { background, ink: luminance(background) > 0.179 ? [0, 0, 0] : [255, 255, 255] };
}

/** Relative luminance as WCAG defines it. */
export function luminance(rgb: readonly number[]): number {
  const [r, g, b] = rgb.map((channel) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (r ?? 0) + 0.7152 * (g ?? 0) + 0.0722 * (b ?? 0);
}

function name(window: number): string {
  return window % 60 === 0 && window > 60 ? `${window / 60} hours` : `${window} minutes`;
}
