// The picture of an auction: supply and demand over MW, the crossing, and what the pointer or the keyboard is on.
//
// Drawn as SVG, so that the theme's colours come from the style sheet. The view stays where it is while bids come
// and go, until the crossing leaves its middle.

import { priceAt, total, type Curve, type Point } from "../curves";
import * as format from "../format";
import { cut, steady, ticks, viewOf, ZOOMS, type View, type Zoom } from "../zoom";
import { byId, make, setAttribute, setText } from "./dom";

export interface Shown {
  /** What is drawn: another one starts afresh. */
  key: string;
  title: string;
  currency: string | null;
  supply: Curve;
  demand: Curve;
  /** Where it clears; null when nothing is traded. */
  crossing: Point | null;
  /** How it stands when it does not clear. */
  words: string;
}

const NAMES: Record<Zoom, string> = { crossing: "Crossing", wider: "Wider", everything: "Everything" };
/** Room for the crossing's price and volume. */
const LABEL = 165;
const MARGIN = { top: 14, right: 12, bottom: 34, left: 58 };

export class CurvesView {
  private readonly box = byId("curves");
  private readonly readout = byId("curves-readout");
  private readonly svg = element("svg", { "aria-hidden": "true" });
  private readonly pointer = element("g", {});
  private shown: Shown | null = null;
  private words = "";
  private view: View | null = null;
  private zoom: Zoom = "crossing";
  private cursor: number | null = null;

  constructor() {
    this.box.append(this.svg);
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.box.addEventListener("pointerdown", (event) => this.point(event.offsetX));
    this.box.addEventListener("pointerleave", () => this.leave());
    this.box.addEventListener("blur", () => this.leave());
    this.zoomPicker();
  }

  /** `words`: what stands in the place of curves that are not there. */
  show(shown: Shown | null, words = ""): void {
    if (shown?.key !== this.shown?.key) {
      this.view = null;
      this.cursor = null;
    }
    const same = shown?.supply === this.shown?.supply && shown?.demand === this.shown?.demand && shown?.crossing === this.shown?.crossing;
    this.shown = shown;
    if (!same || words !== this.words) {
      this.words = words;
      this.draw();
    }
    setAttribute(this.box, "aria-label", this.summary());
    this.read();
  }

  private zoomPicker(): void {
    const box = byId("zoom");
    for (const zoom of ZOOMS) {
      const label = make("label");
      const input = make("input");
      input.type = "radio";
      input.name = "zoom";
      input.value = zoom;
      input.checked = zoom === this.zoom;
      input.addEventListener("change", () => this.setZoom(zoom));
      label.append(input, make("span", "", NAMES[zoom]));
      box.append(label);
    }
  }

  private setZoom(zoom: Zoom): void {
    this.zoom = zoom;
    this.view = null;
    const input = byId("zoom").querySelector<HTMLInputElement>(`input[value="${zoom}"]`);
    if (input) input.checked = true;
    this.draw();
  }

  private frame(): { left: number; right: number; top: number; bottom: number } {
    const { clientWidth: width, clientHeight: height } = this.box;
    return { left: MARGIN.left, top: MARGIN.top, right: Math.max(width, 160) - MARGIN.right, bottom: Math.max(height, 120) - MARGIN.bottom };
  }

  private x(mw: number): number {
    const { left, right } = this.frame();
    const view = this.view!;
    return left + ((right - left) * (mw - view.left)) / (view.right - view.left);
  }

  private y(price: number): number {
    const { top, bottom } = this.frame();
    const view = this.view!;
    return bottom - ((bottom - top) * (price - view.low)) / (view.high - view.low);
  }

  private draw(): void {
    const { shown } = this;
    const { clientWidth: width, clientHeight: height } = this.box;
    this.svg.replaceChildren();
    if (width === 0) return;
    setAttribute(this.svg, "viewBox", `0 0 ${width} ${height}`);
    if (!shown) {
      this.svg.append(element("text", { class: "words", x: width / 2, y: height / 2, "text-anchor": "middle" }, this.words));
      return;
    }
    const { supply, demand, crossing } = shown;
    this.view = steady(this.view, viewOf(this.zoom, supply, demand, crossing), crossing);
    const { left, right, top, bottom } = this.frame();
    const clip = element("clipPath", { id: "curves-clip" });
    clip.append(element("rect", { x: left, y: top, width: right - left, height: bottom - top }));
    const plot = element("g", { "clip-path": "url(#curves-clip)" });
    if (crossing) plot.append(this.gain(demand, crossing), this.gain(supply, crossing));
    for (const curve of [demand, supply]) {
      plot.append(element("path", { class: `curve ${curve.side}`, d: path(this.line(curve).map((point) => this.place(point))) }));
    }
    this.svg.append(clip, this.grid(), plot, this.name(supply, "Supply"), this.name(demand, "Demand"));
    if (crossing) this.svg.append(this.mark(crossing));
    this.svg.append(this.pointer);
    this.drawPointer();
  }

