// The auction that is chosen: its outcome in large, the curves, what a trader looks up first, complex bids, the day.

import { auctionKey, days, exchange, outcome, upcoming, type Auctions, type Interval, type Place } from "../auctions";
import { AuctionLoader, type Loaded } from "../auction-loader";
import { accepted, curves, type Curve, type Point } from "../curves";
import * as format from "../format";
import * as rest from "../rest";
import type { Fate, IntervalBid } from "../wire";
import { CurvesView } from "./curves";
import { byId, make, setClass, setOptions, setText } from "./dom";
import { Intervals } from "./intervals";

const COMPLEX_SHOWN = 200;
const KINDS = { block: "block", minimum_income: "minimum income", curve: "minimum quantity" } as const;

export class AuctionView {
  private readonly loader: AuctionLoader;
  private readonly curves = new CurvesView();
  private readonly intervals = new Intervals((start) => this.choose(this.place, start));
  private readonly placePicker = byId<HTMLSelectElement>("auction-place");
  private readonly dayPicker = byId<HTMLSelectElement>("auction-day");
  /** What the user chose; empty and null: the zone's own and the next to be delivered. */
  private place = "";
  private start: number | null = null;
  private drawn: { of: Loaded; supply: Curve; demand: Curve; crossing: Point | null } | null = null;
  private complexOf: Loaded | null = null;
  private asked = false;

  /** `now`: the T of the state; `chosen`: the user chose, and it is to be remembered; `touch`: draw again. */
  constructor(
    private readonly auctions: Auctions,
    now: () => number,
    private readonly chosen: () => void,
    private readonly touch: () => void,
  ) {
    this.loader = new AuctionLoader(now, touch);
    this.placePicker.addEventListener("change", () => this.choose(this.placePicker.value, this.start));
    this.dayPicker.addEventListener("change", () => this.choose(this.place || this.placePicker.value, Number(this.dayPicker.value)));
  }

  /** What is chosen, for the address; and back. */
  get choice(): string {
    return this.start === null ? this.place : auctionKey(this.place, this.start);
  }
  set choice(text: string) {
    const [place, start] = text.split("@");
    this.place = place ?? "";
    this.start = start && Number.isFinite(Number(start)) ? Number(start) : null;
  }

  /** Follows the page's zone again. */
  follow(): void {
    this.place = "";
  }

  note(keys: ReadonlySet<string>): void {
    this.loader.note(keys);
  }

  /** The state was replaced: whatever was fetched may be another story. */
  reset(): void {
    this.asked = false;
    this.loader.refresh();
  }

  wake(): void {
    this.loader.wake();
  }

  /** `now`: the instant that counts for "next". */
  show(zone: string, now: number, timezoneOf: (zone: string) => string): void {
    const place = this.auctions.place(this.place, zone);
    byId("auction-body").hidden = !place;
    byId("auction-pickers").hidden = !place;
    byId("auction-empty").hidden = Boolean(place);
    setText(byId("auction-note"), place && !this.auctions.places().some(({ series }) => series.zone === zone) ? `Nobody bids in ${zone}.` : "");
    if (!place) {
      this.loader.choose(null);
      void this.explainEmptiness();
      return;
    }
    const timezone = timezoneOf(place.series.zone);
    const all = days(place, timezone);
    const known = (start: number | null) => [...all.values()].flat().find((interval) => interval.start === start);
    const interval = known(this.start) ?? upcoming(place, now)!;
    const day = format.day(interval.start, timezone);
    this.pickers(place, all, day);
    this.intervals.show(all.get(day) ?? [], interval.start, timezone, place.series.currency);
    const bids = interval.clearing || interval.book;
    this.loader.choose(bids ? { key: auctionKey(place.key, interval.start), series: place.series, start: interval.start } : null);
    this.fill(place, interval, timezone);
  }

  private choose(place: string, start: number | null): void {
    this.place = place || this.placePicker.value;
    this.start = start;
    this.chosen();
    this.touch();
  }

  private pickers(place: Place, all: Map<string, Interval[]>, day: string): void {
    const places = this.auctions.places().map(({ key, series }) => [key, nameOf(series)] as const);
    setOptions(this.placePicker, places, place.key);
    const options = [...all].map(([name, intervals]) => [String(dayStart(intervals)), name] as const);
    setOptions(this.dayPicker, options, options.find(([, name]) => name === day)?.[0] ?? "");
    byId("auction-day-label").hidden = options.length < 2;
  }

