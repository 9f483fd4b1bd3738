// The auctions of the live state: for each series its delivery intervals, each with its clearing and its book.

import * as format from "./format";
import type { BookRow, ClearingRow, Event, Series } from "./wire";

/** A delivery interval; clearing and book come apart, and each may be gone. */
export interface Interval {
  start: number;
  end: number;
  clearing: ClearingRow | null;
  book: BookRow | null;
}

/** The intervals of a series. */
export interface Place {
  key: string;
  series: Series;
  intervals: Map<number, Interval>;
}

/** Names a delivery interval of a series. */
export const auctionKey = (place: string, start: number): string => `${place}@${start}`;

export class Auctions {
  private readonly found = new Map<string, Place>();

  clear(): void {
    this.found.clear();
  }

  /** Takes a change in, and says which interval it is about. */
  apply(event: Extract<Event, { type: "clearing_update" | "book_update" }>): string {
    const { zone, location, market, currency } = event;
    const key = `${zone}|${location}|${market}`;
    const place = this.found.get(key) ?? { key, series: { zone, location, market, currency }, intervals: new Map<number, Interval>() };
    const start = Date.parse(event.start);
    const interval = place.intervals.get(start) ?? { start, end: start + event.duration_ms, clearing: null, book: null };
    if (event.type === "clearing_update") interval.clearing = event.removed ? null : event;
    else interval.book = event.removed ? null : event;
    if (interval.clearing || interval.book) place.intervals.set(start, interval);
    else place.intervals.delete(start);
    if (place.intervals.size > 0) this.found.set(key, place);
    else this.found.delete(key);
    return auctionKey(key, start);
  }

  /** Series with intervals, by name. */
  places(): Place[] {
    return [...this.found.values()].sort((a, b) => a.key.localeCompare(b.key));
  }

  /** The place of that key; without one `zone`'s own, else any of that zone, else the first. */
  place(key: string, zone: string): Place | undefined {
    const places = this.places();
    const own = places.filter((place) => place.series.zone === zone);
    return this.found.get(key) ?? own.find((place) => place.series.location === zone) ?? own[0] ?? places[0];
  }
}

/** Its intervals by time. */
export function inOrder(place: Place): Interval[] {
  return [...place.intervals.values()].sort((a, b) => a.start - b.start);
}

/** The first interval that is delivered after `now`, else the last. */
export function upcoming(place: Place, now: number): Interval | undefined {
  const all = inOrder(place);
  return all.find((one) => one.start >= now) ?? all.at(-1);
}

/** Days of delivery in the zone's own calendar, by time, each with all its intervals: those in which nobody bids, too. */
export function days(place: Place, timezone: string): Map<string, Interval[]> {
  const found = new Map<string, Interval[]>();
  for (const interval of inOrder(place)) {
    const day = format.day(interval.start, timezone);
    found.set(day, [...(found.get(day) ?? []), interval]);
  }
  return new Map([...found].map(([day, intervals]) => [day, wholeDay(day, intervals, timezone)]));
}

/** Steps by the shortest interval from the known ones to both ends of the day; over a change of the clocks, too. */
function wholeDay(day: string, known: readonly Interval[], timezone: string): Interval[] {
  const length = Math.min(...known.map(({ start, end }) => end - start));
  const all = new Map(known.map((interval) => [interval.start, interval]));
  const taken = (start: number) => known.some((one) => one.start <= start && start < one.end);
  const fill = (start: number) => {
    if (!taken(start)) all.set(start, { start, end: start + length, clearing: null, book: null });
  };
  const first = known[0]?.start ?? 0;
  for (let start = first - length; format.day(start, timezone) === day; start -= length) fill(start);
  for (let start = first + length; format.day(start, timezone) === day; start += length) fill(start);
  return [...all.values()].sort((a, b) => a.start - b.start);
}

/** How an interval stands, in words; empty when it trades. */
export function outcome({ clearing, book }: Pick<Interval, "clearing" | "book">): string {
  if (clearing?.price != null) return "";
  if (!book || book.bids === 0) return "Nobody bids.";
  if (book.offered_mw === 0) return "No crossing: nobody sells.";
  if (book.wanted_mw === 0) return "No crossing: nobody buys.";
  if (book.best_buy !== null && book.best_sell !== null && book.best_buy < book.best_sell) {
    const { currency } = book;
    return `No crossing: the best buyer gives ${format.price(book.best_buy, currency)}, the best seller wants ${format.price(book.best_sell, currency)}.`;
  }
  return "No crossing: nothing is traded.";
}

/** What flows between a zone and the one it is coupled with, in words. */
export function exchange(own: ClearingRow, coupled: ClearingRow): string {
  const { zone } = coupled;
  if (own.import_mw === 0) return `nothing flows to or from ${zone}`;
  return own.import_mw > 0
    ? `imports ${format.power(own.import_mw)} from ${zone}`
    : `exports ${format.power(-own.import_mw)} to ${zone}`;
}