  private place({ mw, price }: Point): [number, number] {
    return [this.x(mw), this.y(price)];
  }

  /** A curve's line in the view: what is taken at any price comes from beyond the edge, and its end goes there. */
  private line(curve: Curve): Point[] {
    const view = this.view!;
    const height = view.high - view.low;
    const [best, worst] = curve.side === "sell" ? [view.low - height, view.high + height] : [view.high + height, view.low - height];
    if (curve.points.length === 0) return [];
    const before = curve.fixed > 0 ? [{ mw: 0, price: best }, { mw: curve.fixed, price: best }] : [];
    return cut([...before, ...curve.points, { mw: total(curve), price: worst }], view);
  }

  /** Between a curve and the price: what its side gains; what is taken at any price says nothing about that. */
  private gain(curve: Curve, crossing: Point): SVGElement {
    const inside = cut(curve.points, this.view!).filter((point) => point.mw <= crossing.mw);
    const first = inside[0];
    if (!first) return element("g", {});
    const edge = (mw: number): Point => ({ mw, price: crossing.price });
    const last = inside.at(-1)!;
    const area = [edge(first.mw), ...inside, { mw: crossing.mw, price: last.price }, edge(crossing.mw)];
    return element("path", { class: `gain ${curve.side}`, d: `${path(area.map((point) => this.place(point)))}Z` });
  }