  private fill(place: Place, interval: Interval, timezone: string): void {
    const { currency } = place.series;
    const { loaded } = this.loader;
    const { clearing } = interval;
    const from = format.clock(interval.start, timezone, false, interval.start);
    const title = `${nameOf(place.series)}, ${format.day(interval.start, timezone)} ${from}–${format.clock(interval.end, timezone, false, interval.end)}`;
    setText(byId("auction-when"), title);
    const words = outcome(interval);
    setText(byId("auction-price"), clearing?.price == null ? words : format.price(clearing.price, currency));
    setClass(byId("auction-price"), clearing?.price == null ? "verdict" : "last");
    const volume = clearing ? Math.max(clearing.sold_mw, clearing.bought_mw) : 0;
    setText(byId("auction-volume"), clearing?.price == null ? "" : `${currency ?? ""}/MWh · ${format.power(volume)}`);
    this.facts(factsOf(interval, loaded));
    this.complex(loaded, currency);
    setText(byId("curves-counted"), loaded ? counted(loaded) : "");
    byId("auction-failed").hidden = !this.loader.failed;
    if (!loaded) {
      this.drawn = null;
      this.curves.show(null, clearing || interval.book ? "Fetching the bids …" : words);
      return;
    }
    if (this.drawn?.of !== loaded) {
      const { price, sold_mw, bought_mw } = loaded.answer.clearing;
      const crossing = price === null ? null : { price, mw: Math.max(sold_mw, bought_mw) };
      this.drawn = { of: loaded, ...curves(loaded.merit, loaded.answer), crossing };
    }
    const { supply, demand, crossing } = this.drawn;
    this.curves.show({ key: auctionKey(place.key, interval.start), title, currency, supply, demand, crossing, words });
  }

  private facts(facts: readonly Fact[]): void {
    const list = byId("auction-facts");
    facts.forEach(({ name, value, more, mark }, i) => {
      let row = list.children[i] as HTMLElement | undefined;
      if (!row) {
        row = make("div");
        row.append(make("dt"), make("dd"), make("dd", "quiet"));
        list.append(row);
      }
      const [term, first, second] = row.children;
      setClass(row, mark ?? "");
      setText(term!, name);
      setText(first!, value);
      setText(second!, more ?? "");
    });
    while (list.children.length > facts.length) list.lastElementChild!.remove();
  }

  private complex(loaded: Loaded | null, currency: string | null): void {
    if (loaded === this.complexOf) return;
    this.complexOf = loaded;
    const bids = loaded?.merit.complex ?? [];
    byId("complex").hidden = bids.length === 0;
    if (!loaded || bids.length === 0) return;
    const taken = new Map(accepted(loaded.merit, loaded.answer).map(({ bid, ratio }) => [bid.bid, ratio]));
    const fates = new Map((loaded.answer.explain.component?.complex ?? []).map((fate) => [fate.bid, fate]));
    const sorted = [...bids].sort((a, b) => Number(taken.has(b.bid)) - Number(taken.has(a.bid)) || b.power_mw - a.power_mw);
    const more = bids.length > COMPLEX_SHOWN ? `, the first ${COMPLEX_SHOWN} shown` : "";
    setText(byId("complex-title"), `Blocks and complex bids: ${taken.size} of ${bids.length} accepted${more}`);
    const rows = sorted.slice(0, COMPLEX_SHOWN).map((bid) => complexRow(bid, taken.get(bid.bid), fates.get(bid.bid), currency));
    byId("complex-rows").replaceChildren(...rows);
  }

  /** Nothing to show: perhaps there are bids all the same, for intervals that are long over. */
  private async explainEmptiness(): Promise<void> {
    if (this.asked) return;
    this.asked = true;
    const { count } = await rest.anyBids().catch(() => ({ count: 0 }));
    setText(byId("auction-nobody"), count > 0 ? "There are bids, but none for an interval that is still cleared." : "Nobody bids.");
  }
}

const nameOf = ({ zone, location, market }: Place["series"]): string =>
  `${zone}${location === zone ? "" : ` ${location}`} · ${format.words(market.toLowerCase())}`;

/** The first interval in which somebody bids: what a day shows when it is chosen. */
const dayStart = (intervals: readonly Interval[]): number =>
  (intervals.find(({ clearing, book }) => clearing ?? book) ?? intervals[0])?.start ?? 0;

export interface Fact {
  name: string;
  value: string;
  more?: string;
  mark?: string;
}

