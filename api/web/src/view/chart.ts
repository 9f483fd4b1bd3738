// The price chart: close as a line, high to low as a band, volume below; times in the zone's own clock.
//
// A bar that was revised after it had settled keeps a diamond, and is ringed for a moment when it happens (a
// steady ring where motion is not wanted). The keyboard walks through the bars; what the pointer or the keyboard
// is on is read out below the chart.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Bar } from "../bars";
import * as format from "../format";
import { byId, reducedMotion, setAttribute, setText, themed } from "./dom";

export interface Shown {
  /** What is drawn: another one starts afresh. */
  key: string;
  title: string;
  bars: readonly Bar[];
  timezone: string;
  currency: string | null;
}

const FLASH_MS = 2_500;

export class Chart {
  private readonly box = byId("chart");
  private readonly readout = byId("readout");
  private plot: uPlot | null = null;
  private shown: Shown = { key: "", title: "", bars: [], timezone: "UTC", currency: null };
  /** Start of a bar → its revision seen, and when. */
  private seen = new Map<number, { revised: number; at: number }>();
  private cursor: number | null = null;
  private animating = false;

  constructor() {
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.box);
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("blur", () => {
      this.cursor = null;
      this.readout.setAttribute("aria-live", "off");
      this.read();
    });
  }

  show(shown: Shown): void {
    const fresh = shown.key !== this.shown.key || !this.plot;
    this.shown = shown;
    if (fresh) {
      this.seen.clear();
      this.cursor = null;
      this.build();
    } else {
      this.plot?.setData(this.data(), true);
    }
    this.noteRevisions(fresh);
    setAttribute(this.box, "aria-label", this.summary());
    this.read();
  }

  /** The theme changed: colours are drawn, so draw anew. */
  restyle(): void {
    if (this.plot) this.build();
  }

  private size(): { width: number; height: number } {
    const { clientWidth: width, clientHeight: height } = this.box;
    return { width: Math.max(200, width), height: Math.max(160, height) };
  }

  private data(): uPlot.AlignedData {
    const { bars } = this.shown;
    const column = (value: (bar: Bar) => number) => bars.map(value);
    return [
      column((bar) => bar.start / 1000),
      column((bar) => bar.high),
      column((bar) => bar.low),
      column((bar) => bar.close),
      column((bar) => bar.volume),
    ];
  }

  private build(): void {
    this.plot?.destroy();
    const { timezone } = this.shown;
    const [ink, quiet, grid, line, band, volume] = ["--ink", "--ink-2", "--grid", "--line", "--band", "--volume"].map(themed);
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: quiet ?? "", font, grid: { stroke: grid ?? "", width: 1 }, ticks: { show: false } };
    const edge = { stroke: "transparent", width: 0, points: { show: false } };
    this.plot = new uPlot(
      {
        ...this.size(),
        tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), timezone),
        legend: { show: false },
        padding: [8, 0, 0, 20],
        cursor: { y: false, points: { size: 7 }, drag: { x: true, y: false } },
        scales: {
          // A single bar has no width of its own: show an hour around it.
          x: { time: true, range: (_plot, from, to) => (to > from ? [from, to] : [from - 1_800, to + 1_800]) },
          // The lowest sixth is the volume's.
          y: { range: (_plot, low, high) => this.priceRange(low, high) },
          v: { range: (_plot, _low, high) => [0, Math.max(1e-9, high) * 6] },
        },
        axes: [
          { ...axis, size: 40, space: 70, values: (_plot, ticks, _axis, _space, step) => timeLabels(timezone, ticks, step) },
          { ...axis, side: 1, size: 54, values: (_plot, ticks) => ticks.map((tick) => priceLabel(tick, ticks)) },
        ],
        series: [
          {},
          { ...edge, scale: "y" },
          { ...edge, scale: "y" },
          { scale: "y", stroke: line ?? ink ?? "", width: 1.75, points: { show: false } },
          { scale: "v", fill: volume ?? "", width: 0, points: { show: false }, paths: uPlot.paths.bars?.({ size: [0.7, 12] }) ?? null },
        ],
        bands: [{ series: [1, 2], fill: band ?? "" }],
        hooks: {
          draw: [(plot) => this.drawRevisions(plot)],
          setCursor: [() => this.read()],
        },
      } as uPlot.Options,
      this.data(),
      this.box,
    );
  }

  private priceRange(low: number, high: number): [number, number] {
    if (low === null || !Number.isFinite(low)) return [0, 1];
    const height = high - low || Math.abs(high) * 0.02 || 1;
    return [low - height * 0.28, high + height * 0.08];
  }

  private noteRevisions(silently: boolean): void {
    const now = performance.now();
    let flash = false;
    for (const { start, revised } of this.shown.bars) {
      if (revised === 0 || this.seen.get(start)?.revised === revised) continue;
      this.seen.set(start, { revised, at: silently ? -Infinity : now });
      flash ||= !silently;
    }
    if (flash) this.animate();
  }

  private animate(): void {
    if (this.animating) return;
    this.animating = true;
    const frame = () => {
      const now = performance.now();
      const on = [...this.seen.values()].some(({ at }) => now - at < FLASH_MS);
      this.plot?.redraw(false, false);
      this.animating = on;
      // Without motion one picture now and one when it is over are enough.
      if (on && reducedMotion()) setTimeout(frame, FLASH_MS);
      else if (on) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  private drawRevisions(plot: uPlot): void {
    const { ctx } = plot;
    const ratio = devicePixelRatio;
    const now = performance.now();
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    ctx.clip();
    ctx.fillStyle = ctx.strokeStyle = themed("--revised");
    for (const { start, close, revised } of this.shown.bars) {
      if (revised === 0) continue;
      const x = plot.valToPos(start / 1000, "x", true);
      const y = plot.valToPos(close, "y", true);
      const r = 4 * ratio;
      ctx.beginPath();
      ctx.moveTo(x, y - r);
      ctx.lineTo(x + r, y);
      ctx.lineTo(x, y + r);
      ctx.lineTo(x - r, y);
      ctx.fill();
      const age = (now - (this.seen.get(start)?.at ?? -Infinity)) / FLASH_MS;
      if (age >= 1) continue;
      const wave = reducedMotion() ? 0.3 : age;
      ctx.globalAlpha = 1 - wave;
      ctx.lineWidth = 2 * ratio;
      ctx.beginPath();
      ctx.arc(x, y, (5 + 18 * wave) * ratio, 0, 2 * Math.PI);
      ctx.stroke();
      ctx.globalAlpha = 1;
    }
    ctx.restore();
  }

  private key(event: KeyboardEvent): void {
    const last = this.shown.bars.length - 1;
    if (last < 0) return;
    const from = this.cursor ?? last;
    const steps: Record<string, number> = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last, PageUp: from - 30, PageDown: from + 30 };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.cursor = Math.min(last, Math.max(0, to));
    this.readout.setAttribute("aria-live", "polite");
    const bar = this.shown.bars[this.cursor];
    if (bar && this.plot) this.plot.setCursor({ left: this.plot.valToPos(bar.start / 1000, "x"), top: 10 });
    this.read();
  }

  private read(): void {
    const { bars, timezone, currency } = this.shown;
    const pointed = this.cursor ?? this.plot?.cursor.idx ?? bars.length - 1;
    const bar = bars[pointed];
    if (!bar) {
      setText(this.readout, "No bars yet.");
      return;
    }
    const money = (value: number | null) => format.money(value, currency);
    const today = bars.at(-1)?.start;
    const parts = [
      format.clock(bar.start, timezone, false, today),
      `open ${money(bar.open)}`,
      `high ${money(bar.high)}`,
      `low ${money(bar.low)}`,
      `close ${money(bar.close)}`,
      `VWAP ${money(bar.vwap)}`,
      `${format.compact(bar.volume)} MWh`,
      `${format.number(bar.count)} ticks`,
    ];
    if (bar.revised > 0) parts.push(`revised at ${format.clock(bar.revised, timezone, true, today)}`);
    setText(this.readout, parts.join("  ·  "));
  }

  private summary(): string {
    const { bars, title, currency, timezone } = this.shown;
    const [first, last] = [bars[0], bars.at(-1)];
    if (!first || !last) return `${title}: no bars yet`;
    const low = Math.min(...bars.map((bar) => bar.low));
    const high = Math.max(...bars.map((bar) => bar.high));
    const money = (value: number) => format.money(value, currency);
    return `${title}: ${bars.length} bars from ${format.clock(first.start, timezone)}, low ${money(low)}, high ${money(high)}, last ${money(last.close)}`;
  }
}

/** Axis labels: the time of day, with the date below where a new day begins. */
function timeLabels(timezone: string, ticks: number[], step: number): string[] {
  let day = "";
  return ticks.map((tick) => {
    const date = uPlot.tzDate(new Date(tick * 1000), timezone);
    const label = `${date.getDate()} ${date.toLocaleString(undefined, { month: "short" })}`;
    const next = day !== "" && label !== day;
    day = label;
    if (step >= 86_400) return label;
    const time = [date.getHours(), date.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
    return next ? `${time}\n${label}` : time;
  });
}

/** As many decimals as the distance of the ticks has. */
function priceLabel(tick: number, ticks: readonly number[]): string {
  return format.tick(tick, Math.abs((ticks[1] ?? tick) - (ticks[0] ?? tick)) || 1);
}