  private grid(): SVGElement {
    const { left, right, top, bottom } = this.frame();
    const view = this.view!;
    const group = element("g", { class: "axis" });
    const prices = ticks(view.low, view.high, Math.max(2, (bottom - top) / 36));
    for (const price of prices.values) {
      const y = this.y(price);
      group.append(element("line", { class: price === 0 ? "zero" : "", x1: left, x2: right, y1: y, y2: y }));
      group.append(element("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, format.tick(price, prices.step)));
    }
    const powers = ticks(view.left, view.right, Math.max(2, (right - left) / 72));
    for (const mw of powers.values) {
      const x = this.x(mw);
      group.append(element("line", { x1: x, x2: x, y1: top, y2: bottom }));
      group.append(element("text", { x: Math.min(x, right - 14), y: bottom + 16, "text-anchor": "middle" }, format.tick(mw, powers.step)));
    }
    group.append(element("text", { class: "unit-name", x: right, y: bottom + 30, "text-anchor": "end" }, "MW"));
    const unit = this.shown?.currency ? `${this.shown.currency}/MWh` : "per MWh";
    group.append(element("text", { class: "unit-name", x: 2, y: bottom + 30 }, unit));
    return group;
  }

  /** The curve's name, beside it, where there is room: demand on the left, supply on the right. */
  private name(curve: Curve, name: string): SVGElement {
    const view = this.view!;
    const { top, bottom } = this.frame();
    const sell = curve.side === "sell";
    if (curve.points.length === 0) return element("g", {});
    const shares = sell ? [0.94, 0.85, 0.75, 0.67] : [0.06, 0.15, 0.25, 0.33];
    const spots = shares.map((share) => {
      const mw = view.left + (view.right - view.left) * share;
      return { mw, price: priceAt(curve, mw) };
    });
    const seen = spots.find(({ price }) => price !== null && price > view.low && price < view.high);
    const anchor = sell ? "end" : "start";
    if (seen) {
      const y = Math.min(bottom - 8, Math.max(top + 22, this.y(seen.price!) - 9));
      return element("text", { class: `name ${curve.side}`, x: this.x(seen.mw), y, "text-anchor": anchor }, name);
    }
    // It runs straight up or down where there was room: beside what is seen of that.
    const line = this.line(curve);
    const upright = line.filter(({ mw, price }, i) => {
      const next = line[i + 1];
      if (!next || next.mw - mw > 1e-6 || mw < view.left || mw > view.right) return false;
      return Math.min(price, next.price) < view.high && Math.max(price, next.price) > view.low;
    });
    const mw = upright.at(sell ? -1 : 0)?.mw;
    if (mw === undefined) return element("g", {});
    const x = this.x(mw);
    const right = x + 70 < this.frame().right;
    const y = sell ? bottom - 10 : top + 22;
    return element("text", { class: `name ${curve.side}`, x: right ? x + 14 : x - 14, y, "text-anchor": right ? "start" : "end" }, name);
  }

  private mark(crossing: Point): SVGElement {
    const { left, bottom, right, top } = this.frame();
    const [x, y] = this.place(crossing);
    const group = element("g", { class: "crossing" });
    if (x < left || x > right || y < top || y > bottom) return group;
    group.append(element("path", { d: `M${left},${y}H${x}V${bottom}` }));
    group.append(element("circle", { cx: x, cy: y, r: 6 }));
    const text = `${format.price(crossing.price, this.shown?.currency ?? null)} · ${format.power(crossing.mw)}`;
    // To the right of it, else to the left; in a narrow picture over it.
    const [anchor, at] = x + LABEL < right ? ["start", x + 12] : x - LABEL > left ? ["end", x - 12] : ["middle", Math.min(right - LABEL / 2, Math.max(left + LABEL / 2, x))];
    group.append(element("text", { x: at, y: y < top + 30 ? y + 22 : y - 12, "text-anchor": anchor }, text));
    return group;
  }

  private point(offset: number): void {
    if (!this.view) return;
    const { left, right } = this.frame();
    const share = Math.min(1, Math.max(0, (offset - left) / (right - left)));
    this.cursor = this.view.left + (this.view.right - this.view.left) * share;
    this.readout.setAttribute("aria-live", "off");
    this.drawPointer();
    this.read();
  }

  private leave(): void {
    this.cursor = null;
    this.readout.setAttribute("aria-live", "off");
    this.drawPointer();
    this.read();
  }

  /** Arrows go from corner to corner of the curves, + and - change what is seen. */
  private key(event: KeyboardEvent): void {
    const { shown, view } = this;
    if (!shown || !view) return;
    const zoom = { "+": -1, "-": 1 }[event.key];
    if (zoom !== undefined) {
      const next = ZOOMS[ZOOMS.indexOf(this.zoom) + zoom];
      if (next) this.setZoom(next);
      return;
    }
    const at = this.cursor ?? shown.crossing?.mw ?? view.left;
    const corners = [...shown.supply.points, ...shown.demand.points, ...(shown.crossing ? [shown.crossing] : [])].map(({ mw }) => mw);
    const stops = [...new Set(corners)].filter((mw) => mw >= view.left && mw <= view.right).sort((a, b) => a - b);
    const to = {
      ArrowLeft: stops.filter((mw) => mw < at - 1e-6).at(-1),
      ArrowRight: stops.find((mw) => mw > at + 1e-6),
      Home: stops[0],
      End: stops.at(-1),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.cursor = to;
    this.readout.setAttribute("aria-live", "polite");
    this.drawPointer();
    this.read();
  }

  private drawPointer(): void {
    const { shown, view, cursor } = this;
    this.pointer.replaceChildren();
    if (!shown || !view || cursor === null) return;
    const { top, bottom } = this.frame();
    const x = this.x(cursor);
    this.pointer.append(element("line", { class: "cursor", x1: x, x2: x, y1: top, y2: bottom }));
    for (const curve of [shown.supply, shown.demand]) {
      const price = priceAt(curve, cursor);
      if (price === null || price < view.low || price > view.high) continue;
      this.pointer.append(element("circle", { class: `spot ${curve.side}`, cx: x, cy: this.y(price), r: 4 }));
    }
  }

  private read(): void {
    const { shown, cursor } = this;
    if (!shown) {
      setText(this.readout, "");
      return;
    }
    const money = (price: number | null) => format.price(price, shown.currency);
    if (cursor === null) {
      setText(this.readout, `Supply ${format.power(total(shown.supply))}  ·  demand ${format.power(total(shown.demand))}`);
      return;
    }
    const of = (curve: Curve) => {
      const price = priceAt(curve, cursor);
      if (price !== null) return money(price);
      return cursor < curve.fixed ? "at any price" : "none left";
    };
    setText(this.readout, `At ${format.power(cursor)}  ·  supply ${of(shown.supply)}  ·  demand ${of(shown.demand)}`);
  }

  private summary(): string {
    const { shown } = this;
    if (!shown) return `Supply and demand: ${this.words || "nothing to show"}`;
    const { title, currency, crossing, supply, demand, words } = shown;
    const cross = crossing ? `they cross at ${format.price(crossing.price, currency)} and ${format.power(crossing.mw)}` : words;
    return `${title}: supply of ${format.power(total(supply))}, demand of ${format.power(total(demand))}; ${cross}`;
  }
}

const path = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)},${y.toFixed(1)}`).join("");

function element(tag: string, attributes: Record<string, string | number>, text = ""): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text) made.textContent = text;
  return made;
}