/** What a trader looks up, in words and numbers. */
export function factsOf({ clearing, book }: Interval, loaded: Loaded | null): Fact[] {
  const currency = clearing?.currency ?? book?.currency ?? null;
  const money = (value: number | null | undefined) => format.price(value, currency);
  const facts: Fact[] = [];
  if (clearing?.marginal) facts.push(marginal(clearing.marginal.bid, clearing.marginal.side, loaded, money));
  if (book) {
    const [buy, sell] = [loaded?.merit.demand[0], loaded?.merit.supply[0]];
    const there = (price: number | null, level: { price: number; power_mw: number } | undefined) =>
      level && level.price === price ? format.power(level.power_mw) : "";
    facts.push(
      { name: "Best buy", value: money(book.best_buy), more: there(book.best_buy, buy), mark: "buy" },
      { name: "Best sell", value: money(book.best_sell), more: there(book.best_sell, sell), mark: "sell" },
    );
  }
  const traded = clearing?.price != null;
  if (book) {
    facts.push(
      { name: "Wanted", value: format.power(book.wanted_mw), more: traded ? `bought ${format.power(clearing.bought_mw)}` : "" },
      { name: "Offered", value: format.power(book.offered_mw), more: traded ? `sold ${format.power(clearing.sold_mw)}` : "" },
    );
  }
  if (traded) {
    facts.push(
      { name: "Buyers' surplus", value: format.amount(clearing.buy_surplus, currency), more: "below what they would pay" },
      { name: "Sellers' surplus", value: format.amount(clearing.sell_surplus, currency), more: "above what they ask" },
    );
    const { price_low: low, price_high: high } = clearing;
    if (low !== null && high !== null && low !== high) facts.push({ name: "Would clear, too", value: `${money(low)} to ${money(high)}`, more: "any price between" });
  }
  if (book) facts.push({ name: "Bids", value: format.number(book.bids) });
  if (clearing) facts.push(...coupling(clearing, loaded));
  return facts;
}

function marginal(bid: string, side: string, loaded: Loaded | null, money: (value: number) => string): Fact {
  const found = loaded?.answer.explain.marginal;
  const name = "Marginal bid";
  const verb = side === "sell" ? "sells" : "buys";
  if (found?.bid !== bid) return { name, value: bid, more: verb, mark: `wide ${side}` };
  const step = found.step ? ` ${format.power(found.step.power)} at ${money(found.step.price)}` : "";
  const others = (loaded?.answer.explain.at_margin.length ?? 1) - 1;
  const shared = others > 0 ? ` · ${others} more at this price` : "";
  return { name, value: `${found.organisation} ${verb}${step}`, more: `${bid}${shared}`, mark: `wide ${side}` };
}

function coupling(own: NonNullable<Interval["clearing"]>, loaded: Loaded | null): Fact[] {
  const coupled = loaded?.answer.coupled;
  if (!coupled) return own.congested ? [{ name: "Congestion", value: "capacity used up", mark: "wide congested" }] : [];
  const price = coupled.price === null ? "no price" : format.price(coupled.price, coupled.currency);
  const apart = own.price !== null && coupled.price !== null ? ` (${format.signed(coupled.price - own.price)})` : "";
  const congestion = own.congested ? "congested: the capacity is used up" : "not congested";
  const flow = exchange(own, coupled);
  return [{ name: `Coupled with ${coupled.zone}`, value: `${price}${own.congested ? apart : ""}`, more: `${congestion} · ${flow}`, mark: own.congested ? "wide congested" : "wide" }];
}

/** What the curves hold besides plain bids, or lack. */
export function counted({ merit, answer }: Loaded): string {
  const taken = accepted(merit, answer);
  const flow = answer.clearing.import_mw;
  const parts: string[] = [];
  if (taken.length > 0) parts.push(`${taken.length} accepted complex ${taken.length === 1 ? "bid" : "bids"}`);
  if (flow > 0) parts.push(`${format.power(flow)} of import as supply`);
  if (flow < 0) parts.push(`${format.power(-flow)} of export as demand`);
  const words = parts.length > 0 ? `The curves count in ${parts.join(" and ")}.` : "";
  return merit.truncated || answer.explain.truncated ? `${words} The book is longer than what is shown.`.trim() : words;
}

function complexRow(bid: IntervalBid, ratio: number | undefined, fate: Fate | undefined, currency: string | null): HTMLTableRowElement {
  const row = make("tr", ratio === undefined ? "refused" : "accepted");
  const whole = ratio === undefined || ratio >= 1 ? "" : ` ${format.number(100 * ratio)} %`;
  const state = ratio === undefined ? "✕ refused" : `✓ accepted${whole}`;
  const head = make("th", "", bid.organisation);
  head.scope = "row";
  const cells: [string, string][] = [
    ["fate", state],
    [`side ${bid.side}`, bid.side],
    ["number", format.power(bid.power_mw)],
    ["", KINDS[bid.kind]],
    ["number", format.amount(fate?.surplus, currency)],
    ["quiet", bid.bid],
  ];
  row.append(head, ...cells.map(([className, text]) => make("td", className, text)));
  return row;
}
